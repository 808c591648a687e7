//! Images of the tools of e2fsprogs, which are the oracle: what they make is read, and what is written passes their check.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's `unwrap` is an assertion, and what it prints says which image failed"
)]

mod check;
mod e2fsprogs;
mod fast_commit;
mod grow;
mod hostile;
mod journal;
mod layout;
mod make;
mod model;
mod oracles;
mod random;
mod reading;
mod workload;
