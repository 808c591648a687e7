//! A small HTTP server in Rust for WASI preview 1, with the sockets of the published crate
//! `wasmedge_wasi_socket`.
//!
//! `server [PORT]` serves many connections at once: one poll says which of them has something to
//! read, and kept-alive ones cost nothing while they are idle.

use std::io::{self, ErrorKind, Read, Write};

use wasmedge_wasi_socket::poll::{EventType, Subscription, poll};
use wasmedge_wasi_socket::{TcpListener, TcpStream};

const BODY: &str = "Hello from Rust in a wasm container!\n";

/// Bytes of a request's head that are kept while its end has not come.
const HEAD_BYTES_MAX: usize = 8192;
/// Connections served at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 1024;
/// The listener's place in the poll; connections count from zero.
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
}

fn main() -> io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "3000".to_string());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"), true)?;
    println!("listening on port {port}");
    let mut connections: Vec<Option<Connection>> = Vec::new();
    loop {
        for event in poll(&subscriptions(&listener, &connections))? {
            if event.userdata == LISTENER {
                accept(&listener, &mut connections);
                continue;
            }
            let place = &mut connections[event.userdata as usize];
            let is_readable = matches!(event.event_type, EventType::Read);
            let stays = is_readable && place.as_mut().is_some_and(|it| serve(it).unwrap_or(false));
            if !stays {
                *place = None;
            }
        }
    }
}

/// What to wait for: a new connection while there is room, and bytes on each that is open.
fn subscriptions(listener: &TcpListener, open: &[Option<Connection>]) -> Vec<Subscription> {
    let mut wanted = Vec::with_capacity(open.len() + 1);
    for (place, connection) in open.iter().enumerate() {
        if let Some(Connection { stream, .. }) = connection {
            wanted.push(Subscription::io(place as u64, stream, true, false, None));
        }
    }
    if wanted.len() < CONNECTIONS_MAX {
        wanted.push(Subscription::io(LISTENER, listener, true, false, None));
    }
    wanted
}

/// Takes a new connection into the first free place.
fn accept(listener: &TcpListener, connections: &mut Vec<Option<Connection>>) {
    let Ok((stream, _)) = listener.accept(true) else {
        return;
    };
    let connection = Some(Connection {
        stream,
        head: Vec::new(),
    });
    match connections.iter().position(Option::is_none) {
        Some(place) => connections[place] = connection,
        None => connections.push(connection),
    }
}

/// Answers the requests that have come; says whether the connection stays open.
fn serve(connection: &mut Connection) -> io::Result<bool> {
    let mut chunk = [0; 2048];
    match connection.stream.read(&mut chunk) {
        Ok(0) => return Ok(false),
        Ok(count) => connection.head.extend_from_slice(&chunk[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    }
    while let Some(end) = head_end(&connection.head) {
        let rest = connection.head.split_off(end);
        let head = std::mem::replace(&mut connection.head, rest);
        let keep_alive = keeps_alive(&head);
        connection.stream.write_all(&response(&head, keep_alive))?;
        if !keep_alive {
            return Ok(false);
        }
    }
    Ok(connection.head.len() <= HEAD_BYTES_MAX)
}

/// The size of a request's head with its empty line, once all of it has come.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Whether the client wants the connection kept, and we can keep it.
///
/// Spec: RFC 9112, 9.3: HTTP/1.1 keeps it unless told otherwise, HTTP/1.0 closes it. The body of a
/// request is not read, so after one the connection is closed.
fn keeps_alive(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let has = |header: &str| head.lines().any(|line| line.starts_with(header));
    let has_body = has("content-length:") || has("transfer-encoding:");
    let is_modern = head
        .lines()
        .next()
        .is_some_and(|line| line.ends_with("http/1.1"));
    let wants = if is_modern {
        !has("connection: close")
    } else {
        has("connection: keep-alive")
    };
    wants && !has_body
}

fn response(head: &[u8], keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let body = if head.starts_with(b"HEAD ") { "" } else { BODY };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        BODY.len(),
    )
    .into_bytes()
}
