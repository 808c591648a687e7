//! `cargo xtask demo`: from a fresh machine to a page served by a container, and how to go on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::guests;
use crate::layout::{root, target_dir};
use crate::process::{cargo, run};
use crate::setup::{self, Purpose};

/// The container that we leave running, and take away before we start it again.
const CONTAINER: &str = "minke-demo";
const IMAGE: &str = "hello:1";
const EXAMPLE: &str = "examples/hello-rust";
/// Where the example's server listens inside its container.
const GUEST_PORT: u16 = 3000;
const HOST_PORT: u16 = 8080;
/// How long the server may take to answer: a first start compiles it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two attempts to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// `demo [--port N]`.
pub fn command(args: &[String]) -> Result<()> {
    let port = match args {
        [] => HOST_PORT,
        [flag, port] if flag == "--port" => port
            .parse()
            .with_context(|| format!("expected a port, found `{port}`"))?,
        [other, ..] => bail!("unknown argument `{other}`, expected `--port N`"),
    };
    let minke = Minke {
        program: target_dir().join("release").join("minke"),
    };
    // Said now rather than after the minutes that a first build takes.
    minke.free_port(port)?;
    setup::ensure(Purpose::Demo)?;
    println!("demo: compiling {EXAMPLE} for wasm32-wasip1");
    guests::ensure(&["hello-rust"])?;
    build_minke()?;
    minke.remove_earlier();
    minke.step(&["build", "-t", IMAGE, EXAMPLE])?;
    let publish = format!("127.0.0.1:{port}:{GUEST_PORT}");
    minke.step(&["run", "-d", "--name", CONTAINER, "-p", &publish, IMAGE])?;
    let answer = fetch(port).with_context(|| {
        format!(
            "no answer\nhint: {} logs {CONTAINER}",
            minke.program.display()
        )
    })?;
    println!(
        "demo: fetched http://127.0.0.1:{port}/\n\n{}",
        indented(&answer)
    );
    println!("{}", how_to_go_on(&minke.program, port));
    Ok(())
}

fn build_minke() -> Result<()> {
    println!("demo: cargo build --release (the first time takes some minutes)");
    let mut command = cargo();
    // The whole workspace's features: what is compiled here need not be for the benchmarks.
    command.args([
        "build",
        "--release",
        "--locked",
        "--workspace",
        "--bin",
        "minke",
    ]);
    run(command.current_dir(root()))
}

struct Minke {
    program: PathBuf,
}

impl Minke {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(root());
        command
    }

    /// Says what it runs, and runs it.
    fn step(&self, args: &[&str]) -> Result<()> {
        println!("demo: minke {}", args.join(" "));
        run(&mut self.command(args))
    }

    /// Removes the container of an earlier run; there need not be one, nor the program.
    fn remove_earlier(&self) {
        let mut command = self.command(&["rm", "-f", CONTAINER]);
        let removed = command.stderr(Stdio::null()).output();
        if removed.is_ok_and(|it| !it.stdout.is_empty()) {
            println!("demo: minke rm -f {CONTAINER} (an earlier one)");
        }
    }

    /// Makes sure that nobody has the port, or only a container of an earlier run.
    fn free_port(&self, port: u16) -> Result<()> {
        if require_free(port).is_ok() {
            return Ok(());
        }
        self.remove_earlier();
        require_free(port)
    }
}

fn require_free(port: u16) -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    taken.map_err(|error| {
        let other = port.checked_add(1).unwrap_or(HOST_PORT);
        anyhow!("cannot use port {port} of 127.0.0.1: {error}\nhint: choose another: `cargo xtask demo --port {other}`")
    })
}

/// Fetches `/`, once the server is there, and returns the whole answer.
fn fetch(port: u16) -> Result<String> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        match fetch_once(port) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return Ok(answer),
            Ok(answer) => bail!("expected `HTTP/1.1 200`, found:\n{answer}"),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(RETRY_PAUSE),
        }
    }
}

fn fetch_once(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    // One write: a server that answers before all of the request has come would reset the connection.
    let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn how_to_go_on(minke: &Path, port: u16) -> String {
    let directory = minke.parent().unwrap_or(minke).display();
    format!(
        "The container is running. To go on:

    export PATH={directory}:$PATH
    curl http://127.0.0.1:{port}/
    minke ps
    minke logs {CONTAINER}
    minke inspect {CONTAINER}
    minke images
    minke stop {CONTAINER}        # stops it
    minke rm {CONTAINER}          # forgets it

The example is {EXAMPLE}: change src/main.rs and run `cargo xtask demo` again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one connection with `answer` on a port of the system's choice.
    fn serve_once(answer: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        });
        port
    }

    #[test]
    fn a_taken_port_is_named_with_another_to_choose() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let error = require_free(port).expect_err("it is taken").to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("--port"),
            "{error}"
        );
    }

    #[test]
    fn an_answer_is_fetched_whole() {
        let port = serve_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert!(fetch(port).expect("an answer").ends_with("\r\n\r\nhi"));
    }

    #[test]
    fn another_status_is_an_error() {
        let port = serve_once("HTTP/1.1 500 Internal Server Error\r\n\r\n");
        assert!(fetch(port).is_err());
    }
}
