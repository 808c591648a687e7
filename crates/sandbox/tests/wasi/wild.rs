//! Every call with wild arguments: whatever is asked, the answer is an errno.

use minke_sandbox::personality::wasi::table::PREVIEW1;

use crate::machine::Machine;
use crate::script::{Script, params};

/// Calls of each function.
const CALLS: usize = 300;

/// The highest number that an answer may have: WasmEdge's last.
const ERRNO_MAX: u32 = 87;

/// What ends or never returns is left out.
const LEFT_OUT: &[&str] = &["proc_exit", "proc_raise"];

/// Pseudo-random numbers from a fixed seed, so that a failure can be seen again.
struct Wild(u64);

impl Wild {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number that is likely to mean something somewhere: a descriptor, a small length, an edge.
    fn argument(&mut self) -> i64 {
        let edges = [
            0,
            1,
            -1,
            196_608,
            196_607,
            196_604,
            65_535,
            0x7fff_ffff,
            -0x8000_0000,
            i64::MAX,
            i64::MIN,
            0xffff_fff8,
        ];
        let number = self.next();
        match number % 4 {
            0 => edges[(number >> 8) as usize % edges.len()],
            1 => (number >> 8) as i64 % 8,
            2 => (number >> 8) as i64 % 65_536,
            _ => (number >> 8) as i64,
        }
    }
}

#[test]
fn whatever_is_asked_the_answer_is_an_errno() {
    for row in PREVIEW1.iter().filter(|row| !LEFT_OUT.contains(&row.name)) {
        let machine = Machine::new();
        machine.put("/tmp/file", b"content");
        let mut wild = Wild(0x9e37_79b9_7f4a_7c15);
        // A file at 4 and a socket at 5, which nothing waits on for long: it is not connected.
        let mut script = Script::new()
            .data(60_000, b"tmp/file")
            .call("path_open", [3, 0, 60_000, 8, 0, 66, 0, 0, 60_100])
            .call("sock_open", [1, 2, 60_104]);
        for _ in 0..CALLS {
            let args = params(row).iter().map(|_| wild.argument()).collect();
            script = script.call_with(row.name, args);
        }
        let errnos = script.run(&machine).errnos;
        assert!(
            errnos.iter().all(|errno| *errno <= ERRNO_MAX),
            "`{}` answered {errnos:?}",
            row.name
        );
    }
}
