//! `minke volume create`: a volume before its first container.

use clap::Args;
use minke_engine::syntax::{parse_bytes, parse_label};
use minke_engine::{NewVolume, VolumeDriver};

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Make a volume, and print its name
///
/// A volume of that name that is there already stays as it is. The driver `local` keeps files in a directory of the host, which several
/// containers have at once; `disk` keeps them in an ext4 file system in a file, which one container writes at a time, or several read.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke volume create data\n  minke volume create --label tier=test data\n  minke volume create --driver disk --opt size=1G db"
)]
pub(crate) struct Create {
    /// What keeps the files: `local` or `disk`
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,

    /// Set an option of the driver: `size=SIZE` of a disk, such as `size=1G` [default: 16G]
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE")]
    options: Vec<String>,

    /// Set a label, `KEY=VALUE`
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Name for the volume [default: a random one]
    // Not `NAME`, which completion takes for one that is there.
    #[arg(value_name = "NEW")]
    name: Option<String>,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let labels = self.label.iter().map(|label| parse_label(label));
        let asked = NewVolume {
            labels: labels.collect::<Result<_, _>>()?,
            driver: self.driver()?,
            size_bytes: self.size_bytes()?,
        };
        let name = engine()?.create_volume(self.name.as_deref(), &asked)?;
        print_line(&name)?;
        Ok(0)
    }

    fn driver(&self) -> Result<VolumeDriver, Report> {
        match self.driver.as_str() {
            "local" => Ok(VolumeDriver::Local),
            "disk" => Ok(VolumeDriver::Disk),
            other => Err(Report::usage(
                format!("there is no driver `{other}` for volumes"),
                "use `local` or `disk`",
            )),
        }
    }

    fn size_bytes(&self) -> Result<Option<u64>, Report> {
        let mut size_bytes = None;
        for option in &self.options {
            match option.split_once('=') {
                Some(("size", size)) if self.driver == "disk" => {
                    size_bytes = Some(parse_bytes(size)?);
                }
                _ => {
                    return Err(Report::usage(
                        format!("unknown option `{option}` of the driver `{}`", self.driver),
                        "use `--driver disk --opt size=1G`",
                    ));
                }
            }
        }
        Ok(size_bytes)
    }
}
