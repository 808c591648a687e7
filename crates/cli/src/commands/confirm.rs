//! Asking before something is removed that nobody named.

use std::io::{self, BufRead, Write};

use crate::report::Report;

/// Asks on standard error, unless `-f` says that it is answered; what is not confirmed is an error.
///
/// Docker: `cli/command/utils.go`, `PromptForConfirmation()`: standard input need not be a terminal, so `yes` can answer.
pub(super) fn confirm(warning: &str, is_forced: bool, what: &str) -> Result<(), Report> {
    if is_forced {
        return Ok(());
    }
    let mut output = io::stderr();
    write!(
        output,
        "{warning}\nAre you sure you want to continue? [y/N] "
    )?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Report::new(
            format!("{what} has been cancelled"),
            "answer `y`, or give `-f` to remove without being asked",
        )),
    }
}
