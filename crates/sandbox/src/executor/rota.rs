//! Turns of a crowd: when more guests compute than the host's scheduler serves well, all but a few nap.
//!
//! Each compute-bound guest has a thread of its own, and Linux shares the CPUs among them. A thread among a thousand waits for
//! seconds until its turn comes, also the one that is to start the next guest, or to answer `stop`; and one with little to do
//! waits longest. So beyond a crowd, the monitor lets those run that have had least CPU time, as many as keep the CPUs busy, and
//! looks again at each [`TURN`]'s end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::naps;
use super::worker::Worker;

/// How long a turn is: short, for a thousand guests to have had some within seconds.
pub(super) const TURN: Duration = Duration::from_millis(5);

/// Decides whose turn it is. Only the monitor has one.
#[derive(Default)]
pub(super) struct Rota {
    /// Whether there is a crowd, some of which may nap.
    is_kept: bool,
    /// What newcomers are taken to have had: as little as anybody who waits.
    least_ns: u64,
}

impl Rota {
    /// Whether somebody may nap.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Ends the turns of those that have had most, and begins those of others, for `places` to run.
    pub(super) fn turn(&mut self, workers: &[Arc<Worker>], places: usize) {
        if !self.is_kept && naps::set_handler().is_err() {
            return;
        }
        self.is_kept = true;
        let mut competing: Vec<_> = workers
            .iter()
            .filter(|worker| self.is_competing(worker))
            .map(|worker| (worker.turns.had_ns(), worker))
            .collect();
        let Some(least_ns) = competing.iter().map(|(had_ns, _)| *had_ns).min() else {
            return;
        };
        self.least_ns = self.least_ns.max(least_ns);
        let places = places.clamp(1, competing.len());
        competing.select_nth_unstable_by_key(places - 1, |(had_ns, _)| *had_ns);
        for (_, worker) in &competing[..places] {
            worker.nap.end();
        }
        for (_, worker) in &competing[places..] {
            worker.nap.send(worker.turns.thread());
        }
    }

    /// Wakes everybody: there is no crowd any more.
    pub(super) fn disband(&mut self, workers: &[Arc<Worker>]) {
        if std::mem::take(&mut self.is_kept) {
            workers.iter().for_each(|worker| worker.nap.end());
        }
    }

    /// Whether a worker wants a turn: it waits for one, has not begun, or has used CPU time since the last look.
    fn is_competing(&self, worker: &Worker) -> bool {
        let is_in_poll = worker.busy_since.load(Ordering::Relaxed) != 0;
        if !is_in_poll || worker.nap.is_doomed() {
            return false;
        }
        worker.nap.is_asleep()
            || worker.turns.count(self.least_ns)
            || worker.turns.thread().is_none()
    }
}
