//! The schedule: stages run as soon as those that they need are done, a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bounds the stages that are built at once: each may run a program that wants a processor.
const WORKERS_MAX: usize = 16;

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
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    run_on(processors.min(WORKERS_MAX), needs, run)
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
