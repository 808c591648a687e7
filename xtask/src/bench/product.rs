//! minke as released, with a state directory of its own for the time of the measures.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::layout::root;
use crate::process::{read, run_quietly};

/// How long a server may take until it accepts.
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Product {
    program: PathBuf,
    home: PathBuf,
}

impl Product {
    pub fn new(program: PathBuf) -> Result<Product> {
        // Short, since the sockets below it have short names only.
        let home = std::env::temp_dir().join(format!("minke-bench-{}", std::process::id()));
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        Ok(Product { program, home })
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env("MINKE_HOME", &self.home)
            .current_dir(root());
        command
    }

    pub fn build(&self, tag: &str, context: &str) -> Result<()> {
        run_quietly(&mut self.command(&["build", "-q", "-t", tag, context]))
    }

    /// Returns where a container keeps what is its own; `id` is its whole name.
    pub fn container_directory(&self, id: &str) -> PathBuf {
        self.home.join("containers").join(id)
    }

    /// Returns the process number of a running container's sandbox on the host.
    pub fn pid_of(&self, name: &str) -> Result<u32> {
        let text = read(&mut self.command(&["inspect", name]))?;
        let value: Value =
            serde_json::from_str(&text).context("`minke inspect` printed no JSON")?;
        let container = value.get(0).unwrap_or(&value);
        let pid = container.pointer("/State/Pid").and_then(Value::as_u64);
        match pid.and_then(|it| u32::try_from(it).ok()) {
            Some(pid) if pid != 0 => Ok(pid),
            _ => bail!("`minke inspect` tells no `State.Pid`"),
        }
    }

    /// Starts a container that is removed when the returned value goes.
    pub fn start(&self, name: &'static str, args: &[&str]) -> Result<Container<'_>> {
        let words = [&["run", "-d", "--name", name], args].concat();
        run_quietly(&mut self.command(&words))?;
        Ok(Container {
            product: self,
            name,
        })
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // A measure that failed may have left one; nothing may outlive us.
        let left = read(&mut self.command(&["ps", "-a", "-q"])).unwrap_or_default();
        for id in left.lines() {
            let _ = run_quietly(&mut self.command(&["rm", "-f", id]));
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

pub struct Container<'a> {
    product: &'a Product,
    name: &'static str,
}

impl Container<'_> {
    /// The sandbox's process number on the host.
    pub fn pid(&self) -> Result<u32> {
        self.product.pid_of(self.name)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = run_quietly(&mut self.product.command(&["rm", "-f", self.name]));
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Waits until somebody accepts on a port of this machine.
pub fn wait_for_port(port: u16) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    while TcpStream::connect_timeout(&address, START_TIMEOUT).is_err() {
        if Instant::now() > deadline {
            bail!(
                "nobody listens on port {port} after {} s",
                START_TIMEOUT.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
