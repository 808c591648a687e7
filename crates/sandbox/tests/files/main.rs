//! Files of a container as the sandbox makes them: roots from layers, binds of host directories,
//! and all file systems against Linux's own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod bind;
#[path = "../../../kernel/tests/vfs/machine.rs"]
mod machine;
mod oracle;
mod privileged;
mod root_tree;
