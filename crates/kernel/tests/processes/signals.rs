//! Who may signal whom, and what signals do to those who wait.

use std::pin::pin;
use std::task::Waker;

use minke_abi::linux::{OpenFlags, Signal};
use minke_abi::signal::{ActionFlags, SignalSet};
use minke_abi::wait::WaitOptions;
use minke_kernel::alarm::Remaining;
use minke_kernel::calls::signals::Target;
use minke_kernel::family::Children;
use minke_kernel::process::Credentials;
use minke_kernel::signal::{Action, Disposition, Posted, SignalInfo, code};
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, ExitStatus, Pid, Task};

use super::{after, fork, fork_as, machine, now, poll};

fn handle(task: &Task, signal: Signal) {
    let action = Action {
        disposition: Disposition::Handler(1),
        flags: ActionFlags::empty(),
        mask: SignalSet::default(),
    };
    task.process.signals.set_action(signal, action);
}

fn fatal(task: &Task) -> Option<Signal> {
    task.process.signals.fatal()
}

#[test]
fn a_signal_goes_to_a_process_a_group_or_everybody_but_init_and_the_sender() {
    let (_machine, init) = machine();
    let (first, second, third) = (fork(&init), fork(&init), fork(&init));
    let group = second.process.pid;
    init.set_group(group, Pid(0)).unwrap();
    init.set_group(third.process.pid, group).unwrap();
    let send = |target, signal| first.send_signal(target, Some(signal));
    assert_eq!(send(Target::Group(group), Signal::INT), Ok(()));
    assert_eq!(fatal(&first), None);
    assert_eq!(fatal(&second), Some(Signal::INT));
    assert_eq!(fatal(&third), Some(Signal::INT));
    assert_eq!(send(Target::All, Signal::KILL), Ok(()));
    assert_eq!(fatal(&third), Some(Signal::KILL));
    assert_eq!((fatal(&init), fatal(&first)), (None, None));
    let gone = Target::Process(Pid(77));
    assert_eq!(first.send_signal(gone, None), Err(Errno::ESRCH));
}

#[test]
fn a_user_signals_only_processes_of_its_own() {
    let (_machine, init) = machine();
    let (own, other) = (fork_as(&init, 1000), fork_as(&init, 2000));
    let target = |task: &Task| Target::Process(task.process.pid);
    assert_eq!(own.send_signal(target(&other), None), Err(Errno::EPERM));
    assert_eq!(own.send_signal(target(&init), None), Err(Errno::EPERM));
    assert_eq!(own.send_signal(target(&own), None), Ok(()));
    assert_eq!(init.send_signal(target(&other), None), Ok(()));
}

#[test]
fn process_1_gets_from_inside_only_what_it_handles() {
    let (_machine, init) = machine();
    let child = fork(&init);
    let send = |signal| child.send_signal(Target::Process(Pid(1)), Some(signal));
    assert_eq!(send(Signal::KILL), Ok(()));
    assert_eq!(send(Signal::TERM), Ok(()));
    assert_eq!(fatal(&init), None);
    handle(&init, Signal::TERM);
    assert_eq!(send(Signal::TERM), Ok(()));
    assert!(init.signals().take_handler().is_some());
}

#[test]
fn any_thread_of_process_1_can_end_it_by_what_it_blocked_as_abort_does() {
    let (machine, init) = machine();
    let thread = machine.kernel.spawn_thread(&init).unwrap();
    let info = thread.own_info(Signal::ABRT, code::USER);
    let send = || thread.signal_thread(None, thread.tid, Some(info));
    assert_eq!(send(), Ok(()));
    assert_eq!(fatal(&init), None);
    thread.signals().set_mask(SignalSet::of(&[Signal::ABRT]));
    assert_eq!(send(), Ok(()));
    assert_eq!(fatal(&init), None);
    thread.signals().set_mask(SignalSet::default());
    assert_eq!(fatal(&init), Some(Signal::ABRT));
}

#[test]
fn a_handler_interrupts_a_wait_and_a_blocked_or_ignored_signal_does_not() {
    let (_machine, init) = machine();
    let child = fork(&init);
    handle(&init, Signal::USR1);
    let wait = || init.wait_for_child(Children::All, WaitOptions::EXITED);
    let report = after(wait(), || {
        init.process.kill(Signal::USR1);
    });
    assert_eq!(report, Err(Errno::EINTR));
    assert!(init.signals().take_handler().is_some());
    let mut waiting = pin!(wait());
    init.process.kill(Signal::USR1);
    init.process.kill(Signal::WINCH);
    assert!(poll(&mut waiting, &Waker::noop().clone()).is_pending());
    child.process.exit(ExitStatus::Exited(0));
    assert!(poll(&mut waiting, &Waker::noop().clone()).is_ready());
}

#[test]
fn the_end_of_a_child_is_a_signal_and_so_is_its_stop_unless_that_is_not_wanted() {
    let (_machine, init) = machine();
    let child = fork(&init);
    handle(&init, Signal::CHLD);
    child.process.kill(Signal::STOP);
    let delivery = init.signals().take_handler().unwrap();
    init.signals().set_mask(delivery.mask_before);
    let mut action = init.process.signals.action(Signal::CHLD);
    action.flags |= ActionFlags::NOCLDSTOP;
    init.process.signals.set_action(Signal::CHLD, action);
    child.process.kill(Signal::CONT);
    assert_eq!(init.signals().take_handler(), None);
    child.process.exit(ExitStatus::Exited(0));
    assert!(init.signals().take_handler().is_some());
}

#[test]
fn what_a_stopped_process_waits_for_comes_when_it_goes_on() {
    let (_machine, init) = machine();
    let child = fork(&init);
    let (reader, writer) = child.pipe(OpenFlags::empty()).unwrap();
    let pipe = child.process.fds.get(writer).unwrap();
    let mut buffer = [0; 4];
    let mut reading = pin!(child.read_with(reader, |read| read(&mut buffer)));
    let waker = Waker::noop().clone();
    assert!(poll(&mut reading, &waker).is_pending());
    child.process.kill(Signal::STOP);
    pipe.write(b"late").unwrap();
    assert!(poll(&mut reading, &waker).is_pending());
    child.process.kill(Signal::CONT);
    assert!(poll(&mut reading, &waker).is_ready());
}

#[test]
fn a_suspended_process_waits_with_another_mask_for_a_handler() {
    let (_machine, init) = machine();
    handle(&init, Signal::USR1);
    let usr1 = SignalSet::of(&[Signal::USR1]);
    init.signals().set_mask(usr1);
    let before = after(init.suspend(SignalSet::default()), || {
        init.process.kill(Signal::USR1);
    });
    assert_eq!(before, usr1);
    assert!(init.signals().take_handler().is_some());
}

#[test]
fn a_signal_can_be_waited_for_until_a_deadline() {
    let (_machine, init) = machine();
    let usr1 = SignalSet::of(&[Signal::USR1]);
    init.signals().set_mask(usr1);
    let past = Deadline::At(0);
    assert_eq!(now(init.wait_for_signal(usr1, past)), Err(Errno::EAGAIN));
    init.process.kill(Signal::USR1);
    let taken = now(init.wait_for_signal(usr1, past)).map(|info| info.signal);
    assert_eq!(taken, Ok(Signal::USR1));
}

#[test]
fn an_alarm_is_a_signal() {
    let (_machine, init) = machine();
    handle(&init, Signal::ALRM);
    let off = Remaining::default();
    // Timers of this clock ring at once.
    let once = Remaining { time: 5, ..off };
    assert_eq!(init.set_alarm(once), off);
    let delivery = init.signals().take_handler().unwrap();
    assert_eq!(delivery.info.signal, Signal::ALRM);
    assert_eq!(init.alarm(), off);
}

#[test]
fn a_signal_tells_its_sender_and_a_child_its_end() {
    let (_machine, init) = machine();
    let child = fork_as(&init, 7);
    let all = SignalSet::of(&[Signal::USR1, Signal::CHLD]);
    init.signals().set_mask(all);
    handle(&init, Signal::USR1);
    child.process.set_credentials(Credentials::user(0, 0));
    let target = Target::Process(init.process.pid);
    child.send_signal(target, Some(Signal::USR1)).unwrap();
    let info = init.signals().take_pending(all).unwrap();
    assert_eq!((info.code, info.pid), (code::USER, child.process.pid.0));
    child.process.exit(ExitStatus::Exited(5));
    let info = init.signals().take_pending(all).unwrap();
    let told = (info.signal, info.code, info.pid, info.value);
    let pid = child.process.pid.0;
    assert_eq!(told, (Signal::CHLD, code::CHILD_EXITED, pid, 5));
}

#[test]
fn high_signals_queue_in_order_up_to_a_limit() {
    let (_machine, init) = machine();
    let high = Signal::from_raw(40).unwrap();
    let set = SignalSet::of(&[high, Signal::USR1]);
    let signals = init.signals();
    signals.set_mask(set);
    let queue = |signal, value| {
        init.process.signals.post_with(SignalInfo {
            value,
            ..init.own_info(signal, code::QUEUE)
        })
    };
    assert_eq!(queue(Signal::USR1, 1), Posted::Pending);
    assert_eq!(queue(Signal::USR1, 2), Posted::Pending);
    let mut count = 0;
    while queue(high, count) == Posted::Pending {
        count += 1;
        assert!(count < 100_000, "signals queue without an end");
    }
    assert_eq!(queue(high, 0), Posted::Full);
    // A signal of `kill` is pending all the same.
    assert_eq!(init.process.signals.post(high), Posted::Pending);
    let usr1 = signals.take_pending(set).unwrap();
    assert_eq!((usr1.signal, usr1.value), (Signal::USR1, 1));
    let values: Vec<_> = std::iter::from_fn(|| signals.take_pending(set))
        .map(|info| info.value)
        .collect();
    assert_eq!(values, (0..count).collect::<Vec<_>>());
    assert!(!signals.is_any_pending(set));
}
