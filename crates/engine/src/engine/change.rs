//! Changes to containers: their names, limits and restart policies.

use std::time::Duration;

use minke_sandbox::control::{LimitsChange, Request};

use super::{Engine, EngineError};
use crate::events::Event;
use crate::groups;
use crate::names;
use crate::record::Container;
use crate::restart::RestartPolicy;

/// How long a sandbox may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Docker counts CPU time per time in billionths of a CPU.
const NANO: f64 = 1e9;

/// What `update` changes; `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    pub memory_bytes_max: Option<u64>,
    pub pids_max: Option<u32>,
    pub cpus: Option<CpusChange>,
    pub restart: Option<RestartPolicy>,
}

/// A change of the CPU time per time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CpusChange {
    Unlimited,
    Limited(f64),
}

impl CpusChange {
    /// Returns the limit as a container's record has it.
    fn limit(self) -> Option<f64> {
        match self {
            CpusChange::Unlimited => None,
            CpusChange::Limited(cpus) => Some(cpus),
        }
    }

    fn nano_cpus(self) -> u64 {
        self.limit().map_or(0, |cpus| (cpus * NANO) as u64)
    }
}

impl Engine {
    /// Gives a container another name, whether it runs or not.
    pub fn rename(&self, container: &Container, name: &str) -> Result<(), EngineError> {
        names::check(name)?;
        let record = self.record(container.id());
        let failed = || EngineError::io("rename the container of", &record.directory);
        let edit = self.edit(container)?;
        let now = self.load_edited(container.id(), &edit)?;
        let mut config = now.ok_or_else(|| self.gone(container))?.config;
        if config.name == name {
            return Err(EngineError::SameName {
                name: name.to_owned(),
            });
        }
        let names = self.home.names();
        names::rename(&names, (&config.name, name), |id| self.is_known(id))?;
        let old = std::mem::replace(&mut config.name, name.to_owned());
        record.write_config(&config).map_err(failed())?;
        let event = Event::of_container("rename", &config).with("oldName", old);
        self.events().record(&event);
        Ok(())
    }

    /// Changes limits and the restart policy, of a container that runs at once.
    pub fn update(&self, container: &Container, update: &Update) -> Result<(), EngineError> {
        let record = self.record(container.id());
        let failed = || EngineError::io("change the record", &record.directory);
        let edit = self.edit(container)?;
        let now = self.load_edited(container.id(), &edit)?;
        let mut now = now.ok_or_else(|| self.gone(container))?;
        let policy = update.restart.unwrap_or(now.config.restart);
        if policy != RestartPolicy::No && now.config.is_auto_removed {
            return Err(EngineError::RestartOfRemoved);
        }
        self.apply_to_sandbox(&now, update)?;
        let limits = &mut now.config.spec.limits;
        limits.memory_bytes_max = update.memory_bytes_max.unwrap_or(limits.memory_bytes_max);
        limits.pids_max = update.pids_max.unwrap_or(limits.pids_max);
        limits.is_memory_asked |= update.memory_bytes_max.is_some();
        limits.is_pids_asked |= update.pids_max.is_some();
        limits.cpus = update.cpus.map_or(limits.cpus, CpusChange::limit);
        now.config.restart = policy;
        record.write_config(&now.config).map_err(failed())?;
        if let Some(group) = &now.state.control_group {
            groups::limit(group, &now.config.spec.limits);
        }
        let event = Event::of_container("update", &now.config);
        self.events().record(&event);
        Ok(())
    }

    fn apply_to_sandbox(&self, container: &Container, update: &Update) -> Result<(), EngineError> {
        let change = LimitsChange {
            memory_bytes_max: update.memory_bytes_max,
            pids_max: update.pids_max,
            nano_cpus: update.cpus.map(CpusChange::nano_cpus),
        };
        if !container.state.has_processes() || change == LimitsChange::default() {
            return Ok(());
        }
        self.ask(container, &Request::Limit(change), Some(ANSWER_WITHIN))
            .map(drop)
    }
}
