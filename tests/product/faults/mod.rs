//! Bad input and bad luck: a clear message, the right exit code, nothing left behind.

mod modules;
