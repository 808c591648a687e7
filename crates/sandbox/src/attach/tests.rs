//! Attached commands that behave, and some that do not.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::PollEvents;
use minke_kernel::File;

use super::input::InputEnd;
use super::service::Typing;
use super::{Attached, Frame, Hub, Output, TypedInput};
use crate::logs::Stream;

fn attached(end: InputEnd) -> (Arc<Attached>, Arc<TypedInput>, Output) {
    let hub = Arc::<Hub>::default();
    let input = TypedInput::new(None, end);
    let output = Output {
        stream: Stream::Stdout,
        host: None,
        kept: None,
        hub: Arc::clone(&hub),
    };
    (Attached::new(hub, Arc::clone(&input) as _), input, output)
}

/// A command that is attached.
fn command(attached: &Arc<Attached>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    attached
        .admit(theirs, Typing::Taken, b"")
        .expect("there is room");
    ours
}

fn frames(mut stream: UnixStream) -> Vec<Frame> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end");
    std::iter::from_fn(|| Frame::take(&mut bytes).expect("frames")).collect()
}

fn send(mut stream: &UnixStream, frame: &Frame) {
    use std::io::Write;
    let mut bytes = Vec::new();
    frame.append_to(&mut bytes);
    stream.write_all(&bytes).expect("taken");
}

#[test]
fn every_frame_is_read_as_it_was_written_however_it_comes() {
    let all = [
        Frame::Typed(b"typed".to_vec()),
        Frame::TypedEnd,
        Frame::Window([24, 80, 640, 0x102]),
        Frame::Printed(Stream::Stdout, b"out".to_vec()),
        Frame::Printed(Stream::Stderr, b"err".to_vec()),
        Frame::Ended(3),
    ];
    let mut bytes = Vec::new();
    all.iter().for_each(|frame| frame.append_to(&mut bytes));
    let (mut inbox, mut read) = (Vec::new(), Vec::new());
    for byte in bytes {
        inbox.push(byte);
        read.extend(Frame::take(&mut inbox).expect("a frame"));
    }
    assert_eq!(read, all);
}

#[test]
fn what_is_no_frame_is_refused_before_it_is_held() {
    for bytes in [
        &b"\x00\xff\xff\xff\xff"[..],
        b"\x09\0\0\0\0",
        b"\x04\0\0\0\0",
        b"\x01\x01\0\0\0x",
    ] {
        assert!(Frame::take(&mut bytes.to_vec()).is_err(), "{bytes:?}");
    }
}

#[test]
fn all_commands_get_what_is_printed_and_the_code_behind_it() {
    let (attached, _input, output) = attached(InputEnd::Open);
    let commands = [command(&attached), command(&attached)];
    assert_eq!(output.write(b"hello"), Ok(5));
    attached.finish(7);
    for command in commands {
        let expected = [
            Frame::Printed(Stream::Stdout, b"hello".to_vec()),
            Frame::Ended(7),
        ];
        assert_eq!(frames(command), expected);
    }
    let (_ours, theirs) = UnixStream::pair().expect("a pair");
    assert!(
        attached.admit(theirs, Typing::Taken, b"").is_err(),
        "it is over"
    );
}

#[test]
fn a_command_that_does_not_read_holds_a_bounded_amount_and_is_dropped() {
    let (attached, _input, output) = attached(InputEnd::Open);
    let _command = command(&attached);
    let piece = [b'x'; 4096];
    let mut printed = 0;
    // The host's socket holds some; then the program would have to wait, until the command is dropped.
    while attached.hub.has_commands() {
        match output.write(&piece) {
            Ok(count) => printed += count,
            Err(Errno::EAGAIN) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(printed < 4 << 20, "{printed} bytes were held");
    assert_eq!(
        output.write(&piece),
        Ok(piece.len()),
        "nobody is waited for"
    );
}

#[test]
fn what_any_command_is_typed_is_read_and_its_end_only_where_that_is_asked_for() {
    for (end, expected) in [
        (InputEnd::Open, Err(Errno::EAGAIN)),
        (InputEnd::Closed, Ok(0)),
    ] {
        let (attached, input, _output) = attached(end);
        let commands = [command(&attached), command(&attached)];
        let read = || {
            let mut buffer = [0; 16];
            while input.poll(PollEvents::IN, None).is_empty() {
                std::thread::yield_now();
            }
            let count = input.read(&mut buffer).expect("bytes");
            buffer[..count].to_vec()
        };
        send(&commands[0], &Frame::Typed(b"one".to_vec()));
        assert_eq!(read(), b"one");
        send(&commands[1], &Frame::Typed(b"two".to_vec()));
        assert_eq!(read(), b"two");
        drop(commands);
        while attached.hub.has_commands() {
            std::thread::yield_now();
        }
        assert_eq!(input.read(&mut [0; 16]), expected);
    }
}
