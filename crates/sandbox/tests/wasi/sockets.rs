//! Sockets: preview 1's calls and WasmEdge's, over the container's loopback.

use crate::machine::Machine;
use crate::script::{Answers, Script, params, rows};

const INVAL: u32 = 28;
const NOTCONN: u32 = 53;
const NOTSOCK: u32 = 57;
const AINONAME: u32 = 84;

/// WasmEdge's numbers.
const INET4: i64 = 1;
const DATAGRAM: i64 = 1;
const STREAM: i64 = 2;

/// The first three descriptors that a script opens.
const LISTENER: i64 = 4;
const CLIENT: i64 = 5;
const SERVER: i64 = 6;

/// Memory at 0 to 63: `127.0.0.1` as an address of 4 bytes, and buffers of 16 and 128 bytes for answers.
fn with_addresses() -> Script {
    Script::new()
        .data(0, &[127, 0, 0, 1])
        .iovecs(8, &[(0, 4)])
        .iovecs(16, &[(400, 16)])
        .iovecs(24, &[(600, 128)])
}

/// A connection: descriptor [`SERVER`] is accepted by the form with `args` arguments.
fn connected(three_arguments: bool) -> Script {
    let script = with_addresses()
        .call("sock_open", [INET4, STREAM, 32])
        .call("sock_bind", [LISTENER, 8, 3000])
        .call("sock_listen", [LISTENER, 8])
        .call("sock_open", [INET4, STREAM, 36])
        .call("sock_connect", [CLIENT, 8, 3000]);
    if three_arguments {
        script.call("sock_accept", [LISTENER, 0, 40])
    } else {
        script.call("sock_accept", [LISTENER, 40])
    }
}

fn check_connected(answers: &Answers) {
    assert_eq!(answers.errnos[..6], [0; 6]);
    assert_eq!(i64::from(answers.u32(40)), SERVER);
}

#[test]
fn both_forms_of_accept_take_a_connection() {
    for three_arguments in [false, true] {
        let answers = connected(three_arguments)
            .data(64, b"hello")
            .iovecs(72, &[(64, 2), (66, 3)])
            .iovecs(88, &[(200, 3), (210, 50)])
            .call("sock_send", [CLIENT, 72, 2, 0, 300])
            .call("sock_recv", [SERVER, 88, 2, 1, 304, 308])
            .call("sock_recv", [SERVER, 88, 2, 0, 304, 308])
            .call("sock_shutdown", [CLIENT, 2])
            .call("fd_read", [SERVER, 88, 2, 312])
            .call("fd_write", [SERVER, 72, 1, 316])
            .call("fd_read", [CLIENT, 88, 2, 320])
            .run(&Machine::new());
        check_connected(&answers);
        assert_eq!(answers.errnos[6..], [0; 7]);
        assert_eq!((answers.u32(300), answers.u32(304)), (5, 5));
        assert_eq!((answers.u32(312), answers.u32(320)), (0, 2));
    }
}

#[test]
fn addresses_are_told_in_both_forms() {
    let answers = connected(false)
        .call("sock_getlocaladdr", [SERVER, 16, 100, 104])
        .call("sock_getpeeraddr", [CLIENT, 24, 108])
        .call("sock_getpeeraddr", [CLIENT, 16, 112])
        .run(&Machine::new());
    check_connected(&answers);
    assert_eq!(answers.errnos[6..], [0, 0, INVAL]);
    assert_eq!(answers.bytes(400, 4), [127, 0, 0, 1]);
    assert_eq!((answers.u32(100), answers.u32(104)), (4, 3000));
    assert_eq!(answers.bytes(600, 6), [1, 0, 127, 0, 0, 1]);
    assert_eq!(answers.u32(108), 3000);
}

#[test]
fn datagrams_tell_their_sender_and_whether_they_were_cut() {
    // Two datagrams of 8 bytes to ourselves; the buffer has room for 3.
    let sent = || {
        with_addresses()
            .data(64, b"datagram")
            .iovecs(80, &[(64, 8)])
            .iovecs(88, &[(200, 3)])
            .call("sock_open", [INET4, DATAGRAM, 32])
            .call("sock_bind", [4, 8, 4000])
            .call("sock_send_to", [4, 80, 1, 8, 4000, 0, 300])
    };
    let later = sent()
        .call("sock_recv_from", [4, 88, 1, 24, 0, 304, 308, 312])
        .run(&Machine::new());
    assert_eq!(later.errnos, [0; 4]);
    let numbers = (later.u32(300), later.u32(308), later.u32(312));
    assert_eq!(numbers, (8, 3, 1));
    assert_eq!(later.u32(304), 4000);
    assert_eq!(later.bytes(600, 6), [1, 0, 127, 0, 0, 1]);
    let first = sent()
        .call("sock_recv_from", [4, 88, 1, 16, 0, 316, 320])
        .run(&Machine::new());
    assert_eq!(first.errnos, [0; 4]);
    assert_eq!(first.u32(316), 3);
    assert_eq!(first.bytes(400, 4), [127, 0, 0, 1]);
}

#[test]
fn a_unix_socket_is_bound_and_named_by_its_path() {
    let mut address = [0; 128];
    address[0] = 3;
    address[2..7].copy_from_slice(b"/sock");
    let (unix, args) = (3, [4, 24, 108]);
    let answers = Script::new()
        .data(700, &address)
        .iovecs(8, &[(700, 128)])
        .iovecs(24, &[(900, 128)])
        .call("sock_open", [unix, STREAM, 32])
        .call("sock_bind", [4, 8, 0])
        .call("sock_listen", [4, 1])
        .call("sock_open", [unix, STREAM, 36])
        .call("sock_connect", [5, 8, 0])
        .call("sock_accept", [4, 40])
        .call("sock_getlocaladdr", args)
        .run(&Machine::new());
    assert_eq!(answers.errnos, [0; 7]);
    assert_eq!(answers.bytes(900, 8), b"\x03\0/sock\0");
}

#[test]
fn options_are_translated() {
    let (reuse_address, kind, error, keep_alive) = (0, 1, 2, 7);
    let answers = Script::new()
        .data(0, &[1, 0, 0, 0])
        .data(8, &[4, 0, 0, 0, 0, 0, 0, 0])
        .data(16, &[4, 0, 0, 0])
        .call("sock_open", [INET4, STREAM, 32])
        .call("sock_setsockopt", [4, 0, reuse_address, 0, 4])
        .call("sock_getsockopt", [4, 0, reuse_address, 64, 8])
        .call("sock_getsockopt", [4, 0, kind, 68, 16])
        .call("sock_getsockopt", [4, 0, error, 72, 8])
        .call("sock_setsockopt", [4, 0, keep_alive, 0, 4])
        .call("sock_setsockopt", [4, 6, 1, 0, 4])
        .call("sock_setsockopt", [4, 0, 99, 0, 4])
        .run(&Machine::new());
    assert_eq!(answers.errnos[..6], [0; 6]);
    assert!(answers.errnos[6..].iter().all(|errno| *errno == 50));
    assert_eq!(
        (answers.u32(64), answers.u32(68), answers.u32(72)),
        (1, 2, 0)
    );
}

#[test]
fn a_call_on_the_wrong_descriptor_is_refused() {
    let answers = with_addresses()
        .call("sock_open", [INET4, STREAM, 32])
        .call("sock_open", [9, STREAM, 32])
        .call("sock_recv", [0, 100, 0, 0, 104, 108])
        .call("sock_shutdown", [3, 3])
        .call("sock_shutdown", [4, 3])
        .call("sock_shutdown", [4, 0])
        .call("sock_accept", [4, 1, 32])
        .call("sock_close", [4])
        .call("fd_close", [4])
        .run(&Machine::new());
    let badf = 8;
    assert_eq!(
        answers.errnos,
        [0, INVAL, NOTSOCK, NOTSOCK, NOTCONN, INVAL, INVAL, 0, badf]
    );
}

#[test]
fn a_look_up_fills_the_guests_list() {
    // Two answers at 1000 and 1028, their addresses at 1100 and 1112, and their data at 1200 and 1232.
    let list = |address: u32, next: u32| {
        let mut entry = [0; 28];
        entry[12..16].copy_from_slice(&address.to_le_bytes());
        entry[24..28].copy_from_slice(&next.to_le_bytes());
        entry
    };
    let sockaddr = |data: u32| {
        let mut bytes = [0; 12];
        bytes[8..12].copy_from_slice(&data.to_le_bytes());
        bytes
    };
    let script = |node: &[u8]| {
        Script::new()
            .data(0, node)
            .data(100, b"8080\0")
            .data(200, &[0, 0, 0, 2, 1])
            .data(300, &1000_u32.to_le_bytes())
            .data(1000, &list(1100, 1028))
            .data(1028, &list(1112, 0))
            .data(1100, &sockaddr(1200))
            .data(1112, &sockaddr(1232))
            .call(
                "sock_getaddrinfo",
                [0, node.len() as i64, 100, 5, 200, 300, 10, 304],
            )
            .run(&Machine::new())
    };
    let literal = script(b"10.0.0.7\0");
    assert_eq!((literal.errnos[0], literal.u32(304)), (0, 1));
    assert_eq!((literal.bytes(1002, 1), literal.u32(1008)), (&[1][..], 16));
    assert_eq!((literal.bytes(1100, 1), literal.u32(1104)), (&[1][..], 14));
    assert_eq!(literal.bytes(1200, 6), [31, 144, 10, 0, 0, 7]);
    let passive = script(b"");
    assert_eq!((passive.errnos[0], passive.u32(304)), (0, 2));
    assert_eq!(passive.bytes(1232 + 21, 1), [1]);
    assert_eq!(script(b"nowhere.invalid").errnos, [AINONAME]);
}

#[test]
fn names_that_come_twice_differ_in_their_signature() {
    let mut seen = std::collections::BTreeSet::new();
    for row in rows().take(minke_sandbox::personality::wasi::table::PREVIEW1.len()) {
        assert!(seen.insert((row.name, row.signature)), "`{}`", row.name);
    }
    let accepts = rows().filter(|row| row.name == "sock_accept");
    assert_eq!(
        accepts.map(|row| params(row).len()).collect::<Vec<_>>(),
        [3, 2]
    );
}
