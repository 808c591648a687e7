//! Servers and clients over the WasmEdge sockets, for what examples do not show.
//!
//! `net echo PORT`, `net never-reads PORT`, `net flood PORT`, `net udp-echo PORT`,
//! `net send HOST PORT TEXT`, `net udp-send ADDRESS PORT TEXT`, `net resolve HOST`.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use wasmedge_wasi_socket::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["echo", port] => echo(port),
        ["never-reads", port] => never_reads(port),
        ["flood", port] => flood(port),
        ["udp-echo", port] => udp_echo(port),
        ["send", host, port, text] => send(host, port, text),
        ["udp-send", address, port, text] => udp_send(address, port, text),
        ["resolve", host] => resolve(host),
        _ => Err(io::Error::other(
            "expected echo, never-reads, flood, udp-echo, send, udp-send or resolve",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("net: {error} ({})", error.raw_os_error().unwrap_or(-1));
            ExitCode::FAILURE
        }
    }
}

fn listen(port: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"), false)?;
    println!("listening on port {port}");
    Ok(listener)
}

/// Sends back whatever comes, one connection after the other.
fn echo(port: &str) -> io::Result<()> {
    for stream in listen(port)?.incoming() {
        let mut stream = stream?;
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Accepts connections, keeps them open and never reads what it is sent.
fn never_reads(port: &str) -> io::Result<()> {
    let mut kept = Vec::new();
    for stream in listen(port)?.incoming() {
        kept.push(stream?);
        println!("accepted {}", kept.len());
    }
    Ok(())
}

/// Sends without end to whoever connects, whether it is read or not.
fn flood(port: &str) -> io::Result<()> {
    for stream in listen(port)?.incoming() {
        let mut stream = stream?;
        println!("flooding");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    }
    Ok(())
}

fn udp_echo(port: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(format!("0.0.0.0:{port}"))?;
    println!("listening on port {port}");
    let mut bytes = [0; 2048];
    loop {
        let (count, from) = socket.recv_from(&mut bytes)?;
        socket.send_to(&bytes[..count], from)?;
    }
}

/// Sends a line to a TCP server and prints the line that comes back.
fn send(host: &str, port: &str, text: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect((host, parsed(port)?))?;
    println!("connected to {}", stream.peer_addr()?);
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0]);
    }
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn udp_send(address: &str, port: &str, text: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(text.as_bytes(), format!("{address}:{port}"))?;
    let mut bytes = [0; 2048];
    let (count, _) = socket.recv_from(&mut bytes)?;
    println!("{}", String::from_utf8_lossy(&bytes[..count]));
    Ok(())
}

fn resolve(host: &str) -> io::Result<()> {
    for address in (host, 80).to_socket_addrs()? {
        println!("{}", address.ip());
    }
    Ok(())
}

fn parsed(port: &str) -> io::Result<u16> {
    port.parse()
        .map_err(|_| io::Error::other(format!("expected a port, found `{port}`")))
}
