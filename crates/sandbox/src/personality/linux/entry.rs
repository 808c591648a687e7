//! Entering a program, and what it is started with: Linux's initial stack.

use minke_abi::{Errno, Result};
use minke_kernel::Task;
use minke_kernel::process::{Credentials, ProcessImage};
use wasmtime::{Instance, Store};

use crate::personality::Entry;
use crate::runtime::{Guest, GuestAddr};

/// Bytes of a page, as guests are told.
const PAGE_BYTES: u32 = 4096;

/// Ticks a second of `times`.
pub(super) const CLOCK_TICKS: u32 = 100;

/// Entries of the auxiliary vector. Linux: include/uapi/linux/auxvec.h.
mod auxiliary {
    pub(super) const PAGESZ: u32 = 6;
    pub(super) const UID: u32 = 11;
    pub(super) const EUID: u32 = 12;
    pub(super) const GID: u32 = 13;
    pub(super) const EGID: u32 = 14;
    pub(super) const CLKTCK: u32 = 17;
    pub(super) const SECURE: u32 = 23;
    pub(super) const RANDOM: u32 = 25;
    pub(super) const EXECFN: u32 = 31;
}

/// Alignment of what lies behind the vectors.
const ALIGNMENT: usize = 16;

/// Random bytes that a program is started with.
const RANDOM_BYTES: usize = 16;

/// Runs a program from its start, or from where its parent was, to its end.
pub async fn enter(
    store: &mut Store<Guest>,
    instance: &Instance,
    entry: Entry,
) -> wasmtime::Result<()> {
    store.data().task.process.set_can_wait(true);
    find_deliver(store, instance);
    let name = match entry {
        Entry::Start => "_start",
        Entry::Resume => "resume",
    };
    let function = instance.get_typed_func::<(), ()>(&mut *store, name)?;
    function.call_async(&mut *store, ()).await
}

/// Notes how the guest has handlers called.
pub(super) fn find_deliver(store: &mut Store<Guest>, instance: &Instance) {
    let deliver = instance.get_typed_func(&mut *store, "signal_deliver").ok();
    store.data_mut().linux.deliver = deliver;
}

/// What a program is started with, but for where it will lie.
pub(super) struct StartBlock {
    arguments: Vec<Vec<u8>>,
    variables: Vec<Vec<u8>>,
    path: Vec<u8>,
    random: [u8; RANDOM_BYTES],
    numbers: [(u32, u32); 7],
}

impl StartBlock {
    /// Collects what the program of a task is started with.
    pub(super) fn of(task: &Task) -> StartBlock {
        let image: &ProcessImage = &task.process.image();
        let who: &Credentials = &task.process.credentials();
        let mut random = [0; RANDOM_BYTES];
        task.process.kernel.entropy.fill(&mut random);
        StartBlock {
            arguments: image.args.clone(),
            variables: image.env.clone(),
            path: image.path.clone(),
            random,
            numbers: [
                (auxiliary::PAGESZ, PAGE_BYTES),
                (auxiliary::CLKTCK, CLOCK_TICKS),
                (auxiliary::UID, who.uid),
                (auxiliary::EUID, who.euid),
                (auxiliary::GID, who.gid),
                (auxiliary::EGID, who.egid),
                (auxiliary::SECURE, 0),
            ],
        }
    }

    /// Lays it out for an address: the count, the two vectors of pointers, the auxiliary vector, and what they point to.
    pub(super) fn encode(&self, address: GuestAddr) -> Result<Vec<u8>> {
        let auxiliary_words = (self.numbers.len() + 3) * 2;
        let words = 1 + self.arguments.len() + 1 + self.variables.len() + 1 + auxiliary_words;
        let start = (words * 4).next_multiple_of(ALIGNMENT);
        let mut block = Block {
            address: u32::try_from(address.0).map_err(|_| Errno::EFAULT)?,
            words: Vec::with_capacity(words),
            bytes: self.random.to_vec(),
            start,
        };
        block.words.push(self.arguments.len() as u32);
        block.strings(&self.arguments);
        block.strings(&self.variables);
        for (kind, number) in self.numbers {
            block.words.extend([kind, number]);
        }
        let random = block.at(0);
        let path = block.string(&self.path);
        block.words.extend([auxiliary::RANDOM, random]);
        block.words.extend([auxiliary::EXECFN, path]);
        block.words.extend([0, 0]);
        Ok(block.finish())
    }
}

/// A start block that is being laid out.
struct Block {
    address: u32,
    words: Vec<u32>,
    bytes: Vec<u8>,
    /// Where the bytes begin.
    start: usize,
}

impl Block {
    fn at(&self, offset: usize) -> u32 {
        self.address.wrapping_add((self.start + offset) as u32)
    }

    fn string(&mut self, string: &[u8]) -> u32 {
        let address = self.at(self.bytes.len());
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        address
    }

    fn strings(&mut self, strings: &[Vec<u8>]) {
        for string in strings {
            let address = self.string(string);
            self.words.push(address);
        }
        self.words.push(0);
    }

    fn finish(self) -> Vec<u8> {
        let mut block: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        block.resize(self.start, 0);
        block.extend(self.bytes);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_block_is_linuxs_initial_stack() {
        let block = StartBlock {
            arguments: vec![b"sh".to_vec(), b"-c".to_vec()],
            variables: vec![b"A=1".to_vec()],
            path: b"/bin/sh".to_vec(),
            random: [7; RANDOM_BYTES],
            numbers: [(auxiliary::PAGESZ, PAGE_BYTES); 7],
        };
        let bytes = block.encode(GuestAddr(0x1000)).unwrap();
        let word = |index: usize| {
            let bytes = bytes[index * 4..index * 4 + 4].try_into();
            u32::from_le_bytes(bytes.unwrap())
        };
        let string = |address: u32| {
            let rest = &bytes[address as usize - 0x1000..];
            rest.split(|byte| *byte == 0).next().unwrap()
        };
        assert_eq!((word(0), word(3), word(5)), (2, 0, 0));
        assert_eq!(string(word(1)), b"sh");
        assert_eq!(string(word(2)), b"-c");
        assert_eq!(string(word(4)), b"A=1");
        assert_eq!((word(6), word(7)), (auxiliary::PAGESZ, PAGE_BYTES));
        assert_eq!(word(20), auxiliary::RANDOM);
        assert_eq!(word(21) % 16, 0);
        assert_eq!(string(word(23)), b"/bin/sh");
        assert_eq!((word(24), word(25)), (0, 0));
    }
}
