//! Children: their streams, their directories, their ends.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::Outcome;

pub fn check(directory: &str) -> Outcome {
    let program = std::env::current_exe()?;
    let command = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words);
        command
    };
    let output = command(&["say", "hello", "a child"]).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!(
        "said: {:?} {:?} {}",
        text(&output.stdout),
        text(&output.stderr),
        output.status
    );
    let output = command(&["where"]).current_dir(directory).output()?;
    println!(
        "elsewhere: {}",
        text(&output.stdout).trim_end() == directory
    );
    let output = command(&["variable", "GIVEN"])
        .env("GIVEN", "so")
        .output()?;
    println!("variable: {}", text(&output.stdout).trim_end());
    streams(command(&["upper"]))?;
    println!("code: {:?}", command(&["exit", "7"]).status()?.code());
    ended(command(&["wait"]))?;
    let mut grouped = command(&["exit", "0"]);
    println!("group: {}", grouped.process_group(0).status()?.success());
    let mut quiet = command(&["say", "nothing"]);
    println!(
        "quiet: {}",
        quiet.stdout(Stdio::null()).stderr(Stdio::null()).status()?
    );
    let none = Command::new("/no/such/program").spawn();
    println!("none: {:?}", none.map_err(|it| it.to_string()).err());
    let none = Command::new("no-such-program").spawn();
    println!("none: {:?}", none.map_err(|it| it.kind()).err());
    let elsewhere = command(&["where"])
        .current_dir("/no/such/directory")
        .spawn();
    println!("nowhere: {:?}", elsewhere.map_err(|it| it.kind()).err());
    Ok(())
}

fn streams(mut command: Command) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no pipe")?;
    // More than a pipe holds, so both ends must run.
    let writer = std::thread::spawn(move || {
        input.write_all("to be or not to be\n".repeat(10_000).as_bytes())
    });
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer panicked")??;
    println!(
        "upper: {} {:?}",
        output.stdout.len(),
        output.stdout.get(..5)
    );
    Ok(())
}

fn ended(mut command: Command) -> Outcome {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    println!("{} {:?}", line.trim_end(), child.try_wait()?);
    child.kill()?;
    let status = child.wait()?;
    println!("killed: {status} {:?} {:?}", status.signal(), status.code());
    Ok(())
}
