//! Descriptors, paths, reading and writing.

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::At;

use crate::machine::Machine;
use crate::script::Script;

/// Errors of WASI that these tests expect.
const SUCCESS: u32 = 0;
const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NAMETOOLONG: u32 = 37;
const NOENT: u32 = 44;
const NOTDIR: u32 = 54;
const PERM: u32 = 63;
const SPIPE: u32 = 70;
const NOTCAPABLE: u32 = 76;

/// Rights that the scripts open with.
const READ: i64 = 1 << 1;
const WRITE: i64 = 1 << 6;
const READDIR: i64 = 1 << 14;
/// `oflags` of `path_open`.
const CREAT: i64 = 1;
const DIRECTORY: i64 = 2;

/// The pre-opened root.
const ROOT: i64 = 3;
/// The first descriptor that a script opens.
const OPENED: i64 = 4;

/// A script that opens a path of `length` bytes at address 0 as descriptor [`OPENED`].
fn opening(path: &str, how: i64, rights: i64) -> Script {
    let length = path.len() as i64;
    Script::new()
        .data(0, path.as_bytes())
        .call("path_open", [ROOT, 1, 0, length, how, rights, 0, 0, 1000])
}

#[test]
fn the_root_is_the_only_preopened_directory() {
    let answers = Script::new()
        .call("fd_prestat_get", [3, 16])
        .call("fd_prestat_dir_name", [3, 32, 1])
        .call("fd_prestat_dir_name", [3, 32, 0])
        .call("fd_prestat_get", [4, 16])
        .call("fd_prestat_get", [1, 16])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [SUCCESS, SUCCESS, NAMETOOLONG, BADF, BADF]);
    assert_eq!((answers.u32(16), answers.u32(20)), (0, 1));
    assert_eq!(answers.bytes(32, 1), b"/");
}

#[test]
fn what_is_written_is_read_back_through_several_buffers() {
    let machine = Machine::new();
    let answers = opening("tmp/file", CREAT, READ | WRITE)
        .data(64, b"hello, world")
        .iovecs(128, &[(64, 5), (0, 0), (69, 7)])
        .iovecs(160, &[(200, 3), (210, 20)])
        .call("fd_write", [OPENED, 128, 3, 300])
        .call("fd_tell", [OPENED, 304])
        .call("fd_seek", [OPENED, 1, 0, 312])
        .call("fd_read", [OPENED, 160, 2, 320])
        .call("fd_read", [OPENED, 160, 2, 324])
        .call("fd_close", [OPENED])
        .call("fd_close", [OPENED])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, 0, 0, 0, BADF]);
    assert_eq!(answers.u32(1000), 4);
    assert_eq!(
        (answers.u32(300), answers.u64(304), answers.u64(312)),
        (12, 12, 1)
    );
    assert_eq!((answers.u32(320), answers.u32(324)), (11, 0));
    assert_eq!(
        (answers.bytes(200, 3), answers.bytes(210, 8)),
        (&b"ell"[..], &b"o, world"[..])
    );
    assert_eq!(machine.get("/tmp/file").unwrap(), b"hello, world");
}

#[test]
fn positioned_transfers_leave_the_position_alone() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"0123456789");
    let answers = opening("tmp/file", 0, READ | WRITE)
        .data(64, b"ab")
        .iovecs(128, &[(64, 1), (65, 1)])
        .iovecs(160, &[(200, 4)])
        .call("fd_pwrite", [OPENED, 128, 2, 3, 300])
        .call("fd_pread", [OPENED, 160, 1, 2, 304])
        .call("fd_tell", [OPENED, 312])
        .call("fd_pread", [OPENED, 160, 1, i64::MAX, 304])
        .call("fd_pread", [0, 160, 1, 0, 304])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, INVAL, SPIPE]);
    assert_eq!(answers.bytes(200, 4), b"2ab5");
    assert_eq!((answers.u32(300), answers.u64(312)), (2, 0));
    assert_eq!(machine.get("/tmp/file").unwrap(), b"012ab56789");
}

#[test]
fn a_vector_of_buffers_is_one_write_to_a_stream() {
    let answers = Script::new()
        .data(0, b"one line\n")
        .iovecs(64, &[(0, 3), (3, 5), (8, 1)])
        .call("fd_write", [1, 64, 3, 128])
        .call("fd_write", [1, 64, 1025, 128])
        .call("fd_write", [0, 64, 3, 128])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [SUCCESS, INVAL, BADF]);
    assert_eq!(answers.outcome.stdout, "one line\n");
}

#[test]
fn wild_buffers_fault_before_anything_is_written() {
    let beyond = 0xffff_fff0_u32;
    let answers = Script::new()
        .data(0, b"text")
        .iovecs(64, &[(0, 4), (beyond, 4)])
        .iovecs(96, &[(0, u32::MAX)])
        .call("fd_write", [1, 64, 2, 128])
        .call("fd_write", [1, 96, 1, 128])
        .call("fd_write", [1, 64, 1, i64::from(beyond)])
        .call("fd_write", [1, i64::from(beyond), 2, 128])
        .call("fd_fdstat_get", [1, i64::from(beyond)])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [FAULT; 5]);
    assert_eq!(answers.outcome.stdout, "");
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    let machine = Machine::new();
    for (path, errno) in [
        ("/tmp", PERM),
        ("..", PERM),
        ("tmp/../../tmp", PERM),
        ("tmp/../tmp", SUCCESS),
        ("missing", NOENT),
        ("", NOENT),
        ("a\0b", INVAL),
    ] {
        let answers = opening(path, 0, READ).run(&machine);
        assert_eq!(answers.errnos, [errno], "`{path:?}`");
    }
    let long = "x".repeat(5000);
    assert_eq!(opening(&long, 0, READ).run(&machine).errnos, [NAMETOOLONG]);
}

#[test]
fn a_directory_that_was_opened_may_be_left_by_dots() {
    let machine = Machine::new();
    machine.put("/app/file", b"x");
    let answers = opening("tmp", DIRECTORY, READDIR)
        .data(64, b"../app/file")
        .call("path_filestat_get", [OPENED, 0, 64, 11, 128])
        .run(&machine);
    assert_eq!(answers.errnos, [SUCCESS, SUCCESS]);
    assert_eq!(
        (answers.bytes(128 + 16, 1)[0], answers.u64(128 + 32)),
        (4, 1)
    );
}

#[test]
fn attributes_have_the_layout_of_the_version() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"12345");
    let args = [ROOT, 0, 0, 8, 128];
    let new = Script::new()
        .data(0, b"tmp/file")
        .call("path_filestat_get", args)
        .run(&machine);
    assert_eq!(new.errnos, [SUCCESS]);
    assert_eq!((new.u64(128 + 24), new.u64(128 + 32)), (1, 5));
    let old = Script::unstable()
        .data(0, b"tmp/file")
        .call("path_filestat_get", args)
        .run(&machine);
    assert_eq!(old.errnos, [SUCCESS]);
    assert_eq!((old.u32(128 + 20), old.u64(128 + 24)), (1, 5));
    assert_eq!(old.u64(128 + 32), new.u64(128 + 40));
}

#[test]
fn the_older_version_counts_seek_bases_in_another_order() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"0123456789");
    let script = |script: Script| {
        script
            .data(0, b"tmp/file")
            .call("path_open", [ROOT, 0, 0, 8, 0, READ, 0, 0, 1000])
            .call("fd_seek", [OPENED, 2, 1, 64])
            .call("fd_seek", [OPENED, 2, 0, 72])
            .call("fd_seek", [OPENED, 2, 2, 80])
            .call("fd_seek", [OPENED, 2, 3, 88])
            .run(&machine)
    };
    let positions = |answers: crate::script::Answers| {
        assert_eq!(answers.errnos, [0, 0, 0, 0, INVAL]);
        [answers.u64(64), answers.u64(72), answers.u64(80)]
    };
    // Current, set, end.
    assert_eq!(positions(script(Script::new())), [2, 2, 12]);
    // End, current, set.
    assert_eq!(positions(script(Script::unstable())), [12, 14, 2]);
}

#[test]
fn a_listing_fills_its_buffer_and_goes_on_from_a_cookie() {
    let machine = Machine::new();
    for name in ["alpha", "beta", "gamma"] {
        machine.put(&format!("/app/{name}"), b"");
    }
    let whole = opening("app", DIRECTORY, READDIR)
        .call("fd_readdir", [OPENED, 2000, 4000, 0, 64])
        .run(&machine);
    assert_eq!(whole.errnos, [SUCCESS, SUCCESS]);
    let listed = entries(whole.bytes(2000, whole.u32(64) as usize));
    let mut names: Vec<_> = listed.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [".", "..", "alpha", "beta", "gamma"]);

    // Room for `.`, `..`, and a part of the next entry.
    let part = opening("app", DIRECTORY, READDIR)
        .call("fd_readdir", [OPENED, 2000, 60, 0, 64])
        .call("fd_readdir", [OPENED, 3000, 4000, listed[1].0 as i64, 68])
        .call("fd_readdir", [OPENED, 4000, 0, 0, 72])
        .run(&machine);
    assert_eq!(part.errnos, [0, 0, 0, 0]);
    assert_eq!((part.u32(64), part.u32(72)), (60, 0));
    let rest = entries(part.bytes(3000, part.u32(68) as usize));
    assert_eq!(rest[..], listed[2..]);
}

/// Cookies and names of a listing.
fn entries(mut bytes: &[u8]) -> Vec<(u64, String)> {
    let mut entries = Vec::new();
    while bytes.len() >= 24 {
        let next = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let length = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        let name = String::from_utf8_lossy(&bytes[24..24 + length]).into_owned();
        entries.push((next, name));
        bytes = &bytes[24 + length..];
    }
    assert!(bytes.is_empty());
    entries
}

#[test]
fn a_file_moves_over_another_descriptor() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"0123456789");
    let answers = opening("tmp/file", 0, READ)
        .call("path_open", [ROOT, 0, 0, 8, 0, READ, 0, 0, 1004])
        .call("fd_seek", [OPENED, 7, 0, 64])
        .call("fd_renumber", [OPENED, 5])
        .call("fd_tell", [5, 72])
        .call("fd_tell", [OPENED, 80])
        .call("fd_renumber", [5, 77])
        .call("fd_renumber", [3, 5])
        .call("fd_prestat_get", [5, 96])
        .call("fd_prestat_get", [3, 96])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, 0, BADF, BADF, 0, 0, BADF]);
    assert_eq!(answers.u64(72), 7);
}

#[test]
fn rights_that_were_dropped_stay_dropped() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"text");
    let tell = 1 << 5;
    let answers = opening("tmp/file", 0, READ | WRITE)
        .iovecs(128, &[(200, 4)])
        .call("fd_fdstat_set_rights", [OPENED, READ | tell, 0])
        .call("fd_read", [OPENED, 128, 1, 64])
        .call("fd_write", [OPENED, 128, 1, 64])
        .call("fd_fdstat_set_rights", [OPENED, READ | WRITE, 0])
        .call("fd_fdstat_get", [OPENED, 300])
        .call("fd_close", [OPENED])
        .call("path_open", [ROOT, 0, 0, 8, 0, READ | WRITE, 0, 0, 1000])
        .call("fd_write", [OPENED, 128, 1, 64])
        .run(&machine);
    let expected = [0, 0, 0, NOTCAPABLE, NOTCAPABLE, 0, 0, 0, 0];
    assert_eq!(answers.errnos, expected);
    assert_eq!(answers.u64(308), (READ | tell) as u64);
}

#[test]
fn standard_streams_are_not_taken_for_terminals_or_files() {
    let answers = Script::new()
        .call("fd_fdstat_get", [0, 0])
        .call("fd_fdstat_get", [1, 32])
        .call("fd_seek", [1, 0, 1, 64])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [SUCCESS, SUCCESS, SPIPE]);
    assert_eq!(
        (answers.bytes(0, 1), answers.bytes(32, 1)),
        (&[0][..], &[0][..])
    );
    let (reading, writing) = (answers.u64(8) as i64, answers.u64(40) as i64);
    assert_eq!(
        (reading & (READ | WRITE), writing & (READ | WRITE)),
        (READ, WRITE)
    );
}

#[test]
fn flags_change_where_linux_lets_them() {
    let (append, nonblock, sync) = (1, 4, 16);
    let answers = opening("tmp/file", CREAT, READ | WRITE)
        .call("fd_fdstat_set_flags", [OPENED, append | nonblock])
        .call("fd_fdstat_get", [OPENED, 64])
        .call("fd_fdstat_set_flags", [OPENED, sync])
        .call("fd_fdstat_set_flags", [OPENED, 1 << 9])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [0, 0, 0, INVAL, INVAL]);
    assert_eq!(answers.bytes(66, 2), [5, 0]);
}

#[test]
fn names_are_made_moved_and_removed() {
    let machine = Machine::new();
    let answers = Script::new()
        .data(0, b"tmp/dir")
        .data(16, b"tmp/dir/link")
        .data(32, b"/app/target")
        .data(48, b"tmp/moved")
        .call("path_create_directory", [ROOT, 0, 7])
        .call("path_symlink", [32, 11, ROOT, 16, 12])
        .call("path_readlink", [ROOT, 16, 12, 100, 4, 64])
        .call("path_rename", [ROOT, 16, 12, ROOT, 48, 9])
        .call("path_remove_directory", [ROOT, 0, 7])
        .call("path_unlink_file", [ROOT, 48, 9])
        .call("path_unlink_file", [ROOT, 48, 9])
        .call("path_remove_directory", [ROOT, 0, 1])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, 0, 0, NOENT, NOENT]);
    assert_eq!(
        (answers.u32(64), answers.bytes(100, 5)),
        (4, &b"/app\0"[..])
    );
}

#[test]
fn a_hard_link_counts_and_times_are_set() {
    let machine = Machine::new();
    machine.put("/tmp/file", b"");
    let answers = Script::new()
        .data(0, b"tmp/file")
        .data(16, b"tmp/other")
        .call("path_link", [ROOT, 0, 0, 8, ROOT, 16, 9])
        .call(
            "path_filestat_set_times",
            [ROOT, 0, 0, 8, 7, 1_500_000_000, 1 | 4],
        )
        .call("path_filestat_get", [ROOT, 0, 16, 9, 128])
        .call("path_filestat_set_times", [ROOT, 0, 0, 8, 7, 7, 1 | 2])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, INVAL]);
    assert_eq!(answers.u64(128 + 24), 2);
    assert_eq!(
        (answers.u64(128 + 40), answers.u64(128 + 48)),
        (7, 1_500_000_000)
    );
}

#[test]
fn a_working_directory_comes_before_the_root() {
    let mut machine = Machine::new();
    machine.cwd = "/app";
    machine.put("/app/both", b"here");
    machine.put("/both", b"root");
    machine.put("/tmp/there", b"root");
    let create = |path: &str| opening(path, CREAT, READ | WRITE).run(&machine).errnos;
    let read = |path: &str| {
        let answers = opening(path, 0, READ)
            .iovecs(128, &[(200, 4)])
            .call("fd_read", [OPENED, 128, 1, 64])
            .run(&machine);
        assert_eq!(answers.errnos, [SUCCESS, SUCCESS], "`{path}`");
        answers.bytes(200, 4).to_vec()
    };
    assert_eq!(read("both"), b"here");
    assert_eq!(read("../both"), b"root");
    assert_eq!(read("tmp/there"), b"root");
    for path in ["new", "tmp/new"] {
        assert_eq!(create(path), [SUCCESS]);
    }
    let exists = |path: &str| machine.get(path).is_ok();
    assert!(exists("/app/new") && !exists("/new"));
    assert!(exists("/tmp/new") && !exists("/app/tmp/new"));
}

#[test]
fn a_file_is_grown_cut_and_synced() {
    let machine = Machine::new();
    let answers = opening("tmp/file", CREAT, READ | WRITE)
        .call("fd_allocate", [OPENED, 0, 100])
        .call("fd_filestat_get", [OPENED, 128])
        .call("fd_filestat_set_size", [OPENED, 10])
        .call("fd_sync", [OPENED])
        .call("fd_datasync", [OPENED])
        .call("fd_advise", [OPENED, 0, 0, 3])
        .call("fd_advise", [OPENED, 0, 0, 6])
        .call("fd_advise", [0, 0, 0, 3])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, 0, 0, 0, INVAL, SPIPE]);
    assert_eq!(answers.u64(128 + 32), 100);
    assert_eq!(machine.get("/tmp/file").unwrap().len(), 10);
}

#[test]
fn a_directory_opens_for_writing_only_where_it_must_be_one() {
    let machine = Machine::new();
    let both = READ | WRITE;
    assert_eq!(opening("tmp", DIRECTORY, both).run(&machine).errnos, [0]);
    assert_eq!(
        opening("tmp", DIRECTORY | CREAT, both).run(&machine).errnos,
        [INVAL]
    );
    machine.put("/tmp/file", b"");
    assert_eq!(
        opening("tmp/file", DIRECTORY, READ).run(&machine).errnos,
        [NOTDIR]
    );
    let task = machine.task();
    let opened = task.open(At::Cwd, b"/tmp", OpenFlags::RDWR, 0);
    assert_eq!(opened.map_err(|e| e.name()), Err("EISDIR"));
}
