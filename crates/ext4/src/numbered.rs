//! Tables by numbers of blocks and inodes. An image may choose the numbers; the tables that it can fill are bounded, and so is what a look-up costs.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes hashers of numbers.
pub(crate) type Numbered = BuildHasherDefault<NumberHasher>;

/// Hashes a number, in far less time than what is made for texts takes.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: the highest bits depend on all others, and the table takes both ends.
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}
