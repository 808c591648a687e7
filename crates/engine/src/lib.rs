//! Containers: made, started, listed, stopped, removed; one sandbox process each.
//!
//! Plain public types: no command-line words, no printing, no Docker JSON. Commands, an API server or a compose
//! file come here with a [`NewContainer`] and get a [`Container`] back.
//!
//! | module | is |
//! |---|---|
//! | [`home`] | where state lives on disk |
//! | [`record`] | what is known of one container, as files |
//! | [`names`] | names of containers, claimed atomically |
//! | [`plan`] | from what was asked for to a [`SandboxSpec`](minke_sandbox::spec::SandboxSpec) |
//! | [`engine`] | the operations |
//! | [`supervise`] | a sandbox from its start to its recorded end, in this process |
//! | [`restart`] | when a container is started again |
//! | [`filter`] | which containers are asked for |
//! | [`attach`] | what goes between a command and a program that it is attached to |
//! | [`files`] | files between a container and the host |
//! | [`step`] | a program of a build, in a sandbox of its own |
//! | [`logs`] | reading what programs printed |
//! | [`events`] | what happened, kept and followed |
//! | [`watch`] | waiting for a directory to change |
//! | [`volumes`] | named places for files that outlive containers |
//! | [`syntax`] | ports, volumes, sizes and times as people type them |
//!
//! # Which process does what
//!
//! No daemon. `minke run` in the foreground is the sandbox itself; detached, or with a terminal, it executes itself again as
//! `minke sandbox` and waits for its [`StartReport`](supervise::StartReport). A container with a restart policy has a
//! `minke supervisor` between the two, which starts the sandbox again. A living sandbox or supervisor holds the lock of its
//! container's directory, from before the record is visible until the process ends: whoever gets the lock knows
//! that it is dead, however it died, and finishes what it could not ([`Engine::containers`]).

pub mod attach;
pub mod build_caches;
pub mod check;
pub mod engine;
pub mod events;
pub mod files;
pub mod filter;
pub mod groups;
pub mod home;
pub mod logs;
pub mod names;
pub mod plan;
pub mod record;
mod removal;
pub mod restart;
pub mod step;
pub mod supervise;
pub mod syntax;
pub mod usage;
pub mod volumes;
pub mod watch;

pub use engine::{
    AnonymousVolumes, CpusChange, Created, Engine, EngineError, Exec, ExecStreams, NewExec,
    PrunedVolumes, SnapshotError, Stopping, Update, Usage, snapshot_bytes,
};
pub use events::{Event, EventKind, EventLog};
pub use filter::ContainerFilter;
pub use home::Home;
pub use minke_disk::NamedSnapshot;
pub use minke_image as image;
pub use minke_sandbox::control::parse_signal as signal_number;
pub use minke_sandbox::jail::{LANDLOCK_VERSION_WANTED, landlock_version};
pub use minke_sandbox::{signals, spec};
pub use plan::{FurtherLimits, HealthChecks, MountsFrom, NewContainer, Program};
pub use record::{Container, ContainerConfig, ContainerState, KILLED_CODE, Status};
pub use restart::RestartPolicy;
pub use supervise::{Attachment, Outcome};
pub use volumes::{NewVolume, Volume, VolumeDriver, VolumeFilter};
