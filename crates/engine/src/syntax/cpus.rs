//! Shares of CPU time: `0.5`.

use super::SyntaxError;

/// The smallest share. Docker: `daemon/daemon_unix.go`, `verifyPlatformContainerResources()`.
const CPUS_MIN: f64 = 0.01;

/// Parses CPU time per time; 0 is no limit. Docker: `--cpus`.
pub fn parse_cpus(text: &str) -> Result<Option<f64>, SyntaxError> {
    let host = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = text.parse::<f64>().ok().filter(|cpus| cpus.is_finite());
    let Some(cpus) = cpus else {
        return Err(SyntaxError::new(
            format!("invalid number of CPUs `{text}`"),
            "write a number such as `0.5` or `2`",
        ));
    };
    match cpus {
        0.0 => Ok(None),
        cpus if cpus >= CPUS_MIN && cpus <= host as f64 => Ok(Some(cpus)),
        _ => Err(SyntaxError::new(
            format!("range of CPUs is from {CPUS_MIN} to {host}: `{text}`"),
            format!("this machine has {host} CPUs"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_between_a_hundredth_and_all() {
        assert_eq!(parse_cpus("0"), Ok(None));
        assert_eq!(parse_cpus("0.5"), Ok(Some(0.5)));
        for text in ["", "x", "-1", "0.001", "100000", "nan", "inf"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }
}
