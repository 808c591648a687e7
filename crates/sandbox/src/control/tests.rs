//! The control socket against clients that behave and clients that do not.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use minke_abi::linux::Signal;

use crate::files::frames::FrameReader;
use crate::files::request::FilesRequest;

use super::{
    AttachRequest, Client, Controlled, ExecRequest, Fate, LimitsChange, Listener, ProcessStatus,
    Request, Response, SOCKET_NAME, Server, Statistics, message, take_request,
};

#[derive(Default)]
struct Container {
    signals: Mutex<Vec<Signal>>,
    limits: Mutex<Vec<LimitsChange>>,
    settled: Mutex<u32>,
    changed: Condvar,
}

impl Container {
    fn wait_for(&self, signal: Signal) {
        let signals = self.signals.lock().expect("no panic");
        let _seen = self
            .changed
            .wait_while(signals, |seen| !seen.contains(&signal))
            .expect("no panic");
    }
}

impl Controlled for Container {
    fn kill(&self, signal: Signal) -> Fate {
        self.signals.lock().expect("no panic").push(signal);
        self.changed.notify_all();
        match signal {
            Signal::KILL => Fate::Dies,
            _ => Fate::Lives,
        }
    }

    fn pause(&self) -> Result<(), String> {
        Err("it has just ended".to_owned())
    }

    fn resume(&self) {}

    fn settle(&self) {
        *self.settled.lock().expect("no panic") += 1;
        self.changed.notify_all();
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            processes: 7,
            ..Statistics::default()
        }
    }

    fn serve_files(
        &self,
        request: FilesRequest,
        mut stream: UnixStream,
        mut received: Vec<u8>,
    ) -> Result<(), String> {
        if request != FilesRequest::Export {
            return Err("nothing but exports".to_owned());
        }
        stream
            .set_nonblocking(false)
            .map_err(|error| error.to_string())?;
        std::thread::spawn(move || {
            let mut rest = [0; 4];
            stream
                .read_exact(&mut rest[received.len()..])
                .expect("sent");
            received.extend_from_slice(&rest[received.len()..]);
            stream.write_all(&received).expect("read");
        });
        Ok(())
    }

    fn snapshot(&self, name: String, mut stream: UnixStream) -> Result<(), String> {
        match name.as_str() {
            "one" => {
                let answer = message::encode(&Response::Done);
                stream.write_all(&answer).map_err(|error| error.to_string())
            }
            _ => Err("no more than one".to_owned()),
        }
    }

    fn exec(
        &self,
        request: ExecRequest,
        descriptors: Vec<OwnedFd>,
        stream: UnixStream,
    ) -> Result<(), Response> {
        if descriptors.is_empty() {
            return Err(Response::ModulesWanted);
        }
        for descriptor in &descriptors {
            rustix::io::write(descriptor, request.id.as_bytes()).expect("a pipe");
        }
        let pid = u32::try_from(descriptors.len()).expect("few");
        for response in [Response::Begun { pid }, Response::Ended { exit_code: 3 }] {
            (&stream)
                .write_all(&message::encode(&response))
                .expect("read");
        }
        Ok(())
    }

    fn attach(&self, _request: &AttachRequest, _stream: UnixStream) -> Result<(), String> {
        Err("it has no streams".to_owned())
    }

    fn processes(&self) -> Vec<ProcessStatus> {
        vec![ProcessStatus::default()]
    }

    fn limit(&self, change: &LimitsChange) {
        self.limits.lock().expect("no panic").push(*change);
    }
}

/// Tells a future once.
struct Sender<T>(Arc<Mutex<Sent<T>>>);

/// Is ready when it was told.
struct Receiver<T>(Arc<Mutex<Sent<T>>>);

struct Sent<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

fn once<T>() -> (Sender<T>, Receiver<T>) {
    let sent = Arc::new(Mutex::new(Sent {
        value: None,
        waker: None,
    }));
    (Sender(Arc::clone(&sent)), Receiver(sent))
}

impl<T> Sender<T> {
    fn send(&self, value: T) {
        let mut sent = self.0.lock().expect("no panic");
        sent.value = Some(value);
        if let Some(waker) = sent.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut sent = self.0.lock().expect("no panic");
        sent.waker = Some(context.waker().clone());
        sent.value.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A server in a thread, as the sandbox's first thread is beside its guests.
struct ControlThread {
    end: Sender<()>,
    ended: JoinHandle<Server>,
}

impl ControlThread {
    /// Lets the container end.
    fn finish(self, exit_code: u8) {
        self.end.send(());
        self.ended.join().expect("no panic").finish(exit_code);
    }

    /// Waits until the server gives the container up.
    fn give_up(self, exit_code: u8) {
        self.ended.join().expect("no panic").finish(exit_code);
    }
}

fn serve(directory: &std::path::Path) -> (Arc<Container>, ControlThread) {
    let container = Arc::<Container>::default();
    let listener = Listener::bind(directory).expect("a socket");
    let mut server = listener
        .server(None, Arc::clone(&container) as Arc<dyn Controlled>)
        .expect("a server");
    let (end, is_ended) = once();
    let ended = std::thread::spawn(move || {
        server.serve_until(is_ended);
        server
    });
    (container, ControlThread { end, ended })
}

#[test]
fn a_client_is_answered_by_a_socket_under_a_path_longer_than_an_address() {
    let temporary = tempfile::tempdir().expect("a directory");
    let directory = temporary.path().join("x".repeat(200));
    std::fs::create_dir(&directory).expect("a directory");
    let (container, thread) = serve(&directory);
    let mut client = Client::connect(&directory).expect("a connection");
    let statistics = client.ask(&Request::Statistics).expect("an answer");
    assert!(matches!(statistics, Response::Statistics(s) if s.processes == 7));
    assert_eq!(
        client
            .ask(&Request::Kill { signal: 15 })
            .expect("an answer"),
        Response::Done
    );
    assert_eq!(*container.signals.lock().expect("no panic"), [Signal::TERM]);
    let change = LimitsChange {
        memory_bytes_max: Some(1 << 20),
        nano_cpus: Some(500_000_000),
        ..LimitsChange::default()
    };
    let answer = client.ask(&Request::Limit(change)).expect("an answer");
    assert_eq!(answer, Response::Done);
    assert_eq!(*container.limits.lock().expect("no panic"), [change]);
    thread.finish(0);
}

#[test]
fn a_snapshot_is_answered_by_who_takes_it_or_refused() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    for (name, is_taken) in [("one", true), ("two", false)] {
        let mut client = Client::connect(temporary.path()).expect("a connection");
        let name = name.to_owned();
        let answer = client.ask(&Request::Snapshot { name }).expect("an answer");
        assert_eq!(answer == Response::Done, is_taken, "{answer:?}");
    }
    thread.finish(0);
}

#[test]
fn stop_kills_what_does_not_end_and_answers_with_the_exit_code() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (container, thread) = serve(temporary.path());
    let mut client = Client::connect(temporary.path()).expect("a connection");
    let asking = std::thread::spawn(move || {
        client
            .ask(&Request::Stop {
                signal: 2,
                timeout_ms: Some(1),
            })
            .expect("an answer")
    });
    container.wait_for(Signal::KILL);
    thread.finish(137);
    assert_eq!(
        asking.join().expect("no panic"),
        Response::Ended { exit_code: 137 }
    );
    assert_eq!(
        *container.signals.lock().expect("no panic"),
        [Signal::INT, Signal::KILL]
    );
}

#[test]
fn bytes_that_are_no_request_are_refused_and_others_are_served_on() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{}", b"\x03\0\0\0???"] {
        let mut stream =
            UnixStream::connect(temporary.path().join(SOCKET_NAME)).expect("a connection");
        stream.write_all(garbage).expect("written");
        let response: Response = message::receive(&mut stream).expect("an answer");
        assert!(matches!(response, Response::Refused { .. }), "{response:?}");
    }
    let mut client = Client::connect(temporary.path()).expect("a connection");
    client
        .set_timeout(Some(Duration::from_secs(60)))
        .expect("set");
    assert!(client.ask(&Request::Statistics).is_ok());
    thread.finish(0);
}

#[test]
fn idle_connections_do_not_keep_a_waiter_from_being_told_the_end() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let connect = || UnixStream::connect(temporary.path().join(SOCKET_NAME)).expect("a connection");
    let mut waiter = connect();
    message::send(&mut waiter, &Request::Statistics).expect("sent");
    let _statistics: Response = message::receive(&mut waiter).expect("an answer");
    let _idle: Vec<_> = (0..80).map(|_| connect()).collect();
    message::send(&mut waiter, &Request::Wait).expect("sent");
    thread.finish(3);
    let end: Response = message::receive(&mut waiter).expect("an answer");
    assert_eq!(end, Response::Ended { exit_code: 3 });
}

#[test]
fn a_container_that_has_started_is_told_to_settle_once() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (container, thread) = serve(temporary.path());
    let settled = container.settled.lock().expect("no panic");
    let settled = container
        .changed
        .wait_while(settled, |count| *count == 0)
        .expect("no panic");
    drop(settled);
    thread.finish(0);
    assert_eq!(*container.settled.lock().expect("no panic"), 1);
}

#[test]
fn a_container_that_does_not_die_of_a_fatal_signal_is_given_up() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (container, thread) = serve(temporary.path());
    let mut stream = UnixStream::connect(temporary.path().join(SOCKET_NAME)).expect("a connection");
    let request = Request::Stop {
        signal: Signal::TERM.raw(),
        timeout_ms: Some(0),
    };
    message::send(&mut stream, &request).expect("sent");
    thread.give_up(137);
    let end: Response = message::receive(&mut stream).expect("an answer");
    assert_eq!(end, Response::Ended { exit_code: 137 });
    container.wait_for(Signal::KILL);
}

#[test]
fn peers_that_connect_and_say_nothing_keep_no_command_out() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let connect = || UnixStream::connect(temporary.path().join(SOCKET_NAME)).expect("a connection");
    let _silent: Vec<_> = (0..200).map(|_| connect()).collect();
    let mut client = Client::connect(temporary.path()).expect("a connection");
    assert!(client.ask(&Request::Statistics).is_ok());
    thread.finish(0);
}

#[test]
fn a_peer_that_asks_and_never_reads_is_dropped() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let mut stream = UnixStream::connect(temporary.path().join(SOCKET_NAME)).expect("a connection");
    let request = message::encode(&Request::Statistics);
    while stream.write_all(&request).is_ok() {}
    let mut client = Client::connect(temporary.path()).expect("a connection");
    assert!(client.ask(&Request::Statistics).is_ok());
    thread.finish(0);
}

#[test]
fn a_message_that_comes_byte_by_byte_is_understood_once_it_is_whole() {
    let bytes = message::encode(&Request::Kill { signal: 9 });
    let mut inbox = Vec::new();
    for byte in &bytes[..bytes.len() - 1] {
        inbox.push(*byte);
        assert!(matches!(take_request(&mut inbox), Ok(None)));
    }
    inbox.push(bytes[bytes.len() - 1]);
    let request = take_request(&mut inbox).expect("a request");
    assert_eq!(request, Some(Request::Kill { signal: 9 }));
    assert!(inbox.is_empty());
}

#[test]
fn a_message_that_is_announced_too_long_is_refused_before_it_is_held() {
    let mut inbox = (message::MESSAGE_BYTES_MAX as u32 + 1)
        .to_le_bytes()
        .to_vec();
    assert!(take_request(&mut inbox).is_err());
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let mut inbox = (deep.len() as u32).to_le_bytes().to_vec();
    inbox.extend_from_slice(deep.as_bytes());
    assert!(take_request(&mut inbox).is_err());
}

#[test]
fn a_connection_is_handed_over_with_what_came_behind_the_request() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let client = Client::connect(temporary.path()).expect("a connection");
    let mut stream = client.into_files(FilesRequest::Export).expect("sent");
    stream.write_all(b"ab").expect("written");
    stream.write_all(b"cd").expect("written");
    let mut echoed = Vec::new();
    stream
        .read_to_end(&mut echoed)
        .expect("it is closed behind");
    assert_eq!(echoed, b"abcd");
    let client = Client::connect(temporary.path()).expect("a connection");
    let mut stream = client.into_files(FilesRequest::Changes).expect("sent");
    let mut nothing = Vec::new();
    let mut frames = FrameReader::new(&mut stream);
    frames.read_to_end(&mut nothing).expect("an end");
    assert!(nothing.is_empty());
    let response: Response = message::receive(&mut stream).expect("an answer");
    let message = "nothing but exports".to_owned();
    assert_eq!(response, Response::Refused { message });
    thread.finish(0);
}

#[test]
fn a_program_is_asked_for_with_descriptors_and_answered_twice() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let connect = || Client::connect(temporary.path()).expect("a connection");
    let request = ExecRequest {
        id: "one".to_owned(),
        // Longer than a round of reading, so that descriptors come long before the end.
        env: vec!["x".repeat(100_000)],
        ..ExecRequest::default()
    };
    let (first, _client) = connect().exec(request.clone(), &[]).expect("an answer");
    assert_eq!(first, Response::ModulesWanted);
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let passed = [writer.as_fd(); 3];
    let (first, client) = connect().exec(request, &passed).expect("an answer");
    assert_eq!(first, Response::Begun { pid: 3 });
    assert_eq!(client.wait().expect("an answer"), 3);
    drop(writer);
    let mut written = String::new();
    let mut reader = std::fs::File::from(reader);
    reader
        .read_to_string(&mut written)
        .expect("nobody else holds the other end");
    assert_eq!(written, "oneoneone");
    thread.finish(0);
}

#[test]
fn descriptors_beyond_those_of_a_message_are_closed() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    for _ in 0..3 {
        super::descriptors::send(&ours, b"x", &[writer.as_fd(); 3]).expect("sent");
    }
    drop(writer);
    let (mut kept, mut buffer) = (Vec::new(), [0; 8]);
    for _ in 0..3 {
        let count = super::descriptors::receive(&theirs, &mut buffer, &mut kept);
        assert_eq!(count.expect("received"), 1);
    }
    assert_eq!(kept.len(), super::descriptors::DESCRIPTORS_MAX);
    drop(kept);
    let end = rustix::io::read(&reader, &mut buffer);
    assert_eq!(end, Ok(0), "nobody holds the other end");
}

#[test]
fn arguments_that_are_too_long_are_refused_before_they_are_sent() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_container, thread) = serve(temporary.path());
    let client = Client::connect(temporary.path()).expect("a connection");
    let request = ExecRequest {
        env: vec!["x".repeat(message::MESSAGE_BYTES_MAX)],
        ..ExecRequest::default()
    };
    let refused = client.exec(request, &[]).expect_err("too long");
    assert_eq!(refused.kind(), std::io::ErrorKind::ArgumentListTooLong);
    thread.finish(0);
}
