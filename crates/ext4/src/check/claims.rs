//! Which blocks were found to be used: a bit for each, kept only where one is set.

use std::collections::HashMap;

/// Blocks whose bits are kept together.
const PIECE_BLOCKS: u64 = 32_768;
const WORDS: usize = PIECE_BLOCKS as usize / 64;

/// Blocks that belong to something.
#[derive(Default)]
pub(super) struct Claims {
    pieces: HashMap<u64, Box<[u64; WORDS]>>,
}

impl Claims {
    /// Returns whether a block was claimed.
    pub(super) fn contains(&self, block: u64) -> bool {
        let (piece, word, bit) = place(block);
        self.pieces
            .get(&piece)
            .is_some_and(|words| words[word] & bit != 0)
    }

    /// Claims a run of blocks; fails with the first that was claimed before, and then claims only those before it.
    pub(super) fn claim(&mut self, first: u64, count: u64) -> Result<(), u64> {
        for block in first..first + count {
            let (piece, word, bit) = place(block);
            let words = self
                .pieces
                .entry(piece)
                .or_insert_with(|| Box::new([0; WORDS]));
            if words[word] & bit != 0 {
                return Err(block);
            }
            words[word] |= bit;
        }
        Ok(())
    }
}

fn place(block: u64) -> (u64, usize, u64) {
    let index = block % PIECE_BLOCKS;
    (
        block / PIECE_BLOCKS,
        (index / 64) as usize,
        1 << (index % 64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_claimed_once() {
        let mut claims = Claims::default();
        assert_eq!(claims.claim(32_760, 20), Ok(()));
        assert_eq!(claims.claim(32_700, 100), Err(32_760));
        assert!(claims.contains(32_779) && claims.contains(32_700) && !claims.contains(32_780));
    }
}
