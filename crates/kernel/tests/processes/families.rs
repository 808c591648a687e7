//! Children, groups, sessions, and waiting.

use minke_abi::linux::{OpenFlags, Signal};
use minke_abi::wait::WaitOptions;
use minke_kernel::calls::At;
use minke_kernel::calls::processes::News;
use minke_kernel::family::Children;
use minke_kernel::process::ProcessImage;
use minke_kernel::{Errno, ExitStatus, Fd, Pid, Task};

use super::{after, fork, is_there, machine, now};

const ENDS: WaitOptions = WaitOptions::EXITED;

fn wait(task: &Task, which: Children) -> Result<(Pid, u32), Errno> {
    let report = now(task.wait_for_child(which, ENDS))?.unwrap();
    Ok((report.pid, report.news.wait_status()))
}

#[test]
fn a_child_has_what_its_parent_had_and_shares_only_descriptions() {
    let (_machine, init) = machine();
    let flags = OpenFlags::CREAT | OpenFlags::RDWR;
    let fd = init.open(At::Cwd, b"file", flags, 0o600).unwrap();
    init.set_umask(0o077);
    let child = fork(&init);
    assert_eq!(child.process.parent(), init.process.pid);
    assert_eq!(child.process.image().args, init.process.image().args);
    assert_eq!(child.set_umask(0), 0o077);
    assert_eq!(init.set_umask(0), 0o077, "it has its own");
    let written = child.process.fds.get(fd).unwrap().write(b"abc").unwrap();
    assert_eq!(written, 3);
    init.process.fds.get(fd).unwrap().write(b"def").unwrap();
    child.close(fd).unwrap();
    let mut bytes = [0; 8];
    let description = init.process.fds.get(fd).unwrap();
    assert_eq!(description.read_at(&mut bytes, 0), Ok(6));
}

#[test]
fn a_new_image_closes_what_is_marked_so() {
    let (_machine, init) = machine();
    let (reader, writer) = init.pipe(OpenFlags::CLOEXEC).unwrap();
    let kept = init.duplicate(reader, Fd(10), false).unwrap();
    let image = ProcessImage {
        path: b"/bin/other".to_vec(),
        ..ProcessImage::default()
    };
    init.process.begin_image(image);
    assert_eq!(init.process.fds.list(), [kept]);
    assert_eq!(init.process.image().path, b"/bin/other");
    assert_eq!(init.close(writer), Err(Errno::EBADF));
    assert_eq!(init.pipe(OpenFlags::empty()).unwrap(), (reader, writer));
}

#[test]
fn a_parent_waits_for_any_child_for_one_or_for_a_group() {
    let (_machine, init) = machine();
    let (first, second) = (fork(&init), fork(&init));
    second.set_group(Pid(0), Pid(0)).unwrap();
    let one = init.wait_for_child(Children::One(second.process.pid), ENDS);
    let report = after(one, || {
        first.process.exit(ExitStatus::Exited(1));
        second.process.exit(ExitStatus::Exited(2));
    });
    let report = report.unwrap().unwrap();
    assert_eq!(report.pid, second.process.pid);
    assert_eq!(report.news, News::Ended(ExitStatus::Exited(2)));
    let group = Children::OfGroup(second.process.pid);
    assert_eq!(wait(&init, group), Err(Errno::ECHILD));
    let first = first.process.pid;
    assert_eq!(wait(&init, Children::All), Ok((first, 0x100)));
    assert_eq!(wait(&init, Children::All), Err(Errno::ECHILD));
}

#[test]
fn statuses_are_those_of_linux() {
    assert_eq!(ExitStatus::Exited(3).wait_status(), 0x300);
    assert_eq!(ExitStatus::Signaled(Signal::TERM).wait_status(), 15);
    assert_eq!(ExitStatus::Trapped("why".to_owned()).wait_status(), 6);
    assert_eq!(News::Stopped(Signal::STOP).wait_status(), 0x137f);
    assert_eq!(News::Continued.wait_status(), 0xffff);
}

#[test]
fn who_does_not_want_to_hang_is_told_at_once_and_a_zombie_may_be_looked_at() {
    let (machine, init) = machine();
    let child = fork(&init);
    let look = |options| now(init.wait_for_child(Children::All, ENDS | options));
    assert_eq!(look(WaitOptions::NOHANG), Ok(None));
    child.process.exit(ExitStatus::Exited(0));
    assert!(look(WaitOptions::NOWAIT).unwrap().is_some());
    assert!(is_there(&machine, &child.process));
    assert!(look(WaitOptions::NOHANG).unwrap().is_some());
    assert!(!is_there(&machine, &child.process));
}

#[test]
fn a_parent_hears_of_children_that_stop_and_go_on_once() {
    let (_machine, init) = machine();
    let child = fork(&init);
    let wait = |options| {
        let report = now(init.wait_for_child(Children::All, options | WaitOptions::NOHANG));
        report.unwrap().map(|report| report.news)
    };
    child.process.kill(Signal::STOP);
    assert_eq!(wait(ENDS), None);
    let stopped = Some(News::Stopped(Signal::STOP));
    assert_eq!(wait(WaitOptions::UNTRACED), stopped);
    assert_eq!(wait(WaitOptions::UNTRACED), None);
    child.process.kill(Signal::CONT);
    assert_eq!(wait(WaitOptions::CONTINUED), Some(News::Continued));
    assert_eq!(wait(WaitOptions::CONTINUED), None);
}

#[test]
fn orphans_become_children_of_process_1_which_waits_for_them() {
    let (_machine, init) = machine();
    let parent = fork(&init);
    let (living, zombie) = (fork(&parent), fork(&parent));
    zombie.process.exit(ExitStatus::Exited(4));
    parent.process.exit(ExitStatus::Exited(0));
    assert_eq!(living.process.parent(), init.process.pid);
    let pid = zombie.process.pid;
    assert_eq!(wait(&init, Children::One(pid)), Ok((pid, 0x400)));
    living.process.exit(ExitStatus::Exited(5));
    let pid = living.process.pid;
    assert_eq!(wait(&init, Children::One(pid)), Ok((pid, 0x500)));
}

#[test]
fn the_kernel_reaps_the_children_of_who_cannot_or_will_not_wait() {
    let (machine, init) = machine();
    init.process.set_can_wait(false);
    let child = fork(&init);
    child.process.set_can_wait(true);
    let grandchild = fork(&child);
    grandchild.process.exit(ExitStatus::Exited(0));
    child.process.exit(ExitStatus::Exited(0));
    assert_eq!(machine.kernel.tasks_count(), 1);
    init.process.set_can_wait(true);
    init.process.signals.set_ignored(Signal::CHLD, true);
    let child = fork(&init);
    let waiting = init.wait_for_child(Children::All, ENDS);
    let report = after(waiting, || child.process.exit(ExitStatus::Exited(0)));
    assert_eq!(report, Err(Errno::ECHILD));
}

#[test]
fn a_zombie_counts_against_the_limit_until_it_is_waited_for() {
    let (machine, init) = machine();
    machine.kernel.set_pids_max(2);
    let child = fork(&init);
    assert_eq!(init.fork().err(), Some(Errno::EAGAIN));
    child.process.exit(ExitStatus::Exited(0));
    assert_eq!(init.fork().err(), Some(Errno::EAGAIN));
    wait(&init, Children::All).unwrap();
    init.fork().unwrap();
}

#[test]
fn a_child_that_never_ran_leaves_no_zombie() {
    let (machine, init) = machine();
    let child = fork(&init);
    init.forget_child(&child.process);
    assert!(!is_there(&machine, &child.process));
    assert_eq!(wait(&init, Children::All), Err(Errno::ECHILD));
}

#[test]
fn groups_are_joined_inside_of_a_session_only() {
    let (_machine, init) = machine();
    let (first, second) = (fork(&init), fork(&init));
    let pid = first.process.pid;
    assert_eq!(init.set_group(pid, Pid(0)), Ok(()));
    assert_eq!(second.set_group(Pid(0), pid), Ok(()));
    assert_eq!(second.group_and_session(Pid(0)), Ok((pid, Pid(1))));
    assert_eq!(second.set_group(pid, Pid(0)), Err(Errno::ESRCH));
    assert_eq!(init.set_group(pid, Pid(77)), Err(Errno::EPERM));
    assert_eq!(init.set_group(Pid(0), pid), Err(Errno::EPERM), "a leader");
    second.process.begin_image(ProcessImage::default());
    let pid = second.process.pid;
    assert_eq!(init.set_group(pid, Pid(0)), Err(Errno::EACCES));
}

#[test]
fn a_session_is_begun_by_who_leads_no_group() {
    let (_machine, init) = machine();
    let child = fork(&init);
    let pid = child.process.pid;
    assert_eq!(child.begin_session(), Ok(pid));
    assert_eq!(child.begin_session(), Err(Errno::EPERM));
    assert_eq!(init.group_and_session(pid), Ok((pid, pid)));
    assert_eq!(init.group_and_session(Pid(77)), Err(Errno::ESRCH));
    assert_eq!(init.set_group(pid, Pid(1)), Err(Errno::EPERM));
}

#[test]
fn a_container_that_ends_leaves_no_process_and_no_open_file() {
    let (machine, init) = machine();
    let child = fork(&init);
    let (reader, _) = child.pipe(OpenFlags::empty()).unwrap();
    machine.kernel.shut_down();
    assert_eq!(machine.kernel.tasks_count(), 0);
    assert_eq!(child.process.fds.get(reader).err(), Some(Errno::EBADF));
}
