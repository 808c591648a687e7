//! Operations on images that concern containers too.

use minke_image::{Force, ImageSummary, Removed};

use super::{Engine, EngineError};

impl Engine {
    /// Returns every image, newest first.
    pub fn images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        Ok(self.store()?.images()?)
    }

    /// Removes an image or one of its names. An image that a container was made from stays unless forced; containers that
    /// run keep what they have mapped.
    pub fn remove_image(&self, wanted: &str, force: Force) -> Result<Removed, EngineError> {
        let store = self.store()?;
        let image = store.image(wanted)?;
        // With another name left, the contents stay.
        if force == Force::No && image.tags.len() <= 1 {
            let id = image.id.to_string();
            let containers = self.containers()?;
            let is_user = |image_id: &Option<String>| image_id.as_ref() == Some(&id);
            if let Some(user) = containers.iter().find(|c| is_user(&c.config.image_id)) {
                return Err(EngineError::ImageInUse {
                    image: wanted.to_owned(),
                    container: user.config.name.clone(),
                });
            }
        }
        Ok(store.remove(wanted, force)?)
    }
}
