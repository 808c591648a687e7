//! Every proposal survives the rewriting, and the checks stand where they should.

use wasmparser::{Operator, Parser, Payload, Validator, WasmFeatures};

use super::{InstrumentError, MEMORY_EXPORT, START_EXPORT, instrument};

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
fn each_loop_has_a_check() {
    let output = rewritten("(module (func (loop (loop (br 0)) (br 0))))");
    assert_eq!(checks(&output, 0), [2]);
}

#[test]
fn functions_that_call_have_a_check_at_entry_and_leaves_have_none() {
    let output = rewritten(
        "(module (import \"m\" \"f\" (func $host)) (table 1 funcref) (type $t (func))
           (func $leaf) (func (call $leaf)) (func (call $host))
           (func (call_indirect (type $t) (i32.const 0))) (func $tail (return_call $tail)))",
    );
    assert_eq!(checks(&output, 0), [0, 1, 0, 1, 1]);
}

#[test]
fn checks_beyond_the_page_are_atomic() {
    let loops = "(loop)".repeat(super::MEMORY_BYTES + 3);
    let output = rewritten(&format!("(module (func {loops}))"));
    assert_eq!(checks(&output, 0), [super::MEMORY_BYTES + 3]);
}

#[test]
fn a_module_without_sections_gets_the_memory_and_its_export() {
    assert_eq!(exports(&rewritten("(module)")), [MEMORY_EXPORT]);
}

#[test]
fn the_start_function_becomes_an_export() {
    let output = rewritten("(module (func $main) (start $main) (func (export \"a\")))");
    assert_eq!(exports(&output), ["a", MEMORY_EXPORT, START_EXPORT]);
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
    // The third body is the helper.
    assert_eq!(checks(&output, 1), [0, 0, 1]);
}
