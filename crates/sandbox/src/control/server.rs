//! The sandbox's side of its control socket: one thread that polls everything a host may ask with.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use minke_abi::linux::Signal;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use super::{
    LimitsChange, Request, Response, SOCKET_NAME, Statistics, message, open_directory, short_path,
};

/// Bounds the connections at one time; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 64;

/// Bounds the bytes taken from a connection in one round, so that one cannot starve the others.
const READ_BYTES_MAX: usize = 4096;

/// Stack of the control thread: it calls nothing deep.
const STACK_BYTES: usize = 256 << 10;

/// The value of [`Shared::exit_code`] while the container runs.
const RUNNING: u16 = u16::MAX;

/// What the requests act on.
pub trait Controlled: Send + Sync {
    /// Sends a signal to the container's first process.
    fn kill(&self, signal: Signal);
    /// Returns what the container uses now.
    fn statistics(&self) -> Statistics;
    /// Changes what the container may have.
    fn limit(&self, change: &LimitsChange);
}

/// A bound control socket that nobody serves yet; connections queue up.
#[derive(Debug)]
pub struct Listener(UnixListener);

impl Listener {
    /// Makes the socket in the run directory, in place of one that a dead sandbox left.
    pub fn bind(run_directory: &Path) -> io::Result<Listener> {
        match std::fs::remove_file(run_directory.join(SOCKET_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let directory = open_directory(run_directory)?;
        let listener = UnixListener::bind(short_path(&directory))?;
        listener.set_nonblocking(true)?;
        Ok(Listener(listener))
    }

    /// Serves the socket in a thread of its own, and passes on the signals that come through `signals`.
    pub fn serve(
        self,
        signals: Option<OwnedFd>,
        target: Arc<dyn Controlled>,
    ) -> io::Result<ControlThread> {
        let shared = Arc::new(Shared {
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            exit_code: AtomicU16::new(RUNNING),
        });
        let server = Server {
            listener: self.0,
            signals,
            target,
            shared: Arc::clone(&shared),
            connections: Vec::new(),
            kill_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || server.run())?;
        Ok(ControlThread { shared, thread })
    }
}

struct Shared {
    wake: OwnedFd,
    exit_code: AtomicU16,
}

/// The thread that serves a control socket.
pub struct ControlThread {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Answers everyone who waits for the container's end, and ends the thread.
    pub fn finish(self, exit_code: u8) {
        self.shared
            .exit_code
            .store(u16::from(exit_code), Ordering::SeqCst);
        // An eventfd takes a first write always.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

struct Server {
    listener: UnixListener,
    signals: Option<OwnedFd>,
    target: Arc<dyn Controlled>,
    shared: Arc<Shared>,
    connections: Vec<Connection>,
    /// When a `stop` has waited long enough: the earliest of those asked for.
    kill_at: Option<Instant>,
}

struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    /// Whether it waits for the end.
    is_waiting: bool,
    is_closed: bool,
}

/// What a round of polling found.
struct Ready {
    is_connecting: bool,
    is_signalled: bool,
    connections: Vec<bool>,
}

impl Server {
    fn run(mut self) {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "the control socket cannot be served");
                    return;
                }
            };
            if ready.is_signalled {
                self.pass_signals_on();
            }
            for (connection, is_ready) in self.connections.iter_mut().zip(&ready.connections) {
                if *is_ready {
                    connection.serve(&*self.target, &mut self.kill_at);
                }
            }
            if self.kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill_at = None;
                self.target.kill(Signal::KILL);
            }
            if ready.is_connecting {
                let _ = self.accept();
            }
            self.connections.retain(|connection| !connection.is_closed);
            let exit_code = self.shared.exit_code.load(Ordering::SeqCst);
            if exit_code != RUNNING {
                return self.answer_waiters(exit_code as u8);
            }
        }
    }

    /// Waits until something is to be done. Errors are the host's.
    fn wait(&self) -> io::Result<Ready> {
        let is_accepting = self.connections.len() < CONNECTIONS_MAX;
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        fds.extend(is_accepting.then(|| PollFd::new(&self.listener, PollFlags::IN)));
        fds.extend(self.signals.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let fixed = fds.len();
        let streams = self.connections.iter().map(|c| c.stream.as_fd());
        fds.extend(streams.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = self
            .kill_at
            .map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(Ready {
            is_connecting: is_accepting && is_ready(&fds[1]),
            is_signalled: self.signals.is_some() && is_ready(&fds[fixed - 1]),
            connections: fds[fixed..].iter().map(is_ready).collect(),
        })
    }

    fn pass_signals_on(&self) {
        let mut numbers = [0; 64];
        let Some(pipe) = &self.signals else { return };
        let count = rustix::io::read(pipe, &mut numbers[..]).unwrap_or(0);
        numbers[..count]
            .iter()
            .filter_map(|number| Signal::from_raw(i32::from(*number)))
            .for_each(|signal| self.target.kill(signal));
    }

    /// Takes the next connection; `false` when there is none (or no descriptor left for it: the next round tries again).
    fn accept(&mut self) -> bool {
        let Ok((stream, _)) = self.listener.accept() else {
            return false;
        };
        if stream.set_nonblocking(true).is_ok() {
            self.connections.push(Connection {
                stream,
                inbox: Vec::new(),
                is_waiting: false,
                is_closed: false,
            });
        }
        true
    }

    fn answer_waiters(mut self, exit_code: u8) {
        // Those who connected or asked just before the end are answered too.
        while self.connections.len() < CONNECTIONS_MAX && self.accept() {}
        for connection in &mut self.connections {
            connection.serve(&*self.target, &mut self.kill_at);
            if connection.is_waiting {
                connection.answer(&Response::Ended { exit_code });
            }
        }
    }
}

impl Connection {
    fn serve(&mut self, target: &dyn Controlled, kill_at: &mut Option<Instant>) {
        let mut buffer = [0; READ_BYTES_MAX];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
        loop {
            match message::take(&mut self.inbox) {
                Ok(Some(request)) => self.carry_out(&request, target, kill_at),
                Ok(None) => return,
                Err(error) => {
                    self.answer(&Response::Refused {
                        message: error.to_string(),
                    });
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    fn carry_out(
        &mut self,
        request: &Request,
        target: &dyn Controlled,
        kill_at: &mut Option<Instant>,
    ) {
        match request {
            Request::Kill { signal } => {
                let response = match Signal::from_raw(i32::from(*signal)) {
                    Some(signal) => {
                        target.kill(signal);
                        Response::Done
                    }
                    None => Response::Refused {
                        message: format!("`{signal}` is not a signal"),
                    },
                };
                self.answer(&response);
            }
            Request::Stop { signal, timeout_ms } => {
                self.is_waiting = true;
                target.kill(Signal::from_raw(i32::from(*signal)).unwrap_or(Signal::TERM));
                let asked = timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                *kill_at = match (*kill_at, asked) {
                    (Some(earlier), Some(asked)) => Some(earlier.min(asked)),
                    (earlier, asked) => earlier.or(asked),
                };
            }
            Request::Wait => self.is_waiting = true,
            Request::Statistics => self.answer(&Response::Statistics(target.statistics())),
            Request::Limit(change) => {
                target.limit(change);
                self.answer(&Response::Done);
            }
        }
    }

    /// Sends a response; a client that does not read what it asked for is dropped.
    fn answer(&mut self, response: &Response) {
        if self.stream.write_all(&message::encode(response)).is_err() {
            self.is_closed = true;
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
