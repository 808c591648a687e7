//! Images made, shown, changed and checked by the tools of e2fsprogs, the oracle of these tests.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use minke_ext4::{Device, MemoryDevice};
use tempfile::TempDir;

/// The kinds of file systems that everything is tried on: a name, and what `mke2fs` is told.
pub(crate) const MATRIX: &[(&str, &[&str])] = &[
    ("ext4", &["-t", "ext4"]),
    ("no journal", &["-t", "ext4", "-O", "^has_journal"]),
    (
        "no metadata_csum",
        &["-t", "ext4", "-O", "^metadata_csum,uninit_bg"],
    ),
    ("no 64bit", &["-t", "ext4", "-O", "^64bit"]),
    ("no dir_index", &["-t", "ext4", "-O", "^dir_index"]),
    ("orphan_file", &["-t", "ext4", "-O", "orphan_file"]),
    (
        "checksum seed, sparse_super2, large_dir",
        &[
            "-t",
            "ext4",
            "-O",
            "metadata_csum_seed,sparse_super2,^resize_inode,large_dir",
        ],
    ),
    ("1 KiB blocks", &["-t", "ext4", "-b", "1024"]),
    ("2 KiB blocks", &["-t", "ext4", "-b", "2048"]),
    ("small inodes", &["-t", "ext4", "-I", "128"]),
    ("ext3", &["-t", "ext3"]),
    ("ext3 of 1 KiB blocks", &["-t", "ext3", "-b", "1024"]),
    ("ext2", &["-t", "ext2"]),
    ("ext2 of 1 KiB blocks", &["-t", "ext2", "-b", "1024"]),
];

/// An image in a temporary file.
pub(crate) struct Image {
    directory: TempDir,
}

impl Image {
    /// Makes a file system of `size` (as `mke2fs` reads it) with a fixed seed for hashes and identity.
    pub(crate) fn make(arguments: &[&str], size: &str) -> Image {
        let image = Image {
            directory: tempfile::tempdir().unwrap(),
        };
        let path = image.path();
        let mut command = tool("mke2fs");
        command.args(["-q", "-F", "-b", "4096", "-U"]);
        command.args([
            "12345678-9abc-def0-1234-56789abcdef0",
            "-E",
            "hash_seed=0fedcba9-8765-4321-0fed-cba987654321",
        ]);
        succeed(command.args(arguments).arg(&path).arg(size));
        image
    }

    /// Keeps bytes as an image, for the tools to look at.
    pub(crate) fn of(bytes: &[u8]) -> Image {
        let image = Image {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::write(image.path(), bytes).unwrap();
        image
    }

    /// Keeps what is on a device as an image.
    pub(crate) fn of_device(device: &MemoryDevice) -> Image {
        let image = Image {
            directory: tempfile::tempdir().unwrap(),
        };
        let file = fs::File::create(image.path()).unwrap();
        file.set_len(device.size()).unwrap();
        device.for_each_piece(|offset, bytes| file.write_all_at(bytes, offset).unwrap());
        image
    }

    /// Checks the whole file system without changing it.
    ///
    /// # Panics
    /// If `e2fsck` finds anything.
    pub(crate) fn check(&self, what: &str) {
        let output = tool("e2fsck").arg("-fn").arg(self.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what}: e2fsck finds:\n{text}");
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Runs commands of `debugfs`, and returns what they print.
    pub(crate) fn debugfs(&self, commands: &[&str]) -> String {
        let script = self.directory.path().join("script");
        fs::write(&script, commands.join("\n") + "\n").unwrap();
        let output = succeed(
            tool("debugfs")
                .arg("-w")
                .arg("-f")
                .arg(script)
                .arg(self.path()),
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns a field of what `dumpe2fs` prints of the superblock.
    pub(crate) fn dumped(&self, field: &str) -> String {
        let output = succeed(tool("dumpe2fs").arg("-h").arg(self.path()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no `{field}` in {text}"))
            .trim()
            .to_string()
    }
}

/// Returns a tool that may lie where only root's path leads.
pub(crate) fn tool(name: &str) -> Command {
    let path = ["/usr/sbin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| name.into()));
    // Nothing of this machine's own defaults.
    command.env(
        "MKE2FS_CONFIG",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/mke2fs.conf"),
    );
    command.env("MKE2FS_DETERMINISTIC", "1").env("LC_ALL", "C");
    command
}

/// Runs a tool that has to succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    output
}
