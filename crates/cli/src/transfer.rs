//! How far a save or load is: a bar with sizes and rates on a terminal, lines elsewhere, all on standard error.

use std::collections::HashMap;
use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use minke_engine::image::Digest;
use minke_engine::image::archive::{Item, Progress};

use crate::output::size;

/// Blobs smaller than this get no line of their own: documents, not layers.
const SHOWN_BYTES_MIN: u64 = 64 << 10;

/// Shows blobs that are under way.
pub(crate) struct Transfers {
    /// What has been done with a blob when it is done.
    word: &'static str,
    is_quiet: bool,
    bar: ProgressBar,
    begun: Mutex<HashMap<Digest, Instant>>,
}

impl Transfers {
    pub(crate) fn new(word: &'static str, is_quiet: bool) -> Transfers {
        let style =
            "{spinner} {msg} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}";
        let bar = match std::io::stderr().is_terminal() && !is_quiet {
            true => ProgressBar::new(0)
                .with_style(ProgressStyle::with_template(style).expect("the template is valid"))
                .with_message(word),
            false => ProgressBar::hidden(),
        };
        Transfers {
            word,
            is_quiet,
            bar,
            begun: Mutex::default(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Transfers {
    fn started(&self, item: &Item) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(item.digest, Instant::now());
        self.bar.inc_length(item.size_bytes);
    }

    fn advanced(&self, _: &Item, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finished(&self, item: &Item) {
        let begun = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&item.digest);
        if self.is_quiet || item.size_bytes < SHOWN_BYTES_MIN {
            return;
        }
        let seconds = begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        let rate = item.size_bytes as f64 / seconds.max(f64::EPSILON);
        let line = format!(
            "{} {}: {} in {seconds:.1}s, {}/s",
            self.word,
            item.digest.short(),
            size(item.size_bytes),
            size(rate as u64),
        );
        // Progress that cannot be shown is no reason to end.
        let show = || writeln!(std::io::stderr(), "{line}");
        let _ = self.bar.suspend(show);
    }
}
