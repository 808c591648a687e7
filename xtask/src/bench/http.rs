//! Requests per second of the example `hello-c`, beside the same source compiled for the machine.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Lab;
use super::peers::native;
use super::product::{free_port, wait_for_port};
use super::report::{Reach, Row, Unit};
use crate::process::{find, read};

const ROUNDS: usize = 5;
const REACH: Reach = Reach::RatioAtLeast(0.8);
/// What `wrk` does in each round.
const LOAD: &[&str] = &["-t1", "-c16", "-d3s"];

struct Case {
    measure: &'static str,
    program: &'static str,
    headers: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        measure: "hello-c, a connection for each request",
        program: "server",
        headers: &["-H", "Connection: close"],
    },
    Case {
        measure: "hello-c with select, keep-alive",
        program: "server-select",
        headers: &[],
    },
];

pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let Some(wrk) = find("wrk") else {
        bail!("no `wrk` in PATH: `cargo xtask setup --bench` installs it");
    };
    lab.product.build("bench-hello-c", "examples/hello-c")?;
    let load = |headers: &[&str], port: u16| {
        requests_per_second(Command::new(&wrk).args(LOAD).args(headers), port)
    };
    let mut rows = Vec::new();
    for case in CASES {
        let (our_port, their_port) = (free_port()?, free_port()?);
        let publish = format!("127.0.0.1:{our_port}:3000");
        let container = lab.product.start(
            "bench-http",
            &["-p", &publish, "bench-hello-c", case.program, "3000"],
        )?;
        let server = NativeServer::start(case.program, their_port)?;
        wait_for_port(our_port)?;
        wait_for_port(their_port)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(load(case.headers, our_port)?);
            theirs.push(load(case.headers, their_port)?);
        }
        drop((container, server));
        rows.push(Row::compare(
            case.measure,
            Unit::RequestsPerSecond,
            &ours,
            ("native", &Ok(theirs)),
            REACH,
        ));
    }
    Ok(rows)
}

/// A server that is killed when the value goes.
struct NativeServer(Child);

impl NativeServer {
    fn start(program: &str, port: u16) -> Result<NativeServer> {
        let mut command = Command::new(native(program));
        command.arg(port.to_string()).stdout(Stdio::null());
        Ok(NativeServer(
            command
                .spawn()
                .with_context(|| format!("cannot start {program}"))?,
        ))
    }
}

impl Drop for NativeServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn requests_per_second(wrk: &mut Command, port: u16) -> Result<f64> {
    let text = read(wrk.arg(format!("http://127.0.0.1:{port}/")))?;
    if let Some(line) = text.lines().find(|it| it.contains("Non-2xx")) {
        bail!("wrk: {}", line.trim());
    }
    parse_rate(&text).with_context(|| format!("wrk told no rate:\n{text}"))
}

fn parse_rate(text: &str) -> Option<f64> {
    text.lines()
        .find_map(|it| it.trim().strip_prefix("Requests/sec:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_taken_from_wrks_summary() {
        let text = "Running 3s test\n  10 requests in 3.00s\nRequests/sec:  23042.51\nTransfer/sec: 3.52MB\n";
        assert_eq!(parse_rate(text), Some(23042.51));
    }
}
