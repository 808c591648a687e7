//! What can be wrong with a volume, and what is done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;

use super::{
    DESCRIPTION, DISK, Description, Naming, NewVolume, VolumeDriver, VolumeError, Volumes,
    make_data, make_disk_of,
};
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
            let has_files = match volume.driver {
                VolumeDriver::Local => volume.data.is_dir(),
                VolumeDriver::Disk => minke_disk::is_disk(&volume.data),
            };
            if !has_files {
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
                let directory = self.directory.join(name);
                let disk = fs::metadata(directory.join(DISK)).ok();
                let description = Description {
                    created_at: minke_sandbox::logs::now(),
                    labels: BTreeMap::new(),
                    driver: match disk {
                        Some(_) => VolumeDriver::Disk,
                        None => VolumeDriver::Local,
                    },
                    disk_bytes: disk.map(|file| file.len()),
                };
                let path = directory.join(DESCRIPTION);
                serde_json::to_vec(&description)
                    .map_err(io::Error::from)
                    .and_then(|bytes| fs::write(path, bytes))
                    .map_err(failed)?;
                Ok("described anew; its labels and when it was made are lost")
            }
            Damage::NoFiles => {
                let volume = self.find(name).map_err(&failed)?;
                let directory = self.directory.join(name);
                match volume.filter(|volume| volume.driver == VolumeDriver::Disk) {
                    Some(volume) => {
                        // What is there is no file system any more.
                        for path in [volume.data.clone(), minke_disk::changes_path(&volume.data)] {
                            names::ignore_missing(fs::remove_file(path)).map_err(&failed)?;
                        }
                        make_disk_of(name, &directory, volume.disk_bytes)?;
                    }
                    None => make_data(&directory).map_err(failed)?,
                }
                Ok("lost: its files; it is empty now")
            }
            Damage::Missing(_) => {
                self.make(name, &NewVolume::default(), Naming::Named)?;
                Ok("lost: its files; it was made anew and is empty")
            }
        }
    }
}
