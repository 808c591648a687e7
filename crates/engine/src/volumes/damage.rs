//! What can be wrong with a volume, and what is done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use super::{DATA, DATA_MODE, DESCRIPTION, Description, Naming, VolumeError, Volumes};
use crate::names;

/// What is wrong with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// When it was made and its labels cannot be read.
    Description(String),
    /// There is no directory of its files.
    NoFiles,
    /// A container has it, and it is not there. The container's name.
    Missing(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Description(reason) => write!(formatter, "cannot be read: {reason}"),
            Damage::NoFiles => write!(formatter, "has lost its files"),
            Damage::Missing(container) => {
                write!(formatter, "of container `{container}` is not there")
            }
        }
    }
}

impl Volumes {
    /// Looks at all volumes, and for those that containers have: pairs of a volume's and its container's name.
    pub(crate) fn damages(
        &self,
        users: &BTreeSet<(String, String)>,
    ) -> io::Result<Vec<(String, Damage)>> {
        let mut damages = Vec::new();
        for volume in self.all()? {
            let path = self.directory.join(&volume.name).join(DESCRIPTION);
            let description = match fs::read(path) {
                // It was removed just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                description => description?,
            };
            if let Err(error) = serde_json::from_slice::<Description>(&description) {
                let damage = Damage::Description(error.to_string());
                damages.push((volume.name.clone(), damage));
            }
            if !volume.data.is_dir() {
                damages.push((volume.name, Damage::NoFiles));
            }
        }
        for (name, container) in users {
            if names::check(name).is_ok() && self.find(name)?.is_none() {
                damages.push((name.clone(), Damage::Missing(container.clone())));
            }
        }
        Ok(damages)
    }

    /// Makes a volume usable again; returns what was done, and what is lost.
    pub(crate) fn mend(&self, name: &str, damage: &Damage) -> Result<&'static str, VolumeError> {
        let failed = VolumeError::io("repair", name);
        match damage {
            Damage::Description(_) => {
                let description = Description {
                    created_at: minke_sandbox::logs::now(),
                    labels: BTreeMap::new(),
                };
                let path = self.directory.join(name).join(DESCRIPTION);
                serde_json::to_vec(&description)
                    .map_err(io::Error::from)
                    .and_then(|bytes| fs::write(path, bytes))
                    .map_err(failed)?;
                Ok("described anew; its labels and when it was made are lost")
            }
            Damage::NoFiles => {
                let data = self.directory.join(name).join(DATA);
                fs::create_dir(&data)
                    .and_then(|()| fs::set_permissions(&data, Permissions::from_mode(DATA_MODE)))
                    .map_err(failed)?;
                Ok("lost: its files; it is empty now")
            }
            Damage::Missing(_) => {
                self.make(name, &BTreeMap::new(), Naming::Named)?;
                Ok("lost: its files; it was made anew and is empty")
            }
        }
    }
}
