//! Every proposal survives the rewriting, and what is added stands where it should.

use wasmparser::{Operator, Parser, Payload, Validator, WasmFeatures};

use super::{
    InstrumentError, MEMORY_EXPORT, SHARED_EXPORT, START_EXPORT, TABLE_EXPORT, instrument, origins,
};

/// What the engines accept: everything final, and relaxed SIMD.
fn features() -> WasmFeatures {
    WasmFeatures::WASM3 | WasmFeatures::THREADS
}

/// Instruments `wat`, validates the result and returns it.
fn rewritten(wat: &str) -> Vec<u8> {
    let wasm = wat::parse_str(wat).expect("the test's text is a module");
    let output = instrument(&wasm, features()).expect("the module can be instrumented");
    Validator::new_with_features(features())
        .validate_all(&output)
        .expect("the output validates");
    output
}

/// Returns, for each function, how many loads from memory number `hidden` it has.
fn checks(output: &[u8], hidden: u32) -> Vec<usize> {
    let is_check = |operator: &Operator<'_>| match operator {
        Operator::I32Load8U { memarg } | Operator::I32AtomicLoad8U { memarg } => {
            memarg.memory == hidden
        }
        _ => false,
    };
    let mut counts = Vec::new();
    for payload in Parser::new(0).parse_all(output) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            let operators = body.get_operators_reader().unwrap();
            let found = operators
                .into_iter()
                .filter(|op| is_check(op.as_ref().unwrap()));
            counts.push(found.count());
        }
    }
    counts
}

fn exports(output: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(output) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            names.extend(
                section
                    .into_iter()
                    .map(|export| export.unwrap().name.to_owned()),
            );
        }
    }
    names
}

#[test]
fn loops_and_calls_have_no_checks() {
    let output = rewritten(
        "(module (table 1 funcref) (type $t (func)) (memory 1)
           (func $f (loop (br 0)) (call $f))
           (func $tail (drop (memory.grow (i32.const 1))) (return_call $tail))
           (func (call_indirect (type $t) (i32.const 0))))",
    );
    // The last is the exit.
    assert_eq!(checks(&output, 1), [0, 0, 0, 0]);
    assert_eq!(exports(&output), [""; 0]);
}

#[test]
fn loops_and_recursions_of_a_program_that_has_handlers_have_polls() {
    let output = rewritten(
        "(module (memory 1)
           (func $attend (export \"signal_attend\"))
           (func (loop (loop (br_if 0 (i32.const 1)))))
           (func $f (param i32) (call $f (i32.const 1)) (loop (br 0)))
           (func (call $attend)))",
    );
    assert_eq!(checks(&output, 1), [0, 1, 2, 0, 0]);
    assert_eq!(exports(&output), ["signal_attend", MEMORY_EXPORT]);
}

#[test]
fn a_loop_that_only_walks_has_no_poll_and_one_that_waits_has() {
    let output = rewritten(
        "(module (memory 1)
           (func $attend (export \"signal_attend\"))
           (func $walk (param i32) (local i32)
             (loop (local.set 1 (i32.load8_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))))
               (br_if 0 (i32.load (local.get 1)))))
           (func $wait (loop (br_if 0 (i32.load (i32.const 16)))))
           (func $wait_for_what_is_given (param i32) (loop (br_if 0 (i32.load (local.get 0)))))
           (func $walk_and_call (loop (call $attend) (br_if 0 (i32.const 0))))
           (func $leave_in_the_middle (loop (block (br_if 1 (i32.const 1)) (br 0)))))",
    );
    assert_eq!(checks(&output, 1), [0, 0, 1, 1, 1, 0, 0]);
}

#[test]
fn an_export_of_another_type_is_not_polled() {
    let output = rewritten(
        "(module (memory 1)
           (func (export \"signal_attend\") (param i32) (loop (br 0))))",
    );
    assert_eq!(checks(&output, 1), [0, 0]);
    let output = rewritten(
        "(module (memory 1) (global (export \"signal_attend\") i32 (i32.const 0))
           (func (loop (br 0))))",
    );
    assert_eq!(checks(&output, 1), [0, 0]);
}

#[test]
fn what_may_take_long_in_the_host_has_a_check_before_it() {
    let output = rewritten(
        "(module (table 1 funcref) (type $bytes (array (mut i8))) (memory 1) (data $d \"abc\")
           (func (param i32) (loop (table.fill 0 (local.get 0) (ref.null func) (local.get 0)) (br 0)))
           (func (param i32) (memory.init $d (local.get 0) (i32.const 0) (i32.const 3)))
           (func (param i32) (drop (array.new_default $bytes (local.get 0)))
             (drop (array.new_default $bytes (local.get 0)))))",
    );
    assert_eq!(checks(&output, 1), [1, 1, 2, 0]);
    assert_eq!(exports(&output), [MEMORY_EXPORT]);
}

#[test]
fn checks_beyond_the_page_are_atomic() {
    let copy = "(table.copy (i32.const 0) (i32.const 0) (i32.const 0))";
    let copies = copy.repeat(super::MEMORY_BYTES + 3);
    let output = rewritten(&format!("(module (table 1 funcref) (func {copies}))"));
    assert_eq!(checks(&output, 0), [super::MEMORY_BYTES + 3, 0]);
}

#[test]
fn the_last_function_traps_and_nothing_else() {
    let fill = "(memory.fill (local.get 0) (i32.const 0) (local.get 0))";
    for module in [
        "(module)".to_owned(),
        "(module (data \"abc\"))".to_owned(),
        "(module (import \"m\" \"f\" (func)) (global i32 (i32.const 1)))".to_owned(),
        "(module (func (export \"a\")) (func))".to_owned(),
        format!("(module (memory 1) (func (param i32) {fill}))"),
    ] {
        let output = rewritten(&module);
        let operators = operators(&output);
        let last: Vec<_> = operators.iter().rev().take(2).collect();
        assert_eq!(last[0].1, "End", "{module}");
        assert_eq!(last[1].1, "Unreachable", "{module}");
    }
}

#[test]
fn the_start_function_becomes_an_export() {
    let output = rewritten("(module (func $main) (start $main) (func (export \"a\")))");
    assert_eq!(exports(&output), ["a", START_EXPORT]);
    let has_start = Parser::new(0)
        .parse_all(&output)
        .any(|payload| matches!(payload.unwrap(), Payload::StartSection { .. }));
    assert!(!has_start);
}

#[test]
fn reserved_exports_are_refused() {
    let wasm = wat::parse_str(format!("(module (func (export \"{START_EXPORT}\")))")).unwrap();
    let error = instrument(&wasm, features()).unwrap_err();
    assert!(matches!(error, InstrumentError::ReservedExport(name) if name == START_EXPORT));
}

#[test]
fn code_that_names_the_hidden_memory_does_not_validate() {
    let wasm =
        wat::parse_str("(module (memory 1) (func (drop (i32.load 1 (i32.const 0)))))").unwrap();
    let error = instrument(&wasm, features()).unwrap_err();
    assert!(matches!(error, InstrumentError::Invalid(_)), "{error}");
}

#[test]
fn proposals_survive() {
    let modules = [
        "(module (memory i64 1) (func (memory.fill (i64.const 0) (i32.const 0) (i64.const -1))
           (loop (br 0))))",
        "(module (memory 1) (memory i64 1) (func (param i32 i64)
           (memory.copy 0 1 (local.get 0) (local.get 1) (local.get 0))
           (memory.copy 1 0 (local.get 1) (local.get 0) (local.get 0))))",
        "(module (rec (type $a (sub (struct (field (ref null $b))))) (type $b (array (mut i8))))
           (func (param i32) (result (ref $b)) (array.new_default $b (local.get 0)))
           (memory 1) (func (param i32) (memory.fill (local.get 0) (local.get 0) (local.get 0))))",
        "(module (tag $e (param i32)) (func (result i32)
           (block $h (result i32) (try_table (catch $e $h) (throw $e (i32.const 7))) (i32.const 1))))",
        "(module (type $f (func (param i32) (result i32))) (func $s (type $f)
           (return_call_ref $f (local.get 0) (ref.func $s))) (elem declare func $s))",
        "(module (memory 1 4 shared) (func (result i32) (loop (result i32)
           (i32.atomic.rmw.add (i32.const 0) (i32.const 1)) (drop) (br 0))))",
        "(module (memory 1) (func (param v128) (result v128)
           (i32x4.relaxed_dot_i8x16_i7x16_add_s (local.get 0) (local.get 0) (local.get 0))))",
        "(module (import \"m\" \"m\" (memory 2)) (data \"abc\") (table 3 funcref) (global i32 (i32.const 1))
           (func $f (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 3))) (elem (i32.const 0) $f))",
    ];
    for module in modules {
        rewritten(module);
    }
}

/// Counts calls through a table, and operators that wait, wake or grow.
fn shared_operators(output: &[u8]) -> (usize, usize) {
    let (mut calls, mut left) = (0, 0);
    for payload in Parser::new(0).parse_all(output) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            for operator in body.get_operators_reader().unwrap() {
                match operator.unwrap() {
                    Operator::CallIndirect { .. } => calls += 1,
                    Operator::MemoryAtomicWait32 { .. }
                    | Operator::MemoryAtomicWait64 { .. }
                    | Operator::MemoryAtomicNotify { .. }
                    | Operator::MemoryGrow { .. } => left += 1,
                    _ => {}
                }
            }
        }
    }
    (calls, left)
}

/// Waits, wakes and grows a memory whose addresses have this type.
fn waiting(memory: &str, address: &str) -> String {
    format!(
        "(module {memory} (func (drop (memory.atomic.wait32 offset=4 ({address}.const 0) (i32.const 0) (i64.const -1)))
           (drop (memory.atomic.wait64 ({address}.const 0) (i64.const 0) (i64.const -1)))
           (drop (memory.atomic.notify offset=4000000000 ({address}.const 0) (i32.const 1)))
           (drop (memory.grow ({address}.const 1)))
           unreachable (memory.grow) (drop)))"
    )
}

#[test]
fn waiting_waking_and_growing_a_shared_memory_are_calls_of_the_host() {
    for (memory, address) in [
        ("(memory 1 4 shared)", "i32"),
        (
            "(import \"m\" \"m\" (memory 1 4 shared)) (table 1 funcref)",
            "i32",
        ),
        ("(memory i64 1 4 shared)", "i64"),
    ] {
        let output = rewritten(&waiting(memory, address));
        assert_eq!(shared_operators(&output), (5, 0), "{memory}");
        let exports = exports(&output);
        assert!(exports.contains(&TABLE_EXPORT.to_owned()), "{exports:?}");
        assert!(exports.contains(&SHARED_EXPORT.to_owned()), "{exports:?}");
    }
}

#[test]
fn a_memory_that_is_not_shared_keeps_its_operators() {
    let output = rewritten(&waiting("(memory 1)", "i32"));
    assert_eq!(shared_operators(&output), (0, 5));
    assert_eq!(exports(&output), [""; 0]);
}

#[test]
fn a_table_of_the_module_stays_the_first() {
    let output = rewritten(
        "(module (type $t (func)) (table 1 funcref) (memory 1 4 shared) (func (param i32)
           (drop (memory.grow (i32.const 1))) (call_indirect (type $t) (local.get 0))))",
    );
    assert_eq!(shared_operators(&output), (2, 0));
}

#[test]
fn two_shared_memories_are_refused() {
    let wasm = wat::parse_str("(module (memory 1 1 shared) (memory 1 1 shared))").unwrap();
    let error = instrument(&wasm, features()).unwrap_err();
    assert!(matches!(error, InstrumentError::SharedMemories), "{error}");
}

#[test]
fn names_stay_and_debug_sections_go() {
    let output = rewritten("(module (func $keep) (@custom \".debug_info\" \"xx\"))");
    let sections: Vec<_> = Parser::new(0)
        .parse_all(&output)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => Some(section.name().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(sections, ["name"]);
}

#[test]
fn constant_short_bulk_operations_stay_and_unknown_ones_become_calls() {
    let output = rewritten(
        "(module (memory 1)
           (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 64)))
           (func (param i32) (memory.fill (i32.const 0) (i32.const 0) (local.get 0))))",
    );
    // The third body is the helper, with one check more for its chunks; the last is the exit.
    assert_eq!(checks(&output, 1), [0, 0, 2, 0]);
}

/// All operators of a module, each with its position.
fn operators(wasm: &[u8]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            for operator in body
                .get_operators_reader()
                .unwrap()
                .into_iter_with_offsets()
            {
                let (operator, offset) = operator.unwrap();
                found.push((offset, format!("{operator:?}")));
            }
        }
    }
    found
}

#[test]
fn positions_lead_back_to_the_operators_that_stood_there() {
    let wat = "(module (memory 1)
        (func $f (param i32) (result i32)
          (loop (br_if 0 (i32.eqz (local.get 0))))
          (memory.copy (local.get 0) (i32.const 5) (local.get 0))
          (i32.div_u (call $f (local.get 0)) (i32.const 0)))
        (func (drop (call $f (i32.const 1)))))";
    let wasm = wat::parse_str(wat).unwrap();
    let output = instrument(&wasm, features()).unwrap();
    let origins = origins(&wasm, features()).unwrap();
    let new = operators(&output);
    let mut copied = 0;
    for (old_position, old) in operators(&wasm) {
        // The last that leads there: what was added before an operator leads to it too.
        let at = new
            .iter()
            .rev()
            .find(|(position, _)| origins.original(*position) == Some(old_position));
        let (_, found) = at.expect("each operator is found");
        match old.starts_with("MemoryCopy") {
            true => assert!(found.starts_with("Call"), "{found}"),
            false => assert_eq!(*found, old),
        }
        copied += 1;
    }
    assert!(copied > 10);
    let (last, _) = new.last().unwrap();
    assert_eq!(origins.original(*last), None, "the helper is nobody's");
}
