//! The process that writes a volume's changes into its image file, once the container is done with it.
//!
//! A jailed sandbox may not remove the change file, which lies in a directory of the user's, and one that was killed can do nothing
//! at all. So a child that stays outside waits until the sandbox closes a pipe, or ends, and then merges what was committed. It runs
//! no guest and reads nothing of a guest but change files.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use minke_disk::{DiskFileError, Limits, Volume, changes_path};

/// The hidden command of the program that is a settling child; image files and their change files follow.
pub const SETTLE_COMMAND: &str = "settle-volumes";

/// What the child says when all is settled.
const DONE: &str = "done";

/// What a sandbox says when it has let go of its volumes. One that was killed says nothing.
const RELEASED: &[u8] = b".";

/// How long the files of a sandbox that was killed may stay locked: Linux closes its descriptors one by one.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(10);

/// How often a file that is locked is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Bounds what is read of a failure.
const FAILURE_BYTES_MAX: u64 = 64 << 10;

/// A child that waits to settle volumes.
pub(super) struct Settler {
    child: Child,
}

impl Settler {
    /// Starts a child for these image files. Before the jail closes.
    pub(super) fn start(images: &[PathBuf]) -> io::Result<Settler> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(SETTLE_COMMAND).args(images);
        let child = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Settler { child })
    }

    /// Has the volumes settled, which nobody has open any more, and waits for it.
    pub(super) fn settle(mut self) -> Result<(), String> {
        let input = self.child.stdin.take().expect("it was asked for");
        // One that has ended says so below, by saying nothing.
        let _ = (&input).write_all(RELEASED);
        drop(input);
        let mut said = String::new();
        let output = self.child.stdout.take().expect("it was asked for");
        let read = output.take(FAILURE_BYTES_MAX).read_to_string(&mut said);
        match read {
            Ok(_) if said == DONE => Ok(()),
            Ok(_) if said.is_empty() => Err("the settling process was killed".to_owned()),
            Ok(_) => Err(said),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Is the settling child: waits for the end of the standard input, merges, says how it went, and returns the exit code.
pub fn settle_main(images: &[OsString]) -> u8 {
    // What is typed at the sandbox's terminal is not for this process. A leader of a group need not be told twice.
    let _ = rustix::process::setsid();
    let mut heard = Vec::new();
    let _ = io::stdin().read_to_end(&mut heard);
    let patience = match heard.is_empty() {
        true => UNLOCKED_WITHIN,
        false => Duration::ZERO,
    };
    let failures: Vec<String> = images
        .iter()
        .filter_map(|image| settle(Path::new(image), patience).err())
        .collect();
    let (said, code) = match failures.is_empty() {
        true => (DONE.to_owned(), 0),
        false => (failures.join("; "), 1),
    };
    // Nobody reads it when the sandbox was killed.
    let _ = io::stdout().write_all(said.as_bytes());
    let _ = io::stdout().flush();
    code
}

/// Merges what lies beside an image file, if anything does. One that another container has taken meanwhile is that one's business.
fn settle(image: &Path, patience: Duration) -> Result<(), String> {
    let changes = changes_path(image);
    let until = Instant::now() + patience;
    while changes.exists() {
        let opened = Volume::open(image, &changes, Limits::default());
        match opened.and_then(|volume| volume.merge()) {
            Err(DiskFileError::InUse { .. }) if Instant::now() < until => thread::sleep(LOOK_AGAIN),
            Ok(()) | Err(DiskFileError::InUse { .. }) => return Ok(()),
            Err(error) => return Err(with_causes(&error)),
        }
    }
    Ok(())
}

/// Says what the host said too.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
