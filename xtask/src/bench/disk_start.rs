//! What an image's size costs a start, and what a hundred containers of one image cost together.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Lab;
use super::images::scratch;
use super::report::{Reach, Row, Unit};
use super::usage::measure;
use crate::layout::guests_dir;
use crate::process::{read, run_quietly};

/// The two images' content, beside a program of some kilobytes.
const SMALL_BYTES: u64 = 1 << 20;
const LARGE_BYTES: u64 = 1 << 30;
/// Content lies in files of at most so many bytes.
const FILE_BYTES: u64 = 16 << 20;
const ROUNDS: usize = 41;
/// Starts that fill caches.
const WARM_UP: usize = 3;
const START_REACH: Reach = Reach::RatioAtMost(1.1);

const CONTAINERS: usize = 100;
/// Each reads what others read, nearly: the pages of all, each counted once, beside those of the one that has most.
const SHARED_REACH: Reach = Reach::RatioAtMost(1.1);
const CONTAINER_MIB_MAX: f64 = 0.25;
/// After their start containers have time to let go of what they needed for that.
const SETTLE: Duration = Duration::from_secs(2);

/// Starts of a large image beside a small one, then a hundred containers.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = vec![start(lab)?];
    rows.extend(hundred(lab)?);
    Ok(rows)
}

fn start(lab: &Lab) -> Result<Row> {
    build(lab, "bench-start-small", SMALL_BYTES)?;
    build(lab, "bench-start-large", LARGE_BYTES)?;
    let once = |image| measure(&mut lab.product.command(&["run", "--rm", image]));
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for turn in 0..WARM_UP + ROUNDS {
        let figures = (once("bench-start-large")?, once("bench-start-small")?);
        if turn >= WARM_UP {
            large.push(figures.0.wall_ms);
            small.push(figures.1.wall_ms);
        }
    }
    Ok(Row::compare(
        "`minke run --rm IMAGE`, of 1 GiB",
        Unit::Milliseconds,
        &large,
        ("an image of 1 MiB", &Ok(small)),
        START_REACH,
    ))
}

/// Makes an image of a program and so many bytes of content, which does not pack.
fn build(lab: &Lab, tag: &str, content_bytes: u64) -> Result<()> {
    let context = scratch(tag)?;
    fs::create_dir(context.join("content"))?;
    let mut state = content_bytes;
    for number in 0..content_bytes.div_ceil(FILE_BYTES) {
        let file = File::create(context.join("content").join(number.to_string()))?;
        let mut file = BufWriter::new(file);
        for _ in 0..content_bytes.min(FILE_BYTES) / 8 {
            // Source of the numbers: Marsaglia, "Xorshift RNGs".
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
        }
        file.flush()?;
    }
    fs::copy(guests_dir().join("hello.wasm"), context.join("hello.wasm"))?;
    fs::write(
        context.join("Balenafile"),
        "FROM scratch\nCOPY content /content\nCOPY hello.wasm /usr/bin/\nCMD [\"hello\"]\n",
    )?;
    lab.product.build(tag, &context.to_string_lossy())?;
    Ok(fs::remove_dir_all(context)?)
}

/// A hundred servers that wait for their first request.
fn hundred(lab: &Lab) -> Result<Vec<Row>> {
    lab.product.build("bench-hello-c", "examples/hello-c")?;
    let mut ids = Vec::with_capacity(CONTAINERS);
    for _ in 0..CONTAINERS {
        let id = read(
            &mut lab
                .product
                .command(&["run", "-d", "bench-hello-c", "server", "3000"]),
        )?;
        ids.push(id.trim().to_string());
    }
    std::thread::sleep(SETTLE);
    let (mut together_mib, mut most_mib, mut on_disk_mib) = (0.0, 0.0_f64, 0.0_f64);
    for id in &ids {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", lab.product.pid_of(id)?))?;
        let base = Base::of(&smaps);
        together_mib += base.pss_mib;
        most_mib = most_mib.max(base.rss_mib);
        let bytes = bytes_below(&lab.product.container_directory(id))?;
        on_disk_mib = on_disk_mib.max(bytes as f64 / f64::from(1 << 20));
    }
    let mut remove = lab.product.command(&["rm", "-f"]);
    run_quietly(remove.args(&ids))?;
    Ok(vec![
        Row::compare(
            format!("{CONTAINERS} containers of one image: its disk in memory"),
            Unit::Mebibytes,
            &[together_mib],
            ("the one that has most of it", &Ok(vec![most_mib])),
            SHARED_REACH,
        ),
        Row::alone(
            "… on disk for each, before it writes",
            Unit::Mebibytes,
            on_disk_mib,
            Reach::AtMost(CONTAINER_MIB_MAX),
        ),
    ])
}

/// What a process has in memory of the snapshots of images that it maps.
#[derive(Debug, Default, PartialEq)]
struct Base {
    /// Its share of pages that several processes have.
    pss_mib: f64,
    rss_mib: f64,
}

impl Base {
    /// Reads `/proc/PID/smaps`. Linux: Documentation/filesystems/proc.rst.
    fn of(smaps: &str) -> Base {
        let (mut base, mut is_snapshot) = (Base::default(), false);
        for line in smaps.lines() {
            let kib = || line.split_whitespace().nth(1)?.parse::<f64>().ok();
            match line.split_whitespace().next() {
                Some("Pss:") if is_snapshot => base.pss_mib += kib().unwrap_or(0.0) / 1024.0,
                Some("Rss:") if is_snapshot => base.rss_mib += kib().unwrap_or(0.0) / 1024.0,
                Some(field) if field.ends_with(':') => {}
                // A mapping: its addresses, and at the end its file.
                _ => is_snapshot = line.contains("/images/snapshots/"),
            }
        }
        base
    }
}

/// Returns what the files below a directory take on the disk.
fn bytes_below(directory: &Path) -> Result<u64> {
    let entries = fs::read_dir(directory);
    let entries = entries.with_context(|| format!("cannot list {}", directory.display()))?;
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += bytes_below(&entry.path())?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mappings_of_snapshots_count() {
        let smaps = "7f00-7f01 r--p 00000000 fe:00 12 /home/images/snapshots/ab/disk\nRss: 2048 kB\nPss: 1024 kB\n\
                     7f02-7f03 rw-p 00000000 00:00 0 [heap]\nRss: 4096 kB\nPss: 4096 kB\n";
        let expected = Base {
            pss_mib: 1.0,
            rss_mib: 2.0,
        };
        assert_eq!(Base::of(smaps), expected);
    }
}
