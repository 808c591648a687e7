//! When a container is started again: the policy, and how long is waited before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::syntax::SyntaxError;

/// The first delay. Docker: `restartmanager`, `defaultTimeout`.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// The longest delay; each is twice the one before. Docker: `maxRestartTimeout`.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// A container that ran so long begins with the first delay again. Docker: `restartmanager`, `ShouldRestart()`.
const LONG_RUN: Duration = Duration::from_secs(10);

/// Whether a container is started again when it has ended. Docker: `--restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    OnFailure {
        /// 0 is no bound.
        retries_max: u32,
    },
    Always,
    UnlessStopped,
}

impl RestartPolicy {
    /// Parses `no`, `on-failure[:N]`, `always` or `unless-stopped`. Docker: `opts.ParseRestartPolicy()`.
    pub fn parse(text: &str) -> Result<RestartPolicy, SyntaxError> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let policy = match name {
            "no" | "" => RestartPolicy::No,
            "always" => RestartPolicy::Always,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "on-failure" => RestartPolicy::OnFailure {
                retries_max: retries(text, count)?,
            },
            _ => {
                return Err(SyntaxError::new(
                    format!("invalid restart policy `{text}`: unknown policy `{name}`"),
                    "use one of `no`, `always`, `on-failure[:N]` or `unless-stopped`",
                ));
            }
        };
        match (policy, count) {
            (RestartPolicy::OnFailure { .. }, _) | (_, None) => Ok(policy),
            _ => Err(SyntaxError::new(
                format!("invalid restart policy `{text}`: `{name}` has no maximum retry count"),
                format!("write `{name}`, or `on-failure:N`"),
            )),
        }
    }

    /// Returns Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::OnFailure { .. } => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
        }
    }

    /// Returns the bound on restarts; 0 is none.
    pub fn retries_max(self) -> u32 {
        match self {
            RestartPolicy::OnFailure { retries_max } => retries_max,
            _ => 0,
        }
    }

    /// Whether a container that ended by itself, after so many restarts, is started again.
    pub fn restarts(self, exit_code: u8, restart_count: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { retries_max } => {
                exit_code != 0 && (retries_max == 0 || restart_count < retries_max)
            }
        }
    }
}

fn retries(text: &str, count: Option<&str>) -> Result<u32, SyntaxError> {
    let Some(count) = count else { return Ok(0) };
    count.parse().map_err(|_| {
        SyntaxError::new(
            format!("invalid restart policy `{text}`: maximum retry count must be an integer"),
            "write `on-failure:N`, such as `on-failure:3`",
        )
    })
}

/// The delays before restarts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// Zero before the first.
    delay: Duration,
}

impl Backoff {
    /// Returns how long to wait now that the container ended after running for a time.
    pub(crate) fn next(&mut self, ran_for: Duration) -> Duration {
        if ran_for >= LONG_RUN {
            self.delay = Duration::ZERO;
        }
        self.delay = (self.delay * 2).clamp(DELAY_MIN, DELAY_MAX);
        self.delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_dockers() {
        let on_failure = |retries_max| RestartPolicy::OnFailure { retries_max };
        for (text, policy) in [
            ("no", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("unless-stopped", RestartPolicy::UnlessStopped),
            ("on-failure", on_failure(0)),
            ("on-failure:3", on_failure(3)),
        ] {
            assert_eq!(RestartPolicy::parse(text), Ok(policy), "{text}");
        }
        for text in [
            "never",
            "always:3",
            "no:1",
            "on-failure:x",
            "on-failure:-1",
            "on-failure:",
        ] {
            assert!(RestartPolicy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn failures_are_counted_and_successes_end_it() {
        let policy = RestartPolicy::OnFailure { retries_max: 2 };
        assert!(policy.restarts(1, 0) && policy.restarts(137, 1));
        assert!(!policy.restarts(1, 2) && !policy.restarts(0, 0));
        assert!(RestartPolicy::Always.restarts(0, 1000));
        assert!(!RestartPolicy::No.restarts(1, 0));
    }

    #[test]
    fn delays_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..12)
            .map(|_| backoff.next(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(delays[..4], [100, 200, 400, 800]);
        assert_eq!(delays[9..], [51_200, 60_000, 60_000]);
        assert_eq!(backoff.next(LONG_RUN), DELAY_MIN);
    }
}
