//! The sandbox's side of its control socket: its first thread, which polls everything a host may ask with.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use minke_abi::linux::Signal;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use crate::files::frames;
use crate::files::request::FilesRequest;

use super::{
    AttachRequest, ExecRequest, LimitsChange, ProcessStatus, Request, Response, SOCKET_NAME,
    Statistics, descriptors, message, open_directory, short_path, take_request,
};

/// Bounds the connections at one time. A further one takes the place of one that has asked nothing yet; else it waits in the
/// listener's queue.
const CONNECTIONS_MAX: usize = 64;

/// Bounds the bytes taken from a connection in one round, so that one cannot starve the others.
const READ_BYTES_MAX: usize = 4096;

/// How long after its start a container counts as started. What ends earlier is not worth settling for.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// How long to wait before polling again after the host could not.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How long a container may take to end after a fatal signal. What has not ended by then ends with the process.
const DYING_TIME: Duration = Duration::from_millis(40);

/// What the requests act on.
pub trait Controlled: Send + Sync {
    /// Sends a signal to the container's first process; returns whether that ends it.
    fn kill(&self, signal: Signal) -> Fate;
    /// Keeps all processes from going on; an error is a message for the client.
    fn pause(&self) -> Result<(), String>;
    /// Lets them go on, if they do not.
    fn resume(&self);
    /// Gives back what only the start needed; called once, [`SETTLING_TIME`] after it.
    fn settle(&self);
    /// Returns what the container uses now.
    fn statistics(&self) -> Statistics;
    /// Works on the container's files for a client that sent `received` behind its request, on a thread that outlives the call;
    /// an error is a message for the client, whose connection is closed then.
    fn serve_files(
        &self,
        request: FilesRequest,
        stream: UnixStream,
        received: Vec<u8>,
    ) -> Result<(), String>;
    /// Takes a snapshot of the root, on a thread that outlives the call and answers the client; an error is a message for it.
    fn snapshot(&self, name: String, stream: UnixStream) -> Result<(), String>;
    /// Starts a program for a client that passed these descriptors, and answers the client; an error is the answer, behind which
    /// the connection is closed.
    fn exec(
        &self,
        request: ExecRequest,
        descriptors: Vec<OwnedFd>,
        stream: UnixStream,
    ) -> Result<(), Response>;
    /// Attaches a client to the first process, and answers it; an error is a message for it, behind which the connection is closed.
    fn attach(&self, request: &AttachRequest, stream: UnixStream) -> Result<(), String>;
    /// Returns all processes.
    fn processes(&self) -> Vec<ProcessStatus>;
    /// Changes what the container may have.
    fn limit(&self, change: &LimitsChange);
}

/// What becomes of a process that got a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Lives,
    /// It ends as soon as its threads notice.
    Dies,
    /// It has too many threads to tell them all: it ends with the sandbox.
    Dead,
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

    /// Makes a server of it, which also passes on the signals that come through `signals`.
    pub fn server(
        self,
        signals: Option<OwnedFd>,
        target: Arc<dyn Controlled>,
    ) -> io::Result<Server> {
        let alarm = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Server {
            listener: self.0,
            signals,
            target,
            alarm: Arc::new(Alarm(alarm)),
            connections: Vec::new(),
            kill_at: None,
            settle_at: Some(Instant::now() + SETTLING_TIME),
            dead_at: None,
        })
    }
}

/// Wakes the server when the container has ended.
struct Alarm(OwnedFd);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        // It fails only when the server is woken already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Alarm {
    fn clear(&self) {
        // It fails only when there is nothing to clear.
        let _ = rustix::io::read(&self.0, &mut [0; 8][..]);
    }
}

/// Answers what is asked about a container while it runs.
pub struct Server {
    listener: UnixListener,
    signals: Option<OwnedFd>,
    target: Arc<dyn Controlled>,
    alarm: Arc<Alarm>,
    connections: Vec<Connection>,
    /// When a `stop` has waited long enough: the earliest of those asked for.
    kill_at: Option<Instant>,
    /// When the start is over; `None` once it is.
    settle_at: Option<Instant>,
    /// When a container that got a fatal signal is given up.
    dead_at: Option<Instant>,
}

struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    /// What came beside the bytes.
    descriptors: Vec<OwnedFd>,
    /// Whether it has asked something.
    has_asked: bool,
    /// Whether it waits for the end.
    is_waiting: bool,
    is_closed: bool,
}

/// What a round of polling found.
struct Ready {
    is_alarmed: bool,
    is_connecting: bool,
    is_signalled: bool,
    connections: Vec<bool>,
}

impl Server {
    /// Serves until `ended` is ready; `None` when the container is given up after a fatal signal.
    pub fn serve_until<Ended>(&mut self, ended: impl Future<Output = Ended>) -> Option<Ended> {
        let mut ended = pin!(ended);
        let waker = Waker::from(Arc::clone(&self.alarm));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(ended) = ended.as_mut().poll(&mut context) {
                return Some(ended);
            }
            if take_due(&mut self.dead_at) {
                return None;
            }
            match self.wait() {
                Ok(ready) => self.turn(&ready),
                Err(error) => {
                    tracing::error!(%error, "the control socket cannot be served for a while");
                    std::thread::sleep(PAUSE_AFTER_ERROR);
                }
            }
        }
    }

    /// Answers everyone who waits for the container's end.
    pub fn finish(mut self, exit_code: u8) {
        // Those who connected or asked just before the end are answered too.
        while self.connections.len() < CONNECTIONS_MAX && self.accept() {}
        self.serve_connections(|_| true);
        for connection in self.connections.iter_mut().filter(|it| it.is_waiting) {
            connection.answer(&Response::Ended { exit_code });
        }
    }

    /// Does what a round of polling found to do.
    fn turn(&mut self, ready: &Ready) {
        if ready.is_alarmed {
            self.alarm.clear();
        }
        if ready.is_signalled {
            self.pass_signals_on();
        }
        self.serve_connections(|index| ready.connections[index]);
        if take_due(&mut self.kill_at) {
            self.kill(Signal::KILL);
        }
        if take_due(&mut self.settle_at) {
            self.target.settle();
        }
        if ready.is_connecting {
            self.make_place();
            let _ = self.accept();
        }
        self.connections.retain(|connection| !connection.is_closed);
    }

    fn serve_connections(&mut self, is_ready: impl Fn(usize) -> bool) {
        let mut connections = std::mem::take(&mut self.connections);
        for (index, connection) in connections.iter_mut().enumerate() {
            if is_ready(index) {
                connection.serve(self);
            }
        }
        self.connections = connections;
    }

    fn kill(&mut self, signal: Signal) {
        let within = match self.target.kill(signal) {
            Fate::Lives => return,
            Fate::Dies => DYING_TIME,
            Fate::Dead => Duration::ZERO,
        };
        self.dead_at.get_or_insert_with(|| Instant::now() + within);
    }

    /// Waits until something is to be done. Errors are the host's.
    fn wait(&self) -> io::Result<Ready> {
        let is_accepting = self.has_place();
        let mut fds = vec![PollFd::new(&self.alarm.0, PollFlags::IN)];
        fds.extend(is_accepting.then(|| PollFd::new(&self.listener, PollFlags::IN)));
        fds.extend(self.signals.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let fixed = fds.len();
        let streams = self.connections.iter().map(|c| c.stream.as_fd());
        fds.extend(streams.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let due = [self.kill_at, self.settle_at, self.dead_at];
        let due = due.into_iter().flatten().min();
        let timeout = due.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(Ready {
            is_alarmed: is_ready(&fds[0]),
            is_connecting: is_accepting && is_ready(&fds[1]),
            is_signalled: self.signals.is_some() && is_ready(&fds[fixed - 1]),
            connections: fds[fixed..].iter().map(is_ready).collect(),
        })
    }

    fn pass_signals_on(&mut self) {
        let mut numbers = [0; 64];
        let Some(pipe) = &self.signals else { return };
        let count = rustix::io::read(pipe, &mut numbers[..]).unwrap_or(0);
        for number in &numbers[..count] {
            if let Some(signal) = Signal::from_raw(i32::from(*number)) {
                self.kill(signal);
            }
        }
    }

    fn has_place(&self) -> bool {
        self.connections.len() < CONNECTIONS_MAX || self.connections.iter().any(|it| !it.has_asked)
    }

    /// Closes the oldest connection that has asked nothing, if all places are taken: a command asks at once.
    fn make_place(&mut self) {
        if self.connections.len() < CONNECTIONS_MAX {
            return;
        }
        if let Some(silent) = self.connections.iter().position(|it| !it.has_asked) {
            self.connections.remove(silent);
        }
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
                descriptors: Vec::new(),
                has_asked: false,
                is_waiting: false,
                is_closed: false,
            });
        }
        true
    }
}

impl Connection {
    fn serve(&mut self, server: &mut Server) {
        let mut buffer = [0; READ_BYTES_MAX];
        match descriptors::receive(&self.stream, &mut buffer, &mut self.descriptors) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
        loop {
            match take_request(&mut self.inbox) {
                Ok(Some(request)) => {
                    self.has_asked = true;
                    self.carry_out(&request, server);
                }
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

    fn carry_out(&mut self, request: &Request, server: &mut Server) {
        match request {
            Request::Kill { signal } => {
                let response = match Signal::from_raw(i32::from(*signal)) {
                    Some(signal) => {
                        server.kill(signal);
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
                server.kill(Signal::from_raw(i32::from(*signal)).unwrap_or(Signal::TERM));
                // One that is paused could not see the signal.
                server.target.resume();
                let asked = timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                server.kill_at = match (server.kill_at, asked) {
                    (Some(earlier), Some(asked)) => Some(earlier.min(asked)),
                    (earlier, asked) => earlier.or(asked),
                };
            }
            Request::Wait => self.is_waiting = true,
            Request::Statistics => self.answer(&Response::Statistics(server.target.statistics())),
            Request::Pause => self.answer(&match server.target.pause() {
                Ok(()) => Response::Done,
                Err(message) => Response::Refused { message },
            }),
            Request::Resume => {
                server.target.resume();
                self.answer(&Response::Done);
            }
            Request::Limit(change) => {
                server.target.limit(change);
                self.answer(&Response::Done);
            }
            Request::Snapshot { name } => self.hand_over_snapshot(name.clone(), server),
            Request::Files(request) => self.hand_over(request.clone(), server),
            Request::Exec(request) => self.hand_over_exec(request.clone(), server),
            Request::Processes => self.answer(&Response::Processes {
                processes: server.target.processes(),
            }),
            Request::Attach(request) => self.hand_over_attached(request, server),
        }
    }

    /// Gives the connection to who works on files.
    fn hand_over(&mut self, request: FilesRequest, server: &Server) {
        let received = std::mem::take(&mut self.inbox);
        let is_streamed_back = request.is_streamed_back();
        let served = self
            .stream
            .try_clone()
            .map_err(|error| error.to_string())
            .and_then(|stream| server.target.serve_files(request, stream, received));
        if let Err(message) = served {
            if is_streamed_back {
                // A client that is gone is found out by the answer.
                let _ = self.stream.write_all(&frames::END);
            }
            self.answer(&Response::Refused { message });
        }
        self.is_closed = true;
    }

    /// Gives the connection to who takes the snapshot.
    fn hand_over_snapshot(&mut self, name: String, server: &Server) {
        let stream = self.stream.try_clone().map_err(|error| error.to_string());
        let handed_over = stream.and_then(|stream| server.target.snapshot(name, stream));
        if let Err(message) = handed_over {
            self.answer(&Response::Refused { message });
        }
        self.is_closed = true;
    }

    /// Gives the connection to who shows what the first process prints.
    fn hand_over_attached(&mut self, request: &AttachRequest, server: &Server) {
        let stream = self.stream.try_clone().map_err(|error| error.to_string());
        let handed_over = stream.and_then(|stream| server.target.attach(request, stream));
        if let Err(message) = handed_over {
            self.answer(&Response::Refused { message });
        }
        self.is_closed = true;
    }

    /// Gives the connection to who starts the program.
    fn hand_over_exec(&mut self, request: ExecRequest, server: &Server) {
        let descriptors = std::mem::take(&mut self.descriptors);
        let stream = self.stream.try_clone().map_err(|error| Response::Refused {
            message: error.to_string(),
        });
        let handed_over =
            stream.and_then(|stream| server.target.exec(request, descriptors, stream));
        if let Err(response) = handed_over {
            self.answer(&response);
        }
        self.is_closed = true;
    }

    /// Sends a response; a client that does not read what it asked for is dropped.
    fn answer(&mut self, response: &Response) {
        if self.stream.write_all(&message::encode(response)).is_err() {
            self.is_closed = true;
        }
    }
}

/// Returns whether the time has come, and forgets it then.
fn take_due(at: &mut Option<Instant>) -> bool {
    at.take_if(|at| *at <= Instant::now()).is_some()
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
