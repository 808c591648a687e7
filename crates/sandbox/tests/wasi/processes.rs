//! Arguments, environment, clocks, random bytes, and ends.

use minke_abi::linux::Signal;
use minke_sandbox::runtime::Stop;

use crate::machine::{End, Machine};
use crate::script::Script;

const FAULT: u32 = 21;
const INVAL: u32 = 28;

#[test]
fn arguments_and_environment_are_zero_terminated_strings() {
    let mut machine = Machine::new();
    machine.args = vec!["program", "--loud"];
    machine.env = vec!["HOME=/root"];
    let answers = Script::new()
        .call("args_sizes_get", [0, 4])
        .call("args_get", [16, 64])
        .call("environ_sizes_get", [8, 12])
        .call("environ_get", [32, 128])
        .call("args_get", [196_606, 64])
        .call("args_get", [1000, 196_600])
        .run(&machine);
    assert_eq!(answers.errnos, [0, 0, 0, 0, FAULT, FAULT]);
    assert_eq!((answers.u32(0), answers.u32(4)), (2, 15));
    assert_eq!((answers.u32(16), answers.u32(20)), (64, 72));
    assert_eq!(answers.bytes(64, 15), b"program\0--loud\0");
    assert_eq!((answers.u32(8), answers.u32(12)), (1, 11));
    assert_eq!(answers.bytes(128, 11), b"HOME=/root\0");
}

#[test]
fn a_working_directory_is_told_by_pwd_unless_the_environment_has_one() {
    let mut machine = Machine::new();
    machine.cwd = "/app";
    let script = Script::new().call("environ_get", [32, 128]);
    assert_eq!(script.run(&machine).bytes(128, 9), b"PWD=/app\0");
    machine.env = vec!["PWD=/x"];
    assert_eq!(script.run(&machine).bytes(128, 9), b"PWD=/x\0\0\0");
}

#[test]
fn clocks_run_and_unknown_ones_are_refused() {
    let answers = Script::new()
        .call("clock_time_get", [0, 0, 0])
        .call("clock_time_get", [1, 0, 8])
        .call("clock_time_get", [1, 0, 16])
        .call("clock_time_get", [2, 0, 24])
        .call("clock_res_get", [0, 32])
        .call("clock_time_get", [4, 0, 40])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [0, 0, 0, 0, 0, INVAL]);
    assert!(answers.u64(0) > 1_700_000_000_000_000_000);
    assert!(answers.u64(16) >= answers.u64(8));
    assert!(answers.u64(24) > 0 && answers.u64(32) > 0);
}

#[test]
fn random_bytes_fill_exactly_what_was_asked_for() {
    let answers = Script::new()
        .call("random_get", [16, 64])
        .call("random_get", [196_600, 9])
        .run(&Machine::new());
    assert_eq!(answers.errnos, [0, FAULT]);
    assert_ne!(answers.bytes(16, 64), [0; 64]);
    assert_eq!(
        (answers.bytes(0, 16), answers.bytes(80, 16)),
        (&[0; 16][..], &[0; 16][..])
    );
}

#[test]
fn every_exit_code_ends_the_guest_with_it() {
    for code in [0, 1, 42, 126, 255, 256, -1] {
        let script = Script::new().call("proc_exit", [i64::from(code)]);
        let end = script.run_to_any_end(&Machine::new()).outcome.end;
        assert_eq!(end, End::Stopped(Stop::Exit(code)));
    }
}

#[test]
fn a_fatal_signal_ends_the_guest_and_an_ignored_one_does_not() {
    let raise = |signal| {
        let script = Script::new().call("proc_raise", [signal]);
        script.run_to_any_end(&Machine::new()).outcome.end
    };
    assert_eq!(raise(6), End::Stopped(Stop::Signal(Signal::ABRT)));
    assert_eq!(raise(15), End::Stopped(Stop::Signal(Signal::TERM)));
    assert_eq!(raise(16), End::Returned);
    assert_eq!(raise(0), End::Returned);
    assert_eq!(raise(99), End::Returned);
}

#[test]
fn yielding_comes_back() {
    let answers = Script::new().call("sched_yield", []).run(&Machine::new());
    assert_eq!(answers.errnos, [0]);
}
