//! Checking a whole home: the store, compiled modules, containers' records and names, volumes, snapshots of layers; and repairing it.
//!
//! Nothing here opens the engine, which a damaged database or record would keep from opening.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minke_image::check as store;
use minke_sandbox::runtime::cache::ModuleCache;

use crate::engine::EngineError;
use crate::home::Home;
use crate::names;
use crate::record::{ContainerState, KILLED_CODE, Record, Status};
use crate::removal::remove_tree;
use crate::volumes::{Damage, Volumes};

mod snapshots;

/// Something that is wrong with a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Store(store::Fault),
    /// A compiled module that is not what was stored.
    Module {
        path: PathBuf,
        reason: String,
    },
    /// What a container was made from cannot be read.
    Config {
        id: String,
        reason: String,
    },
    /// How a container is cannot be read.
    State {
        id: String,
        reason: String,
    },
    /// A name of a container that is not there.
    Name {
        path: PathBuf,
        id: String,
    },
    Volume {
        name: String,
        damage: Damage,
    },
    /// A snapshot of an image's layer that is damaged, or missing under containers.
    Snapshot {
        path: PathBuf,
        reason: String,
        /// Names of the containers that lie over it.
        containers: Vec<String>,
    },
}

/// What was done about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    pub fault: Fault,
    /// What was done, and what is lost by it.
    pub outcome: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Store(fault) => fault.fmt(formatter),
            Fault::Module { path, reason } => {
                write!(
                    formatter,
                    "compiled module `{}` is corrupt: {reason}",
                    path.display()
                )
            }
            Fault::Config { id, reason } => {
                write!(
                    formatter,
                    "the record of container `{}` cannot be read: {reason}",
                    short(id)
                )
            }
            Fault::State { id, reason } => {
                write!(
                    formatter,
                    "the state of container `{}` cannot be read: {reason}",
                    short(id)
                )
            }
            Fault::Name { path, id } => write!(
                formatter,
                "the name `{}` belongs to container `{}`, which is not there",
                path.parent()
                    .and_then(Path::file_name)
                    .unwrap_or_default()
                    .display(),
                short(id)
            ),
            Fault::Volume { name, damage } => write!(formatter, "volume `{name}` {damage}"),
            Fault::Snapshot {
                path,
                reason,
                containers,
            } => {
                write!(formatter, "snapshot `{}` {reason}", path.display())?;
                match containers.is_empty() {
                    true => Ok(()),
                    false => write!(formatter, "; under container {}", quoted(containers)),
                }
            }
        }
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Reads everything, and says what is wrong. Nothing is changed.
pub fn check(home: &Home) -> Result<Vec<Fault>, EngineError> {
    let mut faults = Vec::new();
    if home.images().exists() {
        faults.extend(store::check(&home.images())?.into_iter().map(Fault::Store));
    }
    faults.extend(others(home)?);
    Ok(faults)
}

/// Restores what can be derived, and removes what cannot be used.
pub fn repair(home: &Home) -> Result<Vec<Repaired>, EngineError> {
    let mut done = Vec::new();
    if home.images().exists() {
        let repaired = store::repair(&home.images())?.into_iter();
        done.extend(repaired.map(|it| Repaired {
            fault: Fault::Store(it.fault),
            outcome: it.outcome,
        }));
    }
    for fault in others(home)? {
        let outcome = one(home, &fault)?;
        done.push(Repaired { fault, outcome });
    }
    Ok(done)
}

fn others(home: &Home) -> Result<Vec<Fault>, EngineError> {
    let mut faults = Vec::new();
    let modules = home.modules();
    if modules.exists() {
        let failed = EngineError::io("read", &modules);
        let found = ModuleCache::open(&modules)
            .and_then(|cache| cache.faults())
            .map_err(failed)?;
        faults.extend(
            found
                .into_iter()
                .map(|(path, reason)| Fault::Module { path, reason }),
        );
    }
    records(home, &mut faults)?;
    let volumes = volumes_of(home);
    let damages = volumes
        .damages(&volume_users(home)?)
        .map_err(EngineError::io("read", &volumes.directory))?;
    let damages = damages.into_iter();
    faults.extend(damages.map(|(name, damage)| Fault::Volume { name, damage }));
    faults.extend(snapshots::faults(home)?);
    let names = home.names();
    if names.exists() {
        for (path, name) in names::all(&names).map_err(EngineError::io("read", &names))? {
            let Some(id) = names::holder(&names, &name) else {
                continue;
            };
            if !home.containers().join(&id).exists() {
                let path = path.join(&id);
                faults.push(Fault::Name { path, id });
            }
        }
    }
    Ok(faults)
}

fn volumes_of(home: &Home) -> Volumes {
    Volumes {
        directory: home.volumes(),
    }
}

/// Returns which volumes containers have, with the containers' names. Those of one that is being made may
/// not be there yet, and one that runs has its own.
fn volume_users(home: &Home) -> Result<BTreeSet<(String, String)>, EngineError> {
    let mut users = BTreeSet::new();
    for (id, record) in all_records(home)? {
        let Ok(config) = record.config() else {
            continue;
        };
        if !record.is_draft() && !is_running(home, &id) {
            let names = config.volumes();
            users.extend(names.map(|name| (name.to_owned(), config.name.clone())));
        }
    }
    Ok(users)
}

/// Returns the records of all containers with their ids.
fn all_records(home: &Home) -> Result<Vec<(String, Record)>, EngineError> {
    let directory = home.containers();
    let entries = match names::all(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(EngineError::io("read", &directory))?,
    };
    let directories = entries.into_iter().filter(|(path, _)| path.is_dir());
    Ok(directories
        .map(|(path, id)| (id, Record::new(path)))
        .collect())
}

fn records(home: &Home, faults: &mut Vec<Fault>) -> Result<(), EngineError> {
    for (id, record) in all_records(home)? {
        // One without a configuration is being made or removed.
        match (record.config(), record.state()) {
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => {
                faults.push(Fault::Config {
                    id,
                    reason: error.to_string(),
                });
            }
            (Ok(_), Err(error)) => faults.push(Fault::State {
                id,
                reason: error.to_string(),
            }),
            _ => {}
        }
    }
    Ok(())
}

fn one(home: &Home, fault: &Fault) -> Result<String, EngineError> {
    match fault {
        // They are repaired where they were found.
        Fault::Store(_) => Ok(String::new()),
        Fault::Module { path, .. } => {
            remove(path)?;
            remove(&path.with_extension("seal"))?;
            Ok("removed; it is compiled again when it is needed".to_owned())
        }
        Fault::Config { id, .. } | Fault::State { id, .. } if is_running(home, id) => {
            Ok("not repaired: the container runs; end its process first".to_owned())
        }
        Fault::Config { id, .. } => {
            for (path, name) in names::all(&home.names()).unwrap_or_default() {
                if names::holder(&home.names(), &name).as_ref() == Some(id) {
                    remove(&path)?;
                }
            }
            remove(&home.run.join(id))?;
            remove(&home.containers().join(id))?;
            Ok("lost: the container, with its log; make it again".to_owned())
        }
        Fault::State { id, .. } => {
            let record = Record::new(home.containers().join(id));
            let state = ContainerState {
                status: Status::Exited,
                exit_code: KILLED_CODE,
                reason: "its record was damaged".to_owned(),
                ..ContainerState::created()
            };
            record.write_state(&state).map_err(EngineError::io(
                "write the record of a container in",
                &record.directory,
            ))?;
            Ok("recorded as exited; its exit code is lost".to_owned())
        }
        Fault::Volume { name, damage } => Ok(volumes_of(home).mend(name, damage)?.to_owned()),
        Fault::Snapshot { path, .. } => snapshots::mend(home, path),
        Fault::Name { path, .. } => {
            remove(path)?;
            if let Some(name) = path.parent() {
                let _ = fs::remove_dir(name);
            }
            Ok("removed".to_owned())
        }
    }
}

fn is_running(home: &Home, id: &str) -> bool {
    let record = Record::new(home.containers().join(id));
    matches!(record.try_lock(), Ok(None))
}

fn remove(path: &Path) -> Result<(), EngineError> {
    remove_tree(path).map_err(EngineError::io("remove", path))
}
