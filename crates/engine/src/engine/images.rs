//! Operations on images that concern containers too, and the events that tell of them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use minke_image::archive::{Export, LoadOptions, Loaded, Progress, SaveOptions};
use minke_image::{Digest, Force, ImageFilter, ImageSummary, Reference, Removed, Store};

use super::{Engine, EngineError, find};
use crate::events::{Event, EventKind};
use crate::record::Container;
use crate::usage::snapshot_names;

/// Where an archive is written to.
#[derive(Debug)]
pub enum Destination<'a> {
    File(&'a Path),
    /// Something that is open, a pipe too.
    Open(&'a File),
}

/// Which images a prune takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Those without a name.
    Dangling,
    /// Those that no container was made from.
    All,
}

/// Which containers were made from which image, by its id.
pub struct ImageUsers(HashMap<String, Vec<Container>>);

impl ImageUsers {
    /// Returns the containers of an image.
    pub fn of(&self, id: &Digest) -> &[Container] {
        self.0.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }
}

impl Engine {
    /// Returns every image, newest first.
    pub fn images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        Ok(self.store()?.images()?)
    }

    /// Returns which containers were made from which image.
    pub fn image_users(&self) -> Result<ImageUsers, EngineError> {
        let mut users: HashMap<String, Vec<Container>> = HashMap::new();
        for container in self.containers()? {
            if let Some(id) = container.config.image_id.clone() {
                users.entry(id).or_default().push(container);
            }
        }
        Ok(ImageUsers(users))
    }

    /// Removes an image or one of its names, by Docker's rules.
    ///
    /// The last name of an image that a container was made from goes only by force, and the image stays for a container that
    /// runs. By id, no force removes an image that a container runs from. Docker: `daemon/images/image_delete.go`.
    pub fn remove_image(&self, wanted: &str, force: Force) -> Result<Removed, EngineError> {
        let store = self.store()?;
        let image = store.stored_image(wanted)?;
        let name = wanted.parse::<Reference>().ok();
        let name = name.filter(|name| image.tags.contains(name));
        // With another name left, the contents stay.
        let is_last = name.is_none() || image.tags.len() <= 1;
        let _deciding = find::hold_off_makers(&self.home)?;
        let users = self.image_users()?;
        let users = users.of(&image.id);
        let running = users.iter().find(|it| it.state.has_processes());
        let removed = match (is_last, force, &name) {
            (true, Force::Yes, Some(name)) if running.is_some() => {
                store.untag(name)?;
                Removed {
                    untagged: vec![name.clone()],
                    ..Removed::default()
                }
            }
            (true, Force::Yes, None) if running.is_some() => {
                return Err(in_use(wanted, running));
            }
            // By id, several names are the first thing that is in the way.
            (true, Force::No, None) if image.tags.len() > 1 => store.remove(wanted, force)?,
            (true, Force::No, _) if !users.is_empty() => {
                return Err(in_use(wanted, running.or(users.first())));
            }
            _ => store.remove(wanted, force)?,
        };
        self.tell_removed(&image.id, &removed);
        Ok(removed)
    }

    /// Gives an image one more name, taking it from the image that has it. Docker: `docker image tag`.
    pub fn tag_image(&self, wanted: &str, name: &Reference) -> Result<(), EngineError> {
        let image = self.store()?.image(wanted)?;
        self.store()?.tag(&image.manifest_digest, name)?;
        self.tell("tag", &image.id, Some(name));
        Ok(())
    }

    /// Writes images into an archive.
    pub fn save_images(
        &self,
        exports: &[Export],
        options: &SaveOptions,
        destination: &Destination<'_>,
        progress: &dyn Progress,
    ) -> Result<(), EngineError> {
        let store = self.store()?;
        match destination {
            Destination::File(path) => store.save_file(exports, options, path, progress)?,
            Destination::Open(file) => store.save(exports, options, file, progress)?,
        }
        for export in exports {
            self.tell("save", &export.image.id, export.names.first());
        }
        Ok(())
    }

    /// Loads the images of an archive.
    pub fn load_images(
        &self,
        archive: File,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Loaded>, EngineError> {
        let loaded = self.store()?.load(archive, options, progress)?;
        for image in &loaded {
            self.tell("load", &image.image.id, image.names.first());
        }
        Ok(loaded)
    }

    /// Removes the images that `filter` lets through and that nothing uses. One that is taken into use meanwhile stays.
    pub fn prune_images(
        &self,
        unused: Unused,
        filter: &ImageFilter,
    ) -> Result<Vec<Removed>, EngineError> {
        let store = self.store()?;
        // If this process is killed before it collects, whoever sweeps the lease does.
        let _sweeper = store.lease().ok();
        let deciding = find::hold_off_makers(&self.home)?;
        let users = self.image_users()?;
        let mut removed = Vec::new();
        for image in filter.apply(store, self.images()?)? {
            let is_wanted = unused == Unused::All || image.tags.is_empty();
            if !is_wanted || !users.of(&image.id).is_empty() {
                continue;
            }
            let gone = prune(store, &image)?;
            self.tell_removed(&image.id, &gone);
            removed.push(gone);
        }
        drop(deciding);
        let freed_bytes = store.collect()?.freed_bytes;
        removed.push(Removed {
            freed_bytes,
            ..Removed::default()
        });
        if freed_bytes > 0 {
            let event = Event::new(EventKind::Image, "prune", "");
            self.events()
                .record(&event.with("reclaimed", freed_bytes.to_string()));
        }
        Ok(removed)
    }

    /// Removes the snapshots of images' layers that no container lies over; returns the bytes that were freed. They are made again when they are needed.
    pub fn prune_snapshots(&self) -> Result<u64, EngineError> {
        let _deciding = find::hold_off_makers(&self.home)?;
        let containers = self.containers()?;
        let needed = containers.iter().flat_map(snapshot_names);
        let needed = needed.map(OsStr::to_owned).collect();
        Ok(self.store()?.prune_snapshots(&needed)?)
    }

    fn tell_removed(&self, id: &Digest, removed: &Removed) {
        for name in &removed.untagged {
            self.tell("untag", id, Some(name));
        }
        if removed.deleted.is_some() {
            self.tell("delete", id, None);
        }
    }

    fn tell(&self, action: &str, id: &Digest, name: Option<&Reference>) {
        let event = Event::new(EventKind::Image, action, &id.to_string());
        let name = name.map_or_else(|| id.to_string(), Reference::to_string);
        self.events().record(&event.with("name", name));
    }
}

fn in_use(image: &str, user: Option<&Container>) -> EngineError {
    EngineError::ImageInUse {
        image: image.to_owned(),
        container: user
            .map(|user| user.config.name.clone())
            .unwrap_or_default(),
    }
}

/// Removes every name that an image had when it was looked at; with the last, the image.
fn prune(store: &Store, image: &ImageSummary) -> Result<Removed, EngineError> {
    store
        .remove_image_with(&image.manifest_digest, &image.tags)
        .map_err(EngineError::from)
}
