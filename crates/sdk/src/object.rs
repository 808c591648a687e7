//! What a compiled file says that it needs: an object of one source, or a linked module.

use wasmparser::{Parser, Payload, TypeRef};

/// Whether an object calls `setjmp`, by the name that clang gives it. Objects of clang's own intermediate form do not say.
pub fn calls_setjmp(object: &[u8]) -> bool {
    imports(object, "env", "__wasm_setjmp")
}

/// Whether a linked module asks the kernel for copies of itself.
pub fn forks(module: &[u8]) -> bool {
    imports(module, "minke", "fork")
}

/// Whether a module imports a function; `false` for what is no module.
fn imports(bytes: &[u8], module: &str, name: &str) -> bool {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ImportSection(imports)) => {
                return imports.into_imports().any(|import| {
                    import.is_ok_and(|it| {
                        it.module == module && it.name == name && matches!(it.ty, TypeRef::Func(_))
                    })
                });
            }
            // Imports come before all code.
            Err(_) | Ok(Payload::CodeSectionStart { .. } | Payload::End(_)) => return false,
            Ok(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).expect("a module")
    }

    #[test]
    fn a_function_is_found_by_both_of_its_names() {
        let object =
            module(r#"(module (import "env" "__wasm_setjmp" (func (param i32 i32 i32))))"#);
        assert!(calls_setjmp(&object));
        assert!(!forks(&object));
        let linked = module(r#"(module (import "minke" "fork" (func (result i32))))"#);
        assert!(forks(&linked));
        assert!(!calls_setjmp(&linked));
    }

    #[test]
    fn what_is_no_module_needs_nothing() {
        for bytes in [
            &b""[..],
            b"BC\xc0\xde",
            b"\x7fELF",
            b"\0asm\x01\0\0\0\x02\xff",
        ] {
            assert!(!calls_setjmp(bytes));
            assert!(!forks(bytes));
        }
    }
}
