//! `minke top`: the processes of a container.

use clap::Args;
use minke_engine::attach::ProcessStatus;
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::print;
use crate::report::Report;

/// Show the processes of a container
///
/// Numbers are those that the container's programs see. Columns may be chosen as for `ps`: `-o pid,args`, or `-eo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke top web\n  minke top web -o pid,ppid,args\n  minke top --format json web"
)]
pub(crate) struct Top {
    /// `table`, `json` (one object per line), or a template such as `{{.PID}} {{.CMD}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Options of `ps`: `-e`, `-f`, `-o COLUMNS` with `uid`, `user`, `pid`, `ppid`, `c`, `stime`, `tty`, `time`, `cmd`, `args`, `s`, `nlwp`
    #[arg(
        value_name = "OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<String>,
}

/// Linux: `ps -ef`.
const LIST: List = List {
    fields: &[
        ("UID", "UID"),
        ("PID", "PID"),
        ("PPID", "PPID"),
        ("C", "C"),
        ("STIME", "STIME"),
        ("TTY", "TTY"),
        ("TIME", "TIME"),
        ("CMD", "CMD"),
        ("USER", "USER"),
        ("ARGS", "COMMAND"),
        ("S", "S"),
        ("NLWP", "NLWP"),
    ],
    columns: &["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
};

/// What `ps` calls a column, and what it is here.
const COLUMNS: [(&str, &str); 16] = [
    ("uid", "UID"),
    ("user", "USER"),
    ("euser", "USER"),
    ("pid", "PID"),
    ("ppid", "PPID"),
    ("c", "C"),
    ("stime", "STIME"),
    ("tty", "TTY"),
    ("tt", "TTY"),
    ("time", "TIME"),
    ("cmd", "CMD"),
    ("args", "ARGS"),
    ("command", "ARGS"),
    ("s", "S"),
    ("stat", "S"),
    ("nlwp", "NLWP"),
];

/// A process as the list shows it.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Row {
    uid: String,
    pid: String,
    ppid: String,
    c: &'static str,
    stime: String,
    tty: String,
    time: &'static str,
    cmd: String,
    user: String,
    args: String,
    s: String,
    nlwp: String,
}

impl Top {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let columns = columns(&self.options)?;
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let processes = engine.processes(&container)?;
        let rows: Vec<Row> = processes.iter().map(row).collect();
        print(&LIST.text_of(&columns, &self.format, &rows)?)?;
        Ok(0)
    }
}

fn row(process: &ProcessStatus) -> Row {
    let user = match process.uid {
        0 => "root".to_owned(),
        uid => uid.to_string(),
    };
    Row {
        uid: user.clone(),
        pid: process.pid.to_string(),
        ppid: process.parent.to_string(),
        // CPU time is counted for the container as a whole.
        c: "-",
        stime: started_at(process.started_at_s),
        tty: process
            .terminal
            .map_or_else(|| "?".to_owned(), |number| format!("pts/{number}")),
        time: "-",
        cmd: process.command.clone(),
        user,
        args: process.command.clone(),
        s: process.state.to_string(),
        nlwp: process.threads.to_string(),
    }
}

/// The time of this day. Linux: `ps` shows the date of what is older.
fn started_at(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok();
    let at = at.and_then(|at| jiff::Timestamp::from_second(at).ok());
    let Some(at) = at else { return "?".to_owned() };
    let now = jiff::Zoned::now();
    let at = at.to_zoned(now.time_zone().clone());
    match at.date() == now.date() {
        true => at.strftime("%H:%M").to_string(),
        false => at.strftime("%b%d").to_string(),
    }
}

/// Returns the columns that options of `ps` ask for; all processes are shown whatever they say.
fn columns(options: &[String]) -> Result<Vec<&'static str>, Report> {
    let mut chosen = Vec::new();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let unknown = || {
            Report::usage(
                format!("`ps` options `{option}` are not known here"),
                "choose columns, such as `-o pid,ppid,args`",
            )
        };
        let letters = option.strip_prefix('-').ok_or_else(unknown)?;
        let (flags, list) = match letters.split_once('o') {
            Some((flags, "")) => (flags, Some(options.next().ok_or_else(unknown)?.as_str())),
            Some((flags, list)) => (flags, Some(list)),
            None => (letters, None),
        };
        if letters.is_empty() || !flags.chars().all(|flag| "eAf".contains(flag)) {
            return Err(unknown());
        }
        for name in list.into_iter().flat_map(|list| list.split([',', ' '])) {
            chosen.push(column(name)?);
        }
    }
    match chosen.is_empty() {
        true => Ok(LIST.columns.to_vec()),
        false => Ok(chosen),
    }
}

fn column(name: &str) -> Result<&'static str, Report> {
    let found = COLUMNS.iter().find(|(word, _)| *word == name);
    found.map(|(_, field)| *field).ok_or_else(|| {
        let words: Vec<&str> = COLUMNS.iter().map(|(word, _)| *word).collect();
        Report::usage(
            format!("there is no column `{name}`"),
            format!("choose from {}", words.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_as_for_ps() {
        let chosen = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            columns(&words).ok()
        };
        assert_eq!(chosen("-ef"), Some(LIST.columns.to_vec()));
        for text in [
            "-o pid,args",
            "-opid,args",
            "-eo pid,args",
            "-o pid -o args",
        ] {
            assert_eq!(chosen(text), Some(vec!["PID", "ARGS"]), "{text}");
        }
        for text in ["aux", "-o", "-o nosuch", "-x", "-"] {
            assert_eq!(chosen(text), None, "{text}");
        }
    }
}
