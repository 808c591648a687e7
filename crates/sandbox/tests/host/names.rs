//! Host names: what the container answers itself, and what it asks the host.

use std::net::IpAddr;

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::At;
use minke_kernel::net::NetworkMode;
use minke_kernel::{Errno, Task};

use crate::container::Container;

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn put_hosts_file(task: &Task, text: &[u8]) {
    let directory = minke_kernel::vfs::NewInode::Directory;
    task.make_node(At::Cwd, b"/etc", &directory, 0o755).unwrap();
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY;
    let hosts = task.open_description(At::Cwd, b"/etc/hosts", flags, 0o644);
    hosts.unwrap().write(text).unwrap();
}

#[test]
fn names_are_resolved_in_order() {
    let container = Container::new(NetworkMode::Private, &[]);
    let task = container.task();
    put_hosts_file(&task, b"10.1.2.3 db\n10.9.9.9 orca localhost\n");
    container.run(async move {
        let found = task.resolve_host("db").await;
        assert_eq!(found, Ok(addresses(&["10.1.2.3"])));
        let found = task.resolve_host("orca").await;
        assert_eq!(found, Ok(addresses(&["192.0.0.2"])));
        let found = task.resolve_host("localhost").await;
        assert_eq!(found, Ok(addresses(&["127.0.0.1", "::1"])));
        assert_eq!(task.resolve_host("").await, Err(Errno::ENOENT));
        let long = "a".repeat(300);
        assert_eq!(task.resolve_host(&long).await, Err(Errno::ENOENT));
    });
}

#[test]
fn the_host_is_asked_for_what_the_container_does_not_know() {
    // The short form of an address is one that only the host's resolver takes, and without a name server.
    let container = Container::new(NetworkMode::Private, &[]);
    let task = container.task();
    let found = container.run(async move { task.resolve_host("127.1").await });
    assert_eq!(found, Ok(addresses(&["127.0.0.1"])));
}

#[test]
fn a_container_without_a_network_asks_nobody() {
    let container = Container::new(NetworkMode::None, &[]);
    let task = container.task();
    let found = container.run(async move { task.resolve_host("127.1").await });
    assert_eq!(found, Err(Errno::ENOENT));
}
