//! Guests that do not answer whoever talks to them: what waits for them is bounded, and they still stop.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::home::{Home, guest};

/// When a peer that has taken nothing for so long is held not to read. Shorter would only see less buffered.
const NO_PROGRESS: Duration = Duration::from_secs(1);

/// Bounds what may be under way to one peer: the buffers of two host sockets and of the kernel's connection.
const BUFFERED_BYTES_MAX: usize = 64 << 20;

/// Runs `net` with this action in a container called `web`, and returns where it is reached.
fn start(home: &Home, action: &str) -> SocketAddr {
    let net = guest("net.wasm");
    home.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1::7000",
        &net,
        action,
        "7000",
    ]);
    while !home.ok(&["logs", "web"]).contains("listening") {
        std::thread::yield_now();
    }
    home.published("web", "7000/tcp")
}

fn stop(home: &Home) {
    home.ok(&["stop", "web"]);
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}

#[test]
fn what_is_sent_to_a_guest_that_never_reads_is_bounded() {
    let home = Home::new();
    let mut stream = TcpStream::connect(start(&home, "never-reads")).expect("it listens");
    stream
        .set_write_timeout(Some(NO_PROGRESS))
        .expect("a time-out can be set");
    let mut sent = 0;
    let error = loop {
        match stream.write(&[b'x'; 1 << 16]) {
            Ok(count) => sent += count,
            // One with a time-out is not taken up again by itself. Linux: `signal(7)`.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break error,
        }
        assert!(sent < BUFFERED_BYTES_MAX, "{sent} bytes were taken");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    stop(&home);
}

/// Connections to a guest that serves another: more than wait in any queue of ours.
const WAITING_CONNECTIONS: usize = 200;

#[test]
fn connections_that_a_guest_never_accepts_do_not_disturb_the_one_it_serves() {
    let home = Home::new();
    let address = start(&home, "echo");
    let mut served = TcpStream::connect(address).expect("it listens");
    echo(&mut served);
    let waiting: Vec<TcpStream> = (0..WAITING_CONNECTIONS)
        .filter_map(|_| TcpStream::connect_timeout(&address, NO_PROGRESS / 20).ok())
        .collect();
    assert!(!waiting.is_empty(), "some of them wait");
    echo(&mut served);
    stop(&home);
}

#[track_caller]
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"ping").expect("it is sent");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("it comes back");
    assert_eq!(&answer, b"ping");
}

#[test]
fn a_guest_whose_peer_never_reads_waits_and_still_stops() {
    let home = Home::new();
    let stream = TcpStream::connect(start(&home, "flood")).expect("it listens");
    while !home.ok(&["logs", "web"]).contains("flooding") {
        std::thread::yield_now();
    }
    stop(&home);
    drop(stream);
}
