//! Programs in C that are compiled for Linux with our port of musl: each prints in a container what it prints natively.

use std::path::Path;
use std::process::Command;

use crate::home::{Ended, Home, guest};

/// A home with an image `made`, whose `/bin` has this program of the guests.
fn home_with(program: &str) -> Home {
    let home = Home::new();
    let bytes = std::fs::read(guest(&format!("linux/{program}.wasm"))).expect("it is there");
    home.write("program", bytes);
    home.write(
        "Balenafile",
        format!("FROM scratch\nCOPY --chmod=755 program /bin/{program}\nWORKDIR /tmp\n"),
    );
    home.ok(&["build", "-t", "made", "."]);
    home
}

fn run_program(program: &str, arguments: &[&str]) -> Ended {
    let path = format!("/bin/{program}");
    home_with(program).run(&[&["run", "--rm", "made", &path], arguments].concat())
}

/// Compares with the same source, compiled for this machine.
fn assert_as_natively(program: &str, arguments: &[&str], native_arguments: &[&str]) {
    let native = Command::new(guest(&format!("native/{program}")))
        .args(native_arguments)
        .output()
        .expect("a native program");
    let native = Ended::of(&native);
    let ours = run_program(program, arguments);
    assert_eq!(ours.stdout, native.stdout, "{}", ours.stderr);
    assert_eq!(ours.code, native.code);
}

/// Compares what is printed by a program that works in a directory: in the container's root, and in the home.
fn assert_as_natively_in_a_directory(program: &str) {
    let home = home_with(program);
    let native = Command::new(guest(&format!("native/{program}")))
        .arg(home.path())
        .output();
    let native = Ended::of(&native.expect("a native program"));
    let ours = home.run(&["run", "--rm", "made", &format!("/bin/{program}"), "/"]);
    assert_eq!(ours.stdout, native.stdout, "{}", ours.stderr);
    assert_eq!(ours.code, native.code);
}

#[test]
fn processes_fork_exec_spawn_and_wait_as_natively() {
    let native = guest("native/family");
    assert_as_natively("family", &["/bin/family"], &[&native]);
}

#[test]
fn signals_are_handled_blocked_and_jumped_out_of_as_natively() {
    assert_as_natively("signals", &[], &[]);
}

#[test]
fn handlers_interrupt_code_that_computes_as_natively() {
    assert_as_natively("computing", &[], &[]);
}

#[test]
fn threads_share_wait_are_signalled_and_cancelled_as_natively() {
    let native = guest("native/threads");
    assert_as_natively("threads", &["/bin/threads"], &[&native]);
}

#[test]
fn threads_wait_for_some_bits_and_hand_on_their_mask_as_natively() {
    let native = guest("native/bitsets");
    assert_as_natively("bitsets", &["/bin/bitsets"], &[&native]);
}

#[test]
fn a_thread_ends_its_process_or_makes_it_another_program_as_natively() {
    let native = guest("native/threads");
    for way in ["exit", "exec"] {
        assert_as_natively("threads", &["/bin/threads", way], &[&native, way]);
    }
}

#[test]
fn terminals_stop_tell_and_hang_up_jobs_as_natively() {
    assert_as_natively("jobs", &[], &[]);
}

#[test]
fn sets_of_descriptors_counters_and_timers_tell_as_natively() {
    assert_as_natively("events", &[], &[]);
}

#[test]
fn what_is_said_of_signals_is_told_queued_and_read_as_natively() {
    assert_as_natively("said", &[], &[]);
}

#[test]
fn users_limits_names_and_attributes_are_kept_as_natively() {
    assert_as_natively_in_a_directory("settings");
}

#[test]
fn descriptors_and_senders_travel_over_sockets_as_natively() {
    assert_as_natively("passing", &[], &[]);
}

#[test]
fn bytes_move_between_descriptors_as_natively() {
    assert_as_natively_in_a_directory("moving");
}

#[test]
fn handlers_have_stacks_files_limits_and_waits_an_end_as_natively() {
    assert_as_natively("stacks", &[], &[]);
}

#[test]
fn processes_are_behind_descriptors_as_natively() {
    assert_as_natively("pidfds", &[], &[]);
}

#[test]
fn cpu_time_is_counted_and_timers_ring_as_natively() {
    assert_as_natively("clocks", &[], &[]);
}

#[test]
fn files_without_names_are_sealed_and_paths_bounded_as_natively() {
    assert_as_natively_in_a_directory("sealed");
}

#[test]
fn ends_of_fifos_wait_for_each_other_as_natively() {
    assert_as_natively_in_a_directory("fifos");
}

#[test]
fn what_happens_to_files_is_told_as_natively() {
    assert_as_natively_in_a_directory("watching");
}

#[test]
fn the_library_prints_converts_sorts_matches_and_maps_as_the_machines_own() {
    assert_as_natively("library", &[], &[]);
}

#[test]
fn jumps_go_to_frames_that_are_still_there() {
    let ended = run_program("jumps", &[]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn files_directories_pipes_and_locks_work_with_musl() {
    let ended = run_program("files", &["/"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn arguments_arrive_and_an_abort_is_a_signal() {
    let ended = run_program("process", &["args", "a b", ""]);
    assert!(ended.stdout.contains("a b"), "{}", ended.stdout);
    assert_eq!(run_program("process", &["abort"]).code, 134);
}

#[test]
fn clocks_and_the_calendar_work_with_musl() {
    let ended = run_program("times", &[]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

/// What shells are compared by: a script, and what it is about.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "status",
        "(exit 3); echo $?; false || echo or; true && echo and; ! true; echo $?",
    ),
    (
        "substitution",
        "x=$(echo sub $(echo nested)); echo \"$x\"; echo `echo old`; echo ${#x}",
    ),
    (
        "pipeline",
        "for i in 1 2 3; do echo $i; done | while read -r a; do echo got $a; done | { read -r b; echo $b; cat=1; }",
    ),
    (
        "document",
        "x=5\nwhile read -r line; do echo \"<$line>\"; done <<E\nfirst $x\n  second $((x * 2))\nE\n",
    ),
    (
        "functions",
        "f() { local a=$1; (a=inner; echo $a); echo $a; return 4; }; f outer; echo $?",
    ),
    (
        "traps",
        "trap 'echo bye' EXIT; trap 'echo caught' USR1; kill -USR1 $$; echo after",
    ),
    (
        "background",
        "(exit 7) & wait $!; echo $?; { echo in; } & wait; echo out",
    ),
    (
        "expansion",
        "v=abc.tar.gz; echo ${v%.gz} ${v%%.*} ${v#*.} ${u:-default} ${v:+set}; set -- a 'b c' d; echo $# \"$2\"; shift; echo \"$*\"",
    ),
    (
        "errexit",
        "set -e; (set +e; false; echo stays); if false; then :; fi; false; echo not reached",
    ),
    (
        "eval",
        "eval 'a=1; (echo $a; exit 2)'; echo $?; case xyz in x*) echo star;; esac; i=0; until [ $i -eq 3 ]; do i=$((i + 1)); done; echo $i",
    ),
    (
        "subshells",
        "a=1; (a=2; (a=3; echo $a); echo $a); echo $a; cd /; (cd /bin; pwd); pwd",
    ),
    (
        "redirection",
        "{ echo out; echo err >&2; } 2>&1 | while read -r l; do echo \"[$l]\"; done; exec 3>&1; echo three >&3",
    ),
];

#[test]
fn dash_runs_scripts_as_natively() {
    assert!(
        Path::new("/bin/dash").exists(),
        "`/bin/dash` is missing: Debian's shell is what ours is compared with"
    );
    let home = home_with("dash");
    for (name, script) in SCRIPTS {
        let native = Command::new("/bin/dash").args(["-c", script]).output();
        let native = Ended::of(&native.expect("a native shell"));
        let ours = home.run(&["run", "--rm", "made", "/bin/dash", "-c", script]);
        assert_eq!(ours.stdout, native.stdout, "{name}: {}", ours.stderr);
        assert_eq!(ours.code, native.code, "{name}: {}", ours.stderr);
    }
}
