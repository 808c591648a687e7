//! `minke exec`: a program in a container that runs, beside its first.

use clap::Args;
use minke_engine::attach::AttachRequest;
use minke_engine::{Container, Engine, ExecStreams, KILLED_CODE, NewExec};

use super::attached::{Attachment, Ending};
use super::detach::DetachOption;
use super::variables::Variables;
use super::{attach, terminal};
use crate::commands::engine;
use crate::report::{Kind, Report};

/// Run a program in a container that runs
///
/// COMMAND is a module or a script in the container, found as the first program is. It is started beside that, with the container's
/// variables, directory and user, and ends with it at the latest. What it prints is this command's, not the container's log. The exit code
/// is the program's own: 128 + N after signal N; 125 when minke failed, 126 when the program cannot be executed, 127 when it is
/// not there. Interrupting this command leaves the program running, as with Docker.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke exec web ls -l /data\n  minke exec -it web bash\n  minke exec -i web sh < script.sh\n  minke exec -d -e LEVEL=2 -w /srv -u 1000 web worker"
)]
pub(crate) struct Exec {
    /// Leave the program in the background
    #[arg(short, long)]
    detach: bool,

    /// Give the program this command's standard input
    #[arg(short, long)]
    interactive: bool,

    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,

    #[command(flatten)]
    leaving: DetachOption,

    #[command(flatten)]
    variables: Variables,

    /// Working directory in the container [default: the container's]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// User and group, names or numbers: `UID[:GID]` [default: the container's]
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Program, and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

impl Exec {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let is_typed = self.interactive && !self.detach;
        terminal::check(is_typed, self.tty)?;
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let asked = NewExec {
            args: self.command.clone(),
            env: self.variables.read()?,
            working_directory: self.workdir.clone(),
            user: self.user.clone(),
            streams: match (self.detach, self.interactive) {
                _ if self.tty => ExecStreams::Terminal(AttachRequest {
                    is_typed,
                    window: terminal::window_size(),
                }),
                (true, _) => ExecStreams::None,
                (false, false) => ExecStreams::Outputs,
                (false, true) => ExecStreams::All,
            },
        };
        let exec = engine.exec(&container, &asked)?;
        if self.detach {
            return Ok(0);
        }
        if self.tty {
            return self.show(&engine, &container, exec, is_typed);
        }
        exec.wait().map_err(|error| Report {
            kind: Kind::Run,
            ..Report::from(error)
        })
    }

    /// Is attached to the program's terminal until that ends; returns the exit code.
    fn show(
        &self,
        engine: &Engine,
        container: &Container,
        exec: minke_engine::Exec,
        is_typed: bool,
    ) -> Result<u8, Report> {
        let attachment = Attachment {
            connection: exec.into_connection()?,
            is_typed,
            terminal: Some(self.leaving.detach_keys.clone()),
            signals: Some(attach::forward(true)?),
        };
        // Docker: a program that is started beside the first gets no signals from the command.
        match attachment.run(|number| Ok(Some(Ending::Signalled(number))))? {
            Ending::Ended(code) => Ok(code),
            Ending::Signalled(number) => Ok(128 + number),
            Ending::Detached => Ok(attach::detached()),
            Ending::CutOff if engine.processes(container).is_ok() => Err(Report::new(
                "the program goes on, but what it prints was not taken in time",
                "have it print less, or let it write a file",
            )),
            Ending::CutOff => Ok(KILLED_CODE),
        }
    }
}
