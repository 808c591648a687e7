//! `poll_oneoff`, and calls that wait.

use minke_kernel::calls::At;

use crate::machine::Machine;
use crate::script::Script;

const INVAL: u32 = 28;
const BADF: u8 = 8;

/// Puts a clock's subscription into preview 1's layout.
fn clock(userdata: u8, id: u8, timeout: u64, is_absolute: bool) -> [u8; 48] {
    let mut bytes = [0; 48];
    (bytes[0], bytes[16], bytes[40]) = (userdata, id, u8::from(is_absolute));
    bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
    bytes
}

/// Puts a descriptor's subscription into preview 1's layout: kind 1 reads, 2 writes.
fn descriptor(userdata: u8, kind: u8, fd: u8) -> [u8; 48] {
    let mut bytes = [0; 48];
    (bytes[0], bytes[8], bytes[16]) = (userdata, kind, fd);
    bytes
}

fn polling(subscriptions: &[[u8; 48]]) -> Script {
    let count = subscriptions.len() as i64;
    Script::new()
        .data(0, &subscriptions.concat())
        .call("poll_oneoff", [0, 1024, count, 2048])
}

#[test]
fn a_sleep_ends_with_its_clock() {
    for subscription in [
        clock(7, 1, 1_000_000, false),
        clock(7, 0, 1_000_000, false),
        clock(7, 0, 1, true),
        clock(7, 1, 1, true),
    ] {
        let answers = polling(&[subscription]).run(&Machine::new());
        assert_eq!((answers.errnos[0], answers.u32(2048)), (0, 1));
        assert_eq!((answers.u64(1024), answers.u64(1032)), (7, 0));
    }
}

#[test]
fn all_that_is_ready_is_told_in_order() {
    let mut machine = Machine::new();
    machine.stdin = b"text";
    let answers = polling(&[
        clock(1, 1, u64::MAX, false),
        descriptor(2, 1, 0),
        descriptor(3, 2, 1),
        descriptor(4, 1, 99),
    ])
    .run(&machine);
    assert_eq!((answers.errnos[0], answers.u32(2048)), (0, 3));
    let event = |index: usize| answers.bytes(1024 + 32 * index, 32);
    let head = |index| (event(index)[0], event(index)[8], event(index)[10]);
    assert_eq!(
        [head(0), head(1), head(2)],
        [(2, 0, 1), (3, 0, 2), (4, BADF, 1)]
    );
    assert_eq!((event(0)[16], event(0)[24]), (4, 1));
}

#[test]
fn a_file_is_always_ready_and_tells_how_much_is_left() {
    let machine = Machine::new();
    machine.put("/file", b"0123456789");
    let answers = Script::new()
        .data(0, &descriptor(9, 1, 4))
        .data(100, b"file")
        .call("path_open", [3, 0, 100, 4, 0, 2, 0, 0, 200])
        .call("fd_seek", [4, 4, 0, 208])
        .call("poll_oneoff", [0, 1024, 1, 2048])
        .run(&machine);
    assert_eq!((answers.errnos[2], answers.u64(1024 + 16)), (0, 6));
}

#[test]
fn polls_that_make_no_sense_are_refused() {
    let machine = Machine::new();
    let mut unknown = clock(0, 1, 0, false);
    unknown[8] = 3;
    for subscriptions in [
        &[][..],
        &[unknown],
        &[clock(0, 2, 0, false)],
        &[clock(0, 9, 0, false)],
    ] {
        assert_eq!(polling(subscriptions).run(&machine).errnos, [INVAL]);
    }
    let many = Script::new().call("poll_oneoff", [0, 0, 100_000, 0]);
    assert_ne!(many.run(&machine).errnos, [0]);
}

#[test]
fn the_older_layout_of_a_sleep_is_understood() {
    let mut subscription = [0; 56];
    (subscription[0], subscription[24], subscription[32]) = (5, 1, 100);
    let answers = Script::unstable()
        .data(0, &subscription)
        .call("poll_oneoff", [0, 1024, 1, 2048])
        .run(&Machine::new());
    assert_eq!(
        (answers.errnos[0], answers.u32(2048), answers.u64(1024)),
        (0, 1, 5)
    );
}

#[test]
fn a_read_from_a_stream_takes_what_is_there_and_then_its_end() {
    let mut machine = Machine::new();
    machine.stdin = b"some input";
    let answers = Script::new()
        .iovecs(0, &[(100, 4), (200, 100)])
        .call("fd_read", [0, 0, 2, 64])
        .call("fd_read", [0, 0, 2, 68])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0]);
    assert_eq!((answers.u32(64), answers.u32(68)), (10, 0));
    assert_eq!(
        (answers.bytes(100, 4), answers.bytes(200, 6)),
        (&b"some"[..], &b" input"[..])
    );
}

#[test]
fn a_fifo_passes_a_write_longer_than_itself() {
    let machine = Machine::new();
    let task = machine.task();
    let fifo = minke_kernel::vfs::NewInode::Fifo;
    task.make_node(At::Cwd, b"/fifo", &fifo, 0o600).unwrap();
    // The guest opens it for both, so that it never sees its end: 100,000 bytes do not fit, and a
    // non-blocking write says how many do.
    let (read_write, nonblock) = (2 | 64, 4);
    let results = [150_000, 150_004, 150_008, 150_012];
    let answers = Script::new()
        .data(0, b"fifo")
        .iovecs(140_000, &[(0, 100_000)])
        .iovecs(140_008, &[(0, 10)])
        .call(
            "path_open",
            [3, 0, 0, 4, 0, read_write, 0, nonblock, results[0]],
        )
        .call("fd_write", [4, 140_000, 1, results[1]])
        .call("fd_write", [4, 140_008, 1, results[2]])
        .call("fd_read", [4, 140_000, 1, results[3]])
        .run(&machine);
    let again = 6;
    assert_eq!(answers.errnos, [0, 0, again, 0]);
    let (written, read) = (answers.u32(150_004), answers.u32(150_012));
    assert_eq!((written, read), (65_536, 65_536));
}
