//! A terminal: its state, who waits for a change of it, and what passes through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use minke_abi::linux::{PollEvents, Signal};
use minke_abi::signal::SignalSet;
use minke_abi::terminal::{LocalFlags, PacketStatus, character};
use minke_abi::{Errno, Result};

use super::discipline::Discipline;
use super::input::INPUT_BYTES_MAX;
use super::output::{ECHO_BYTES_MAX, OUTPUT_BYTES_MAX};
use super::session::Control;
use super::state::{ARRIVING_BYTES_MAX, Attributes, State};
use super::termios::Termios;
use crate::file::{ModesChange, TerminalModes};
use crate::kernel::{Kernel, MemoryBudget, Use};
use crate::platform::Nanoseconds;
use crate::vfs::Timestamp;
use crate::wait::WaitQueue;

/// What a terminal costs the container, however much waits in it: what may wait in both directions.
const PAIR_BYTES: u64 =
    (ARRIVING_BYTES_MAX + OUTPUT_BYTES_MAX + ECHO_BYTES_MAX + 2 * INPUT_BYTES_MAX) as u64;

/// Nanoseconds of a unit of `VTIME`.
const TENTH: Nanoseconds = 100_000_000;

/// The size of a terminal's window. Linux: `struct winsize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub rows: u16,
    pub columns: u16,
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
}

/// What stops and goes on. POSIX: `tcflow()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    StopOutput,
    StartOutput,
    /// Types the stop character to the other end.
    StopInput,
    /// Types the start character to the other end.
    StartInput,
}

/// What is flushed. POSIX: `tcflush()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Input,
    Output,
    Both,
}

/// A pair of a master and a slave. Linux: two linked `struct tty_struct`.
pub struct Pair {
    /// N of `/dev/pts/N`.
    pub number: u32,
    pub(super) kernel: Weak<Kernel>,
    pub(super) state: Mutex<State>,
    /// Session and foreground group; locked after the process table.
    pub(super) control: Mutex<Control>,
    slave_waiters: WaitQueue,
    master_waiters: WaitQueue,
    memory: Arc<MemoryBudget>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.memory.release_for(Use::Kernel, PAIR_BYTES);
    }
}

/// Whether a read of the slave would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// Until then at most; `None` for ever.
    WaitsUntil(Option<Nanoseconds>),
}

impl Pair {
    /// Makes a terminal; `ENOMEM` when the container has no memory for one.
    pub(super) fn new(kernel: &Arc<Kernel>, number: u32, uid: u32) -> Result<Pair> {
        let memory = Arc::clone(&kernel.memory);
        memory.charge_for(Use::Kernel, PAIR_BYTES)?;
        let now = Timestamp::from_nanoseconds(kernel.clock.realtime());
        let mut attributes = Attributes {
            accessed: now,
            modified: now,
            changed: now,
            ..Attributes::default()
        };
        attributes.permissions.uid = uid;
        Ok(Pair {
            number,
            kernel: Arc::downgrade(kernel),
            state: Mutex::new(State {
                attributes,
                ..State::default()
            }),
            control: Mutex::default(),
            slave_waiters: WaitQueue::default(),
            master_waiters: WaitQueue::default(),
            memory,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits at either end: bytes came or went, or an end.
    pub(super) fn wake_all(&self) {
        self.slave_waiters.wake_all();
        self.master_waiters.wake_all();
    }

    pub(super) fn register_slave(&self, waker: &Waker) {
        self.slave_waiters.register(waker);
    }

    pub(super) fn register_master(&self, waker: &Waker) {
        self.master_waiters.register(waker);
    }

    /// Types bytes; takes what there is room for. Linux: `pty_write()` of the master.
    pub(super) fn type_bytes(&self, bytes: &[u8]) -> Result<usize> {
        let now = self.kernel.upgrade().map_or(0, |it| it.clock.monotonic());
        let (count, signals) = {
            let mut state = self.lock();
            let room = ARRIVING_BYTES_MAX - state.arriving.len();
            let count = room.min(bytes.len());
            if count == 0 && !bytes.is_empty() {
                return Err(Errno::EAGAIN);
            }
            state.arriving.extend(&bytes[..count]);
            state.typed_at = now;
            (count, state.arrive())
        };
        self.wake_all();
        self.signal_foreground(signals);
        Ok(count)
    }

    /// Reads from the slave, without waiting. Linux: `n_tty_read()`.
    pub(super) fn read_typed(&self, buffer: &mut [u8]) -> Result<usize> {
        let (count, signals) = {
            let mut state = self.lock();
            if state.is_hung_up {
                return Ok(0);
            }
            let count = state.read_typed(buffer)?;
            (count, state.arrive())
        };
        self.wake_all();
        self.signal_foreground(signals);
        Ok(count)
    }

    /// Prints to the slave what there is room for. Linux: `n_tty_write()`.
    pub(super) fn print(&self, bytes: &[u8]) -> Result<usize> {
        let count = {
            let mut state = self.lock();
            if state.is_hung_up {
                return Err(Errno::EIO);
            }
            let Discipline {
                output, termios, ..
            } = &mut state.discipline;
            match output.print(bytes, termios) {
                0 if !bytes.is_empty() => return Err(Errno::EAGAIN),
                count => count,
            }
        };
        self.master_waiters.wake_all();
        Ok(count)
    }

    /// Reads from the master, without waiting. Linux: `n_tty_read()`, `pty_close()`.
    pub(super) fn read_printed(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.lock().read_printed(buffer)?;
        self.slave_waiters.wake_all();
        Ok(count)
    }

    /// Returns what holds at the slave. Linux: `n_tty_poll()`, `hung_up_tty_poll()`.
    pub(super) fn slave_events(&self) -> PollEvents {
        let state = self.lock();
        if state.is_hung_up {
            return PollEvents::IN | PollEvents::OUT | PollEvents::ERR | PollEvents::HUP;
        }
        let termios = &state.discipline.termios;
        let wanted = match (termios.patience_tenths(), termios.minimum_bytes()) {
            (0, minimum @ 1..) => minimum,
            _ => 1,
        };
        let mut events = PollEvents::empty();
        events.set(PollEvents::IN, state.has_typed(wanted));
        events.set(PollEvents::OUT, state.discipline.output.has_room());
        events
    }

    /// Returns what holds at the master.
    pub(super) fn master_events(&self) -> PollEvents {
        let state = self.lock();
        let has_status = state.packet.is_some_and(|status| !status.is_empty());
        let mut events = PollEvents::empty();
        let is_readable = state.discipline.output.len() > 0 || has_status;
        events.set(PollEvents::IN, is_readable);
        events.set(PollEvents::PRI, has_status);
        events.set(PollEvents::OUT, state.arriving.len() < ARRIVING_BYTES_MAX);
        events.set(PollEvents::HUP, state.is_left || state.is_hung_up);
        events
    }

    /// Whether a read of so many bytes that began at a time would wait. POSIX: 11.1.7 Non-Canonical Mode Input Processing.
    pub(crate) fn readiness(&self, wanted: usize, began: Nanoseconds) -> Readiness {
        let state = self.lock();
        let termios = &state.discipline.termios;
        let (minimum, patience) = (termios.minimum_bytes(), termios.patience_tenths() * TENTH);
        let has_some = state.has_typed(1);
        let is_ready = if termios.is_canonical() || minimum == 0 {
            has_some || (!termios.is_canonical() && patience == 0)
        } else {
            state.has_typed(minimum.min(wanted))
        };
        if is_ready || wanted == 0 || state.is_hung_up {
            return Readiness::Ready;
        }
        let from = match minimum {
            0 => Some(began),
            _ => has_some.then_some(state.typed_at),
        };
        let has_timer = !termios.is_canonical() && patience > 0;
        Readiness::WaitsUntil(from.filter(|_| has_timer).map(|from| from + patience))
    }

    /// Returns the modes (`TCGETS`).
    pub fn modes(&self) -> TerminalModes {
        self.lock().discipline.termios.modes()
    }

    /// Changes the modes. Output needs no draining: whoever reads the master has it. Linux: `pty_set_termios()`.
    pub fn set_modes(&self, modes: &TerminalModes, when: ModesChange) {
        let signals = {
            let mut state = self.lock();
            if when == ModesChange::Flushed {
                state.flush_input();
            }
            state.set_termios(Termios::new(modes));
            state.arrive()
        };
        self.wake_all();
        self.signal_foreground(signals);
    }

    /// Returns the size of the window.
    pub fn window(&self) -> Window {
        self.lock().window
    }

    /// Changes the size of the window; if it is another one, the foreground group gets `SIGWINCH`. Linux: `pty_resize()`.
    pub fn set_window(&self, window: Window) {
        let before = std::mem::replace(&mut self.lock().window, window);
        if before != window {
            self.signal_foreground(SignalSet::of(&[Signal::WINCH]));
        }
    }

    /// Stops output, or starts it again. POSIX: `tcflow()`.
    pub fn set_flow(&self, flow: Flow) {
        {
            let mut state = self.lock();
            match flow {
                Flow::StopOutput => state.stop(),
                Flow::StartOutput => state.start(),
                Flow::StopInput => state.send(character::STOP),
                Flow::StartInput => state.send(character::START),
            }
        }
        self.wake_all();
    }

    /// Forgets what waits in the slave. POSIX: `tcflush()`.
    pub fn flush(&self, queue: Queue) {
        {
            let mut state = self.lock();
            if queue != Queue::Output {
                state.flush_input();
            }
            if queue != Queue::Input {
                state.discipline.output.flush();
                state.tell(PacketStatus::FLUSHWRITE);
            }
        }
        self.wake_all();
    }

    /// Forgets what waits in the master: what was printed, or typed and not taken.
    pub(super) fn flush_master(&self, queue: Queue) {
        {
            let mut state = self.lock();
            if queue != Queue::Output {
                state.discipline.output.clear();
            }
            if queue != Queue::Input {
                state.arriving.clear();
            }
        }
        self.wake_all();
    }

    /// Bytes that reads of the slave would give now.
    pub(super) fn typed_bytes(&self) -> usize {
        let state = self.lock();
        let is_canonical = state.discipline.termios.is_canonical();
        state.discipline.input.readable_bytes(is_canonical)
    }

    /// Bytes that reads of the master would give now.
    pub(super) fn printed_bytes(&self) -> usize {
        self.lock().discipline.output.len()
    }

    /// Whether writes of background groups stop them.
    pub(crate) fn stops_background_output(&self) -> bool {
        let termios = self.lock().discipline.termios;
        termios.local.contains(LocalFlags::TOSTOP)
    }

    pub(super) fn is_hung_up(&self) -> bool {
        self.lock().is_hung_up
    }

    /// Notes that the master is gone; `false` if it was already.
    pub(super) fn begin_hang_up(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_hung_up, true)
    }

    /// Tells the master of more than bytes, or not (`TIOCPKT`).
    pub fn set_packet_mode(&self, is_on: bool) {
        let mut state = self.lock();
        if is_on != state.packet.is_some() {
            state.packet = is_on.then(PacketStatus::empty);
        }
    }

    /// Whether the master is told of more than bytes (`TIOCGPKT`).
    pub fn is_in_packet_mode(&self) -> bool {
        self.lock().packet.is_some()
    }
}
