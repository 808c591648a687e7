//! What became of a tree.

use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::At;
use minke_kernel::vfs::changes::{Before, Change, Scope, visit_changes};
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, RenameFlags};
use minke_kernel::{Errno, Task};

use crate::machine::{Machine, Shortcuts, memory_options};

/// A tree with `/etc/a`, `/etc/b`, `/old/x/y` and `/twin`, a hard link to `/etc/b`.
fn lower() -> Arc<dyn FileSystem> {
    let mut builder = TreeBuilder::new();
    let mut add = |path: &str, kind| {
        let owner = TreeOwner {
            mode: 0o755,
            ..TreeOwner::default()
        };
        let entry = TreeEntry {
            owner,
            kind,
            extended: Vec::new(),
        };
        builder.add(path.as_bytes(), entry).unwrap();
    };
    let file = |content: &[u8]| {
        let bytes: Arc<dyn Bytes> = Arc::new(content.to_vec());
        TreeKind::Regular(ByteRange::new(bytes, 0, content.len()).unwrap())
    };
    add("etc/a", file(b"a"));
    add("etc/b", file(b"b"));
    add("old/x/y", file(b"y"));
    add("twin", TreeKind::HardLink(b"etc/b"));
    Arc::new(builder.finish())
}

/// Lets `act` work on the tree; returns the changes in order.
fn changes(act: impl FnOnce(&Task)) -> Vec<String> {
    let lower = lower();
    let upper = MemoryFileSystem::overlay(&lower, memory_options()).unwrap();
    let upper: Arc<dyn FileSystem> = upper;
    act(&Machine::with_root(Arc::clone(&upper)).root());
    let mut seen = Vec::new();
    let visited = visit_changes::<Errno>(&*upper, &*lower, &Scope::Everywhere, &mut |change| {
        seen.push(match change {
            Change::Absent { path } => format!("- {}", String::from_utf8_lossy(path)),
            Change::Present {
                path,
                metadata,
                before,
                ..
            } => {
                let mark = match before {
                    Before::Other if metadata.file_type == FileType::Directory => "=",
                    _ => "+",
                };
                format!("{mark} {}", String::from_utf8_lossy(path))
            }
        });
        Ok(())
    });
    visited.unwrap();
    seen
}

fn rename(task: &Task, old: &str, new: &str) {
    let flags = RenameFlags::empty();
    task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags)
        .unwrap();
}

#[test]
fn looking_at_a_tree_changes_nothing() {
    let seen = changes(|task| {
        task.get("/etc/a").unwrap();
        assert_eq!(task.get("/nothing"), Err(Errno::ENOENT));
    });
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn what_is_new_is_told_with_its_directory_first() {
    let seen = changes(|task| {
        Shortcuts::mkdir(task, "/new").unwrap();
        task.put("/new/file", b"content").unwrap();
    });
    assert_eq!(seen, ["+ new", "+ new/file"]);
}

#[test]
fn a_written_file_is_told_under_all_its_names() {
    let seen = changes(|task| {
        let file = task.opened("/etc/b", OpenFlags::WRONLY).unwrap();
        file.write(b"B").unwrap();
    });
    assert_eq!(seen, ["+ twin", "+ etc/b"]);
}

#[test]
fn a_removed_name_is_absent_and_its_directory_changed() {
    let seen = changes(|task| task.unlink(At::Cwd, b"/etc/a").unwrap());
    assert_eq!(seen, ["+ etc", "- etc/a"]);
}

#[test]
fn a_moved_directory_is_new_whole_where_it_is_and_absent_where_it_was() {
    let seen = changes(|task| rename(task, "/old", "/etc/moved"));
    let expected = [
        "- old",
        "+ etc",
        "+ etc/moved",
        "+ etc/moved/x",
        "+ etc/moved/x/y",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_directory_in_the_place_of_another_hides_what_that_one_had() {
    let seen = changes(|task| {
        rename(task, "/old/x", "/gone");
        Shortcuts::mkdir(task, "/old/x").unwrap();
        task.put("/old/x/z", b"z").unwrap();
        task.unlink(At::Cwd, b"/gone/y").unwrap();
        task.remove_directory(At::Cwd, b"/gone").unwrap();
    });
    assert_eq!(seen, ["+ old", "= old/x", "+ old/x/z"]);
}
