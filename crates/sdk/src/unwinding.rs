//! Which functions of a module may have `fork` below them: only their frames are ever written into memory and restored, so only
//! they need to be rewritten for it.
//!
//! Calls through the table may lead to each function of the same type in it, with the exceptions of [`CLOSED_CALLERS`] and
//! [`GUARDED_CALLERS`]. Functions are told apart by number, since two may have one name.

use std::collections::{BTreeSet, HashMap};

use wasm_encoder::{NameMap, NameSection, RawSection};
use wasmparser::{
    BinaryReaderError, ElementItems, FuncType, FunctionBody, KnownCustom, Name, Operator, Parser,
    Payload, TypeRef,
};

type Result<T> = std::result::Result<T, BinaryReaderError>;

/// Where the C library asks for frames to be written (`guests/linux/musl/src/host/frames.c`).
const UNWINDING_MODULE: &str = "asyncify";
const UNWINDING_IMPORTS: &[&str] = &["start_unwind", "stop_rewind"];

/// Functions of the C library that call through pointers which only the library itself sets: the operations of its files. Beside each
/// is what is there whenever it is: a program may have functions of its own under names that C does not reserve.
const CLOSED_CALLERS: &[(&str, &str)] = &[
    ("__fseeko_unlocked", "__fseeko_unlocked"),
    ("__ftello_unlocked", "__ftello_unlocked"),
    ("__fwritex", "__fwritex"),
    ("__overflow", "__overflow"),
    ("__stdio_exit", "__stdio_exit"),
    ("__toread", "__toread"),
    ("__towrite", "__towrite"),
    ("__uflow", "__uflow"),
    ("close_file", "__stdio_exit"),
    ("fclose", "fclose"),
    ("fflush", "fflush"),
    ("fread", "fread"),
    ("fwrite", "fwrite"),
    ("vfprintf", "vfprintf"),
    ("vfwprintf", "vfwprintf"),
];

/// Operations of files that a program makes itself (`fopencookie`): they call what the program gives them.
const COOKIE_OPERATIONS: &[&str] = &["cookieclose", "cookieread", "cookieseek", "cookiewrite"];

/// Functions of the C library in whose callbacks `fork` answers `ENOSYS` (`callbacks_depth` in `guests/linux/musl`), with what is there
/// whenever they are.
const GUARDED_CALLERS: &[(&str, &str)] = &[
    ("__qsort_r", "__qsort_r"),
    ("bsearch", "bsearch"),
    ("sift", "__qsort_r"),
    ("trinkle", "__qsort_r"),
    ("wrapper_cmp", "qsort"),
    ("signal_deliver", "signal_deliver"),
];

/// A module that is ready to be rewritten.
#[derive(Debug)]
pub struct Forking {
    /// Each function is named after its number.
    pub module: Vec<u8>,
    /// The functions that may have `fork` below them.
    pub functions: Vec<String>,
    /// It catches exceptions in their final form, which cannot be rewritten.
    pub has_final_exceptions: bool,
}

/// Renames each function after its number, and finds those that may have `fork` below them.
///
/// # Errors
/// What is wrong with the bytes, if they are no module.
pub fn forking_functions(module: &[u8]) -> Result<Forking> {
    let graph = Graph::read(module)?;
    Ok(Forking {
        module: graph.renamed(module)?,
        functions: graph.forking().into_iter().map(numbered).collect(),
        has_final_exceptions: graph.has_final_exceptions,
    })
}

fn numbered(function: u32) -> String {
    format!("f{function}")
}

/// What calls what.
#[derive(Default)]
struct Graph {
    types: Vec<FuncType>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// Module and name of each imported function.
    imports: Vec<(String, String)>,
    names: HashMap<u32, String>,
    /// Functions that calls through the table may lead to.
    in_table: BTreeSet<u32>,
    bodies: Vec<Calls>,
    /// Exceptions are in their final form.
    has_final_exceptions: bool,
}

/// What one function calls.
#[derive(Default)]
struct Calls {
    functions: BTreeSet<u32>,
    /// Types of what is called through the table.
    types: BTreeSet<u32>,
}

impl Graph {
    fn read(module: &[u8]) -> Result<Graph> {
        let mut graph = Graph::default();
        for payload in Parser::new(0).parse_all(module) {
            graph.add(payload?)?;
        }
        Ok(graph)
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(types) => {
                for ty in types.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(ty) = import.ty {
                        self.functions.push(ty);
                        self.imports
                            .push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
            }
            Payload::FunctionSection(types) => {
                for ty in types {
                    self.functions.push(ty?);
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    self.add_element(element?.items)?;
                }
            }
            Payload::CodeSectionEntry(body) => self.add_body(&body)?,
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    self.add_names(names)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_element(&mut self, items: ElementItems<'_>) -> Result<()> {
        match items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    self.in_table.insert(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    for operator in expression?.get_operators_reader() {
                        if let Operator::RefFunc { function_index } = operator? {
                            self.in_table.insert(function_index);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add_body(&mut self, body: &FunctionBody<'_>) -> Result<()> {
        let mut calls = Calls::default();
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    calls.functions.insert(function_index);
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. } => {
                    calls.types.insert(type_index);
                }
                Operator::RefFunc { function_index } => {
                    self.in_table.insert(function_index);
                }
                Operator::TryTable { .. } => self.has_final_exceptions = true,
                _ => {}
            }
        }
        self.bodies.push(calls);
        Ok(())
    }

    fn add_names(&mut self, names: wasmparser::NameSectionReader<'_>) -> Result<()> {
        for section in names {
            if let Name::Function(functions) = section? {
                for naming in functions {
                    let naming = naming?;
                    self.names.insert(naming.index, naming.name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn is_named(&self, function: u32, names: &[&str]) -> bool {
        let name = self.names.get(&function);
        name.is_some_and(|name| names.contains(&name.as_str()))
    }

    /// Whether a function is one of the C library's. Of two with its name, either may be the program's.
    fn is_in_library(&self, function: u32, callers: &[(&str, &str)]) -> bool {
        let Some(name) = self.names.get(&function) else {
            return false;
        };
        let caller = callers.iter().find(|(it, _)| it == name);
        caller.is_some_and(|(_, neighbour)| {
            self.functions_named(name) == 1 && self.functions_named(neighbour) == 1
        })
    }

    fn functions_named(&self, name: &str) -> usize {
        self.names.values().filter(|it| *it == name).count()
    }

    /// Whether a function calls one of asyncify's own.
    fn calls_asyncify(&self, calls: &Calls, is_wanted: impl Fn(&str) -> bool) -> bool {
        calls.functions.iter().any(|function| {
            let import = self.imports.get(*function as usize);
            import.is_some_and(|(module, name)| module == UNWINDING_MODULE && is_wanted(name))
        })
    }

    /// Returns the functions from which `fork` can be reached, with those that ask for frames to be written: Binaryen rewrites
    /// calls of functions in the list only.
    fn forking(&self) -> BTreeSet<u32> {
        let first = self.imports.len() as u32;
        let bodies = || (first..).zip(&self.bodies);
        let unwinding = |name: &str| UNWINDING_IMPORTS.contains(&name);
        let mut reached: BTreeSet<u32> = bodies()
            .filter(|(_, calls)| self.calls_asyncify(calls, unwinding))
            .map(|(function, _)| function)
            .collect();
        let top: BTreeSet<u32> = bodies()
            .filter(|(_, calls)| self.calls_asyncify(calls, |name| !unwinding(name)))
            .map(|(function, _)| function)
            .collect();
        loop {
            let types = self.types_of(&reached);
            let more: Vec<u32> = bodies()
                .filter(|(function, _)| !reached.contains(function) && !top.contains(function))
                .filter(|(function, calls)| self.reaches(*function, calls, &reached, &types))
                .map(|(function, _)| function)
                .collect();
            if more.is_empty() {
                return reached;
            }
            reached.extend(more);
        }
    }

    /// The types under which functions of a set are in the table.
    fn types_of(&self, functions: &BTreeSet<u32>) -> BTreeSet<&FuncType> {
        let found = functions.intersection(&self.in_table);
        found.map(|function| self.type_of(*function)).collect()
    }

    fn type_of(&self, function: u32) -> &FuncType {
        &self.types[self.functions[function as usize] as usize]
    }

    fn reaches(
        &self,
        function: u32,
        calls: &Calls,
        reached: &BTreeSet<u32>,
        types: &BTreeSet<&FuncType>,
    ) -> bool {
        if !calls.functions.is_disjoint(reached) {
            return true;
        }
        let forks_in_cookies = || {
            reached
                .iter()
                .any(|it| self.is_named(*it, COOKIE_OPERATIONS))
        };
        if self.is_in_library(function, GUARDED_CALLERS)
            || (self.is_in_library(function, CLOSED_CALLERS) && !forks_in_cookies())
        {
            return false;
        }
        let mut called = calls.types.iter().map(|ty| &self.types[*ty as usize]);
        called.any(|ty| types.contains(ty))
    }

    /// Copies the module with its functions named after their numbers.
    fn renamed(&self, module: &[u8]) -> Result<Vec<u8>> {
        let mut renamed = wasm_encoder::Module::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if matches!(&payload, Payload::CustomSection(section) if section.name() == "name") {
                continue;
            }
            if let Some((id, range)) = payload.as_section() {
                let data = &module[range];
                renamed.section(&RawSection { id, data });
            }
        }
        let mut functions = NameMap::new();
        for function in 0..self.functions.len() as u32 {
            functions.append(function, &numbered(function));
        }
        let mut names = NameSection::new();
        names.functions(&functions);
        renamed.section(&names);
        Ok(renamed.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two functions that ask for frames to be written and start all, a table, and what a case adds.
    fn module(functions: &str, in_table: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
              (import "asyncify" "start_unwind" (func $start (param i32)))
              (import "asyncify" "stop_unwind" (func $stop))
              (type $short (func (param i32)))
              (type $long (func (param i64)))
              (table 9 funcref)
              (elem (i32.const 1) func {in_table})
              (func $fork (call $start (i32.const 0)))
              (func $_start (call $forks (i32.const 0)) (call $stop))
              (func $forks (param i32) (call $fork))
              {functions})"#
        );
        wat::parse_str(text).unwrap()
    }

    #[track_caller]
    fn check(functions: &str, in_table: &str, expected: &[&str]) {
        let graph = Graph::read(&module(functions, in_table)).unwrap();
        let found = graph.forking();
        let mut names: Vec<&str> = found.iter().map(|it| graph.names[it].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn callers_of_fork_may_have_it_below_them_but_not_who_starts_them() {
        check(
            "(func $outer (call $forks (i32.const 1))) (func $other)",
            "",
            &["fork", "forks", "outer"],
        );
    }

    #[test]
    fn a_call_through_the_table_leads_to_what_is_in_it_with_that_type() {
        let calls = "
            (func $calls (call_indirect (type $short) (i32.const 0) (i32.const 1)))
            (func $calls_another (call_indirect (type $long) (i64.const 0) (i32.const 1)))";
        check(calls, "$forks", &["calls", "fork", "forks"]);
        check(calls, "$calls_another", &["fork", "forks"]);
    }

    #[test]
    fn callbacks_of_the_c_library_that_cannot_fork_are_left_out() {
        let calls = "
            (func $fflush (call_indirect (type $short) (i32.const 0) (i32.const 1)))
            (func $bsearch (call_indirect (type $short) (i32.const 0) (i32.const 1)))";
        check(calls, "$forks", &["fork", "forks"]);
        let with_cookies = format!("{calls} (func $cookieread (param i32) (call $fork))");
        let expected = ["cookieread", "fflush", "fork", "forks"];
        check(&with_cookies, "$cookieread", &expected);
    }

    #[test]
    fn functions_of_the_program_that_are_called_as_the_librarys_are_kept_apart_from_them() {
        let calls = "
            (func $sift (call_indirect (type $short) (i32.const 0) (i32.const 1)))
            (func $fflush (call_indirect (type $short) (i32.const 0) (i32.const 1)))";
        check(calls, "$forks", &["fork", "forks", "sift"]);
        let library = r#"(func $__qsort_r (param i32))"#;
        check(&format!("{calls} {library}"), "$forks", &["fork", "forks"]);
        let second = r#"(func (;9;) (@name "fflush") (param i32))"#;
        let expected = ["fflush", "fork", "forks", "sift"];
        check(&format!("{calls} {second}"), "$forks", &expected);
    }

    #[test]
    fn functions_of_one_name_are_told_apart_by_number() {
        let wasm = module("(func $other)", "");
        let found = forking_functions(&wasm).unwrap();
        assert_eq!(found.functions, ["f2", "f4"]);
        assert!(!found.has_final_exceptions);
        let graph = Graph::read(&found.module).unwrap();
        assert_eq!(graph.names[&4], "f4");
    }

    #[test]
    fn exceptions_are_told_by_their_form() {
        let found = |body: &str| {
            let wasm = module(&format!("(tag $thrown) (func $catches {body})"), "");
            forking_functions(&wasm).unwrap().has_final_exceptions
        };
        assert!(found("(block $end (try_table (catch $thrown $end)))"));
        assert!(!found("try catch $thrown end"));
    }
}
