//! What Rust's library does on Linux: `rust-std all DIRECTORY` prints what it saw, the same on every Linux. Other actions are what
//! that starts as children, and ways to end.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

mod environment;
mod files;
mod network;
mod processes;
mod threads;
mod times;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match run(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<u8, Box<dyn std::error::Error>> {
    match words {
        ["all", directory] => {
            environment::check()?;
            files::check(directory)?;
            processes::check(directory)?;
            network::check(directory)?;
            threads::check()?;
            times::check()?;
            println!("all is seen");
        }
        // What the actions above start.
        ["say", rest @ ..] => {
            println!("{}", rest.join(" "));
            eprintln!("said {} words", rest.len());
        }
        ["where"] => println!("{}", std::env::current_dir()?.display()),
        ["variable", name] => println!("{:?}", std::env::var(name)),
        ["upper"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            std::io::stdout().write_all(text.to_uppercase().as_bytes())?;
        }
        ["wait"] => {
            println!("waiting");
            std::thread::sleep(Duration::from_secs(3600));
        }
        ["exit", code] => return Ok(code.parse()?),
        // Ways to end.
        ["panic"] => panic!("so be it"),
        ["panic-in-a-thread"] => {
            let thread = std::thread::Builder::new().name("worker".to_owned());
            let handle = thread.spawn(|| panic!("so be it"))?;
            let _ = handle.join();
        }
        ["overflow", number] => {
            let numbers = [1, 2, 3];
            println!("{}", numbers[number.parse::<usize>()?]);
        }
        ["exit-in-a-thread"] => {
            let handle = std::thread::spawn(|| std::process::exit(9));
            let _ = handle.join();
        }
        other => return Err(format!("no action {other:?}").into()),
    }
    Ok(0)
}
