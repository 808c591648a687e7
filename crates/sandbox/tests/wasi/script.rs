//! Guests that make a list of calls and keep what each answered, written as WAT from the table of calls.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use minke_sandbox::personality::HostCall;
use minke_sandbox::personality::wasi::table::{PREVIEW1, UNSTABLE};

use crate::machine::{End, Machine, Outcome};

/// A list of calls.
pub(crate) struct Script {
    module: &'static str,
    calls: Vec<(usize, Vec<i64>)>,
    data: Vec<(u32, Vec<u8>)>,
}

/// What a script's calls answered.
pub(crate) struct Answers {
    pub(crate) outcome: Outcome,
    pub(crate) errnos: Vec<u32>,
}

impl Script {
    pub(crate) fn new() -> Script {
        Script {
            module: "wasi_snapshot_preview1",
            calls: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(crate) fn unstable() -> Script {
        Script {
            module: "wasi_unstable",
            ..Script::new()
        }
    }

    /// Adds a call of the form with as many arguments as are given.
    pub(crate) fn call<const N: usize>(self, name: &str, args: [i64; N]) -> Script {
        self.call_with(name, args.to_vec())
    }

    pub(crate) fn call_with(mut self, name: &str, args: Vec<i64>) -> Script {
        let index = rows()
            .position(|row| row.name == name && params(row).len() == args.len())
            .unwrap_or_else(|| panic!("no row `{name}` with {} arguments", args.len()));
        self.calls.push((index, args));
        self
    }

    /// Puts bytes into the guest's memory.
    pub(crate) fn data(mut self, address: u32, bytes: &[u8]) -> Script {
        self.data.push((address, bytes.to_vec()));
        self
    }

    /// Puts an array of buffers into the guest's memory: addresses and lengths.
    pub(crate) fn iovecs(self, address: u32, buffers: &[(u32, u32)]) -> Script {
        let bytes: Vec<u8> = buffers
            .iter()
            .flat_map(|(pointer, length)| [pointer.to_le_bytes(), length.to_le_bytes()])
            .flatten()
            .collect();
        self.data(address, &bytes)
    }

    /// Runs the script; it has to come to its end.
    pub(crate) fn run(&self, machine: &Machine) -> Answers {
        let answers = self.run_to_any_end(machine);
        assert_eq!(answers.outcome.end, End::Returned);
        answers
    }

    pub(crate) fn run_to_any_end(&self, machine: &Machine) -> Answers {
        let module = wat::parse_str(self.text()).unwrap();
        let outcome = machine.run(&module);
        let errnos = outcome
            .answers
            .chunks_exact(4)
            .take(self.calls.len())
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        Answers { outcome, errnos }
    }

    fn text(&self) -> String {
        let mut text = String::from("(module\n");
        let used: BTreeSet<usize> = self.calls.iter().map(|(row, _)| *row).collect();
        for index in used {
            let row = rows().nth(index).unwrap();
            let result = if row.signature.ends_with("-> i32") {
                "(result i32)"
            } else {
                ""
            };
            let module = self.module;
            writeln!(
                text,
                "(import \"{module}\" \"{}\" (func $f{index} (param {}) {result}))",
                row.name,
                params(row).join(" ")
            )
            .unwrap();
        }
        // Answers have a memory of their own, where no call can reach them.
        text.push_str("(memory (export \"memory\") 3) (memory (export \"answers\") 1)\n");
        for (address, bytes) in &self.data {
            let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            writeln!(text, "(data (i32.const {address}) \"{escaped}\")").unwrap();
        }
        text.push_str("(func (export \"_start\")\n");
        for (position, (index, args)) in self.calls.iter().enumerate() {
            self.write_call(&mut text, position, *index, args);
        }
        text.push_str("))");
        text
    }

    fn write_call(&self, text: &mut String, position: usize, index: usize, args: &[i64]) {
        let row = rows().nth(index).unwrap();
        let args: String = params(row)
            .iter()
            .zip(args)
            .map(|(ty, arg)| match *ty {
                "i32" => format!("(i32.const {})", *arg as i32),
                _ => format!("(i64.const {arg})"),
            })
            .collect();
        let call = format!("(call $f{index} {args})");
        if row.signature.ends_with("-> i32") {
            let address = 4 * position;
            writeln!(text, "(i32.store 1 (i32.const {address}) {call})").unwrap();
        } else {
            writeln!(text, "{call}").unwrap();
        }
    }
}

impl Answers {
    pub(crate) fn u32(&self, address: usize) -> u32 {
        u32::from_le_bytes(self.bytes(address, 4).try_into().unwrap())
    }

    pub(crate) fn u64(&self, address: usize) -> u64 {
        u64::from_le_bytes(self.bytes(address, 8).try_into().unwrap())
    }

    pub(crate) fn bytes(&self, address: usize, length: usize) -> &[u8] {
        &self.outcome.memory[address..address + length]
    }
}

/// Every row of the tables.
pub(crate) fn rows() -> impl Iterator<Item = &'static HostCall> {
    PREVIEW1.iter().chain(UNSTABLE)
}

/// The types of a row's parameters.
pub(crate) fn params(row: &HostCall) -> Vec<&'static str> {
    let (params, _) = row.signature.split_once(')').unwrap();
    params[1..].split(", ").filter(|p| !p.is_empty()).collect()
}
