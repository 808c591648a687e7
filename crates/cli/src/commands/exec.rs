//! `minke exec`: a program in a container that runs, beside its first.

use clap::Args;
use minke_engine::{ExecStreams, NewExec};

use super::variables::Variables;
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
    after_help = "Examples:\n  minke exec web ls -l /data\n  minke exec -i web sh < script.sh\n  minke exec -d -e LEVEL=2 -w /srv -u 1000 web worker"
)]
pub(crate) struct Exec {
    /// Leave the program in the background
    #[arg(short, long)]
    detach: bool,

    /// Give the program this command's standard input
    #[arg(short, long)]
    interactive: bool,

    /// Give the program a terminal; refused, there are none for `exec` yet
    #[arg(short, long)]
    tty: bool,

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
        if self.tty {
            return Err(Report::usage(
                "a program that is started with `exec` cannot have a terminal yet",
                "leave out `-t`",
            ));
        }
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let asked = NewExec {
            args: self.command.clone(),
            env: self.variables.read()?,
            working_directory: self.workdir.clone(),
            user: self.user.clone(),
            streams: match (self.detach, self.interactive) {
                (true, _) => ExecStreams::None,
                (false, false) => ExecStreams::Outputs,
                (false, true) => ExecStreams::All,
            },
        };
        let exec = engine.exec(&container, &asked)?;
        if self.detach {
            return Ok(0);
        }
        exec.wait().map_err(|error| Report {
            kind: Kind::Run,
            ..Report::from(error)
        })
    }
}
