//! Operations on volumes, which concern the containers that have them.

use std::collections::HashMap;

use minke_image::nearest;
use minke_sandbox::spec::MountSpec;

use super::{Engine, EngineError, find, random_id};
use crate::events::{Event, EventKind};
use crate::plan::MountsFrom;
use crate::record::ContainerConfig;
use crate::volumes::{
    Naming, NewVolume, Volume, VolumeDriver, VolumeError, VolumeFilter, Volumes, check_name,
    size_bytes,
};

/// What becomes of the volumes that nobody named when their container is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousVolumes {
    Kept,
    Removed,
}

/// Which volumes a prune takes, of those that no container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrunedVolumes {
    /// Those that nobody named.
    Anonymous,
    All,
}

/// Names of the containers that have a volume, by its name.
pub struct VolumeUsers(HashMap<String, Vec<String>>);

impl VolumeUsers {
    /// Returns the names of the containers that have a volume.
    pub fn of(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Engine {
    /// Returns all volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>, EngineError> {
        let store = self.volume_store();
        store
            .all()
            .map_err(EngineError::io("list", &store.directory))
    }

    /// Returns the volume of a name.
    pub fn volume(&self, name: &str) -> Result<Volume, EngineError> {
        let store = self.volume_store();
        let found = store
            .find(name)
            .map_err(EngineError::io("read", &store.directory))?;
        match found {
            Some(volume) => Ok(volume),
            None => {
                let all = self.volumes()?;
                let names = all.iter().map(|volume| volume.name.as_str());
                Err(EngineError::Volume(VolumeError::Missing {
                    name: name.to_owned(),
                    nearest: nearest(name, names).map(str::to_owned),
                }))
            }
        }
    }

    /// Returns which containers have which volume, whether they run or not.
    pub fn volume_users(&self) -> Result<VolumeUsers, EngineError> {
        let mut users: HashMap<String, Vec<String>> = HashMap::new();
        for container in self.containers()? {
            for name in container.config.volumes() {
                let of_volume = users.entry(name.to_owned()).or_default();
                of_volume.push(container.config.name.clone());
            }
        }
        Ok(VolumeUsers(users))
    }

    /// Makes a volume, with a random name if none is asked for; returns its name. One that is there stays as it is, as with Docker.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        asked: &NewVolume,
    ) -> Result<String, EngineError> {
        let (name, naming) = match name {
            Some(name) => (name.to_owned(), Naming::Named),
            None => (random_id()?, Naming::Anonymous),
        };
        check_name(&name)?;
        let _making = find::hold_off_sweeps(&self.home)?;
        if self.volume_store().make(&name, asked, naming)? {
            self.tell_volume("create", &name);
        }
        Ok(name)
    }

    /// Removes a volume that no container has, whether it runs or not.
    pub fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _deciding = find::hold_off_makers(&self.home)?;
        self.volume(name)?;
        if let Some(container) = self.volume_users()?.of(name).first() {
            return Err(EngineError::Volume(VolumeError::InUse {
                name: name.to_owned(),
                container: container.clone(),
            }));
        }
        self.remove_unused(name)
    }

    /// Removes volumes that no container has; returns their names, and the bytes that they had.
    pub fn prune_volumes(
        &self,
        which: PrunedVolumes,
        filter: &VolumeFilter,
    ) -> Result<(Vec<String>, u64), EngineError> {
        let _deciding = find::hold_off_makers(&self.home)?;
        let store = self.volume_store();
        store
            .sweep()
            .map_err(EngineError::io("sweep", &store.directory))?;
        let users = self.volume_users()?;
        let (mut removed, mut freed_bytes) = (Vec::new(), 0);
        for volume in self.volumes()? {
            let is_used = !users.of(&volume.name).is_empty();
            let is_meant = which == PrunedVolumes::All || volume.naming == Naming::Anonymous;
            if is_used || !is_meant || !filter.matches(&volume, is_used) {
                continue;
            }
            let bytes = size_bytes(&volume);
            self.remove_unused(&volume.name)?;
            freed_bytes += bytes;
            removed.push(volume.name);
        }
        if !removed.is_empty() {
            let event = Event::new(EventKind::Volume, "prune", "");
            self.events()
                .record(&event.with("reclaimed", freed_bytes.to_string()));
        }
        Ok((removed, freed_bytes))
    }

    fn remove_unused(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.volume_store().remove(name);
        removed.map_err(|source| VolumeError::Io {
            action: "remove",
            name: name.to_owned(),
            source,
        })?;
        self.tell_volume("destroy", name);
        Ok(())
    }

    /// Removes the volumes of a container that nobody named.
    pub(super) fn remove_anonymous_volumes(&self, config: &ContainerConfig) {
        let store = self.volume_store();
        for name in store.remove_anonymous(config.anonymous_volumes()) {
            self.tell_volume("destroy", name);
        }
    }

    /// Returns the volumes and binds of containers, as another container gets them. Docker: `daemon/volumes.go`,
    /// `registerMountPoints()`.
    ///
    /// A volume that nobody named is a named one from then on: it must not go with the container that it was made for.
    pub(super) fn mounts_of(&self, wanted: &[MountsFrom]) -> Result<Vec<MountSpec>, EngineError> {
        let mut mounts = Vec::new();
        for from in wanted {
            let of_container = self.container(&from.container)?.config.spec.mounts;
            let inherited = of_container.into_iter().filter_map(|mount| match mount {
                MountSpec::Volume {
                    name,
                    is_disk,
                    source,
                    target,
                    is_read_only,
                    ..
                } => Some(MountSpec::Volume {
                    name,
                    is_disk,
                    source,
                    target,
                    is_read_only: is_read_only || from.is_read_only,
                    is_anonymous: false,
                    is_filled: false,
                }),
                MountSpec::Bind {
                    source,
                    target,
                    is_read_only,
                } => Some(MountSpec::Bind {
                    source,
                    target,
                    is_read_only: is_read_only || from.is_read_only,
                }),
                MountSpec::Disk {
                    source,
                    target,
                    is_read_only,
                    is_synchronous,
                    keeps_access_times,
                } => Some(MountSpec::Disk {
                    source,
                    target,
                    is_read_only: is_read_only || from.is_read_only,
                    is_synchronous,
                    keeps_access_times,
                }),
                _ => None,
            });
            mounts.extend(inherited);
        }
        Ok(mounts)
    }

    /// Gives the volumes among these mounts their names and places.
    pub(super) fn name_volumes(&self, mounts: &mut [MountSpec]) -> Result<(), EngineError> {
        for mount in mounts {
            let MountSpec::Volume {
                name,
                is_disk,
                source,
                ..
            } = mount
            else {
                continue;
            };
            if name.is_empty() {
                *name = random_id()?;
            }
            let store = self.volume_store();
            let data = store.data(name);
            let (path, driver) = data.map_err(EngineError::io("read", &store.directory))?;
            *source = path;
            *is_disk = driver == VolumeDriver::Disk;
        }
        Ok(())
    }

    /// Refuses to start a container while another one has a disk of its volumes in a way that leaves no place for it: one may write it, or
    /// several read it. Whoever starts just now is kept out by the disk's own lock.
    pub(super) fn check_disks(&self, config: &ContainerConfig) -> Result<(), EngineError> {
        let own: Vec<_> = disks_of(config).collect();
        if own.is_empty() {
            return Ok(());
        }
        for other in self.containers()? {
            if other.id() == config.spec.id || !other.state.is_alive() {
                continue;
            }
            for (name, is_read_only) in disks_of(&other.config) {
                let mine = own.iter().find(|(own, _)| *own == name);
                let (name, container) = (name.to_owned(), other.config.name.clone());
                let error = match (mine, is_read_only) {
                    (Some(_), false) => VolumeError::Writing { name, container },
                    (Some((_, false)), true) => VolumeError::Reading { name, container },
                    _ => continue,
                };
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub(super) fn volume_store(&self) -> Volumes {
        Volumes {
            directory: self.home.volumes(),
        }
    }

    fn tell_volume(&self, action: &str, name: &str) {
        let event = Event::new(EventKind::Volume, action, name);
        self.events().record(&event.with("driver", "local"));
    }
}

/// Returns the volumes of a container that are disks, with whether it only reads them.
fn disks_of(config: &ContainerConfig) -> impl Iterator<Item = (&str, bool)> {
    let mounts = config.spec.mounts.iter();
    mounts.filter_map(|mount| match mount {
        MountSpec::Volume {
            name,
            is_disk: true,
            is_read_only,
            ..
        } => Some((name.as_str(), *is_read_only)),
        _ => None,
    })
}
