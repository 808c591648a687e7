//! A step of a build: a container that nobody lists or stops, whose changes are kept.

use std::io::{self, Write};
use std::sync::Arc;

use super::changes::{Seen, write_changes};
use super::error::StartError;
use super::{Outcome, Prepared, Progress, policy, surroundings_of_nothing};
use crate::files::changes::Root;
use crate::jail;
use crate::spec::SandboxSpec;

/// What is lost of a program that the host has no room for. One that does not mind it would make another layer there than elsewhere.
const FULL_HOST: &str = "the host had no space left for what it wrote";

/// Runs a program of a build to its end, its standard streams those of this process but for the input, which is empty.
///
/// `ended` is told how the program ended. After exit code 0 follows what the program changed in its root, as the tar of
/// a layer. An error before `ended` means that the program never ran.
pub fn run_step(
    spec: &SandboxSpec,
    progress: &dyn Fn(Progress),
    ended: impl FnOnce(&Outcome) -> io::Result<()>,
    changes: &mut dyn Write,
) -> Result<(), StartError> {
    super::raise_descriptor_limit();
    let surroundings = surroundings_of_nothing();
    let prepared = Prepared::new(spec, &surroundings, progress)?;
    let root = Root {
        upper: Arc::clone(&prepared.kernel.mounts.root().mount.file_system),
        lower: prepared.lower.clone(),
    };
    if let Some(disk) = &spec.root.disk {
        // Open, it needs no name, and ends with this process, however that ends. What is left of it otherwise is the builder's to remove.
        let _ = std::fs::remove_file(&disk.changes);
    }
    let prepare = |error: io::Error| StartError::failed("cannot read the root", &error);
    let made_for_mounts = Seen::of(&root).map_err(prepare)?;
    jail::enter(&policy(spec, surroundings))
        .map_err(|error| StartError::failed("cannot close the jail", &error))?;
    let mut outcome = prepared.run_unasked();
    if root.lower.has_met_full_host() {
        outcome.lose(FULL_HOST.to_owned());
    }
    let told = ended(&outcome).and_then(|()| match outcome.exit_code {
        0 => write_changes(&root, &made_for_mounts, changes),
        _ => Ok(()),
    });
    told.map_err(|error| StartError::failed("cannot keep what the program made", &error))
}
