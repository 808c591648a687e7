//! The table of arguments: sound, explained, with examples, and its help as text.

use clap::{Command, CommandFactory};

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
