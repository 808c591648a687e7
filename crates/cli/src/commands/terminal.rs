//! The terminal of this command, for containers that are to see one.

use std::io::IsTerminal;

use crate::report::Report;

/// Refuses `-it` where the standard input is no terminal. Docker: `cli/streams`, `CheckTty()`.
pub(super) fn check(is_interactive: bool, has_terminal: bool) -> Result<(), Report> {
    if is_interactive && has_terminal && !std::io::stdin().is_terminal() {
        return Err(Report::new(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
            "leave out `-t`",
        ));
    }
    Ok(())
}
