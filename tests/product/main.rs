//! The whole product, through the real binary: each test has a home of its own and real guests.
//!
//! | module | is |
//! |---|---|
//! | `home` | runs `minke` with a home of its own, finds guests and examples |
//! | `faults` | bad input and bad luck: message, exit code, nothing left behind |

mod faults;
mod home;
