//! What becomes of signals that are posted, for processes and their threads.

use minke_abi::linux::Signal;
use minke_abi::signal::{ActionFlags, MaskChange, SignalSet};

use super::*;

fn handled(flags: ActionFlags) -> Action {
    Action {
        disposition: Disposition::Handler(7),
        flags,
        mask: SignalSet::of(&[Signal::HUP]),
    }
}

#[test]
fn the_first_fatal_signal_wins_but_kill_replaces_it() {
    let signals = Signals::new(1);
    assert_eq!(signals.post(Signal::TERM), Posted::Fatal);
    assert_eq!(signals.post(Signal::INT), Posted::Fatal);
    assert_eq!(signals.fatal(), Some(Signal::TERM));
    signals.post(Signal::KILL);
    assert_eq!(signals.fatal(), Some(Signal::KILL));
    signals.post(Signal::TERM);
    assert_eq!(signals.fatal(), Some(Signal::KILL));
}

#[test]
fn an_exit_looks_like_kill_until_it_is_over_and_keeps_the_posted_signal() {
    let signals = Signals::new(1);
    signals.begin_exit();
    assert_eq!(signals.fatal(), Some(Signal::KILL));
    signals.post(Signal::TERM);
    signals.end_exit();
    assert_eq!(signals.fatal(), Some(Signal::TERM));
}

#[test]
fn signals_that_end_nobody_by_default_do_nothing() {
    let signals = Signals::new(1);
    for signal in [Signal::CHLD, Signal::WINCH, Signal::CONT, Signal::URG] {
        assert_eq!(signals.post(signal), Posted::Ignored);
    }
    assert_eq!(signals.fatal(), None);
}

#[test]
fn an_ignored_signal_does_nothing_and_kill_cannot_be_ignored() {
    let signals = Signals::new(1);
    signals.set_ignored(Signal::TERM, true);
    signals.set_ignored(Signal::KILL, true);
    assert_eq!(signals.post(Signal::TERM), Posted::Ignored);
    assert_eq!(signals.fatal(), None);
    assert_eq!(signals.post(Signal::KILL), Posted::Fatal);
    signals.set_ignored(Signal::TERM, false);
    assert_eq!(signals.post(Signal::TERM), Posted::Fatal);
}

#[test]
fn a_handler_blocks_its_signal_and_its_mask_until_it_has_returned() {
    let signals = Signals::new(1);
    signals.set_action(Signal::USR1, handled(ActionFlags::RESTART));
    assert_eq!(signals.post(Signal::USR1), Posted::Pending);
    let delivery = signals.of_main().take_handler().expect("it is pending");
    assert_eq!((delivery.info.signal, delivery.handler), (Signal::USR1, 7));
    assert_eq!(delivery.flags, ActionFlags::RESTART);
    let blocked = SignalSet::of(&[Signal::USR1, Signal::HUP]);
    assert_eq!(signals.of_main().mask(), blocked);
    assert_eq!(signals.post(Signal::USR1), Posted::Pending);
    assert_eq!(signals.of_main().take_handler(), None);
    signals.of_main().set_mask(delivery.mask_before);
    assert!(signals.of_main().take_handler().is_some());
}

#[test]
fn a_handler_that_is_to_be_reset_is_called_once() {
    let signals = Signals::new(1);
    let flags = ActionFlags::RESETHAND | ActionFlags::NODEFER;
    signals.set_action(Signal::USR1, handled(flags));
    signals.post(Signal::USR1);
    assert!(signals.of_main().take_handler().is_some());
    assert_eq!(signals.post(Signal::USR1), Posted::Fatal);
}

#[test]
fn a_blocked_signal_waits_until_it_is_unblocked() {
    let signals = Signals::new(1);
    let term = SignalSet::of(&[Signal::TERM, Signal::KILL]);
    signals.of_main().change_mask(MaskChange::Block, term);
    assert_eq!(signals.of_main().mask(), SignalSet::of(&[Signal::TERM]));
    assert_eq!(signals.post(Signal::TERM), Posted::Pending);
    assert_eq!(signals.of_main().pending(), SignalSet::of(&[Signal::TERM]));
    signals.of_main().change_mask(MaskChange::Unblock, term);
    assert_eq!(signals.fatal(), Some(Signal::TERM));
}

#[test]
fn a_signal_that_is_ignored_while_it_is_pending_is_dropped() {
    let signals = Signals::new(1);
    signals.of_main().set_mask(SignalSet::of(&[Signal::TERM]));
    signals.post(Signal::TERM);
    signals.set_ignored(Signal::TERM, true);
    signals.of_main().set_mask(SignalSet::default());
    assert_eq!(signals.fatal(), None);
    assert!(signals.of_main().pending().is_empty());
}

#[test]
fn a_stopped_process_goes_on_by_cont_and_ends_by_kill() {
    let signals = Signals::new(1);
    assert_eq!(signals.post(Signal::TSTP), Posted::Stopped);
    assert!(signals.is_stopped());
    assert_eq!(signals.post(Signal::CONT), Posted::Continued);
    assert!(!signals.is_stopped());
    assert_eq!(signals.post(Signal::CONT), Posted::Ignored);
    assert_eq!(signals.post(Signal::STOP), Posted::Stopped);
    assert_eq!(signals.post(Signal::KILL), Posted::Fatal);
    assert!(!signals.is_stopped());
}

#[test]
fn a_child_has_the_actions_and_the_mask_and_nothing_pending() {
    let signals = Signals::new(1);
    signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
    signals.of_main().set_mask(SignalSet::of(&[Signal::USR1]));
    signals.post(Signal::USR1);
    let child = signals.fork(1, 2);
    assert_eq!(child.action(Signal::USR1), signals.action(Signal::USR1));
    assert_eq!(child.of_main().mask(), signals.of_main().mask());
    assert!(child.of_main().pending().is_empty());
}

#[test]
fn a_new_image_forgets_handlers_and_keeps_what_is_ignored_and_pending() {
    let signals = Signals::new(1);
    signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
    signals.set_ignored(Signal::INT, true);
    signals.of_main().set_mask(SignalSet::of(&[Signal::USR1]));
    signals.post(Signal::USR1);
    signals.begin_image();
    assert_eq!(signals.action(Signal::USR1), Action::default());
    assert_eq!(signals.action(Signal::INT).disposition, Disposition::Ignore);
    assert_eq!(signals.of_main().pending(), SignalSet::of(&[Signal::USR1]));
}

#[test]
fn a_signal_that_is_waited_for_is_taken_without_its_handler() {
    let signals = Signals::new(1);
    let usr = SignalSet::of(&[Signal::USR1, Signal::USR2]);
    signals.of_main().set_mask(usr);
    signals.post(Signal::USR2);
    assert_eq!(
        signals.of_main().take_pending(usr).map(|info| info.signal),
        Some(Signal::USR2)
    );
    assert_eq!(signals.of_main().take_pending(usr), None);
}

#[test]
fn each_thread_has_a_mask_and_signals_of_its_own() {
    let signals = Signals::new(1);
    let usr1 = SignalSet::of(&[Signal::USR1]);
    signals.of_main().set_mask(usr1);
    let flag = signals.add_thread(1, 2);
    let second = ThreadSignals::of(&signals, 2, &flag);
    assert_eq!(second.mask(), usr1, "what its maker blocks");
    second.set_mask(SignalSet::default());
    assert_eq!(signals.of_main().mask(), usr1);
    signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
    signals.post_to(Some(1), SignalInfo::of_kernel(Signal::USR1));
    assert!(!second.is_deliverable(), "it is the first thread's alone");
    assert!(second.pending().is_empty());
    assert_eq!(signals.of_main().pending(), usr1);
}

#[test]
fn the_first_thread_that_does_not_block_a_signal_of_the_process_takes_it() {
    let signals = Signals::new(1);
    let flags = [2, 3].map(|tid| signals.add_thread(1, tid));
    let [second, third] =
        [(2, &flags[0]), (3, &flags[1])].map(|(tid, flag)| ThreadSignals::of(&signals, tid, flag));
    signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
    signals.of_main().set_mask(SignalSet::of(&[Signal::USR1]));
    signals.post(Signal::USR1);
    let who = || [signals.of_main(), second, third].map(|it| it.is_deliverable());
    assert_eq!(who(), [false, true, false]);
    signals.remove_thread(2);
    assert!(who()[2], "it is left to the next");
    assert!(third.take_handler().is_some());
    assert_eq!(signals.of_main().take_handler(), None);
}

#[test]
fn a_signal_that_one_thread_does_not_block_takes_effect() {
    let signals = Signals::new(1);
    let term = SignalSet::of(&[Signal::TERM]);
    let flag = signals.add_thread(1, 2);
    signals.of_main().set_mask(term);
    let second = ThreadSignals::of(&signals, 2, &flag);
    second.set_mask(term);
    assert_eq!(signals.post(Signal::TERM), Posted::Pending);
    second.set_mask(SignalSet::default());
    assert_eq!(signals.fatal(), Some(Signal::TERM));
}
