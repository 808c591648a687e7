//! The control socket against clients that behave and clients that do not.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use minke_abi::linux::Signal;

use super::{
    Client, ControlThread, Controlled, LimitsChange, Listener, Request, Response, SOCKET_NAME,
    Statistics, message,
};

#[derive(Default)]
struct Container {
    signals: Mutex<Vec<Signal>>,
    limits: Mutex<Vec<LimitsChange>>,
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
    fn kill(&self, signal: Signal) {
        self.signals.lock().expect("no panic").push(signal);
        self.changed.notify_all();
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            processes: 7,
            ..Statistics::default()
        }
    }

    fn limit(&self, change: &LimitsChange) {
        self.limits.lock().expect("no panic").push(*change);
    }
}

fn serve(directory: &std::path::Path) -> (Arc<Container>, ControlThread) {
    let container = Arc::<Container>::default();
    let listener = Listener::bind(directory).expect("a socket");
    let thread = listener
        .serve(None, Arc::clone(&container) as Arc<dyn Controlled>)
        .expect("a thread");
    (container, thread)
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
        pids_max: None,
    };
    let answer = client.ask(&Request::Limit(change)).expect("an answer");
    assert_eq!(answer, Response::Done);
    assert_eq!(*container.limits.lock().expect("no panic"), [change]);
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
