//! Tasks: the threads of processes, and the subjects of every call.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::descriptor::FileDescription;
use crate::platform::{Nanoseconds, TimerId};
use crate::process::{Interruption, Process};
use crate::signal::{HandlerFlag, ThreadSignals};

/// A thread of a process. Linux: `struct task_struct`.
///
/// A thread besides the first ([`Kernel::spawn_thread`](crate::Kernel::spawn_thread)) counts until this is dropped.
pub struct Task {
    /// The thread's number; the first thread's equals the process's.
    pub tid: u32,
    pub process: Arc<Process>,
    handler_flag: HandlerFlag,
}

/// When a wait gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Never,
    /// Monotonic time.
    At(Nanoseconds),
}

/// How long a call waits for what is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It answers `EAGAIN` at once.
    None,
    /// It answers `EAGAIN` when the deadline has passed.
    Until(Deadline),
}

impl Task {
    /// Makes the first task of a process.
    pub fn main_of(process: Arc<Process>) -> Task {
        Task {
            tid: process.pid.0,
            handler_flag: process.signals.main_flag(),
            process,
        }
    }

    /// Makes a further task of a process, which counts already.
    pub(crate) fn another(process: Arc<Process>, tid: u32, handler_flag: HandlerFlag) -> Task {
        Task {
            tid,
            process,
            handler_flag,
        }
    }

    /// The signals of this thread.
    pub fn signals(&self) -> ThreadSignals<'_> {
        ThreadSignals::of(&self.process.signals, self.tid, &self.handler_flag)
    }

    /// Tries until the answer is not `EAGAIN`, waiting for `interest` on the description in between.
    ///
    /// A non-blocking description answers `EAGAIN` itself. Ends with `EINTR` when the process
    /// is to end, or a handler to be called.
    pub async fn block_on<T>(
        &self,
        description: &FileDescription,
        interest: PollEvents,
        attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        if interest.contains(PollEvents::OUT) {
            self.may_print(description).await?;
        }
        let patience = if description.is_nonblocking() {
            Patience::None
        } else {
            Patience::Until(Deadline::Never)
        };
        let register = |waker: &Waker| description.file.register(interest, waker);
        self.try_until(patience, register, attempt).await
    }

    /// Tries until the answer is not `EAGAIN`, or patience ends; `register` sees to it that the waker hears of changes.
    ///
    /// The first try registers nothing, so a call that need not wait costs no more than the try.
    pub async fn try_until<T>(
        &self,
        patience: Patience,
        mut register: impl FnMut(&Waker),
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let deadline = match (attempt(), patience) {
            (Err(Errno::EAGAIN), Patience::Until(deadline)) => deadline,
            (done, _) => return done,
        };
        self.wait_for(deadline, |cx| {
            register(cx.waker());
            match attempt() {
                Err(Errno::EAGAIN) => None,
                done => Some(done),
            }
        })
        .await
        .unwrap_or(Err(Errno::EAGAIN))
    }

    /// Polls `condition` each time its wakers fire until it gives a value; `None` when the deadline has passed first.
    ///
    /// The inner result ends with `EINTR` when the process is to end or a handler is to be called. While the process is
    /// stopped, nothing ends. `condition` registers the waker before it looks.
    pub async fn wait_for<T>(
        &self,
        deadline: Deadline,
        mut condition: impl FnMut(&mut Context<'_>) -> Option<Result<T>>,
    ) -> Option<Result<T>> {
        let mut timer = TimerGuard {
            task: self,
            timer: None,
        };
        poll_fn(|cx| {
            let signals = &self.process.signals;
            signals.register(cx.waker());
            if signals.is_stopped() {
                // What ends the process lets it go on too.
                return Poll::Pending;
            }
            if let Some(done) = condition(cx) {
                return Poll::Ready(Some(done));
            }
            if signals.fatal().is_some() || self.signals().is_deliverable() {
                return Poll::Ready(Some(Err(Errno::EINTR)));
            }
            timer.poll(deadline, cx)
        })
        .await
    }

    /// Sleeps until a monotonic time, or `EINTR`.
    pub async fn sleep_until(&self, deadline: Nanoseconds) -> Result<()> {
        self.wait_for(Deadline::At(deadline), |_| None)
            .await
            .unwrap_or(Ok(()))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.tid != self.process.pid.0 {
            self.process.kernel.forget_thread(self.tid);
            self.process.signals.remove_thread(self.tid);
            self.process.cpu.thread_ended(self.tid);
            // Another thread may have to take what this one has not.
            self.process.interrupt(Interruption::Attend);
            self.process.threads.ended();
        }
    }
}

/// Cancels its timer when the wait is over.
struct TimerGuard<'a> {
    task: &'a Task,
    timer: Option<TimerId>,
}

impl TimerGuard<'_> {
    fn poll<T>(&mut self, deadline: Deadline, cx: &Context<'_>) -> Poll<Option<T>> {
        let Deadline::At(time) = deadline else {
            return Poll::Pending;
        };
        let clock = &self.task.process.kernel.clock;
        if clock.monotonic() >= time {
            return Poll::Ready(None);
        }
        if self.timer.is_none() {
            self.timer = Some(clock.wake_at(time, cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for TimerGuard<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.task.process.kernel.clock.cancel(timer);
        }
    }
}
