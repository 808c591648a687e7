//! Tars that another writer made, and bytes that nobody meant.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use minke_archive::{Change, Entries, Member, MemberKind};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

const BLOCK_BYTES: usize = 512;

fn all(bytes: &[u8]) -> Vec<Change> {
    let mut entries = Entries::new(bytes);
    std::iter::from_fn(|| entries.next_change().unwrap()).collect()
}

/// Makes the sum of the header at the beginning right.
fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..BLOCK_BYTES]
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_another_writer_wrote_is_read_back(
        path in "[a-z]{1,60}(/[a-z]{1,60}){0,4}",
        content in prop::collection::vec(any::<u8>(), 0..2000),
        (uid, gid, mode) in (any::<u32>(), any::<u32>(), 0_u32..0o10000),
        seconds in 0_u64..1 << 40,
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        header.set_mtime(seconds);
        builder.append_data(&mut header, &path, &content[..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        let [Change::Add(member)] = &all(&bytes)[..] else {
            panic!("one member was written");
        };
        let Member { kind: MemberKind::Regular(range), .. } = member else {
            panic!("a file was written");
        };
        assert_eq!(bytes[range.clone()], content);
        assert_eq!(member.path, path.as_bytes());
        assert_eq!((member.uid, member.gid, member.mode), (uid, gid, mode));
        assert_eq!(member.modified.seconds, i64::try_from(seconds).unwrap());
    }

    #[test]
    fn any_bytes_are_changes_or_a_complaint(
        mut bytes in prop::collection::vec(any::<u8>(), BLOCK_BYTES..4 * BLOCK_BYTES),
        kind in "[0-9xgLKS]",
        size in "[0-7 ]{11}",
    ) {
        bytes[124..135].copy_from_slice(size.as_bytes());
        bytes[156] = kind.as_bytes()[0];
        sum(&mut bytes);
        let mut entries = Entries::new(&bytes);
        while let Ok(Some(change)) = entries.next_change() {
            if let Change::Add(Member { kind: MemberKind::Regular(range), .. }) = change {
                assert!(range.end <= bytes.len());
            }
        }
        assert!(entries.header_start() <= bytes.len().next_multiple_of(BLOCK_BYTES));
    }
}
