//! The memory that an idle container costs its host.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Lab;
use super::product::{free_port, wait_for_port};
use super::report::{Other, Reach, Row, Unit, median};

const CONTAINERS: usize = 5;
const PSS_MIB_MAX: f64 = 4.0;
/// What containerd's shim with runc was seen to hold for an idle container; not measured here.
const SHIM: (&str, f64) = ("containerd-shim + runc, elsewhere", 4.8);
/// After its start a container has time to let go of what it needed for that.
const SETTLE: Duration = Duration::from_secs(2);

/// A server that waits for its first request.
pub fn idle(lab: &Lab) -> Result<Vec<Row>> {
    lab.product.build("bench-hello-c", "examples/hello-c")?;
    let (mut pss, mut private) = (Vec::new(), Vec::new());
    for _ in 0..CONTAINERS {
        let port = free_port()?;
        let publish = format!("127.0.0.1:{port}:3000");
        let container = lab.product.start(
            "bench-idle",
            &["-p", &publish, "bench-hello-c", "server", "3000"],
        )?;
        wait_for_port(port)?;
        std::thread::sleep(SETTLE);
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", container.pid()?))?;
        pss.push(mib(&rollup, &["Pss:"])?);
        private.push(mib(&rollup, &["Private_Clean:", "Private_Dirty:"])?);
    }
    let row = |measure: &str, figures: &[f64], other, reach| {
        let ours = Some(median(figures));
        Row {
            measure: measure.to_string(),
            unit: Unit::Mebibytes,
            ours,
            other,
            reach,
        }
    };
    let shim = Other::Figure(SHIM.0, SHIM.1);
    Ok(vec![
        row(
            "idle container, PSS",
            &pss,
            shim,
            Reach::AtMost(PSS_MIB_MAX),
        ),
        row(
            "idle container, private pages",
            &private,
            Other::Nothing,
            Reach::None,
        ),
    ])
}

/// The share of memory that a process has once it has let go of what it needed for its start.
pub fn settled_pss_mib(pid: u32) -> Result<f64> {
    std::thread::sleep(SETTLE);
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    mib(&rollup, &["Pss:"])
}

/// The sum of some lines of a `smaps_rollup`. Linux: Documentation/filesystems/proc.rst.
fn mib(rollup: &str, names: &[&str]) -> Result<f64> {
    let mut sum_kib = 0.0;
    for name in names {
        let line = rollup
            .lines()
            .find(|it| it.starts_with(name))
            .with_context(|| format!("no `{name}`"))?;
        let figure = line.split_whitespace().nth(1).unwrap_or_default();
        sum_kib += figure
            .parse::<f64>()
            .with_context(|| format!("no number in `{line}`"))?;
    }
    Ok(sum_kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_rollup_are_summed_in_mib() {
        let text = "00400000-7fff00000000 ---p 0 00:00 0 [rollup]\nPss:  2048 kB\nPrivate_Clean: 512 kB\nPrivate_Dirty: 512 kB\n";
        assert_eq!(mib(text, &["Pss:"]).expect("it is there"), 2.0);
        assert_eq!(
            mib(text, &["Private_Clean:", "Private_Dirty:"]).expect("they are there"),
            1.0
        );
        assert!(mib(text, &["Swap:"]).is_err());
    }
}
