//! Images of the tools of e2fsprogs, which are the oracle: what they make is read, and what is written passes their check.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

mod e2fsprogs;
mod layout;
mod make;
