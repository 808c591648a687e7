//! The table of arguments: sound, explained, with examples, and its help as text.

use std::ffi::OsString;

use clap::{Command, CommandFactory, Parser};

use super::Cli;

/// Width of a terminal that most people have.
const COLUMNS: usize = 100;

#[test]
fn the_table_of_arguments_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example_and_every_option_a_word_about_it() {
    let mut cli = Cli::command();
    cli.build();
    check(&cli);
}

fn check(command: &Command) {
    let name = command.get_name();
    if name == "help" {
        return;
    }
    let examples = command.get_after_help().map(ToString::to_string);
    let has_examples = examples.is_some_and(|text| text.contains("Examples:\n  minke "));
    assert!(has_examples, "`{name}` has no example");
    assert!(
        command.get_about().is_some(),
        "`{name}` does not say what it does"
    );
    for argument in command.get_arguments() {
        let id = argument.get_id();
        assert!(
            argument.get_help().is_some(),
            "`{name}` says nothing of `{id}`"
        );
    }
    command.get_subcommands().for_each(check);
}

/// The words of each example of a command and those below it, without what a shell would do.
fn examples(command: &Command, found: &mut Vec<Vec<OsString>>) {
    let text = command.get_after_help().map(ToString::to_string);
    let lines = text.as_deref().unwrap_or_default().lines();
    let typed = lines.filter_map(|line| line.strip_prefix("  minke "));
    let typed = typed.filter(|line| !line.contains(['&', '|', '<', '>', '"', '\'', '$', '#']));
    found.extend(typed.map(|line| {
        let words = std::iter::once("minke").chain(line.split_whitespace());
        words.map(OsString::from).collect()
    }));
    for below in command.get_subcommands() {
        examples(below, found);
    }
}

#[test]
fn a_command_is_parsed_alone_as_with_all_others() {
    let mut found = Vec::new();
    examples(&Cli::command(), &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for words in found {
        let Ok(cli) = Cli::try_parse_from(&words) else {
            panic!("the example {words:?} is wrong");
        };
        let alone = super::Command::parse_alone(&words);
        assert_eq!(format!("{alone:?}"), format!("{:?}", Some(cli.command)));
    }
}

#[test]
fn what_needs_the_parser_of_all_commands_is_left_to_it() {
    for typed in [
        "",
        "--version",
        "Run x",
        "rum x",
        "run",
        "run --help",
        "ps --oops",
    ] {
        let words = std::iter::once("minke").chain(typed.split_whitespace());
        let words: Vec<_> = words.map(OsString::from).collect();
        let alone = super::Command::parse_alone(&words);
        assert!(alone.is_none(), "{typed}");
    }
}

#[test]
fn help_fits_a_terminal() {
    let mut cli = Cli::command().term_width(COLUMNS);
    let text = cli.render_long_help().to_string();
    // Examples are to be copied, so they are not cut.
    let is_wide = |line: &&str| line.chars().count() > COLUMNS && !line.starts_with("  minke ");
    assert_eq!(text.lines().find(is_wide), None);
}

/// Each change of what people read is seen in review. `INSTA_UPDATE=always` writes it anew.
#[test]
fn help_of_each_command_is_as_it_was_reviewed() {
    let mut cli = Cli::command().term_width(COLUMNS);
    cli.build();
    review(&mut cli, "minke");
}

fn review(command: &mut Command, name: &str) {
    let help = command.render_long_help().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("help");
    settings.bind(|| insta::assert_snapshot!(name, help));
    for inner in command.get_subcommands_mut().filter(|it| !it.is_hide_set()) {
        let name = format!("{name}-{}", inner.get_name());
        review(inner, &name);
    }
}
