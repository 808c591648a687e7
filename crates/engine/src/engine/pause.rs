//! Pauses of containers: all processes stand still, and go on.

use minke_sandbox::control::Request;

use super::stop::ANSWER_WITHIN;
use super::{Engine, EngineError};
use crate::record::{Container, Status};

impl Engine {
    /// Keeps all processes of a container from going on until [`Engine::unpause`], or until it is stopped or killed. The sandbox itself
    /// keeps the record.
    pub fn pause(&self, container: &Container) -> Result<(), EngineError> {
        let name = container.config.name.clone();
        match container.state.status {
            Status::Paused => Err(EngineError::PausedAlready { name }),
            Status::Restarting => Err(EngineError::Restarting { name }),
            _ => self
                .ask(container, &Request::Pause, Some(ANSWER_WITHIN))
                .map(drop),
        }
    }

    /// Lets all processes of a paused container go on.
    pub fn unpause(&self, container: &Container) -> Result<(), EngineError> {
        match container.state.status {
            Status::Paused => self
                .ask(container, &Request::Resume, Some(ANSWER_WITHIN))
                .map(drop),
            _ => Err(EngineError::NotPaused {
                name: container.config.name.clone(),
            }),
        }
    }
}
