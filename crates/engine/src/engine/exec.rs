//! Programs that are started in a container that runs, beside its first.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minke_image::program;
use minke_sandbox::attach::Connection;
use minke_sandbox::container::{StartError, StartErrorKind};
use minke_sandbox::control::{AttachRequest, Client, ExecClient, ExecRequest, Response};
use minke_sandbox::runtime::module_server;
use rustix::stdio;

use super::{Engine, EngineError, random_id};
use crate::events::Event;
use crate::plan::PlanError;
use crate::record::{Container, KILLED_CODE, Status};

/// A program to be started in a container that runs; what is `None` is the container's.
#[derive(Clone, Debug, Default)]
pub struct NewExec {
    /// Program and arguments, as typed.
    pub args: Vec<String>,
    /// `KEY=value`, beside the container's; later ones win.
    pub env: Vec<String>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    pub streams: ExecStreams,
}

/// Where the standard streams of such a program lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecStreams {
    /// To `/dev/null`.
    #[default]
    None,
    /// Outputs to those of this process; the input is `/dev/null`.
    Outputs,
    /// To those of this process.
    All,
    /// To a terminal of the program's own, to which this process is attached.
    Terminal(AttachRequest),
}

/// A program that was started in a container.
#[derive(Debug)]
pub struct Exec(ExecClient);

impl Exec {
    /// Takes the connection over, of a program with a terminal.
    pub fn into_connection(self) -> io::Result<Connection> {
        self.0.into_connection()
    }

    /// Waits for the program's end; returns its exit code, 137 when it ended with the container.
    pub fn wait(self) -> Result<u8, io::Error> {
        match self.0.wait() {
            Err(error) if is_cut_off(&error) => Ok(KILLED_CODE),
            waited => waited,
        }
    }
}

/// Only a sandbox that has ended leaves a connection so.
fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

impl Engine {
    /// Starts a program in a container that runs. It goes on if nobody waits for it.
    ///
    /// # Errors
    /// Then nothing was started; [`EngineError::Start`] tells what is wrong with the program.
    pub fn exec(&self, container: &Container, asked: &NewExec) -> Result<Exec, EngineError> {
        if !container.state.is_alive() {
            return Err(not_running(container));
        }
        if container.state.status == Status::Paused {
            let name = container.config.name.clone();
            return Err(EngineError::PausedForExec { name });
        }
        let request = request(container, asked)?;
        self.tell_exec("exec_create", container, &request);
        self.tell_exec("exec_start", container, &request);
        let mut answer = self.ask_exec(container, request.clone(), asked.streams, None)?;
        if answer.0 == Response::ModulesWanted {
            let cache = &container.config.spec.module_cache;
            let modules = module_server::start_for_another(cache)
                .map_err(|error| StartError::failed("cannot start the module server", &error))?;
            answer = self.ask_exec(container, request, asked.streams, Some(&modules))?;
        }
        match answer {
            (Response::Begun { .. }, client) => Ok(Exec(client)),
            (
                Response::NotBegun {
                    exit_code,
                    message,
                    hint,
                },
                _,
            ) => Err(EngineError::Start(StartError {
                kind: StartErrorKind::of_exit_code(exit_code),
                message,
                hint,
            })),
            (Response::Refused { message }, _) => Err(EngineError::Refused {
                name: container.config.name.clone(),
                message,
            }),
            (other, _) => Err(EngineError::Unreachable {
                name: container.config.name.clone(),
                source: io::Error::other(format!("it answered {other:?}")),
            }),
        }
    }

    fn ask_exec(
        &self,
        container: &Container,
        mut request: ExecRequest,
        streams: ExecStreams,
        modules: Option<&OwnedFd>,
    ) -> Result<(Response, ExecClient), EngineError> {
        request.has_modules = modules.is_some();
        let mut passed: Vec<BorrowedFd<'_>> = match streams {
            ExecStreams::None | ExecStreams::Terminal(_) => Vec::new(),
            ExecStreams::Outputs => vec![stdio::stdout(), stdio::stderr()],
            ExecStreams::All => vec![stdio::stdin(), stdio::stdout(), stdio::stderr()],
        };
        passed.extend(modules.map(AsFd::as_fd));
        let asked = Client::connect(&self.home.run.join(container.id()))
            .and_then(|client| client.exec(request, &passed));
        asked.map_err(|source| match source.kind() {
            io::ErrorKind::ArgumentListTooLong => EngineError::Start(StartError {
                kind: StartErrorKind::NotExecutable,
                message: "the arguments and the environment are too long".to_owned(),
                hint: Some("pass what is long through the standard input, with `-i`".to_owned()),
            }),
            // It may just have ended, or be between two runs.
            _ if !self.has_sandbox(container).unwrap_or(true) => not_running(container),
            _ => EngineError::Unreachable {
                name: container.config.name.clone(),
                source,
            },
        })
    }

    /// Docker: `daemon/exec.go`: the action has the command in it.
    fn tell_exec(&self, action: &str, container: &Container, request: &ExecRequest) {
        let action = format!("{action}: {}", request.args.join(" "));
        let event = Event::of_container(&action, &container.config);
        self.events().record(&event.with("execID", &request.id));
    }
}

fn not_running(container: &Container) -> EngineError {
    EngineError::NotRunning {
        action: "run a program in",
        name: container.config.name.clone(),
    }
}

fn request(container: &Container, asked: &NewExec) -> Result<ExecRequest, EngineError> {
    let process = &container.config.spec.process;
    let cwd = asked.working_directory.as_ref().unwrap_or(&process.cwd);
    if !cwd.starts_with('/') {
        return Err(PlanError::RelativeDirectory(cwd.clone()).into());
    }
    let terminal = match asked.streams {
        ExecStreams::Terminal(request) => Some(request),
        _ => None,
    };
    // Docker: `container/env.go`; the container's own variable wins.
    let of_terminal = terminal.map(|_| "TERM=xterm".to_owned());
    let env = environment([of_terminal.as_slice(), &process.env, &asked.env])?;
    let search = env.iter().find_map(|it| it.strip_prefix("PATH="));
    let word = asked.args.first().map_or("", String::as_str);
    Ok(ExecRequest {
        id: random_id()?,
        args: asked.args.clone(),
        program_paths: program::candidates(word, search, cwd),
        cwd: cwd.clone(),
        user: asked.user.as_ref().unwrap_or(&process.user).clone(),
        has_input: asked.streams == ExecStreams::All,
        has_outputs: matches!(asked.streams, ExecStreams::Outputs | ExecStreams::All),
        terminal,
        has_modules: false,
        env,
    })
}

/// Joins variables: each name once, the last value wins.
fn environment(lists: [&[String]; 3]) -> Result<Vec<String>, PlanError> {
    let mut places = BTreeMap::new();
    let mut merged: Vec<String> = Vec::new();
    for variable in lists.into_iter().flatten() {
        let name = variable.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(PlanError::NamelessVariable(variable.clone()));
        }
        let place = *places.entry(name).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(existing) => existing.clone_from(variable),
            None => merged.push(variable.clone()),
        }
    }
    Ok(merged)
}
