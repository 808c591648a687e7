//! The host's line discipline is what ours is compared with: the same bytes give the same output, reads and states.

use minke_abi::linux::PollEvents;
use minke_kernel::TerminalModes;
use minke_kernel::tty::{Flow, Queue};

use crate::cases::{CASES, Field, Step};
use crate::host::Host;
use crate::ours::Ours;

/// What is done with a terminal, the host's or ours. Errors are numbers of Linux.
pub(crate) trait Terminal {
    fn modes(&self) -> TerminalModes;
    fn set_modes(&self, modes: &TerminalModes);
    fn type_bytes(&self, bytes: &[u8]) -> Result<usize, i32>;
    /// Reads from the slave without waiting.
    fn read(&self, bytes: usize) -> Result<Vec<u8>, i32>;
    fn print(&self, bytes: &[u8]) -> Result<usize, i32>;
    /// Reads from the master without waiting.
    fn take(&self, bytes: usize) -> Result<Vec<u8>, i32>;
    fn readable_bytes(&self) -> usize;
    fn flush(&self, queue: Queue);
    fn set_flow(&self, flow: Flow);
    /// What holds at the slave, of reading and printing.
    fn events(&self) -> PollEvents;
    fn set_packet_mode(&self);
    fn close_slave(&mut self);
    fn close_master(&mut self);
}

/// Bytes that the reads at the end take, at most: a terminal that gives without end is seen.
const DRAINED_BYTES_MAX: usize = 1 << 20;

fn shown(bytes: &Result<Vec<u8>, i32>) -> String {
    match bytes {
        Ok(bytes) if bytes.len() > 200 => {
            let (start, end) = (&bytes[..20], &bytes[bytes.len() - 20..]);
            let (start, end) = (start.escape_ascii(), end.escape_ascii());
            format!("{} bytes: {start}…{end}", bytes.len())
        }
        Ok(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Err(errno) => format!("error {errno}"),
    }
}

/// Takes everything that reads give, and how that ends.
fn drained(mut read: impl FnMut() -> Result<Vec<u8>, i32>) -> String {
    let mut all = Vec::new();
    let mut reads = Vec::new();
    loop {
        match read() {
            Ok(bytes) if bytes.is_empty() => {
                reads.push("end".to_owned());
                break;
            }
            Ok(bytes) => all.extend(bytes),
            Err(errno) => {
                reads.push(format!("error {errno}"));
                break;
            }
        }
        assert!(all.len() < DRAINED_BYTES_MAX, "it gives without end");
    }
    format!("{} then {}", shown(&Ok(all)), reads.join(""))
}

fn changed(terminal: &dyn Terminal, change: impl FnOnce(&mut TerminalModes)) {
    let mut modes = terminal.modes();
    change(&mut modes);
    terminal.set_modes(&modes);
}

fn flags(modes: &mut TerminalModes, field: Field) -> &mut u32 {
    match field {
        Field::I => &mut modes.flags[0],
        Field::O => &mut modes.flags[1],
        Field::L => &mut modes.flags[3],
    }
}

/// Does a step; returns what is seen by it.
fn perform(terminal: &mut dyn Terminal, step: &Step) -> Option<String> {
    let count = |result: Result<usize, i32>| match result {
        Ok(count) => format!("{count}"),
        Err(errno) => format!("error {errno}"),
    };
    match step {
        Step::On(field, bits) => changed(terminal, |modes| *flags(modes, *field) |= bits),
        Step::Off(field, bits) => changed(terminal, |modes| *flags(modes, *field) &= !bits),
        Step::Char(place, byte) => changed(terminal, |modes| modes.characters[*place] = *byte),
        Step::Type(bytes) => return Some(count(terminal.type_bytes(bytes))),
        Step::TypeMany(byte, times) => {
            return Some(count(terminal.type_bytes(&vec![*byte; *times])));
        }
        Step::Print(bytes) => return Some(count(terminal.print(bytes))),
        Step::Read(bytes) => return Some(shown(&terminal.read(*bytes))),
        Step::Drain => return Some(drained(|| terminal.read(8192))),
        Step::Take => return Some(drained(|| terminal.take(8192))),
        Step::TakeOnce(bytes) => return Some(shown(&terminal.take(*bytes))),
        Step::Count => return Some(terminal.readable_bytes().to_string()),
        Step::Events => return Some(format!("{:?}", terminal.events())),
        Step::Flush(queue) => terminal.flush(*queue),
        Step::Flow(flow) => terminal.set_flow(*flow),
        Step::Packets => terminal.set_packet_mode(),
        Step::CloseSlave => terminal.close_slave(),
        Step::CloseMaster => terminal.close_master(),
    }
    None
}

/// Runs a script; returns what was seen, line by line, with what is left at the end.
fn transcript(mut terminal: impl Terminal, steps: &[Step]) -> Vec<String> {
    let mut seen = Vec::new();
    for step in steps {
        if let Some(line) = perform(&mut terminal, step) {
            seen.push(format!("{step:?}: {line}"));
        }
    }
    let closes = |wanted: fn(&Step) -> bool| steps.iter().any(wanted);
    if !closes(|step| matches!(step, Step::CloseSlave)) {
        seen.push(format!("left: {}", drained(|| terminal.read(8192))));
    }
    if !closes(|step| matches!(step, Step::CloseMaster)) {
        seen.push(format!("master: {}", drained(|| terminal.take(8192))));
    }
    seen
}

#[test]
fn every_script_of_bytes_does_what_it_does_on_the_host() {
    let mut differences = Vec::new();
    for (name, steps) in CASES {
        let host = transcript(Host::open(), steps);
        let ours = transcript(Ours::open(), steps);
        if host != ours {
            differences.push(format!("{name}\n  host {host:#?}\n  ours {ours:#?}"));
        }
    }
    assert!(CASES.len() >= 60, "{} cases", CASES.len());
    let count = differences.len();
    assert!(
        differences.is_empty(),
        "{count} differ:\n{}",
        differences.join("\n")
    );
}
