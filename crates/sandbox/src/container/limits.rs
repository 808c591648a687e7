//! What a container's processes may have of resources, and its weight among the host's processes.

use minke_abi::resource::{CORE, number_of};
use minke_kernel::{ResourceLimit, ResourceLimits};

use crate::spec::LimitsSpec;

/// `cpu_shares` of a process with the ordinary priority. Linux: `NICE_0_LOAD`.
const ORDINARY_SHARES: f64 = 1024.0;

/// A step of priority is a factor of this weight. Linux: kernel/sched/core.c `sched_prio_to_weight`.
const WEIGHT_STEP: f64 = 1.25;

/// Returns the limits of each process. A core is never dumped, whatever is asked for.
pub(super) fn resources(limits: &LimitsSpec) -> ResourceLimits {
    let mut resources = ResourceLimits::new(limits.fds_max);
    for asked in &limits.resources {
        let (soft, hard) = (asked.soft, asked.hard);
        match number_of(&asked.name) {
            Some(CORE) | None => {}
            Some(number) => resources.set(number, ResourceLimit { soft, hard }),
        }
    }
    resources
}

/// Gives this process the priority of its shares. To be called before there are threads, which inherit it.
pub(super) fn weigh(limits: &LimitsSpec) {
    let Some(shares) = limits.cpu_shares else {
        return;
    };
    // Without privileges a priority can only be lowered; then the container has the ordinary one.
    let set = rustix::process::setpriority_process(None, nice(shares));
    if let Err(error) = set {
        tracing::warn!(%error, shares, "cannot set the container's CPU shares");
    }
}

/// Returns the priority whose weight is nearest, from -20 (most) to 19 (least).
fn nice(shares: u64) -> i32 {
    let steps = (ORDINARY_SHARES / shares.max(1) as f64).ln() / WEIGHT_STEP.ln();
    (steps.round() as i32).clamp(-20, 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_priorities_of_the_same_weight() {
        for (shares, priority) in [(1024, 0), (512, 3), (2048, -3), (2, 19), (1 << 40, -20)] {
            assert_eq!(nice(shares), priority, "{shares}");
        }
    }
}
