//! Host sockets in a guest's hands: waiting, ends, errors, limits.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use minke_abi::linux::{OpenFlags, PollEvents, SOCK_DGRAM, SOCK_STREAM, Signal};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::net::options::{SO_RCVTIMEO, SOL_SOCKET, SOL_TCP, TCP_NODELAY};
use minke_kernel::net::{MessageFlags, NetworkMode};
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, Fd, Task};
use minke_sandbox::spec::TransportSpec::Tcp;
use rustix::net::{AddressFamily, SocketType};

use crate::container::{Container, MEMORY_BYTES, at, echo, listen, receive, send, socket_for};

#[test]
fn a_container_with_the_hosts_network_reaches_the_hosts_loopback() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let host = TcpListener::bind(address).unwrap();
        let peer = host.local_addr().unwrap().to_string();
        let container = Container::new(NetworkMode::Host, &[]);
        let task = container.task();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = host.accept().unwrap();
            let mut question = [0; 5];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&question).unwrap();
        });
        let answer = container.run(async move {
            let fd = socket_for(&task, &peer, SOCK_STREAM);
            task.connect(fd, &at(&peer)).await.unwrap();
            assert_eq!(task.peer_name(fd), Ok(at(&peer)));
            send(&task, fd, b"hello").await.unwrap();
            let answer = receive(&task, fd).await.unwrap();
            assert_eq!(receive(&task, fd).await, Ok(Vec::new()));
            answer
        });
        answering.join().unwrap();
        assert_eq!(answer, b"hello");
    }
}

#[test]
fn a_container_with_the_hosts_network_listens_and_sends_datagrams_there() {
    let container = Container::new(NetworkMode::Host, &[]);
    let task = container.task();
    let listener = listen(&task, "127.0.0.1:0");
    let minke_kernel::net::SocketAddress::Inet(address) = task.socket_name(listener).unwrap()
    else {
        panic!("not an Internet address");
    };
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"tcp").unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap()
    });
    let server = Arc::clone(&task);
    let got = container.run(async move {
        let (fd, _) = server.accept(listener, OpenFlags::empty()).await.unwrap();
        receive(&server, fd).await
    });
    assert_eq!(got, Ok(b"tcp".to_vec()));
    let peer = client.join().unwrap();
    let to = at(&peer.local_addr().unwrap().to_string());
    container.run(async move {
        let fd = socket_for(&task, "127.0.0.1:0", SOCK_DGRAM);
        let flags = MessageFlags::empty();
        let sent = task.send_with(fd, Some(&to), flags, |send| send(b"udp"));
        assert_eq!(sent.await, Ok(3));
    });
    let mut buffer = [0; 8];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 3);
}

#[test]
fn a_private_network_does_not_reach_the_hosts_loopback() {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = host.local_addr().unwrap().to_string();
    for mode in [NetworkMode::Private, NetworkMode::None] {
        let container = Container::new(mode, &[]);
        let task = container.task();
        let target = at(&peer);
        let port = host.local_addr().unwrap().port();
        container.run(async move {
            let connect = async |address| {
                let fd = socket_for(&task, "127.0.0.1:0", SOCK_STREAM);
                task.connect(fd, &address).await
            };
            assert_eq!(connect(target).await, Err(Errno::ECONNREFUSED));
            let gateway = connect(at(&format!("192.0.0.1:{port}"))).await;
            let expected = match mode {
                NetworkMode::None => Errno::ENETUNREACH,
                _ => Errno::ECONNREFUSED,
            };
            assert_eq!(gateway, Err(expected));
        });
    }
}

#[test]
fn a_refused_connection_is_told_to_waiters_and_to_those_who_ask() {
    // Bound, so that nobody else gets the port, and nobody listens there.
    let bound = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&bound, &any).unwrap();
    let container = Container::new(NetworkMode::Host, &[]);
    let task = container.task();
    let free = SocketAddr::try_from(rustix::net::getsockname(&bound).unwrap());
    let peer = free.unwrap().to_string();
    container.run(async move {
        let fd = socket_for(&task, &peer, SOCK_STREAM);
        let refused = task.connect(fd, &at(&peer)).await;
        assert_eq!(refused, Err(Errno::ECONNREFUSED));
    });
}

/// Fills a connection until the peer, who never reads, has no room; then the process is killed.
#[test]
fn a_send_to_a_peer_that_never_reads_waits_and_ends_with_the_process() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let silent = TcpStream::connect(container.bound[0]).unwrap();
    let sender = Arc::clone(&task);
    let handle = container.executor.spawn(async move {
        let (fd, _) = sender.accept(listener, OpenFlags::empty()).await?;
        fill_and_wait(&sender, fd).await
    });
    let ended = container.run(async move {
        let process = Arc::clone(&task.process);
        // The sender has no more than this to do before it waits; killing it earlier is as good a test.
        process.kill(Signal::KILL);
        handle.await.unwrap()
    });
    assert_eq!(ended, Err(Errno::EINTR));
    drop(silent);
}

async fn fill_and_wait(task: &Task, fd: Fd) -> Result<usize, Errno> {
    let piece = vec![1; 1 << 20];
    loop {
        let sent = send(task, fd, &piece).await?;
        if sent < piece.len() {
            return Err(Errno::EINTR);
        }
    }
}

#[test]
fn many_connections_are_served_at_once() {
    const CONNECTIONS: usize = 200;
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let address = container.bound[0];
    let clients = std::thread::spawn(move || {
        let connect = |_| TcpStream::connect(address).unwrap();
        let mut streams: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        for (index, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&(index as u32).to_le_bytes()).unwrap();
        }
        for (index, stream) in streams.iter_mut().enumerate().rev() {
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(u32::from_le_bytes(answer), index as u32);
        }
    });
    let spawner = container.executor.spawner();
    container.run(async move {
        let mut serving = Vec::new();
        for _ in 0..CONNECTIONS {
            let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
            let task = Arc::clone(&task);
            serving.push(spawner.spawn(async move { echo(&task, fd).await }));
        }
        for served in serving {
            served.await.unwrap().unwrap();
        }
    });
    clients.join().unwrap();
}

#[test]
fn memory_is_given_back_when_connections_inside_end() {
    let container = Container::new(NetworkMode::Private, &[]);
    let before = container.kernel.memory.used();
    let task = container.task();
    let listener = listen(&task, "127.0.0.1:3000");
    let kernel = Arc::clone(&container.kernel);
    container.run(async move {
        let connect = async || {
            let near = socket_for(&task, "127.0.0.1:3000", SOCK_STREAM);
            task.connect(near, &at("127.0.0.1:3000")).await.unwrap();
            let (far, _) = task.accept(listener, OpenFlags::NONBLOCK).await.unwrap();
            (near, far)
        };
        let mut ends = Vec::new();
        for _ in 0..100 {
            let (near, far) = connect().await;
            let piece = vec![1; 64 * 1024];
            while let Ok(sent) = send(&task, far, &piece).await {
                assert!(sent > 0);
            }
            ends.extend([near, far]);
        }
        assert!(kernel.memory.used() > before + 100 * 64 * 1024);
        assert!(kernel.memory.used() < MEMORY_BYTES);
        for fd in ends {
            task.close(fd).unwrap();
        }
        task.close(listener).unwrap();
    });
    assert_eq!(container.kernel.memory.used(), before);
}

#[test]
fn time_outs_end_a_receive_and_a_poll() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let silent = TcpStream::connect(container.bound[0]).unwrap();
    let kernel = Arc::clone(&container.kernel);
    container.run(async move {
        let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
        let one_millisecond = [0_i64.to_le_bytes(), 1000_i64.to_le_bytes()].concat();
        task.set_socket_option(fd, SOL_SOCKET, SO_RCVTIMEO, &one_millisecond)
            .unwrap();
        assert_eq!(receive(&task, fd).await, Err(Errno::EAGAIN));
        let mut entries = [listener, fd].map(|fd| PollEntry {
            fd,
            interest: PollEvents::IN,
            ready: PollEvents::empty(),
        });
        let soon = Deadline::At(kernel.clock.monotonic() + 1_000_000);
        assert_eq!(task.poll(&mut entries, soon).await, Ok(0));
    });
    drop(silent);
}

#[test]
fn poll_wakes_for_the_one_descriptor_that_becomes_ready() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let address = container.bound[0];
    let connections: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    container.run(async move {
        let mut fds = Vec::new();
        for _ in 0..connections.len() {
            let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
            fds.push(fd);
        }
        for mut stream in &connections {
            let peer = stream.local_addr().unwrap().port();
            let writer =
                std::thread::scope(|scope| scope.spawn(|| stream.write_all(b"x").unwrap()).join());
            writer.unwrap();
            let mut entries: Vec<_> = fds
                .iter()
                .map(|fd| PollEntry {
                    fd: *fd,
                    interest: PollEvents::IN,
                    ready: PollEvents::empty(),
                })
                .collect();
            assert_eq!(task.poll(&mut entries, Deadline::Never).await, Ok(1));
            let ready = entries
                .iter()
                .find(|entry| !entry.ready.is_empty())
                .unwrap();
            assert_eq!(ready.ready, PollEvents::IN);
            let expected = at(&format!("192.0.0.1:{peer}"));
            assert_eq!(task.peer_name(ready.fd), Ok(expected));
            assert_eq!(receive(&task, ready.fd).await, Ok(b"x".to_vec()));
        }
    });
}

/// Rounds of question and answer; each one is lost for ever if a wake-up is.
const ROUNDS: usize = 2_000;

#[test]
fn a_kept_connection_answers_every_question_and_sees_the_end() {
    let container = Container::publishing("127.0.0.1", Tcp);
    let task = container.task();
    let listener = listen(&task, "0.0.0.0:3000");
    let address = container.bound[0];
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        for round in 0..ROUNDS {
            // Longer than a buffer now and then, so that full reads are followed by empty tries.
            let question = vec![round as u8; [1, 100, 4096, 9000][round % 4]];
            let mut answer = vec![0; question.len()];
            stream.write_all(&question).unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, question);
        }
    });
    container.run(async move {
        // Answers of several pieces would wait for delayed acknowledgements; the connection inherits this.
        let on = 1_i32.to_le_bytes();
        task.set_socket_option(listener, SOL_TCP, TCP_NODELAY, &on)
            .unwrap();
        let (fd, _) = task.accept(listener, OpenFlags::empty()).await.unwrap();
        echo(&task, fd).await.unwrap();
    });
    client.join().unwrap();
}
