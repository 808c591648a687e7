//! Files that are no programs.

use crate::home::{Home, guest};

#[test]
fn a_file_that_is_no_module_is_not_executable() {
    let home = Home::new();
    home.write("text.wasm", "not wasm\n");
    let ended = home.run(&["run", "--rm", "./text.wasm"]);
    ended.assert_fails(126, &["is not a WebAssembly module", "hint: "]);
    home.assert_nothing_left();
}

#[test]
fn a_truncated_module_says_where_it_ends() {
    let home = Home::new();
    let whole = std::fs::read(guest("hello.wasm")).expect("the guest is readable");
    home.write("cut.wasm", &whole[..1000]);
    let ended = home.run(&["run", "--rm", "./cut.wasm"]);
    ended.assert_fails(126, &["is truncated", "byte 1000"]);
    home.assert_nothing_left();
}

#[test]
fn a_component_is_named_as_one() {
    let home = Home::new();
    home.write("component.wasm", b"\0asm\x0d\0\x01\0");
    let ended = home.run(&["run", "--rm", "./component.wasm"]);
    ended.assert_fails(126, &["component", "hint: "]);
    home.assert_nothing_left();
}

#[test]
fn a_missing_import_is_named_before_anything_runs() {
    let home = Home::new();
    let module = wat::parse_str(
        r#"(module
            (import "env" "frobnicate" (func (param i32 i64) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (drop (call 0 (i32.const 1) (i64.const 2)))))"#,
    )
    .expect("the text is a module");
    home.write("wants.wasm", module);
    let ended = home.run(&["run", "--rm", "./wants.wasm"]);
    ended.assert_fails(126, &["env", "frobnicate", "i64", "wants.wasm"]);
    home.assert_nothing_left();
}
