//! Extended attributes.

use minke_kernel::calls::extended::SetExtended;
use minke_kernel::calls::{At, Follow};
use minke_kernel::process::Credentials;
use minke_kernel::{Errno, Task};

use crate::disk::machines;
use crate::machine::{Machine, Shortcuts};

fn set(task: &Task, path: &str, name: &str, value: &[u8], how: SetExtended) -> Result<(), Errno> {
    let (path, name) = (path.as_bytes(), name.as_bytes());
    task.set_extended_attribute(At::Cwd, path, name, (value, how), Follow::Yes)
}

fn get(task: &Task, path: &str, name: &str) -> Result<Vec<u8>, Errno> {
    task.extended_attribute(At::Cwd, path.as_bytes(), name.as_bytes(), Follow::Yes)
}

#[test]
fn attributes_are_set_listed_and_removed() {
    for machine in machines() {
        let task = machine.root();
        task.put("/file", b"").unwrap();
        assert_eq!(get(&task, "/file", "user.a"), Err(Errno::ENODATA));
        let replaced = set(&task, "/file", "user.a", b"1", SetExtended::Replace);
        assert_eq!(replaced, Err(Errno::ENODATA));
        set(&task, "/file", "user.a", b"1", SetExtended::Create).unwrap();
        let created = set(&task, "/file", "user.a", b"2", SetExtended::Create);
        assert_eq!(created, Err(Errno::EEXIST));
        set(&task, "/file", "trusted.b", b"", SetExtended::Either).unwrap();
        let names = task.extended_attributes(At::Cwd, b"/file", Follow::Yes);
        let mut names = names.unwrap();
        names.sort();
        assert_eq!(names, [b"trusted.b".to_vec(), b"user.a".to_vec()]);
        assert_eq!(get(&task, "/file", "user.a").unwrap(), b"1");
        task.remove_extended_attribute(At::Cwd, b"/file", b"user.a", Follow::Yes)
            .unwrap();
        assert_eq!(get(&task, "/file", "user.a"), Err(Errno::ENODATA));
    }
}

#[test]
fn classes_have_their_own_rules() {
    for machine in machines() {
        let root = machine.root();
        root.put("/file", b"").unwrap();
        root.symlink(b"nowhere", At::Cwd, b"/link").unwrap();
        set(&root, "/file", "user.a", b"1", SetExtended::Either).unwrap();
        set(&root, "/file", "trusted.a", b"1", SetExtended::Either).unwrap();
        let alice = machine.task(Credentials::user(1000, 1000));
        let either = SetExtended::Either;
        assert_eq!(get(&alice, "/file", "user.a").unwrap(), b"1");
        assert_eq!(
            set(&alice, "/file", "user.a", b"", either),
            Err(Errno::EACCES)
        );
        assert_eq!(get(&alice, "/file", "trusted.a"), Err(Errno::ENODATA));
        assert_eq!(
            set(&alice, "/file", "trusted.a", b"", either),
            Err(Errno::EPERM)
        );
        assert_eq!(
            set(&root, "/file", "system.a", b"", either),
            Err(Errno::EOPNOTSUPP)
        );
        let on_link =
            root.set_extended_attribute(At::Cwd, b"/link", b"user.a", (b"", either), Follow::No);
        assert_eq!(on_link, Err(Errno::EPERM));
        let listed = alice.extended_attributes(At::Cwd, b"/file", Follow::Yes);
        assert_eq!(listed.unwrap(), [b"user.a".to_vec()]);
    }
}

#[test]
fn what_an_inode_can_hold_is_limited() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    task.put("/file", b"").unwrap();
    let either = SetExtended::Either;
    let big = vec![0; 40_000];
    set(&task, "/file", "user.a", &big, either).unwrap();
    assert_eq!(
        set(&task, "/file", "user.b", &big, either),
        Err(Errno::ENOSPC)
    );
    assert_eq!(
        set(&task, "/file", "user.c", &[0; 70_000], either),
        Err(Errno::E2BIG)
    );
    let long = format!("user.{}", "n".repeat(255));
    assert_eq!(set(&task, "/file", &long, b"", either), Err(Errno::ERANGE));
}
