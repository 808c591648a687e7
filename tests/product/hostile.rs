//! Programs of a container that do to each other what they can: nothing hangs, and nothing is left.

use std::process::Stdio;

use crate::home::{Ended, Home};

/// A container whose first program only sleeps; the others are started beside it.
struct Container {
    home: Home,
}

const NAME: &str = "hostile";

impl Container {
    fn start(options: &[&str]) -> Container {
        let home = Home::new();
        let arguments = [&["run", "-d", "--name", NAME], options].concat();
        home.ok(&[&arguments[..], &["minke/base", "sleep", "100000"]].concat());
        Container { home }
    }

    fn bash(&self, script: &str) -> Ended {
        self.home.run(&["exec", NAME, "bash", "-c", script])
    }
}

#[test]
fn a_fork_bomb_beside_the_first_process_ends_with_the_container() {
    let container = Container::start(&["--pids-limit", "64"]);
    let mut bomb = container
        .home
        .command(&["exec", NAME, "bash", "-c", "f() { f | f & }; f; wait"])
        .stderr(Stdio::null())
        .spawn()
        .expect("minke starts");
    // Until nobody else has room.
    while container.bash("true").code == 0 {}
    container.home.ok(&["rm", "-f", NAME]);
    bomb.wait().expect("it ends");
    container.home.assert_nothing_left();
}

#[test]
fn programs_that_spin_and_print_end_with_a_stop_that_they_race_with() {
    let container = Container::start(&[]);
    let scripts = ["while :; do :; done", "while :; do echo x; done"];
    let spinning = scripts.map(|script| {
        let mut command = container
            .home
            .command(&["exec", NAME, "bash", "-c", script]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("minke starts")
    });
    container.home.ok(&["stop", "-t", "1", NAME]);
    for mut program in spinning {
        // It was ended, or came too late.
        let code = program.wait().expect("it ends").code();
        assert!(matches!(code, Some(137 | 1)), "{code:?}");
    }
    container.home.ok(&["rm", NAME]);
    container.home.assert_nothing_left();
}

#[test]
fn a_terminal_that_nobody_reads_holds_its_program_up_and_not_its_end() {
    let container = Container::start(&["-it"]);
    let mut typed = container
        .home
        .command(&["attach", NAME])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("minke starts");
    let mut input = typed.stdin.take().expect("piped");
    // More than the terminal of a program that reads nothing takes.
    let _ = std::io::Write::write_all(&mut input, &[b'a'; 20_000]);
    container.home.ok(&["exec", "-d", "-t", NAME, "yes"]);
    container.home.ok(&["rm", "-f", NAME]);
    drop(input);
    typed.wait().expect("it ends");
    container.home.assert_nothing_left();
}
