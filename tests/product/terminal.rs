//! `-t`: terminals of programs, on that of a command or of nobody.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::home::{Home, PATIENCE, guest};

/// A shell's line on a terminal of 40 rows and 100 columns, and who types there.
pub(crate) struct OnTerminal {
    shell: Shell,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// What was shown behind what was waited for.
    shown: String,
}

/// Hangs up when a test fails: nothing is left that waits to be typed to.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        // One that has ended is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl OnTerminal {
    /// Starts a line in which `minke` is our binary.
    pub(crate) fn start(home: &Home, line: &str) -> OnTerminal {
        let minke = env!("CARGO_BIN_EXE_minke");
        let line = format!("minke() {{ {minke} \"$@\"; }}; stty rows 40 cols 100; {line}");
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("MINKE_HOME", home.path())
            .env("SHELL", "/bin/sh")
            .current_dir(home.files())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of util-linux starts");
        let mut stdout = child.stdout.take().expect("it was asked for");
        let (show, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if show.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        OnTerminal {
            keyboard: child.stdin.take().expect("it was asked for"),
            shell: Shell(child),
            screen,
            shown: String::new(),
        }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until this is shown; returns what was shown up to it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("`{text}` is not shown, but {:?}", self.shown),
            }
        }
    }

    /// Types a line, and waits until what it prints has `text` in it.
    #[track_caller]
    fn ask(&mut self, line: &str, text: &str) {
        self.type_in(line);
        self.type_in("\r");
        self.wait_for(text);
        self.wait_for(PROMPT);
    }

    /// Starts a line that runs bash.
    fn start_bash(home: &Home, line: &str) -> OnTerminal {
        let mut terminal = OnTerminal::start(home, line);
        terminal.wait_for(PROMPT);
        // What it prints follows the line that is typed, with nothing between.
        terminal.ask("bind 'set enable-bracketed-paste off'", "");
        terminal
    }

    /// Waits for the end of the line; returns what it showed until then. The input stays open until there: its end would be a
    /// character more.
    pub(crate) fn finish(mut self) -> String {
        for bytes in self.screen {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.shell.0.wait().expect("it ends");
        drop(self.keyboard);
        self.shown
    }
}

/// Runs a shell's line on a terminal on which this is typed; returns what it showed there.
fn typed_on_a_terminal(home: &Home, line: &str, input: &str) -> String {
    let mut terminal = OnTerminal::start(home, line);
    terminal.type_in(input);
    terminal.finish()
}

/// Runs a command of ours on a terminal.
fn on_a_terminal(home: &Home, arguments: &[&str]) -> String {
    typed_on_a_terminal(home, &format!("minke {}", arguments.join(" ")), "")
}

/// What bash says when it waits for a line.
const PROMPT: &str = "ready> ";

/// Options and words that run bash in a container.
const BASH: &str = "--rm -it -e PS1='ready> ' minke/base bash --norc";

/// Makes an image of the program that changes its terminal.
fn build_terminal(home: &Home) {
    home.write(
        "app/Balenafile",
        "FROM scratch\nCOPY terminal.O2.* /bin/\nENTRYPOINT [\"/bin/terminal.O2.wasm\"]\n",
    );
    for end in ["js", "wasm"] {
        let name = format!("terminal.O2.{end}");
        fs::copy(
            guest(&format!("c/{name}")),
            home.files().join("app").join(name),
        )
        .expect("copied");
    }
    home.ok(&["build", "-q", "-t", "terminal", "app"]);
}

/// Whether `stty -a` tells of a terminal that reads lines and echoes.
#[track_caller]
fn assert_put_back(shown: &str) {
    let words: Vec<_> = shown.split_whitespace().collect();
    for mode in ["icanon", "echo", "isig", "opost", "icrnl"] {
        assert!(words.contains(&mode), "{mode}: {shown}");
    }
}

#[test]
fn a_program_changes_its_own_terminal_and_that_of_the_command_is_put_back() {
    let home = Home::new();
    build_terminal(&home);
    let shown = typed_on_a_terminal(&home, "minke run --rm -it terminal raw; stty -a", "x");
    assert!(
        shown.contains("40 rows, 100 columns, characters, no echo"),
        "{shown}"
    );
    assert!(shown.contains("read 120"), "{shown}");
    assert_put_back(&shown);
    // Without `-t` there is none to be changed.
    let shown = typed_on_a_terminal(&home, "minke run --rm -i terminal raw; echo code $?", "");
    assert!(shown.contains("code 1"), "{shown}");
}

#[test]
fn a_terminal_is_put_back_after_signals_too() {
    let home = Home::new();
    build_terminal(&home);
    for (signal, code) in [("TERM", "code 143"), ("KILL", "code 137")] {
        let line = "minke run --name web --rm -it terminal hold; echo code $?; stty -a";
        let mut terminal = OnTerminal::start(&home, line);
        terminal.type_in("x");
        terminal.wait_for("read 120");
        home.ok(&["kill", "-s", signal, "web"]);
        terminal.wait_for(code);
        assert_put_back(&terminal.finish());
    }
    // A signal to the command alone.
    home.ok(&["run", "-dit", "--name", "web", "terminal", "hold"]);
    let minke = env!("CARGO_BIN_EXE_minke");
    let line = format!(
        "sh -c 'echo pid $$; exec {minke} attach --sig-proxy=false web'; echo code $?; stty -a"
    );
    let mut terminal = OnTerminal::start(&home, &line);
    terminal.wait_for("pid ");
    let pid = terminal.wait_for("\r\n");
    terminal.type_in("x");
    terminal.wait_for("read 120");
    let killed = Command::new("kill").arg(pid.trim()).status();
    assert!(killed.expect("it starts").success());
    terminal.wait_for("code 143");
    assert_put_back(&terminal.finish());
    assert_eq!(home.state("web")["Status"], "running");
}

#[test]
fn a_windows_new_size_is_seen_at_once() {
    let home = Home::shared();
    let mut terminal = OnTerminal::start(&home, &format!("tty; minke run {BASH}"));
    terminal.wait_for("/dev/pts/");
    let number = terminal.wait_for("\r\n");
    terminal.wait_for(PROMPT);
    terminal.ask("stty size", "40 100");
    let path = format!("/dev/pts/{}", number.trim());
    let resized = Command::new("stty")
        .args(["-F", &path, "rows", "7", "cols", "90"])
        .status();
    assert!(resized.expect("it starts").success());
    let loop_until = "until [ \"$(stty size)\" = '7 90' ]; do sleep 0.1; done; echo s''een";
    terminal.ask(loop_until, "seen");
    terminal.type_in("exit 3\r");
    terminal.finish();
}

#[test]
fn with_t_a_guest_has_a_terminal() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let shown = on_a_terminal(&home, &["run", "--rm", "-it", &probe, "isatty"]);
    assert!(shown.contains("true true true"), "{shown}");
    let shown = on_a_terminal(&home, &["run", "--rm", "-t", &probe, "isatty"]);
    assert!(shown.contains("true true true"), "{shown}");
    let shown = on_a_terminal(&home, &["run", "--rm", "-i", &probe, "isatty"]);
    assert!(shown.contains("false false false"), "{shown}");
    // Also where the command has none.
    let ended = home.run(&["run", "--rm", "-t", &probe, "isatty"]);
    assert_eq!(
        (&*ended.stdout, ended.code),
        ("true true true\r\n", 0),
        "{ended:?}"
    );
}

#[test]
fn with_t_in_the_background_a_guest_has_a_terminal_whose_output_is_the_log() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["run", "-dt", "--name", "tells", &probe, "isatty"]);
    home.ok(&["wait", "tells"]);
    assert_eq!(home.run(&["logs", "tells"]).stdout, "true true true\r\n");
    home.start("reads", &["-it"], &["cat"]);
    assert_eq!(home.state("reads")["Status"], "running", "nobody types");
    home.ok(&["stop", "reads"]);
    // Both streams are one on a terminal, and all of it is there.
    home.ok(&["run", "-dt", "--name", "many", &probe, "lines", "5000"]);
    home.ok(&["wait", "many"]);
    let many = home.run(&["logs", "many"]);
    assert_eq!(
        (many.stdout.lines().count(), many.stderr.as_str()),
        (5000, "")
    );
}

#[test]
fn lines_of_a_shell_are_edited_and_its_jobs_controlled() {
    let home = Home::shared();
    let line = format!("minke run {BASH}; echo code $?");
    let mut terminal = OnTerminal::start_bash(&home, &line);
    terminal.ask("echo $TERM $(tty)", "xterm /dev/pts/0\r\n");
    // Arrows: back into the line, and to the line before.
    terminal.ask("echo oe\u{1b}[Dn", "\r\none\r\n");
    terminal.ask("\u{1b}[A", "\r\none\r\n");
    terminal.type_in("echo no\u{3}");
    terminal.wait_for("^C");
    terminal.wait_for(PROMPT);
    terminal.ask("echo goes on", "\r\ngoes on\r\n");
    // What is typed before the shell has left its own mode of the terminal has no end of line there.
    terminal.type_in("echo ready; cat\r");
    terminal.wait_for("\r\nready\r\n");
    terminal.type_in("told\r");
    terminal.wait_for("told\r\ntold\r\n");
    terminal.type_in("\u{1a}");
    terminal.wait_for("Stopped");
    terminal.wait_for(PROMPT);
    terminal.type_in("fg\r");
    terminal.wait_for("cat\r\n");
    terminal.type_in("again\r");
    terminal.wait_for("again\r\nagain\r\n");
    terminal.type_in("\u{3}");
    terminal.wait_for(PROMPT);
    terminal.ask("echo code $?", "code 130\r\n");
    terminal.type_in("exit 7\r");
    terminal.wait_for("code 7");
    terminal.finish();
}

#[test]
fn programs_that_draw_on_the_screen_are_typed_to() {
    let home = Home::shared();
    let mut terminal = OnTerminal::start_bash(&home, &format!("minke run {BASH}"));
    terminal.type_in("vi /file\r");
    terminal.wait_for("- /file");
    terminal.type_in("ione\rtwx\u{7f}o");
    terminal.wait_for("two");
    // A key alone: what comes at once with it would be one key more.
    terminal.type_in("\u{1b}");
    terminal.wait_for("- /file [Modified]");
    terminal.type_in(":wq\r");
    terminal.wait_for(PROMPT);
    terminal.ask("cat /file", "one\r\ntwo\r\n");
    terminal.type_in("seq 100 199 | less\r");
    terminal.wait_for("120");
    terminal.type_in("G");
    terminal.wait_for("199");
    terminal.type_in("q");
    terminal.wait_for(PROMPT);
    terminal.type_in("exit\r");
    terminal.finish();
}

#[test]
fn a_key_that_interrupts_ends_a_first_process_that_does_not_care() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let line = format!("minke run --rm -it {probe} cat; echo code $?");
    let mut terminal = OnTerminal::start(&home, &line);
    terminal.type_in("here\r");
    terminal.wait_for("here\r\nhere");
    terminal.type_in("\u{3}");
    terminal.wait_for("code 130");
    terminal.finish();
    home.assert_nothing_left();
}

#[test]
fn keys_leave_a_program_that_goes_on_and_is_attached_to_again() {
    let home = Home::shared();
    let name = format!("left-{}", std::process::id());
    let line = format!("minke run --name {name} {BASH}; echo code $?");
    let mut terminal = OnTerminal::start_bash(&home, &line);
    terminal.ask("there=here", "");
    terminal.type_in("\u{10}\u{11}");
    terminal.wait_for("read escape sequence");
    terminal.wait_for("code 0");
    terminal.finish();
    let line = format!("minke attach --detach-keys ctrl-x,x {name}; echo code $?");
    let mut terminal = OnTerminal::start(&home, &line);
    terminal.type_in("\r");
    terminal.wait_for(PROMPT);
    terminal.ask("echo $there", "\r\nhere\r\n");
    terminal.type_in("\u{18}x");
    terminal.wait_for("code 0");
    terminal.finish();
    home.ok(&["rm", "-f", &name]);
}

#[test]
fn a_program_beside_the_first_has_a_terminal_of_its_own() {
    let home = Home::shared();
    let name = format!("beside-{}", std::process::id());
    home.ok(&[
        "run",
        "-d",
        "--rm",
        "--name",
        &name,
        "minke/base",
        "sleep",
        "1000",
    ]);
    let line = format!("minke exec -it -e PS1='ready> ' {name} bash --norc; echo code $?; stty -a");
    let mut terminal = OnTerminal::start_bash(&home, &line);
    terminal.ask("echo $TERM $(tty)", "xterm /dev/pts/0\r\n");
    terminal.ask("stty size", "40 100");
    terminal.ask("echo oe\u{1b}[Dn", "\r\none\r\n");
    terminal.type_in("sleep 1000\r");
    terminal.wait_for("sleep 1000\r\n");
    terminal.type_in("\u{3}");
    terminal.wait_for(PROMPT);
    terminal.type_in("exit 5\r");
    terminal.wait_for("code 5");
    assert_put_back(&terminal.finish());
    // Without an input, and where the command has no terminal.
    let ended = home.run(&["exec", "-t", &name, "tty"]);
    assert_eq!(
        (&*ended.stdout, ended.code),
        ("/dev/pts/0\r\n", 0),
        "{ended:?}"
    );
    home.run(&["exec", "-it", &name, "tty"]).assert_fails(
        1,
        &["cannot attach stdin to a TTY-enabled container because stdin is not a terminal"],
    );
    home.run(&["exec", "-t", &name, "nothing"])
        .assert_fails(127, &["nothing"]);
    home.ok(&["exec", "-d", "-t", &name, "sleep", "999"]);
    let shown = home.ok(&["top", &name, "-o", "tty,args"]);
    let line = shown.lines().find(|line| line.ends_with("sleep 999"));
    assert!(line.is_some_and(|it| it.starts_with("pts/0")), "{shown}");
    home.ok(&["rm", "-f", &name]);
}
