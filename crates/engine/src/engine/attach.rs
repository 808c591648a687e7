//! What a container that runs prints, and what it is typed; and its processes.

use minke_sandbox::attach::Connection;
use minke_sandbox::control::{AttachRequest, Client, ProcessStatus, Request, Response};

use super::stop::ANSWER_WITHIN;
use super::{Engine, EngineError};
use crate::events::Event;
use crate::record::{Container, Status};

impl Engine {
    /// Attaches to a container's first process: from now on, what it prints comes over the connection.
    pub fn attach(
        &self,
        container: &Container,
        request: AttachRequest,
    ) -> Result<Connection, EngineError> {
        let name = || container.config.name.clone();
        match container.state.status {
            Status::Paused => return Err(EngineError::PausedForAttach { name: name() }),
            Status::Restarting => return Err(EngineError::Restarting { name: name() }),
            _ if !container.state.is_alive() => {
                return Err(EngineError::StoppedForAttach { name: name() });
            }
            _ => {}
        }
        let asked = Client::connect(&self.home.run.join(container.id())).and_then(|client| {
            client.set_timeout(Some(ANSWER_WITHIN))?;
            client.attach(request)
        });
        match asked {
            Ok((Response::Done, connection)) => {
                let event = Event::of_container("attach", &container.config);
                self.events().record(&event);
                Ok(connection)
            }
            Ok((Response::Refused { message }, _)) => Err(EngineError::Refused {
                name: name(),
                message,
            }),
            Ok((other, _)) => Err(EngineError::Unreachable {
                name: name(),
                source: std::io::Error::other(format!("it answered {other:?}")),
            }),
            // It may just have ended, or be between two runs.
            Err(_) if !self.has_sandbox(container)? => {
                Err(EngineError::StoppedForAttach { name: name() })
            }
            Err(source) => Err(EngineError::Unreachable {
                name: name(),
                source,
            }),
        }
    }

    /// Returns all processes of a container, by number.
    pub fn processes(&self, container: &Container) -> Result<Vec<ProcessStatus>, EngineError> {
        match self.ask(container, &Request::Processes, Some(ANSWER_WITHIN))? {
            Response::Processes { processes } => Ok(processes),
            other => Err(EngineError::Unreachable {
                name: container.config.name.clone(),
                source: std::io::Error::other(format!("it answered {other:?}")),
            }),
        }
    }
}
