//! Snapshots of images' layers: which are damaged, or missing under containers; and making them again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minke_image::{Store, StoreError, check as store};

use super::{Fault, all_records, quoted};
use crate::engine::{EngineError, hold_off_makers};
use crate::home::Home;

/// A container that lies over a snapshot.
struct User {
    name: String,
    image_id: Option<String>,
}

/// Compares snapshots with their sums, and looks for those that containers lie over.
pub(super) fn faults(home: &Home) -> Result<Vec<Fault>, EngineError> {
    let users = users(home)?;
    let fault = |path: PathBuf, reason: String| Fault::Snapshot {
        containers: users.get(&path).map_or_else(Vec::new, |it| names(it)),
        path,
        reason,
    };
    let damaged = store::damaged_snapshots(&home.images())?.into_iter();
    let missing = users.keys().filter(|path| !path.exists());
    Ok(damaged
        .map(|(path, reason)| fault(path, reason))
        .chain(missing.map(|path| fault(path.clone(), "is missing".to_owned())))
        .collect())
}

/// Makes a snapshot again that containers lie over, with those below it; without any it is removed, and made when it is needed.
pub(super) fn mend(home: &Home, path: &Path) -> Result<String, EngineError> {
    let _deciding = hold_off_makers(home)?;
    let store = Store::open(home.images())?;
    let users = users(home)?.remove(path).unwrap_or_default();
    if users.is_empty() {
        store.remove_damaged_snapshot(path)?;
        return Ok("removed; it is made again when it is needed".to_owned());
    }
    let mut reason = "its image is not known".to_owned();
    for image_id in users.iter().filter_map(|user| user.image_id.as_ref()) {
        match make_again(&store, image_id) {
            Ok(true) => return Ok("made again from its image's layers".to_owned()),
            Ok(false) => reason = "it would have other bytes".to_owned(),
            Err(error) => reason = error.to_string(),
        }
    }
    Ok(format!(
        "not repaired: it cannot be made again ({reason}); load the image again, or remove container {}",
        quoted(&names(&users))
    ))
}

fn make_again(store: &Store, image_id: &str) -> Result<bool, StoreError> {
    let layers = store.root_layers(&store.image(image_id)?)?;
    store.mend_snapshots(&layers)
}

/// Returns which snapshots containers lie over; also containers that are being made.
fn users(home: &Home) -> Result<BTreeMap<PathBuf, Vec<User>>, EngineError> {
    let mut users: BTreeMap<PathBuf, Vec<User>> = BTreeMap::new();
    for (_, record) in all_records(home)? {
        let Ok(config) = record.config() else {
            continue;
        };
        for path in config
            .spec
            .root
            .disk
            .into_iter()
            .flat_map(|it| it.snapshots)
        {
            users.entry(path).or_default().push(User {
                name: config.name.clone(),
                image_id: config.image_id.clone(),
            });
        }
    }
    Ok(users)
}

fn names(users: &[User]) -> Vec<String> {
    users.iter().map(|user| user.name.clone()).collect()
}
