//! The terminal of this command, while it shows that of a program.

use std::io::{self, IsTerminal};

use minke_engine::attach::WindowSize;
use rustix::stdio;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::report::Report;

/// Refuses `-it` where the standard input is no terminal. Docker: `cli/streams`, `CheckTty()`.
pub(super) fn check(is_interactive: bool, has_terminal: bool) -> Result<(), Report> {
    if is_interactive && has_terminal && !io::stdin().is_terminal() {
        return Err(Report::new(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
            "leave out `-t`",
        ));
    }
    Ok(())
}

/// Returns the size of the window in which this command prints, or else is typed to; `None` where neither is a terminal.
pub(super) fn window_size() -> Option<WindowSize> {
    let size = tcgetwinsize(stdio::stdout()).or_else(|_| tcgetwinsize(stdio::stdin()));
    let size = size.ok()?;
    Some([size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel])
}

/// The terminal on which this command is typed to, passing every byte on as it comes: that of the program echoes, and makes signals of
/// keys. Dropped, it is as it was.
pub(super) struct Raw(Termios);

impl Raw {
    /// Returns `None` where the standard input is no terminal.
    pub(super) fn enter() -> io::Result<Option<Raw>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Raw(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting back.
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, &self.0);
    }
}
