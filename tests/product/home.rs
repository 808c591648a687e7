//! A home for one test, and the ways to run `minke` in it.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take that is waited for, on a machine that has much else to do; only a hang is longer. The harness gives
/// a test a minute more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A `MINKE_HOME` of its own, with a directory for the test's files. Its containers end with it.
pub(crate) struct Home {
    directory: TempDir,
    shared: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home::of(None)
    }

    /// A home that stays, with its compiled modules, for tests of large programs: each is compiled once, and only after
    /// it or minke changed. The containers of such tests remove themselves.
    pub(crate) fn shared() -> Home {
        Home::of(Some(target().join("product")))
    }

    fn of(shared: Option<PathBuf>) -> Home {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("files")).expect("a directory for files");
        Home { directory, shared }
    }

    /// The value of `MINKE_HOME`.
    pub(crate) fn path(&self) -> PathBuf {
        let own = || self.directory.path().join("home");
        self.shared.clone().unwrap_or_else(own)
    }

    /// Where commands run; for the test's own files.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Writes a file of the test, making its directories.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("made");
        std::fs::write(&path, contents).expect("written");
        path
    }

    /// A command in this home that has not started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minke"));
        command
            .args(arguments)
            .env("MINKE_HOME", self.path())
            .current_dir(self.files())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().expect("minke starts"))
    }

    /// Runs a command that must succeed; returns what it printed, without the last newline.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "`minke {}`: {ended:?}", arguments.join(" "));
        ended.stdout.trim_end().to_owned()
    }

    /// Runs a command that must fail, print no data, and say exactly this; the directory of the test's files is `FILES`.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, message: &str) {
        let ended = self.run(arguments);
        let files = self.files();
        let said = ended.stderr.replace(&*files.to_string_lossy(), "FILES");
        assert_eq!(said.trim_end(), message, "`minke {}`", arguments.join(" "));
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{said}");
    }

    /// Runs a command with these bytes as its input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("minke starts");
        let mut stdin = child.stdin.take().expect("it was asked for");
        // A program that ends early closes its input: no fault of the test's.
        let _ = stdin.write_all(input);
        drop(stdin);
        Ended::of(&child.wait_with_output().expect("it ends"))
    }

    /// Starts a container of the program `probe` in the background; returns its id.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, options: &[&str], action: &[&str]) -> String {
        let probe = guest("probe.wasm");
        let named = ["run", "-d", "--name", name];
        self.ok(&[&named[..], options, &[&*probe], action].concat())
    }

    /// What `events` tells so far of what this filter lets through, a line each.
    #[track_caller]
    pub(crate) fn events(&self, filter: &str) -> String {
        self.ok(&["events", "--since", "0", "--until", "0s", "-f", filter])
    }

    /// The state of a container, as `inspect` says.
    #[track_caller]
    pub(crate) fn state(&self, name: &str) -> Value {
        self.inspect(name)["State"].clone()
    }

    /// What `inspect` says of a container or image.
    pub(crate) fn inspect(&self, name: &str) -> Value {
        let text = self.ok(&["inspect", name]);
        let list: Value = serde_json::from_str(&text).expect("inspect prints JSON");
        list[0].clone()
    }

    /// The host address that a container's published port got.
    pub(crate) fn published(&self, name: &str, guest_port: &str) -> SocketAddr {
        let inspected = self.inspect(name);
        let binding = &inspected["NetworkSettings"]["Ports"][guest_port][0];
        let text = |field: &str| binding[field].as_str().unwrap_or_default().to_owned();
        let address = format!("{}:{}", text("HostIp"), text("HostPort"));
        address
            .parse()
            .unwrap_or_else(|_| panic!("no published port {guest_port} in {inspected}"))
    }

    /// Names below the home's directories that only living containers may have.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let parts = ["containers", "names", "run", "images/tmp"];
        parts
            .iter()
            .flat_map(|part| entries(&self.path().join(part)))
            .collect()
    }

    /// Checks that no container, name, socket or half-written file is there.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.left_behind(), Vec::<PathBuf>::new());
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.shared.is_some() {
            return;
        }
        let listed = self.run(&["ps", "-a", "-q"]).stdout;
        for id in listed.split_whitespace() {
            self.run(&["rm", "-f", id]);
        }
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Ended {
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code and that standard error has each of these texts.
    #[track_caller]
    pub(crate) fn assert_fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {self:?}");
        }
    }
}

/// The path of a guest program that `cargo xtask guests` builds.
pub(crate) fn guest(name: &str) -> String {
    let path = target().join("guests").join(name);
    assert!(
        path.exists(),
        "`{}` is missing: run `cargo xtask guests`",
        path.display()
    );
    path.to_str().expect("the path is text").to_owned()
}

/// The directory of an example whose programs are built.
pub(crate) fn example(name: &str) -> String {
    let path = root().join("examples").join(name);
    assert!(
        path.join("dist").exists(),
        "`{name}` is not built: run `cargo xtask guests`"
    );
    path.to_str().expect("the path is text").to_owned()
}

/// Returns an address of this machine's loopback that no other test has: a port there that is free for a moment is still free
/// the next one. On `127.0.0.1` the host gives such a port to whoever asks for any.
pub(crate) fn own_address() -> Ipv4Addr {
    let [one, two, three, ..] = RandomState::new().hash_one(0).to_ne_bytes();
    // Neither a network's own address nor that of all in it.
    Ipv4Addr::new(127, one, two, three.clamp(1, 254))
}

/// Sends one request and returns the whole answer, status line first.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the port answers");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out can be set");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer comes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect()
}
