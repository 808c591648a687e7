//! Hashes of names, by which directories with a hash tree are sorted.
//!
//! Spec: ext4 disk layout, "Hash Tree Directories"; RFC 1320 for MD4's functions, of which half is used; Wheeler and Needham's TEA.

/// How a directory hashes names: `dx_root.info.hash_version`, and whether characters are signed, which the superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameHasher {
    algorithm: Algorithm,
    is_unsigned: bool,
    seed: [u32; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Legacy,
    HalfMd4,
    Tea,
}

/// A name's hash: entries are sorted by `major`, whose lowest bit is free for the tree's own use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameHash {
    pub major: u32,
    pub minor: u32,
}

/// Where sums begin if the superblock has no seed.
const SEED_DEFAULT: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// The hash that means the end of a directory; a name that would have it gets the one before.
const HASH_END: u32 = 0x7fff_ffff << 1;

impl NameHasher {
    /// Returns the hasher of a `hash_version` from 0 to 5, or `None`. Versions from 3 on are those from 0 on with unsigned characters.
    pub fn new(version: u8, is_unsigned: bool, seed: [u32; 4]) -> Option<NameHasher> {
        let algorithm = match version % 3 {
            0 => Algorithm::Legacy,
            1 => Algorithm::HalfMd4,
            _ => Algorithm::Tea,
        };
        (version < 6).then_some(NameHasher {
            algorithm,
            is_unsigned: is_unsigned || version >= 3,
            seed: if seed == [0; 4] { SEED_DEFAULT } else { seed },
        })
    }

    /// Returns the hash of a name.
    pub fn hash(&self, name: &[u8]) -> NameHash {
        let (major, minor) = match self.algorithm {
            Algorithm::Legacy => (self.legacy(name), 0),
            Algorithm::HalfMd4 => {
                let sums = self.fold::<8>(name, half_md4);
                (sums[1], sums[2])
            }
            Algorithm::Tea => {
                let sums = self.fold::<4>(name, tea);
                (sums[0], sums[1])
            }
        };
        let major = major & !1;
        let major = if major == HASH_END {
            HASH_END - 2
        } else {
            major
        };
        NameHash { major, minor }
    }

    /// Returns a character as the number that is added.
    fn character(&self, byte: u8) -> u32 {
        match self.is_unsigned {
            true => u32::from(byte),
            false => byte as i8 as u32,
        }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let start = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        let (last, _) = name.iter().fold(start, |(last, before), byte| {
            let product = self.character(*byte).wrapping_mul(7_152_373);
            let sum = before.wrapping_add(last ^ product);
            let sum = if sum & 0x8000_0000 != 0 {
                sum.wrapping_sub(0x7fff_ffff)
            } else {
                sum
            };
            (sum, last)
        });
        last << 1
    }

    /// Feeds a name to `transform` in pieces of `WORDS` words.
    fn fold<const WORDS: usize>(
        &self,
        name: &[u8],
        transform: fn(&mut [u32; 4], &[u32; WORDS]),
    ) -> [u32; 4] {
        let mut sums = self.seed;
        let mut rest = name;
        loop {
            transform(&mut sums, &self.words(rest));
            let taken = rest.len().min(WORDS * 4);
            rest = &rest[taken..];
            if rest.is_empty() {
                return sums;
            }
        }
    }

    /// Packs the beginning of `rest` into words, padded with its length.
    fn words<const WORDS: usize>(&self, rest: &[u8]) -> [u32; WORDS] {
        let padding = (rest.len() as u32 & 0xff) * 0x0101_0101;
        let mut words = [padding; WORDS];
        for (word, characters) in words.iter_mut().zip(rest.chunks(4)) {
            *word = characters.iter().fold(padding, |word, byte| {
                self.character(*byte).wrapping_add(word << 8)
            });
        }
        words
    }
}

fn half_md4(sums: &mut [u32; 4], words: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (
            |x, y, z| z ^ (x & (y ^ z)),
            0,
            [0, 1, 2, 3, 4, 5, 6, 7],
            [3, 7, 11, 19],
        ),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5a82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ed9_eba1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *sums;
    for (mix, constant, order, turns) in rounds {
        for (step, index) in order.into_iter().enumerate() {
            let word = words[index].wrapping_add(constant);
            let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(word);
            (a, b, c, d) = (d, sum.rotate_left(turns[step % 4]), b, c);
        }
    }
    for (sum, value) in sums.iter_mut().zip([a, b, c, d]) {
        *sum = sum.wrapping_add(value);
    }
}

fn tea(sums: &mut [u32; 4], words: &[u32; 4]) {
    const DELTA: u32 = 0x9e37_79b9;
    let mix = |value: u32, sum: u32, first: u32, second: u32| {
        (value << 4).wrapping_add(first)
            ^ value.wrapping_add(sum)
            ^ (value >> 5).wrapping_add(second)
    };
    let [mut low, mut high, ..] = *sums;
    let mut sum = 0_u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(DELTA);
        low = low.wrapping_add(mix(high, sum, words[0], words[1]));
        high = high.wrapping_add(mix(low, sum, words[2], words[3]));
    }
    sums[0] = sums[0].wrapping_add(low);
    sums[1] = sums[1].wrapping_add(high);
}
