//! Tasks: futures with a state, and handles to their results.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::worker::Shared;

/// Why a task gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Its future panicked, with this message. Nobody else is affected.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It was aborted, or the executor was dropped.
    #[error("was aborted")]
    Aborted,
}

/// The result of a task, to be awaited. Dropping it leaves the task running.
pub struct JoinHandle<T> {
    task: Arc<Task>,
    result: Arc<ResultCell<T>>,
}

/// A future that an executor runs.
pub(super) struct Task {
    state: AtomicU8,
    is_aborted: AtomicBool,
    /// `None` once it has ended. Locked only by the worker that polls it, or by who drops it.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    result: Arc<dyn Failing>,
    shared: Arc<Shared>,
    /// Its place in [`Tasks`].
    slot: Mutex<Option<usize>>,
}

/// Waits for its waker.
const IDLE: u8 = 0;
/// Is in the queue.
const SCHEDULED: u8 = 1;
/// A worker polls it.
const RUNNING: u8 = 2;
/// A worker polls it, and it was woken meanwhile.
const NOTIFIED: u8 = 3;
/// Has ended.
const DONE: u8 = 4;

/// Makes a task of `future` and queues it.
pub(super) fn spawn<F>(shared: &Arc<Shared>, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let result = Arc::new(ResultCell::default());
    let target = Arc::clone(&result);
    let task = Arc::new(Task {
        state: AtomicU8::new(SCHEDULED),
        is_aborted: AtomicBool::new(false),
        future: Mutex::new(Some(Box::pin(async move { target.set(Ok(future.await)) }))),
        result: Arc::clone(&result) as Arc<dyn Failing>,
        shared: Arc::clone(shared),
        slot: Mutex::new(None),
    });
    *lock(&task.slot) = Some(shared.tasks.insert(&task));
    shared.schedule(Arc::clone(&task));
    JoinHandle { task, result }
}

impl<T> JoinHandle<T> {
    /// Drops the task's future as soon as no worker is polling it.
    pub fn abort(&self) {
        self.task.is_aborted.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.result.poll(context)
    }
}

impl Task {
    /// Polls the future once. The caller took the task from the queue.
    pub(super) fn run(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::SeqCst);
        if self.must_end() {
            return self.end(Err(TaskError::Aborted));
        }
        let waker = Waker::from(Arc::clone(&self));
        let polled = {
            let mut slot = lock(&self.future);
            let Some(future) = slot.as_mut() else { return };
            let mut context = Context::from_waker(&waker);
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)))
        };
        match polled {
            Ok(Poll::Pending) => self.suspend(),
            Ok(Poll::Ready(())) => self.end(Ok(())),
            Err(panic) => self.end(Err(TaskError::Panicked(message_of(panic.as_ref())))),
        }
    }

    fn must_end(&self) -> bool {
        self.is_aborted.load(Ordering::SeqCst) || self.shared.is_shut_down()
    }

    /// Leaves the task to its waker, or queues it again if that has fired already.
    fn suspend(self: Arc<Self>) {
        let to_idle =
            self.state
                .compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst);
        if to_idle.is_err() {
            self.state.store(SCHEDULED, Ordering::SeqCst);
            let shared = Arc::clone(&self.shared);
            shared.schedule(self);
        } else if self.shared.is_shut_down() {
            // The executor's drop found the future locked and left it to us.
            self.abandon();
        }
    }

    fn end(&self, outcome: Result<(), TaskError>) {
        self.state.store(DONE, Ordering::SeqCst);
        self.drop_future(&mut lock(&self.future));
        if let Err(error) = outcome {
            self.result.fail(error);
        }
        if let Some(slot) = lock(&self.slot).take() {
            self.shared.tasks.remove(slot);
        }
    }

    /// Ends the task without running it, unless a worker is at it: that one will see the shut-down.
    pub(super) fn abandon(&self) {
        if let Ok(mut future) = self.future.try_lock() {
            self.state.store(DONE, Ordering::SeqCst);
            self.drop_future(&mut future);
            drop(future);
            self.result.fail(TaskError::Aborted);
        }
    }

    fn drop_future(&self, future: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
        let future = future.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            tracing::error!(
                message = message_of(panic.as_ref()),
                "a task panicked while it was dropped"
            );
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| match state {
            IDLE => Some(SCHEDULED),
            RUNNING => Some(NOTIFIED),
            _ => None,
        };
        let before = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, woken);
        if before == Ok(IDLE) {
            self.shared.schedule(Arc::clone(self));
        }
    }
}

/// All tasks that have not ended, so that a shut-down finds those that nobody will wake.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    tasks: Vec<Option<Arc<Task>>>,
    free: Vec<usize>,
}

impl Tasks {
    fn insert(&self, task: &Arc<Task>) -> usize {
        let mut slots = lock(&self.slots);
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.tasks.push(None);
            slots.tasks.len() - 1
        });
        slots.tasks[slot] = Some(Arc::clone(task));
        slot
    }

    fn remove(&self, slot: usize) {
        let mut slots = lock(&self.slots);
        // After a shut-down the slots are gone already.
        if let Some(place) = slots.tasks.get_mut(slot) {
            *place = None;
            slots.free.push(slot);
        }
    }

    pub(super) fn count(&self) -> usize {
        let slots = lock(&self.slots);
        slots.tasks.len() - slots.free.len()
    }

    /// Takes all tasks out.
    pub(super) fn take(&self) -> Vec<Arc<Task>> {
        let slots = std::mem::take(&mut *lock(&self.slots));
        slots.tasks.into_iter().flatten().collect()
    }
}

/// Where a task leaves its result.
struct ResultCell<T> {
    inner: Mutex<ResultInner<T>>,
}

struct ResultInner<T> {
    value: Option<Result<T, TaskError>>,
    waker: Option<Waker>,
}

/// The part of a [`ResultCell`] that does not depend on the type of the result.
trait Failing: Send + Sync {
    fn fail(&self, error: TaskError);
}

impl<T> Default for ResultCell<T> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(ResultInner {
                value: None,
                waker: None,
            }),
        }
    }
}

impl<T> ResultCell<T> {
    fn set(&self, value: Result<T, TaskError>) {
        let waker = {
            let mut inner = lock(&self.inner);
            inner.value.get_or_insert(value);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let mut inner = lock(&self.inner);
        match inner.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                inner.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T: Send> Failing for ResultCell<T> {
    fn fail(&self, error: TaskError) {
        self.set(Err(error));
    }
}

/// Locks; a panic elsewhere has left the data whole, for no lock here is held over foreign code but the future's own.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}
