//! The hidden `minke __complete WORD…`: what the last word may become. Shells ask it; see `minke completion`.
//!
//! It goes through the words as the parser of arguments does, along the same table: commands, options, and of arguments what
//! their names in the help say, such as `CONTAINER`. Each answer is a line, with a word about it after a tab. The line
//! [`FILES`] asks the shell for names of files.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use minke_engine::{Container, Engine, Status};

use super::{Cli, home};
use crate::output::print;

/// The command that shells ask.
pub(crate) const COMPLETE_COMMAND: &str = "__complete";

/// Says that the shell knows better.
const FILES: &str = ":files";

/// Bounds the containers and images that are offered.
const NAMES_MAX: usize = 1000;

/// Prints what the last of these words may become; the first is the program's own name.
pub(crate) fn complete(words: &[String]) -> u8 {
    let Some((current, before)) = words.split_last() else {
        return 0;
    };
    let mut root = Cli::command();
    root.build();
    let text: String = candidates(&root, before, current)
        .into_iter()
        .map(|line| line + "\n")
        .collect();
    // A shell that does not listen needs no answer.
    let _ = print(&text);
    0
}

/// Where in the command line the word stands that is completed.
struct Place<'c> {
    command: &'c Command,
    /// The option whose value it is.
    option: Option<&'c Arg>,
    /// Arguments before it that are no options.
    positional: usize,
    /// Whether what begins with `-` is no option of ours any more.
    is_past_options: bool,
}

fn candidates(root: &Command, before: &[String], current: &str) -> Vec<String> {
    let place = Place::after(root, before);
    if let Some(option) = place.option {
        let value = current.trim_start_matches('=');
        return starting_with(value, values(place.command, option, value));
    }
    if let (false, Some((name, value))) = (place.is_past_options, current.split_once('='))
        && let Some(option) = long_option(place.command, name)
    {
        let all = values(place.command, option, value);
        let starting = starting_with(value, all).into_iter();
        return starting.map(|value| format!("{name}={value}")).collect();
    }
    if !place.is_past_options && current.starts_with('-') {
        return starting_with(current, options(place.command));
    }
    if place.command.has_subcommands() {
        return starting_with(current, commands(place.command));
    }
    match positional(place.command, place.positional) {
        Some(argument) => starting_with(current, values(place.command, argument, current)),
        None => Vec::new(),
    }
}

impl<'c> Place<'c> {
    /// Goes through the words; what is not understood is passed over.
    fn after(root: &'c Command, before: &[String]) -> Place<'c> {
        let mut place = Place {
            command: root,
            option: None,
            positional: 0,
            is_past_options: false,
        };
        for word in before.iter().skip(1) {
            place.pass(word);
        }
        place
    }

    fn pass(&mut self, word: &str) {
        // bash takes `--name=value` for three words.
        if word == "=" {
            return;
        }
        if self.option.take().is_some() {
            return;
        }
        match word {
            "--" => self.is_past_options = true,
            _ if self.is_past_options || !word.starts_with('-') || word == "-" => {
                self.pass_argument(word);
            }
            _ => self.option = wanting(self.command, word),
        }
    }

    fn pass_argument(&mut self, word: &str) {
        if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
            return;
        }
        // What follows a program's name is the program's.
        let argument = positional(self.command, self.positional);
        self.is_past_options |= argument.is_some_and(Arg::is_trailing_var_arg_set);
        self.positional += 1;
    }
}

/// Returns the option whose value is the next word.
fn wanting<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    if word.starts_with("--") {
        return long_option(command, word).filter(|option| takes_value(option));
    }
    let letters = word.trim_start_matches('-');
    let short = |letter| {
        command
            .get_arguments()
            .find(|it| it.get_short() == Some(letter))
    };
    let mut found = letters.char_indices().filter_map(|(at, letter)| {
        let option = short(letter).filter(|option| takes_value(option))?;
        Some((at + letter.len_utf8(), option))
    });
    let (end, option) = found.next()?;
    (end == letters.len()).then_some(option)
}

fn long_option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.strip_prefix("--")?;
    command.get_arguments().find(|option| {
        let aliases = option.get_all_aliases().unwrap_or_default();
        option.get_long() == Some(name) || aliases.contains(&name)
    })
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

/// Returns the argument that the word of this number is of; the last one takes all further ones if it may be repeated.
fn positional(command: &Command, number: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().collect();
    let repeated = all.last().filter(|last| {
        last.get_num_args()
            .is_some_and(|count| count.max_values() > 1)
            || matches!(last.get_action(), clap::ArgAction::Append)
    });
    all.get(number).or(repeated).copied()
}

fn commands(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown
        .map(|it| explained(it.get_name(), text(it.get_about()).as_deref()))
        .collect()
}

fn options(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    shown
        .filter_map(|it| {
            let option = format!("--{}", it.get_long()?);
            Some(explained(&option, text(it.get_help()).as_deref()))
        })
        .collect()
}

fn text(help: Option<&StyledStr>) -> Option<String> {
    help.map(ToString::to_string)
}

fn explained(word: &str, help: Option<&str>) -> String {
    match help.and_then(|help| help.lines().next()) {
        Some(help) => format!("{word}\t{help}"),
        None => word.to_owned(),
    }
}

/// Returns what an argument may be.
fn values(command: &Command, argument: &Arg, current: &str) -> Vec<String> {
    let possible = argument.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        return shown
            .map(|value| explained(value.get_name(), text(value.get_help()).as_deref()))
            .collect();
    }
    let names = argument.get_value_names().unwrap_or_default();
    let kind = names.first().map_or("", |name| name.as_str());
    match kind {
        "CONTAINER" => containers(command.get_name()),
        // A module or a directory may stand for an image.
        "IMAGE" if current.starts_with(['.', '/']) => vec![FILES.to_owned()],
        "IMAGE" => match names.len() {
            1 => images(),
            _ if argument.get_num_args().is_some() => images(),
            _ => Vec::new(),
        },
        "NAME" if argument.is_positional() => {
            let mut all = containers(command.get_name());
            all.extend(images());
            all
        }
        "VOLUME" if argument.is_positional() => volumes(),
        "VOLUME" => volumes().into_iter().chain([FILES.to_owned()]).collect(),
        "SRC_PATH" | "DEST_PATH" if current.contains(':') => Vec::new(),
        "SRC_PATH" | "DEST_PATH" => {
            let containers = containers(command.get_name());
            containers.into_iter().chain([FILES.to_owned()]).collect()
        }
        "FILE" | "DIR" | "DISK" | "PATH" | "CONTEXT" => vec![FILES.to_owned()],
        _ => Vec::new(),
    }
}

/// Opens the home if there is one: to complete a word makes nothing.
fn existing_home() -> Option<Engine> {
    let home = home().ok().filter(|home| home.names().is_dir())?;
    Engine::open(home).ok()
}

/// Returns names of containers, of those that a command of this name acts on.
fn containers(command: &str) -> Vec<String> {
    let Some(engine) = existing_home() else {
        return Vec::new();
    };
    let is_meant = |container: &Container| match command {
        "start" => !container.state.is_up(),
        "pause" => container.state.status == Status::Running,
        "unpause" => container.state.status == Status::Paused,
        "stop" | "kill" | "port" | "stats" | "exec" | "attach" | "top" => container.state.is_up(),
        _ => true,
    };
    let containers = engine.containers().unwrap_or_default();
    let meant = containers.into_iter().filter(is_meant).take(NAMES_MAX);
    meant
        .map(|it| explained(&it.config.name, Some(&it.config.image)))
        .collect()
}

fn volumes() -> Vec<String> {
    let volumes = existing_home().and_then(|engine| engine.volumes().ok());
    let names = volumes.into_iter().flatten().map(|volume| volume.name);
    names.take(NAMES_MAX).collect()
}

fn images() -> Vec<String> {
    let engine = existing_home().filter(|engine| engine.home().images().is_dir());
    let images = engine.and_then(|engine| engine.images().ok());
    let tags = images.into_iter().flatten().flat_map(|image| image.tags);
    tags.map(|name| name.to_string()).take(NAMES_MAX).collect()
}

fn starting_with(current: &str, all: Vec<String>) -> Vec<String> {
    let mut matching = all;
    matching.retain(|line| line == FILES || line.starts_with(current));
    matching
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let mut root = Cli::command();
        root.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (current, before) = words.split_last().expect("a line has words");
        let found = candidates(&root, before, current);
        let found: Vec<&str> = found
            .iter()
            .map(|line| line.split('\t').next().unwrap_or_default())
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn commands_options_and_values_are_completed_from_the_table() {
        check("minke insp", &["inspect"]);
        check("minke man", &[]);
        check("minke container pr", &["prune"]);
        check("minke ps --no-t", &["--no-trunc"]);
        check("minke run --network n", &["none"]);
        check("minke run --network=n", &["--network=none"]);
        check("minke run --network = n", &["none"]);
        check("minke run -dit --pull ", &["always", "missing", "never"]);
        check("minke completion ", &["bash", "zsh", "fish"]);
    }

    #[test]
    fn what_is_the_programs_or_a_file_is_left_to_the_shell() {
        check("minke run ./", &[":files"]);
        check("minke build -f ", &[":files"]);
        check("minke run --name --no-", &[]);
        check("minke run app:1 --net", &[]);
        check("minke nothing --al", &[]);
    }
}
