//! Sockets: TCP, UDP, Unix.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Outcome;

pub fn check(directory: &str) -> Outcome {
    tcp()?;
    udp()?;
    unix(Path::new(directory))?;
    Ok(())
}

fn tcp() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> std::io::Result<usize> {
        let (mut stream, _) = listener.accept()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        text.reverse();
        stream.write_all(&text)?;
        Ok(text.len())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    println!(
        "peer: {} {}",
        stream.peer_addr()? == address,
        stream.nodelay()?
    );
    stream.set_read_timeout(Some(Duration::from_millis(10)))?;
    let early = stream.read(&mut [0]).map_err(|it| it.kind());
    // Linux counts in ticks of its clock.
    let is_set = stream.read_timeout()? >= Some(Duration::from_millis(10));
    println!("early: {early:?} {is_set}");
    stream.set_read_timeout(None)?;
    stream.write_all(b"olleh")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let served = server.join().map_err(|_| "the server panicked")??;
    println!("answer: {answer} {served}");
    let refused = TcpStream::connect_timeout(&address, Duration::from_secs(5));
    println!("refused: {:?}", refused.map_err(|it| it.kind()).err());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let nobody = listener.accept().map_err(|it| it.kind()).err();
    println!("nobody: {}", nobody == Some(ErrorKind::WouldBlock));
    Ok(())
}

fn udp() -> Outcome {
    let (one, two) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    one.send_to(b"datagram", two.local_addr()?)?;
    let mut buffer = [0; 16];
    let (length, from) = two.recv_from(&mut buffer)?;
    println!("datagram: {length} {}", from == one.local_addr()?);
    Ok(())
}

fn unix(directory: &Path) -> Outcome {
    let path = directory.join("socket");
    let listener = UnixListener::bind(&path)?;
    let client = thread::spawn(move || {
        UnixStream::connect(path).and_then(|mut it| it.write_all(b"by name"))
    });
    let (mut stream, _) = listener.accept()?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    client.join().map_err(|_| "the client panicked")??;
    let (mut one, mut two) = UnixStream::pair()?;
    one.write_all(b"pair")?;
    drop(one);
    two.read_to_string(&mut text)?;
    println!("unix: {text}");
    Ok(())
}
