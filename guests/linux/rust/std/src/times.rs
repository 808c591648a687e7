//! Clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Outcome;

/// The first second of 2020.
const YEAR_2020: Duration = Duration::from_secs(1_577_836_800);

pub fn check() -> Outcome {
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    println!("slept: {}", start.elapsed() >= Duration::from_millis(5));
    println!(
        "today: {}",
        SystemTime::now().duration_since(UNIX_EPOCH)? > YEAR_2020
    );
    Ok(())
}
