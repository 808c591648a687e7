//! What Emscripten's JavaScript library does for its guests, one file per subject.

pub(super) mod calendar;
pub(super) mod calendar_calls;
pub(super) mod clocks;
pub(super) mod heap;
pub(super) mod names;
pub(super) mod process;
pub(super) mod strftime;
pub(super) mod zone;
