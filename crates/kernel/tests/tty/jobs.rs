//! Sessions, foreground groups, and who is stopped or told.

use std::sync::Arc;

use minke_abi::linux::{OpenFlags, Signal};
use minke_abi::signal::SignalSet;
use minke_kernel::calls::{At, Follow};
use minke_kernel::signal::Disposition;
use minke_kernel::tty::{Master, Window};
use minke_kernel::{Errno, ExitStatus, Fd, ModesChange, Pid, Task};

use crate::machine::Machine;
use crate::ours::open_pair;
use crate::{fork, look, machine, now, print, read};

const TTY: Fd = Fd(0);
const TERMINAL_STOPS: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// A session on a terminal that the host drives: its leader, and two jobs of which the first is in the foreground.
struct Session {
    master: Master,
    shell: Arc<Task>,
    front: Arc<Task>,
    back: Arc<Task>,
    machine: Machine,
}

fn session() -> Session {
    let machine = machine();
    let init = machine.root();
    init.process.set_can_wait(true);
    let master = Master::open(&machine.kernel, 0, Window::default()).unwrap();
    let shell = fork(&init);
    shell.begin_session().unwrap();
    master.attach(&shell).unwrap();
    let job = || {
        let job = fork(&shell);
        job.set_group(Pid(0), Pid(0)).unwrap();
        job
    };
    let (front, back) = (job(), job());
    now(shell.set_foreground_group(TTY, front.process.pid)).unwrap();
    Session {
        master,
        shell,
        front,
        back,
        machine,
    }
}

fn is_stopped(task: &Task) -> bool {
    task.process.signals.is_stopped()
}

fn handle(task: &Task, signals: &[Signal]) {
    for signal in signals {
        let action = minke_kernel::signal::Action {
            disposition: Disposition::Handler(1),
            ..minke_kernel::signal::Action::default()
        };
        task.process.signals.set_action(*signal, action);
    }
}

fn handled(task: &Task) -> Vec<Signal> {
    let deliveries = std::iter::from_fn(|| {
        let delivery = task.signals().take_handler()?;
        task.signals().set_mask(SignalSet::default());
        Some(delivery.info.signal)
    });
    deliveries.collect()
}

#[test]
fn typed_signals_reach_the_foreground_group_only() {
    let it = session();
    for task in [&it.shell, &it.front, &it.back] {
        handle(task, &[Signal::INT, Signal::QUIT, Signal::TSTP]);
    }
    it.master.write(b"\x03\x1c\x1a").unwrap();
    assert_eq!(
        handled(&it.front),
        [Signal::INT, Signal::QUIT, Signal::TSTP]
    );
    assert_eq!(handled(&it.shell), []);
    assert_eq!(handled(&it.back), []);
}

#[test]
fn a_suspended_job_stops_and_goes_on() {
    let it = session();
    it.master.write(b"\x1a").unwrap();
    assert!(is_stopped(&it.front));
    it.front.process.kill(Signal::CONT);
    assert!(!is_stopped(&it.front));
}

#[test]
fn a_background_job_that_reads_is_stopped_until_it_is_in_front() {
    let it = session();
    it.master.write(b"line\n").unwrap();
    assert_eq!(read(&it.back, TTY, 10), None);
    assert!(is_stopped(&it.back));
    assert!(!is_stopped(&it.front));
    let set = it.shell.set_foreground_group(TTY, it.back.process.pid);
    assert_eq!(look(set), Some(Err(Errno::ENOTTY)), "the shell is orphaned");
    it.shell.process.signals.set_ignored(Signal::TTOU, true);
    now(it.shell.set_foreground_group(TTY, it.back.process.pid)).unwrap();
    it.back.process.kill(Signal::CONT);
    assert_eq!(read(&it.back, TTY, 10), Some(Ok(b"line\n".to_vec())));
}

#[test]
fn a_background_read_with_a_handler_is_interrupted_and_ignored_or_orphaned_fails() {
    let it = session();
    handle(&it.back, &[Signal::TTIN]);
    assert_eq!(read(&it.back, TTY, 1), Some(Err(Errno::EINTR)));
    assert_eq!(handled(&it.back), [Signal::TTIN]);
    it.back.process.signals.set_ignored(Signal::TTIN, true);
    assert_eq!(read(&it.back, TTY, 1), Some(Err(Errno::EIO)));
    it.back.process.signals.set_ignored(Signal::TTIN, false);
    it.back.signals().set_mask(SignalSet::of(&[Signal::TTIN]));
    assert_eq!(read(&it.back, TTY, 1), Some(Err(Errno::EIO)));
    it.back.signals().set_mask(SignalSet::default());
    // Nobody is left to let it go on.
    let orphan = fork(&it.back);
    orphan.set_group(Pid(0), Pid(0)).unwrap();
    it.back.process.exit(ExitStatus::Exited(0));
    assert_eq!(read(&orphan, TTY, 1), Some(Err(Errno::EIO)));
}

#[test]
fn background_output_goes_through_unless_the_terminal_says_otherwise() {
    let it = session();
    assert_eq!(print(&it.back, TTY, b"a"), Some(Ok(1)));
    let description = it.shell.process.fds.get(TTY).unwrap();
    let mut modes = description.file.modes().unwrap();
    modes.flags[3] |= minke_abi::terminal::LocalFlags::TOSTOP.bits();
    let changed = it.front.set_terminal_modes(TTY, &modes, ModesChange::Now);
    now(changed).unwrap();
    assert_eq!(print(&it.back, TTY, b"b"), None);
    assert!(is_stopped(&it.back));
    assert_eq!(print(&it.front, TTY, b"c"), Some(Ok(1)));
    it.back.process.signals.set_ignored(Signal::TTOU, true);
    it.back.process.kill(Signal::CONT);
    assert_eq!(print(&it.back, TTY, b"d"), Some(Ok(1)));
    let mut printed = [0; 10];
    let count = it.master.read(&mut printed).unwrap();
    assert_eq!(&printed[..count], b"acd");
}

#[test]
fn a_background_job_that_changes_modes_is_stopped() {
    let it = session();
    let modes = it.back.process.fds.get(TTY).unwrap().file.modes().unwrap();
    let changed = it.back.set_terminal_modes(TTY, &modes, ModesChange::Now);
    assert_eq!(look(changed), None);
    assert!(is_stopped(&it.back));
}

#[test]
fn a_foreground_group_is_one_of_the_session() {
    let it = session();
    let stranger = fork(&it.machine.root());
    stranger.begin_session().unwrap();
    let set = |task: &Task, group: Pid| now(task.set_foreground_group(TTY, group));
    assert_eq!(set(&it.front, stranger.process.pid), Err(Errno::EPERM));
    assert_eq!(set(&it.front, Pid(999)), Err(Errno::ESRCH));
    set(&it.front, it.shell.process.pid).unwrap();
    assert_eq!(it.back.foreground_group(TTY), Ok(it.shell.process.pid));
    assert_eq!(it.back.terminal_session(TTY), Ok(it.shell.process.pid));
}

#[test]
fn a_window_of_another_size_is_told_to_the_foreground() {
    let it = session();
    handle(&it.front, &[Signal::WINCH]);
    handle(&it.shell, &[Signal::WINCH]);
    let window = Window {
        rows: 50,
        columns: 132,
        ..Window::default()
    };
    it.master.set_window(window);
    it.master.set_window(window);
    assert_eq!(handled(&it.front), [Signal::WINCH]);
    assert_eq!(handled(&it.shell), []);
    let description = it.front.process.fds.get(TTY).unwrap();
    assert_eq!(description.file.window(), Some([50, 132, 0, 0]));
}

#[test]
fn hanging_up_tells_the_leader_and_its_end_the_foreground() {
    let it = session();
    for task in [&it.shell, &it.front, &it.back] {
        handle(task, &[Signal::HUP, Signal::CONT]);
    }
    it.master.hang_up();
    assert_eq!(handled(&it.shell), [Signal::HUP, Signal::CONT]);
    assert_eq!(handled(&it.front), []);
    assert_eq!(read(&it.front, TTY, 10), Some(Ok(Vec::new())));
    assert_eq!(print(&it.front, TTY, b"x"), Some(Err(Errno::EIO)));
    assert_eq!(it.shell.terminal_session(TTY), Err(Errno::EIO));
    it.shell.process.exit(ExitStatus::Exited(0));
    assert_eq!(handled(&it.front), [Signal::HUP, Signal::CONT]);
    assert_eq!(handled(&it.back), []);
}

#[test]
fn the_end_of_a_leader_hangs_the_foreground_up_and_frees_the_terminal() {
    let it = session();
    handle(&it.front, &[Signal::HUP, Signal::CONT]);
    it.shell.process.exit(ExitStatus::Exited(0));
    assert_eq!(handled(&it.front), [Signal::HUP]);
    let opened = it.front.open(At::Cwd, b"/dev/tty", OpenFlags::RDWR, 0);
    assert_eq!(opened, Err(Errno::ENXIO));
    let next = fork(&it.machine.root());
    next.begin_session().unwrap();
    it.master.attach(&next).unwrap();
    assert_eq!(next.foreground_group(TTY), Ok(next.process.pid));
}

#[test]
fn stopped_jobs_that_nobody_minds_any_more_are_hung_up() {
    let it = session();
    // A shell that started jobs and ends, below a shell that goes on.
    let inner = fork(&it.shell);
    inner.set_group(Pid(0), Pid(0)).unwrap();
    let job = fork(&inner);
    job.set_group(Pid(0), Pid(0)).unwrap();
    job.process.kill(Signal::STOP);
    handle(&job, &[Signal::HUP, Signal::CONT]);
    let kept = fork(&it.shell);
    kept.process.kill(Signal::STOP);
    // Its new parent is process 1, in another session.
    inner.process.exit(ExitStatus::Exited(0));
    assert_eq!(handled(&job), [Signal::HUP, Signal::CONT]);
    assert!(!is_stopped(&job));
    assert!(is_stopped(&kept), "its parent is still there");
}

#[test]
fn terminals_stop_nobody_in_an_orphaned_group() {
    let it = session();
    for signal in TERMINAL_STOPS {
        it.shell.process.kill(signal);
    }
    assert!(!is_stopped(&it.shell));
    it.shell.process.kill(Signal::STOP);
    assert!(is_stopped(&it.shell));
}

#[test]
fn a_leader_acquires_what_it_opens_and_others_what_they_may() {
    let machine = machine();
    let init = machine.root();
    let leader = fork(&init);
    leader.begin_session().unwrap();
    let (_, slave) = open_pair(&leader, OpenFlags::NOCTTY);
    assert_eq!(leader.foreground_group(slave), Err(Errno::ENOTTY));
    let child = fork(&leader);
    assert_eq!(child.acquire_terminal(slave, false), Err(Errno::EPERM));
    leader.acquire_terminal(slave, false).unwrap();
    assert_eq!(leader.foreground_group(slave), Ok(leader.process.pid));
    // Children from before have none, as on Linux.
    assert_eq!(child.foreground_group(slave), Err(Errno::ENOTTY));
    let rival = fork(&leader);
    rival.begin_session().unwrap();
    assert_eq!(rival.acquire_terminal(slave, false), Err(Errno::EPERM));
    rival.acquire_terminal(slave, true).unwrap();
    assert_eq!(leader.foreground_group(slave), Err(Errno::ENOTTY));
    rival.release_terminal(slave).unwrap();
    let opened = rival.open(At::Cwd, b"/dev/tty", OpenFlags::RDWR, 0);
    assert_eq!(opened, Err(Errno::ENXIO));
    let path = format!("/dev/pts/{}", rival.terminal(slave).unwrap().pair.number);
    rival
        .open(At::Cwd, path.as_bytes(), OpenFlags::RDWR, 0)
        .unwrap();
    assert_eq!(rival.foreground_group(slave), Ok(rival.process.pid));
}

#[test]
fn proc_shows_terminals() {
    use crate::machine::Shortcuts;
    let it = session();
    let stat = it.front.get("/proc/self/stat").unwrap();
    let stat = String::from_utf8(stat).unwrap();
    let fields: Vec<_> = stat.split(' ').collect();
    let expected = [(136 << 8).to_string(), it.front.process.pid.0.to_string()];
    assert_eq!(fields[6..8], expected);
    let link = it.front.read_link(At::Cwd, b"/proc/self/fd/0").unwrap();
    assert_eq!(link, b"/dev/pts/0");
}

#[test]
fn nodes_of_terminals_come_and_go() {
    let it = session();
    let root = it.machine.root();
    let follow = Follow::Yes;
    let metadata = root.stat(At::Cwd, b"/dev/pts/0", follow).unwrap();
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o620, 0, 5));
    let (master, slave) = open_pair(&root, OpenFlags::NOCTTY);
    let number = root.terminal(slave).unwrap().pair.number;
    assert_eq!(number, 1);
    root.close(master).unwrap();
    let opened = root.open(At::Cwd, b"/dev/pts/1", OpenFlags::RDWR, 0);
    assert_eq!(opened, Err(Errno::ENOENT));
    let console = || root.open(At::Cwd, b"/dev/console", OpenFlags::RDWR, 0);
    assert_eq!(console(), Err(Errno::ENXIO));
    it.master.set_console();
    print(&root, console().unwrap(), b"boot").unwrap().unwrap();
    assert_eq!(it.master.read(&mut [0; 9]), Ok(4));
}

#[test]
fn a_slave_is_locked_at_first_and_exclusive_if_asked() {
    let machine = machine();
    let root = machine.root();
    let master = root
        .open(At::Cwd, b"/dev/ptmx", OpenFlags::RDWR, 0)
        .unwrap();
    let open = |task: &Task| task.open(At::Cwd, b"/dev/pts/0", OpenFlags::RDWR, 0);
    assert_eq!(open(&root), Err(Errno::EIO));
    let pair = root.terminal(master).unwrap().pair;
    pair.set_locked(false);
    open(&root).unwrap();
    root.change_mode(At::Cwd, b"/dev/pts/0", 0o666, Follow::Yes)
        .unwrap();
    let user = fork(&root);
    user.process
        .set_credentials(minke_kernel::process::Credentials::user(7, 7));
    open(&user).unwrap();
    pair.set_exclusive(true);
    assert_eq!(open(&user), Err(Errno::EBUSY));
    open(&root).unwrap();
}
