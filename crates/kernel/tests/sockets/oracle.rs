//! The same steps on Linux and on ours: every sequence of a few, with what polls, reads and writes say after each.

use std::fmt::Write as _;

use minke_abi::linux::PollEvents;
use minke_kernel::net::Shutdown;

use crate::pair::{Kind, Linux, Ours, Pair};

/// One step of a sequence, at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Write(usize),
    Read(usize),
    Shutdown(usize, Shutdown),
    Close(usize),
}

/// What can happen to a pipe.
const PIPE_STEPS: &[Step] = &[
    Step::Write(1),
    Step::Read(0),
    Step::Close(0),
    Step::Close(1),
];

/// What can happen to a connection; end 0 stays open, so that something is left to look at.
const SOCKET_STEPS: &[Step] = &[
    Step::Write(0),
    Step::Write(1),
    Step::Read(0),
    Step::Read(1),
    Step::Shutdown(0, Shutdown::Read),
    Step::Shutdown(0, Shutdown::Write),
    Step::Shutdown(1, Shutdown::Read),
    Step::Shutdown(1, Shutdown::Write),
    Step::Close(1),
];

/// Steps of a sequence. With nine kinds of step this makes 819 sequences.
const STEPS_MAX: usize = 3;

/// Plays a sequence and writes down all that could be seen.
fn play(pair: &mut dyn Pair, kind: Kind, steps: &[Step]) -> String {
    let mut trace = String::new();
    let mut is_open = [true, true];
    for step in steps {
        let outcome = match *step {
            Step::Write(end) if is_open[end] => pair.write(end, b"abc"),
            Step::Read(end) if is_open[end] => pair.read(end, &mut [0; 2]),
            Step::Shutdown(end, how) if is_open[end] => pair.shutdown(end, how),
            Step::Close(end) if is_open[end] => {
                pair.close(end);
                is_open[end] = false;
                Ok(0)
            }
            _ => continue,
        };
        writeln!(trace, "{step:?} {outcome:?}").unwrap();
        for end in (0..2).filter(|end| is_open[*end]) {
            writeln!(trace, "  poll {end} {:?}", shown(pair.poll(end))).unwrap();
        }
    }
    for end in (0..2).filter(|end| is_open[*end]) {
        look_closely(pair, kind, end, &mut trace);
    }
    trace
}

/// Looks at what is left of an end.
fn look_closely(pair: &mut dyn Pair, kind: Kind, end: usize, trace: &mut String) {
    let can_read = kind != Kind::Pipe || end == 0;
    let can_write = kind != Kind::Pipe || end == 1;
    if can_read {
        writeln!(trace, "{end} readable {:?}", pair.readable_bytes(end)).unwrap();
        for _ in 0..3 {
            writeln!(trace, "{end} read {:?}", pair.read(end, &mut [0; 2])).unwrap();
        }
    }
    if kind != Kind::Pipe {
        writeln!(trace, "{end} error {:?}", pair.take_error(end)).unwrap();
    }
    if can_write {
        for _ in 0..2 {
            writeln!(trace, "{end} write {:?}", pair.write(end, b"z")).unwrap();
        }
    }
    writeln!(trace, "{end} poll {:?}", shown(pair.poll(end))).unwrap();
}

/// Leaves out what is not compared: the bits that a caller did not ask for.
fn shown(ready: PollEvents) -> Vec<&'static str> {
    ready.iter_names().map(|(name, _)| name).collect()
}

fn sequences(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..STEPS_MAX {
        let longer = last.iter().flat_map(|sequence: &Vec<Step>| {
            steps.iter().map(|step| {
                let mut longer = sequence.clone();
                longer.push(*step);
                longer
            })
        });
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn check(kind: Kind, steps: &[Step]) {
    let mut differences = Vec::new();
    for sequence in sequences(steps) {
        let replay = || {
            let linux = play(&mut Linux::new(kind), kind, &sequence);
            let ours = play(&mut Ours::new(kind), kind, &sequence);
            (linux != ours).then(|| format!("{sequence:?}\n{}", beside(&linux, &ours)))
        };
        differences.extend(
            (0..REPLAYS_MAX)
                .map_while(|_| replay())
                .nth(REPLAYS_MAX - 1),
        );
    }
    let count = differences.len();
    differences.truncate(DIFFERENCES_SHOWN);
    let shown = differences.join("\n");
    assert!(count == 0, "{count} sequences differ:\n{shown}");
}

/// A difference counts when it shows each time: on a busy machine Linux hands a packet over its
/// loopback to a thread now and then, and then a poll may come before it.
const REPLAYS_MAX: usize = 4;

/// Differing sequences that a failure prints.
const DIFFERENCES_SHOWN: usize = 12;

/// Puts the lines that differ side by side.
fn beside(linux: &str, ours: &str) -> String {
    let lines = linux.lines().zip(ours.lines());
    let different = lines.filter(|(linux, ours)| linux != ours);
    different
        .map(|(linux, ours)| format!("  Linux {linux:<50} ours {ours}\n"))
        .collect()
}

#[test]
fn pipes_behave_as_on_linux() {
    check(Kind::Pipe, PIPE_STEPS);
}

#[test]
fn unix_streams_behave_as_on_linux() {
    check(Kind::UnixStream, SOCKET_STEPS);
}

#[test]
fn unix_packets_behave_as_on_linux() {
    check(Kind::UnixPackets, SOCKET_STEPS);
}

#[test]
fn unix_datagrams_behave_as_on_linux() {
    // After a shutdown of reading Linux tells non-blocking readers `EAGAIN`, and blocking ones an
    // end; our tries do not know who asks, and tell both of the end.
    let is_compared = |step: &Step| !matches!(step, Step::Shutdown(_, Shutdown::Read));
    let steps: Vec<_> = SOCKET_STEPS.iter().copied().filter(is_compared).collect();
    check(Kind::UnixDatagrams, &steps);
}

#[test]
fn tcp_inside_the_container_behaves_as_on_linux() {
    check(Kind::Tcp, SOCKET_STEPS);
}

/// Writes pieces until nothing more is taken, and returns how many bytes were.
fn fill(pair: &mut dyn Pair, end: usize, piece: &[u8]) -> (usize, String) {
    let mut total = 0;
    loop {
        match pair.write(end, piece) {
            Ok(count) => total += count,
            Err(error) => return (total, error.name().to_owned()),
        }
    }
}

#[test]
fn a_pipe_holds_what_linux_lets_it_hold() {
    for piece_bytes in [1, 4096, 65_536, 100_000] {
        let piece = vec![7; piece_bytes];
        let (mut linux, mut ours) = (Linux::new(Kind::Pipe), Ours::new(Kind::Pipe));
        let expected = fill(&mut linux, 1, &piece);
        assert_eq!(fill(&mut ours, 1, &piece), expected, "{piece_bytes}");
        let mut states = [Vec::new(), Vec::new()];
        let pairs: [&mut dyn Pair; 2] = [&mut linux, &mut ours];
        for (pair, states) in pairs.into_iter().zip(&mut states) {
            states.push((pair.poll(1), Ok(0)));
            for taken in [1, 4095, 1] {
                let count = pair.read(0, &mut vec![0; taken]);
                states.push((pair.poll(1), count));
            }
            states.push((pair.poll(1), pair.write(1, &vec![1; 4096])));
            states.push((pair.poll(1), pair.write(1, &[1; 2])));
        }
        assert_eq!(states[0], states[1], "{piece_bytes}");
    }
}
