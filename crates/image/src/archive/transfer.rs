//! How a transfer tells how far it is, and how its parts are done at the same time.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use crate::Digest;

/// Bounds the threads of one transfer; more only wait for the disk.
const THREADS_MAX: usize = 8;

/// One blob under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub digest: Digest,
    pub size_bytes: u64,
}

/// Hears how a transfer goes on. Calls come from several threads.
pub trait Progress: Sync {
    /// A blob is begun.
    fn started(&self, item: &Item);
    /// So many more of its bytes are done.
    fn advanced(&self, item: &Item, bytes: u64);
    /// A blob is done.
    fn finished(&self, item: &Item);
}

/// Says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _: &Item) {}
    fn advanced(&self, _: &Item, _: u64) {}
    fn finished(&self, _: &Item) {}
}

/// Does every job, several at a time; results are in the jobs' order. After a failure no job is begun, and the first failure in that order is returned.
pub(crate) fn in_parallel<Job: Send, Done: Send, Error: Send>(
    jobs: Vec<Job>,
    work: impl Fn(Job) -> Result<Done, Error> + Sync,
) -> Result<Vec<Done>, Error> {
    let count = jobs.len();
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let results = Mutex::new(Vec::with_capacity(count));
    let next = || queue.lock().expect("no job panics under this lock").next();
    let worker = || {
        while let Some((index, job)) = next() {
            let result = work(job);
            let failed = result.is_err();
            let mut results = results.lock().expect("no job panics under this lock");
            results.push((index, result));
            if failed {
                // What is left in the queue is not begun.
                queue
                    .lock()
                    .expect("no job panics under this lock")
                    .by_ref()
                    .for_each(drop);
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..processors.min(THREADS_MAX).min(count) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().expect("no job panics under this lock");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        let doubled = in_parallel((0..100).collect(), |job: i32| Ok::<_, ()>(job * 2));
        assert_eq!(doubled, Ok((0..100).map(|job| job * 2).collect()));
        assert_eq!(in_parallel(Vec::<i32>::new(), Ok::<_, ()>), Ok(Vec::new()));
    }

    #[test]
    fn a_failure_ends_it() {
        let failed = in_parallel((0..100).collect(), |job: i32| {
            if job == 3 { Err(job) } else { Ok(job) }
        });
        assert_eq!(failed, Err(3));
    }
}
