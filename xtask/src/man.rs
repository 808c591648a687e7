//! The manual's pages: `minke` writes them itself, from its table of arguments.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::layout::{root, target_dir};
use crate::process::{cargo, run};

pub fn command(args: &[String]) -> Result<()> {
    let directory = match args {
        [] => target_dir().join("man"),
        [directory] => std::path::absolute(PathBuf::from(directory))?,
        _ => bail!("expected at most one directory"),
    };
    let build = ["build", "--quiet", "--workspace", "--bin", "minke"];
    run(cargo().current_dir(root()).args(build))?;
    let program = target_dir().join("debug/minke");
    run(Command::new(program).arg("manual").arg(&directory))?;
    println!(
        "pages are in `{}`: `man {}/minke-run.1`",
        directory.display(),
        directory.display()
    );
    Ok(())
}
