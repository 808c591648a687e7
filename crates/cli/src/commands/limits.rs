//! Limits that `run` and `create` share, beside memory and processes.

use clap::Args;
use minke_engine::FurtherLimits;
use minke_engine::syntax::{parse_bytes, parse_cpus, parse_ulimit};

use crate::report::Report;

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Limits {
    /// CPU time per time: `0.5` is half of one CPU [default: no limit]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    cpus: Option<String>,

    /// Weight among the host's processes; 1024 is ordinary, more needs privileges
    #[arg(short, long, value_name = "NUMBER")]
    cpu_shares: Option<u64>,

    /// Limit of a process, `NAME=SOFT[:HARD]`: `nofile`, `nproc`, `fsize` hold, others are told to programs; may be given several times
    #[arg(long = "ulimit", value_name = "LIMIT")]
    ulimits: Vec<String>,

    /// Most bytes that the root may take beside the image, such as `64m` [default: what `--memory` leaves]
    #[arg(long, value_name = "BYTES")]
    root_size: Option<String>,
}

impl Limits {
    /// Checks what was typed.
    pub(crate) fn asked(&self) -> Result<FurtherLimits, Report> {
        let cpus = self.cpus.as_deref().map(parse_cpus).transpose()?;
        let root = self.root_size.as_deref().map(parse_bytes).transpose()?;
        Ok(FurtherLimits {
            cpus: cpus.flatten(),
            // Docker: 0 is the default.
            cpu_shares: self.cpu_shares.filter(|shares| *shares > 0),
            root_bytes_max: root,
            resources: self
                .ulimits
                .iter()
                .map(|text| parse_ulimit(text))
                .collect::<Result<_, _>>()?,
        })
    }
}
