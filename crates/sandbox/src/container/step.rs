//! A step of a build: a container that nobody lists or stops, whose changes are kept.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::changes::{Root, Seen};
use super::error::StartError;
use super::{Attachment, Outcome, Prepared, Progress, Stdin, Surroundings, policy};
use crate::jail;
use crate::spec::SandboxSpec;

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
    let surroundings = surroundings();
    let prepared = Prepared::new(spec, &surroundings, progress)?;
    let root = Root {
        upper: Arc::clone(&prepared.kernel.mounts.root().mount.file_system),
        lower: Arc::clone(&prepared.lower),
    };
    let prepare = |error: io::Error| StartError::failed("cannot read the root", &error);
    let made_for_mounts = Seen::of(&root).map_err(prepare)?;
    jail::enter(&policy(spec, surroundings))
        .map_err(|error| StartError::failed("cannot close the jail", &error))?;
    let outcome = prepared.run_unasked();
    let told = ended(&outcome).and_then(|()| match outcome.exit_code {
        0 => root.write_changes(&made_for_mounts, changes),
        _ => Ok(()),
    });
    told.map_err(|error| StartError::failed("cannot keep what the program made", &error))
}

/// Nothing is written but what the program prints.
fn surroundings() -> Surroundings {
    Surroundings {
        state_directory: PathBuf::new(),
        run_directory: PathBuf::new(),
        writable: Vec::new(),
        removable: Vec::new(),
        attachment: Attachment::Attached {
            stdin: Stdin::Closed,
        },
        control_group: None,
        has_log: false,
    }
}
