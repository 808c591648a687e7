//! The programs of `guests/`, as `cargo xtask guests` builds them.

use std::path::Path;

use crate::machine::{End, Machine, Outcome};

const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests");

fn run(machine: &Machine, guest: &str) -> Outcome {
    let path = Path::new(GUESTS).join(guest);
    let module = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}\nhint: cargo xtask guests", path.display()));
    machine.run(&module)
}

#[test]
fn hello_says_hello() {
    let outcome = run(&Machine::new(), "hello.wasm");
    assert_eq!(outcome.end, End::Returned);
    assert!(
        outcome.stdout.to_lowercase().contains("hello"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn the_wild_guest_gets_errnos_only() {
    let outcome = run(&Machine::new(), "wild.wasm");
    assert_eq!(outcome.end, End::Returned, "{}", outcome.stdout);
    assert!(outcome.stdout.starts_with("wild: "), "{}", outcome.stdout);
}
