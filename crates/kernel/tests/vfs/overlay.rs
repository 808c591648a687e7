//! A writable memory on a read-only tree.

use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, RenameFlags};
use minke_kernel::{Errno, Task};

use crate::machine::{Machine, Shortcuts, memory_options};

/// A tree with `/etc/conf`, `/etc/other`, `/bin/tool` (a megabyte), `/bin/alias` (its hard link) and `/link`.
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
    let file = |content: Vec<u8>| {
        let length = content.len();
        let bytes: Arc<dyn Bytes> = Arc::new(content);
        TreeKind::Regular(ByteRange::new(bytes, 0, length).unwrap())
    };
    add("etc", TreeKind::Directory);
    add("etc/conf", file(b"original".to_vec()));
    add("etc/other", file(b"other".to_vec()));
    add(
        "bin/tool",
        file((0..1 << 20).map(|n: u32| (n / 4096) as u8).collect()),
    );
    add("bin/alias", TreeKind::HardLink(b"bin/tool"));
    add("link", TreeKind::Symlink(b"etc/conf"));
    Arc::new(builder.finish())
}

fn overlay_with(options: MemoryOptions) -> Machine {
    Machine::with_root(MemoryFileSystem::overlay(&lower(), options).unwrap())
}

fn root() -> Task {
    overlay_with(memory_options()).root()
}

fn rename(task: &Task, old: &str, new: &str) -> Result<(), Errno> {
    let flags = RenameFlags::empty();
    task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags)
}

fn inode(task: &Task, path: &str) -> u64 {
    task.stat(At::Cwd, path.as_bytes(), Follow::No)
        .unwrap()
        .inode
}

#[test]
fn a_lower_file_is_changed_in_memory_under_the_same_number() {
    let task = root();
    let before = inode(&task, "/etc/conf");
    let reader = task.opened("/link", OpenFlags::RDONLY).unwrap();
    let file = task.opened("/etc/conf", OpenFlags::WRONLY).unwrap();
    file.write(b"O").unwrap();
    assert_eq!(task.get("/link").unwrap(), b"Original");
    assert_eq!(inode(&task, "/etc/conf"), before);
    let mut buffer = [0; 8];
    reader.read(&mut buffer).unwrap();
    assert_eq!(&buffer, b"Original", "what was open before sees the change");
}

#[test]
fn a_big_file_is_copied_page_by_page() {
    let options = memory_options();
    let budget = Arc::clone(&options.budget);
    let machine = overlay_with(options);
    let task = machine.root();
    let file = task.opened("/bin/tool", OpenFlags::RDWR).unwrap();
    let before = budget.used();
    file.write_at(b"new", 300_000).unwrap();
    assert!(budget.used() - before < 16_384);
    let mut buffer = [0; 3];
    file.read_at(&mut buffer, 299_999).unwrap();
    assert_eq!(buffer, [73, b'n', b'e']);
    assert_eq!(task.get("/bin/alias").unwrap()[300_000..300_003], *b"new");
    task.truncate(At::Cwd, b"/bin/alias", 5000).unwrap();
    task.truncate(At::Cwd, b"/bin/alias", 10_000).unwrap();
    let content = task.get("/bin/tool").unwrap();
    assert_eq!(
        (content[4999], content[5000], content.len()),
        (1, 0, 10_000)
    );
}

#[test]
fn allocated_blocks_count_each_page_once() {
    let task = root();
    let blocks = || task.stat(At::Cwd, b"/bin/tool", Follow::No).unwrap().blocks;
    let file = task.opened("/bin/tool", OpenFlags::WRONLY).unwrap();
    assert_eq!(blocks(), 2048);
    file.write_at(b"over", 4096).unwrap();
    assert_eq!(blocks(), 2048);
    file.write_at(b"beyond", 8 << 20).unwrap();
    assert_eq!(blocks(), 2056);
    task.truncate(At::Cwd, b"/bin/tool", 4097).unwrap();
    assert_eq!(blocks(), 16);
    task.truncate(At::Cwd, b"/bin/tool", 0).unwrap();
    file.write_at(b"new", 1 << 20).unwrap();
    assert_eq!(blocks(), 8);
}

#[test]
fn what_was_removed_stays_removed_and_can_be_made_anew() {
    let task = root();
    task.unlink(At::Cwd, b"/etc/conf").unwrap();
    assert_eq!(task.get("/etc/conf"), Err(Errno::ENOENT));
    assert_eq!(task.names("/etc").unwrap(), ["other"]);
    task.put("/etc/conf", b"mine").unwrap();
    assert_eq!(task.names("/etc").unwrap(), ["conf", "other"]);
    task.unlink(At::Cwd, b"/etc/conf").unwrap();
    assert_eq!(task.get("/etc/conf"), Err(Errno::ENOENT));
}

#[test]
fn a_directory_made_over_a_removed_one_is_empty() {
    let task = root();
    assert_eq!(
        task.remove_directory(At::Cwd, b"/etc"),
        Err(Errno::ENOTEMPTY)
    );
    task.unlink(At::Cwd, b"/etc/conf").unwrap();
    task.unlink(At::Cwd, b"/etc/other").unwrap();
    task.remove_directory(At::Cwd, b"/etc").unwrap();
    assert_eq!(task.names("/").unwrap(), ["bin", "link"]);
    task.mkdir("/etc").unwrap();
    assert!(task.names("/etc").unwrap().is_empty());
}

#[test]
fn a_merged_directory_moves_with_all_it_holds() {
    let task = root();
    task.put("/etc/own", b"own").unwrap();
    task.change_directory(At::Cwd, b"/etc").unwrap();
    rename(&task, "/etc", "/bin/settings").unwrap();
    assert_eq!(task.current_directory().unwrap(), b"/bin/settings");
    assert_eq!(task.names(".").unwrap(), ["conf", "other", "own"]);
    assert_eq!(task.get("conf").unwrap(), b"original");
    assert_eq!(task.get("../settings/own").unwrap(), b"own");
    assert_eq!(task.names("/").unwrap(), ["bin", "link"]);
    rename(&task, "conf", "../../back").unwrap();
    assert_eq!(task.get("/back").unwrap(), b"original");
}

#[test]
fn hard_links_of_the_lower_tree_stay_one_file() {
    let task = root();
    assert_eq!(
        task.stat(At::Cwd, b"/bin/tool", Follow::No).unwrap().links,
        2
    );
    task.unlink(At::Cwd, b"/bin/tool").unwrap();
    let alias = task.stat(At::Cwd, b"/bin/alias", Follow::No).unwrap();
    assert_eq!((alias.links, alias.size), (1, 1 << 20));
    task.link(At::Cwd, b"/bin/alias", At::Cwd, b"/etc/third", Follow::No)
        .unwrap();
    assert_eq!(inode(&task, "/etc/third"), alias.inode);
}

#[test]
fn names_can_be_removed_when_memory_has_run_out() {
    let options = memory_options();
    let budget = Arc::clone(&options.budget);
    let machine = overlay_with(options);
    let task = machine.root();
    task.put("/mine", b"x").unwrap();
    budget.charge(budget.bytes_max() - budget.used()).unwrap();
    assert_eq!(task.put("/more", b"x"), Err(Errno::ENOMEM));
    assert_eq!(
        task.change_mode(At::Cwd, b"/etc/conf", 0, Follow::No),
        Err(Errno::ENOMEM)
    );
    task.unlink(At::Cwd, b"/mine").unwrap();
    task.unlink(At::Cwd, b"/etc/conf").unwrap();
    assert_eq!(task.names("/etc").unwrap(), ["other"]);
}

#[test]
fn looking_at_everything_costs_no_memory_that_stays() {
    let mut builder = TreeBuilder::new();
    for n in 0..2000 {
        let entry = TreeEntry {
            owner: TreeOwner::default(),
            kind: TreeKind::Fifo,
            extended: Vec::new(),
        };
        builder.add(format!("d/{n}").as_bytes(), entry).unwrap();
    }
    let lower: Arc<dyn FileSystem> = Arc::new(builder.finish());
    let options = memory_options();
    let budget = Arc::clone(&options.budget);
    let machine = Machine::with_root(MemoryFileSystem::overlay(&lower, options).unwrap());
    let task = machine.root();
    let used = budget.used();
    for name in task.names("/d").unwrap() {
        let path = format!("/d/{name}");
        task.stat(At::Cwd, path.as_bytes(), Follow::No).unwrap();
    }
    assert_eq!(budget.used(), used);
}
