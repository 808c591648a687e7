//! Published ports: how the host's connections come to a guest.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use minke_abi::linux::{OpenFlags, SOCK_DGRAM, SOCK_STREAM};
use minke_kernel::net::{MessageFlags, NetworkMode};
use minke_sandbox::platform::published::PublishErrorReason;
use minke_sandbox::platform::{PublishError, PublishedSockets};
use minke_sandbox::spec::TransportSpec::{Tcp, Udp};

use crate::container::{Container, at, echo, listen, port, receive, send, socket_for};

/// Sends a line from the host and reads until the end.
fn ask(mut stream: TcpStream, line: &[u8]) -> Vec<u8> {
    stream.write_all(line).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn check_echo(host: &str, guest: &str) {
    let container = Container::publishing(host, Tcp);
    let task = container.task();
    let listener = listen(&task, guest);
    let address = container.bound[0];
    let client = std::thread::spawn(move || ask(TcpStream::connect(address).unwrap(), b"hello"));
    container.run(async move {
        let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
        echo(&task, fd).await.unwrap();
    });
    assert_eq!(client.join().unwrap(), b"hello", "{host} to {guest}");
}

#[test]
fn a_published_port_leads_to_the_guests_listener() {
    check_echo("127.0.0.1", "0.0.0.0:3000");
    check_echo("127.0.0.1", "[::]:3000");
    check_echo("::1", "0.0.0.0:3000");
    check_echo("::1", "[::]:3000");
    check_echo("127.0.0.1", "192.0.0.2:3000");
}

#[test]
fn no_host_address_means_every_one_of_both_families() {
    let container = Container::new(NetworkMode::Private, &[port(None, 0, Tcp)]);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let chosen = container.bound[0].port();
    assert_eq!(container.bound[1].port(), chosen);
    for host in ["127.0.0.1", "::1"] {
        let client =
            std::thread::spawn(move || ask(TcpStream::connect((host, chosen)).unwrap(), b"hello"));
        let task = Arc::clone(&task);
        container.run(async move {
            let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
            echo(&task, fd).await.unwrap();
        });
        assert_eq!(client.join().unwrap(), b"hello");
    }
}

#[test]
fn a_guest_sees_its_own_address_and_the_gateway() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let client = TcpStream::connect(container.bound[0]).unwrap();
    let port = client.local_addr().unwrap().port();
    container.run(async move {
        let (fd, peer) = task.accept(listener, OpenFlags::empty()).await.unwrap();
        assert_eq!(peer, at(&format!("192.0.0.1:{port}")));
        assert_eq!(task.peer_name(fd), Ok(peer));
        assert_eq!(task.socket_name(fd), Ok(at("192.0.0.2:3000")));
        assert_eq!(task.socket_name(listener), Ok(at("0.0.0.0:3000")));
    });
    drop(client);
}

#[test]
fn a_listener_on_the_loopback_is_not_published() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let private = listen(&task, "127.0.0.1:3000");
    let client = TcpStream::connect(container.bound[0]).unwrap();
    task.close(private).unwrap();
    let public = listen(&task, "0.0.0.0:3000");
    // The connection has waited on the host for somebody to listen to it.
    container.run(async move {
        let (fd, _) = task.accept(public, OpenFlags::empty()).await.unwrap();
        send(&task, fd, b"late").await.unwrap();
        task.close(fd).unwrap();
    });
    assert_eq!(ask(client, b""), b"late");
}

#[test]
fn one_listener_takes_connections_from_inside_and_from_the_host() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let address = container.bound[0];
    let client = std::thread::spawn(move || ask(TcpStream::connect(address).unwrap(), b"host"));
    let inside = container.task();
    let asked = container.executor.spawn(async move {
        let fd = socket_for(&inside, "127.0.0.1:3000", SOCK_STREAM);
        inside.connect(fd, &at("127.0.0.1:3000")).await.unwrap();
        send(&inside, fd, b"inside").await.unwrap();
        receive(&inside, fd).await.unwrap()
    });
    let spawner = container.executor.spawner();
    let answer = container.run(async move {
        for _ in 0..2 {
            let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
            let task = Arc::clone(&task);
            spawner.spawn(async move { echo(&task, fd).await });
        }
        asked.await.unwrap()
    });
    assert_eq!(answer, b"inside");
    assert_eq!(client.join().unwrap(), b"host");
}

#[test]
fn datagrams_come_in_and_answers_go_back_the_same_way() {
    for host in ["127.0.0.1", "::1"] {
        let container = Container::publishing(host, Udp);
        let task = container.task();
        let fd = socket_for(&task, "0.0.0.0:3000", SOCK_DGRAM);
        task.bind(fd, &at("0.0.0.0:3000")).unwrap();
        let client = UdpSocket::bind((host, 0)).unwrap();
        client.connect(container.bound[0]).unwrap();
        client.send(b"question").unwrap();
        let port = client.local_addr().unwrap().port();
        container.run(async move {
            let mut buffer = [0; 4];
            let flags = MessageFlags::empty();
            let received = task
                .receive_with(fd, flags, |receive| receive(&mut buffer))
                .await
                .unwrap();
            assert_eq!((received.count, received.datagram_bytes), (4, 8));
            assert_eq!(received.from, Some(at(&format!("192.0.0.1:{port}"))));
            let to = received.from.as_ref();
            let sent = task.send_with(fd, to, flags, |send| send(b"answer")).await;
            assert_eq!(sent, Ok(6));
        });
        let mut answer = [0; 16];
        let count = client.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], b"answer");
    }
}

fn refusal(host: &str, host_port: u16) -> PublishError {
    let asked = [port(None, 0, Tcp), port(host.parse().ok(), host_port, Tcp)];
    PublishedSockets::bind(&asked).err().unwrap()
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = taken.local_addr().unwrap().port();
    let error = refusal("127.0.0.1", number);
    assert_eq!(
        error.to_string(),
        format!("failed to bind host port `127.0.0.1:{number}/tcp`: address already in use")
    );
    assert!(error.hint().contains(&format!("listens on {number}")));
}

#[test]
fn an_address_of_another_machine_is_named() {
    // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
    let error = refusal("192.0.2.1", 8080);
    assert_eq!(error.reason, PublishErrorReason::NotLocal);
    assert!(error.hint().contains("`ip address`"));
}
