//! The virtual file system, through the calls of a task.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod changes;
mod disk;
mod disk_memory;
mod ext4;
mod extended;
mod files;
mod host;
mod locks;
mod locks_oracle;
mod machine;
mod overlay;
mod proc;
mod random;
mod together;
mod touched;
