//! The session in the README, typed on a terminal: what it prints is what is written there.

use crate::home::Home;
use crate::terminal::OnTerminal;

/// Stands for anything in a line.
const ANYTHING: &str = "[..]";

/// How a shell in the container asks for a line.
const PROMPT: &str = "root@web:/# ";

/// Lines of the block of the README that shows a session.
fn session() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```console\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(PROMPT));
    block.expect("there is a session").lines().collect()
}

/// The byte of a line that is one key with Control, as terminals show it.
fn control_key(line: &str) -> Option<char> {
    match line.as_bytes() {
        [b'^', letter @ b'A'..=b'Z'] => Some(char::from(letter - b'@')),
        _ => None,
    }
}

/// Waits for a text, before which nothing else may be shown.
#[track_caller]
fn expect(terminal: &mut OnTerminal, text: &str) {
    let shown = terminal.wait_for(text);
    let shown = ["\u{1b}[?2004h", "\u{1b}[?2004l"]
        .iter()
        .fold(shown, |shown, mode| shown.replace(mode, ""));
    assert_eq!(shown.trim_start(), text.trim_start());
}

/// Waits for a line with its end.
#[track_caller]
fn expect_line(terminal: &mut OnTerminal, line: &str) {
    let mut pieces = line.split(ANYTHING);
    expect(terminal, pieces.next().unwrap_or_default());
    for piece in pieces {
        terminal.wait_for(piece);
    }
    terminal.wait_for("\n");
}

/// Types a line's keys where a program asks for them, or waits for what is shown.
#[track_caller]
fn follow(terminal: &mut OnTerminal, line: &str) {
    if let Some(typed) = line.strip_prefix(PROMPT) {
        expect(terminal, PROMPT);
        terminal.type_in(&format!("{typed}\r"));
        expect_line(terminal, typed);
    } else if let Some(key) = control_key(line) {
        terminal.type_in(&key.to_string());
        expect(terminal, line);
    } else {
        expect_line(terminal, line);
    }
}

#[test]
fn the_session_of_the_readme_is_as_it_is_written_there() {
    let home = Home::shared();
    // One that was interrupted left it.
    home.run(&["rm", "-f", "web"]);
    let mut terminal: Option<OnTerminal> = None;
    for line in session() {
        if let Some(command) = line.strip_prefix("$ ") {
            if let Some(before) = terminal.take() {
                assert_eq!(before.finish().trim(), "", "before `{command}`");
            }
            terminal = Some(OnTerminal::start(&home, command));
        } else {
            follow(terminal.as_mut().expect("a command is first"), line);
        }
    }
    assert_eq!(terminal.expect("there was one").finish().trim(), "");
}
