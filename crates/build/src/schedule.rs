//! The schedule: stages run as soon as those that they need are done, a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bounds the stages that are built at once: each may run a program that wants a processor.
const WORKERS_MAX: usize = 16;

/// Below this, a thread costs more than it saves.
const ITEMS_PER_WORKER_MIN: usize = 32;

/// What is left to do.
struct State<E> {
    /// Work that nobody has begun, with what it waits for.
    waiting: BTreeMap<usize, BTreeSet<usize>>,
    running_count: usize,
    failed: Vec<(usize, E)>,
}

struct Schedule<E> {
    state: Mutex<State<E>>,
    /// Told when work is done or has failed.
    changed: Condvar,
}

impl<E: Send> Schedule<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes work that waits for nothing; none when there is nothing left to take.
    fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if !state.failed.is_empty() || state.waiting.is_empty() {
                return None;
            }
            let ready = state.waiting.iter().find(|(_, needs)| needs.is_empty());
            if let Some(index) = ready.map(|(index, _)| *index) {
                state.waiting.remove(&index);
                state.running_count += 1;
                return Some(index);
            }
            // What waits for something that nobody does would wait for ever.
            if state.running_count == 0 {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, index: usize, result: Result<(), E>) {
        let mut state = self.lock();
        state.running_count -= 1;
        match result {
            Ok(()) => state.waiting.values_mut().for_each(|needs| {
                needs.remove(&index);
            }),
            Err(error) => state.failed.push((index, error)),
        }
        self.changed.notify_all();
    }

    fn work(&self, run: &(impl Fn(usize) -> Result<(), E> + Sync)) {
        let _guard = Abandon(self);
        while let Some(index) = self.take() {
            self.finish(index, run(index));
        }
    }
}

/// Lets the other workers end when one panics, which is told once all have ended.
struct Abandon<'a, E: Send>(&'a Schedule<E>);

impl<E: Send> Drop for Abandon<'_, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().waiting.clear();
            self.0.changed.notify_all();
        }
    }
}

/// Runs each piece of work once what it needs is done. After a failure nothing is begun; the error of the first piece that
/// failed, in the order of their numbers, is returned.
pub(crate) fn run<E: Send>(
    needs: BTreeMap<usize, BTreeSet<usize>>,
    run: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    run_on(workers_max(), needs, run)
}

fn workers_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    processors.min(WORKERS_MAX)
}

/// Does something small with each item, several at a time, and returns the results in their order; or the first failure,
/// with the item's index.
pub(crate) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, (usize, E)> {
    let workers = workers_max().min(items.len() / ITEMS_PER_WORKER_MIN);
    let (next, is_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work_off = || {
        let mut done = Vec::new();
        while !is_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(item);
            is_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((index, result));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work_off)).collect();
        let own = work_off();
        let join = |other: std::thread::ScopedJoinHandle<'_, _>| {
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        others
            .into_iter()
            .map(join)
            .fold(own, |mut all: Vec<_>, more| {
                all.extend(more);
                all
            })
    });
    // Items are begun in their order, so that all before a failed one are done.
    done.sort_unstable_by_key(|(index, _)| *index);
    let results = done.into_iter();
    let told = |(index, result): (usize, Result<R, E>)| result.map_err(|error| (index, error));
    results.map(told).collect()
}

fn run_on<E: Send>(
    workers_max: usize,
    needs: BTreeMap<usize, BTreeSet<usize>>,
    run: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let workers = workers_max.min(needs.len());
    let schedule = Schedule {
        state: Mutex::new(State {
            waiting: needs,
            running_count: 0,
            failed: Vec::new(),
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|| schedule.work(&run));
        }
        schedule.work(&run);
    });
    let state = schedule.state.into_inner();
    let failed = state.unwrap_or_else(PoisonError::into_inner).failed;
    let first = failed.into_iter().min_by_key(|(index, _)| *index);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn needs(pairs: &[(usize, &[usize])]) -> BTreeMap<usize, BTreeSet<usize>> {
        let owned = |(index, needs): &(usize, &[usize])| (*index, needs.iter().copied().collect());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn work_waits_for_what_it_needs() {
        let done = Mutex::new(Vec::new());
        let graph = needs(&[(0, &[2]), (1, &[0, 2]), (2, &[])]);
        let result = run(graph, |index| {
            done.lock().expect("nobody panics").push(index);
            Ok::<_, ()>(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(done.into_inner().expect("nobody panics"), [2, 0, 1]);
    }

    #[test]
    fn what_needs_nothing_of_each_other_runs_at_the_same_time() {
        // Each waits for the other: one after the other would never end.
        let both = Barrier::new(2);
        let result = run_on(2, needs(&[(0, &[]), (1, &[])]), |_| {
            both.wait();
            Ok::<_, ()>(())
        });
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn results_are_in_the_order_of_their_items_and_the_first_failure_is_told() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = each(&items, |item| Ok::<_, ()>(item * 2)).expect("nothing fails");
        assert!(
            doubled
                .iter()
                .enumerate()
                .all(|(index, double)| *double == index * 2)
        );
        let failed = each(&items, |item| match *item {
            300 | 301 | 999 => Err(*item),
            _ => Ok(()),
        });
        assert_eq!(failed, Err((300, 300)));
    }

    #[test]
    fn nothing_begins_after_a_failure() {
        let result = run(
            needs(&[(0, &[]), (1, &[0]), (2, &[1])]),
            |index| match index {
                0 => Err("failed"),
                _ => panic!("it needs what failed"),
            },
        );
        assert_eq!(result, Err("failed"));
    }
}
