//! Removing what nothing needs.

use minke_image::{CacheEntry, ImageFilter, PrunedSteps};

use super::{AnonymousVolumes, Engine, EngineError};
use crate::events::{Event, EventKind};
use crate::usage::record_bytes;

impl Engine {
    /// Removes the containers that do not run, as far as labels and time of `filter` let them through; returns their ids, and the bytes of their records.
    ///
    /// One that is started meanwhile stays.
    pub fn prune_containers(
        &self,
        filter: &ImageFilter,
    ) -> Result<(Vec<String>, u64), EngineError> {
        let (mut removed, mut freed_bytes) = (Vec::new(), 0);
        for container in self.containers()? {
            let made = container.config.created_at.parse::<jiff::Timestamp>();
            let is_in_time = filter
                .until_s
                .is_none_or(|until| made.is_ok_and(|made| made.as_second() < until));
            if container.state.is_up()
                || !is_in_time
                || !filter.lets_through(&container.config.labels)
            {
                continue;
            }
            let size_bytes = record_bytes(self.home(), &container);
            // Docker: volumes stay, with names or without.
            match self.remove(&container, AnonymousVolumes::Kept) {
                Ok(()) => {
                    removed.push(container.id().to_owned());
                    freed_bytes += size_bytes;
                }
                Err(EngineError::Running { .. } | EngineError::NoSuchContainer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if !removed.is_empty() {
            let event = Event::new(EventKind::Container, "prune", "");
            self.events()
                .record(&event.with("reclaimed", freed_bytes.to_string()));
        }
        Ok((removed, freed_bytes))
    }

    /// Drops results of build steps, and what they alone kept; returns them and the bytes that were freed.
    pub fn prune_build_cache(
        &self,
        which: PrunedSteps,
        until_s: Option<i64>,
    ) -> Result<(Vec<CacheEntry>, u64), EngineError> {
        let (steps, collected) = self.store()?.prune_build_cache(which, until_s)?;
        Ok((steps, collected.freed_bytes))
    }
}
