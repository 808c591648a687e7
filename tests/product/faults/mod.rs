//! Bad input and bad luck: a clear message, the right exit code, nothing left behind.
//!
//! | module | is |
//! |---|---|
//! | `modules` | files that are no programs |
//! | `balenafiles` | Balenafiles that cannot be built |
//! | `language` | Balenafiles that break a rule of the language |
//! | `compiles` | compilers that end early |
//! | `disks` | disks that are full, files that were changed behind our back |
//! | `kills` | commands and sandboxes that are killed |
//! | `moments` | commands that are killed at random moments |
//! | `guests` | guests that take without end, or ask for what is not theirs |
//! | `peers` | guests that do not answer whoever talks to them |
//! | `volumes` | image files whose directory or host has no room for changes |
//! | `swaps` | volumes whose files are swapped for links meanwhile |

mod balenafiles;
mod compiles;
pub(crate) mod disks;
mod guests;
mod kills;
mod language;
mod modules;
pub(crate) mod moments;
mod peers;
mod swaps;
mod volumes;
