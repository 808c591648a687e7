//! Archives from people who mean harm, or whose disk was bad: as an `ADD`, as a context, and by `load`.

use std::process::Command;

use tar::EntryType;

use super::{check_refused, context};
use crate::home::Home;

/// A tar that is written byte by byte, so that it may say anything.
#[derive(Default)]
struct Forged(Vec<u8>);

impl Forged {
    fn new() -> Forged {
        Forged::default()
    }

    fn member(mut self, kind: EntryType, name: &[u8], link: &[u8], content: &[u8]) -> Forged {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.content(content)
    }

    fn content(mut self, content: &[u8]) -> Forged {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Forged {
        self.member(EntryType::Regular, name.as_bytes(), b"", content.as_bytes())
    }

    fn directory(self, name: &str) -> Forged {
        self.member(EntryType::Directory, name.as_bytes(), b"", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Forged {
        self.member(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    fn link(self, name: &str, target: &str) -> Forged {
        self.member(EntryType::Link, name.as_bytes(), target.as_bytes(), b"")
    }

    /// A record of pax for the next member.
    fn record(self, key: &str, value: &[u8]) -> Forged {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut length = rest.len();
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        let record = [length.to_string().as_bytes(), &rest].concat();
        self.member(EntryType::XHeader, b"pax", b"", &record)
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }
}

/// Archives that are refused, with what is said of them.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let file = || Forged::new().file("first", "1");
    vec![
        (
            "the archive's `../x` leads out of it by `..`",
            file().file("../x", "").bytes(),
        ),
        (
            "the archive's `a/../../x` leads out of it by `..`",
            file().file("a/../../x", "").bytes(),
        ),
        ("leads out of it by `..`", file().directory("..").bytes()),
        (
            "the archive's `../../etc/passwd` leads out of it by `..`",
            file().link("x", "../../etc/passwd").bytes(),
        ),
        (
            "`x` is a hard link to `/etc/passwd`, which is no file before it",
            file().link("x", "/etc/passwd").bytes(),
        ),
        (
            "`x` is a hard link to `later`, which is no file before it",
            file().link("x", "later").file("later", "").bytes(),
        ),
        (
            "`x` is a hard link to `d`, which is no file before it",
            file().directory("d").link("x", "d").bytes(),
        ),
        (
            "`out/x` is below `out`, which is not a directory",
            file().symlink("out", "/tmp").file("out/x", "").bytes(),
        ),
        (
            "`out/d` is below `out`, which is not a directory",
            file().symlink("out", "..").directory("out/d").bytes(),
        ),
        (
            "`first/x` is below `first`, which is not a directory",
            file().file("first/x", "").bytes(),
        ),
        (
            "`d` is a directory and a file",
            file().directory("d").file("d/x", "").file("d", "").bytes(),
        ),
        (
            "`first` is a directory and a file",
            file().directory("first").bytes(),
        ),
        (
            "a name that no file can have",
            file().record("path", b"a\0b").file("x", "").bytes(),
        ),
        (
            "a name that no file can have",
            file().record("path", &[b'n'; 300]).file("x", "").bytes(),
        ),
        (
            "a name that no file can have",
            file()
                .record("path", &b"d/".repeat(2100))
                .file("x", "")
                .bytes(),
        ),
        (
            "`x` is a sparse file",
            file()
                .record("GNU.sparse.major", b"1")
                .file("x", "")
                .bytes(),
        ),
        (
            "the archive's entry 2 has more than 1048576 bytes of names and attributes",
            file()
                .record("comment", &vec![b'c'; 3 << 20])
                .file("x", "")
                .bytes(),
        ),
        (
            "the archive's entry 1 has more than 1048576 bytes of names and attributes",
            Forged::new()
                .member(EntryType::GNULongName, b"long", b"", &vec![b'n'; 3 << 20])
                .file("x", "")
                .bytes(),
        ),
        (
            "the archive is damaged",
            file().content(&[b'?'; 512]).bytes(),
        ),
        (
            "the archive ends in the middle of `cut`",
            Forged(file().file("cut", &"c".repeat(2000)).0[..1700].to_vec()).0,
        ),
    ]
}

#[test]
fn an_archive_that_lies_is_refused_and_nothing_of_it_stays() {
    for (text, bytes) in refused() {
        let home = context(&[]);
        home.write("context/evil.tar", &bytes);
        let texts = &[
            "Balenafile:2:1: cannot take `evil.tar` apart: ",
            text,
            "hint: ",
        ];
        check_refused(&home, "ADD evil.tar /d", texts);
        let ended = home.run_with_input(&["build", "-t", "made", "-"], &bytes);
        ended.assert_fails(1, &["cannot read the context: ", text, "hint: "]);
        assert_eq!(home.ok(&["images", "-q"]), "");
        assert_eq!(home.ok(&["system", "check"]), "");
        home.assert_nothing_left();
        let names = std::fs::read_dir(home.files()).expect("readable").count();
        assert_eq!(names, 2, "{text}: something was written beside the context");
    }
}

#[test]
fn an_archive_that_is_only_odd_is_taken() {
    let odd = Forged::new()
        .file("/absolute/x", "1")
        .file("./././dot", "2")
        .file("twice", "old")
        .file("twice", "new")
        .directory("d/")
        .directory("d/")
        .symlink("out", "../../../etc/passwd")
        .link("hard", "twice")
        .member(EntryType::Regular, b"latin-\xe9", b"", b"3")
        .member(EntryType::Regular, b"line\nbreak", b"", b"4")
        .member(EntryType::Fifo, b"pipe", b"", b"")
        .member(EntryType::Char, b"device", b"", b"")
        .member(EntryType::XGlobalHeader, b"global", b"", b"")
        .record("path", "päx".as_bytes())
        .file("x", "5");
    let home = context(&[]);
    home.write("context/odd.tar", odd.bytes());
    let ended = super::build(&home, "ADD odd.tar /");
    for name in ["pipe", "device"] {
        let text = format!("`{name}` of `odd.tar` is a pipe or a device, and is left out");
        assert!(ended.stderr.contains(&text), "{ended:?}");
    }
    let output = home.command(&super::TREE).output().expect("minke starts");
    assert!(output.status.success(), "{output:?}");
    let mut archive = tar::Archive::new(&output.stdout[..]);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path_bytes().into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("a content");
        if entry.header().entry_type() == EntryType::Link {
            content = [b"-> ", &*entry.link_name_bytes().expect("a target")].concat();
        }
        (
            String::from_utf8_lossy(&name).into_owned(),
            String::from_utf8_lossy(&content).into_owned(),
        )
    });
    let mut found: Vec<(String, String)> = entries.collect();
    found.sort();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, content)| (&**name, &**content))
        .collect();
    assert_eq!(
        found,
        [
            ("absolute/", ""),
            ("absolute/x", "1"),
            ("d/", ""),
            ("dot", "2"),
            ("hard", "new"),
            ("latin-\u{fffd}", "3"),
            ("line\nbreak", "4"),
            ("out", ""),
            ("päx", "5"),
            ("twice", "-> hard"),
        ]
    );
}

#[test]
fn a_sparse_file_is_refused_in_every_format() {
    let home = context(&[]);
    let hole = std::fs::File::create(home.files().join("hole")).expect("writable");
    hole.set_len(1 << 20).expect("files have holes");
    for format in ["gnu", "posix"] {
        let format = format!("--format={format}");
        let mut tar = Command::new("tar");
        let arguments = ["--sparse", &format, "-cf", "context/evil.tar", "hole"];
        let status = tar.args(arguments).current_dir(home.files()).status();
        assert!(status.expect("tar starts").success());
        check_refused(
            &home,
            "ADD evil.tar /",
            &["is a sparse file", "hint: pack it again without `--sparse`"],
        );
    }
}

/// More zeros than an archive of so few bytes may unpack to.
const BOMB_BYTES: u64 = 400 << 20;

#[test]
fn an_archive_that_swells_is_stopped_before_it_fills_the_disk() {
    let home = context(&[]);
    let zeros = std::fs::File::create(home.files().join("zeros")).expect("writable");
    zeros.set_len(BOMB_BYTES).expect("files have holes");
    for pack in ["zstd -qc", "xz -1c", "gzip -1c"] {
        let script = format!("tar -cf - zeros | {pack} > context/bomb");
        let status = Command::new("sh")
            .args(["-c", &script])
            .current_dir(home.files())
            .status();
        assert!(status.expect("a shell").success());
        let is_gzip = pack.starts_with("gzip");
        let texts = &[
            "Balenafile:2:1",
            "unpacks to more than 1000 times its size",
            "hint: ",
        ];
        // gzip's best is 1:1030, its fastest far less: it is a large file, and no bomb.
        match is_gzip {
            true => assert_eq!(super::build(&home, "ADD bomb /").code, 0),
            false => check_refused(&home, "ADD bomb /", texts),
        }
    }
}

/// Packs bytes by a program that reads standard input.
fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("plain"), bytes).expect("writable");
    let mut command = Command::new(program);
    command.args(["-c", "plain"]).current_dir(directory.path());
    let output = command.output().expect("it is installed");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn a_packed_archive_that_was_cut_is_refused() {
    let bytes = Forged::new().file("first", "1").bytes();
    for program in ["gzip", "zstd", "bzip2", "xz"] {
        let whole = packed(program, &bytes);
        let home = context(&[]);
        for end in [whole.len() / 2, whole.len() - 1] {
            let ended = home.run_with_input(&["build", "-t", "made", "-"], &whole[..end]);
            ended.assert_fails(
                1,
                &["cannot read the context: the archive is damaged", "hint: "],
            );
        }
        home.assert_nothing_left();
    }
}

/// ISO 3309, as the xz file format takes it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn a_dictionary_of_more_than_64_mib_is_refused() {
    let bytes = Forged::new().file("first", "1").bytes();
    let home = context(&[]);
    home.write("context/plain", &bytes);
    let mut xz = Command::new("xz");
    xz.args(["-T1", "-c", "plain"]);
    let output = xz.current_dir(home.files().join("context")).output();
    let mut packed = output.expect("it is installed").stdout;
    // Spec: The .xz File Format 1.2, "Block Header": size, flags, the filter's number, its property's size, the dictionary.
    let header = 12..12 + (usize::from(packed[12]) + 1) * 4;
    assert_eq!(packed[13..16], [0, 0x21, 1], "a block of LZMA2 alone");
    for (dictionary, bytes) in [(29, "100663296"), (40, "4294967295")] {
        packed[16] = dictionary;
        let sum = crc32(&packed[header.start..header.end - 4]);
        packed[header.end - 4..header.end].copy_from_slice(&sum.to_le_bytes());
        home.write("context/large.xz", &packed);
        let text = format!("a dictionary of {bytes} bytes, and 67108864 are the most");
        check_refused(
            &home,
            "ADD large.xz /",
            &["cannot take `large.xz` apart", &text, "xz -6"],
        );
        let loaded = home.run_with_input(&["load"], &packed);
        loaded.assert_fails(1, &[&text, "xz -6"]);
    }
    packed[16] = 28;
    let sum = crc32(&packed[header.start..header.end - 4]);
    packed[header.end - 4..header.end].copy_from_slice(&sum.to_le_bytes());
    home.write("context/large.xz", &packed);
    assert_eq!(super::build(&home, "ADD large.xz /").code, 0);
}

#[test]
fn an_archive_of_images_that_lies_is_refused_by_load() {
    let home = Home::new();
    let documents = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    let digest = "a".repeat(64);
    let config = format!(
        r#"{{"architecture":"wasm","os":"wasi","rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    let docker = || {
        let archive = Forged::new().file("manifest.json", documents);
        archive.file("c.json", &config)
    };
    let other = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}]}"#;
    for (text, archive) in [
        ("`../x` leads out of it", docker().file("../x", "")),
        ("`/etc/x` leads out of it", docker().file("/etc/x", "")),
        (
            "`l.tar` leads out of it",
            docker().symlink("l.tar", "/etc/passwd"),
        ),
        (
            "`l.tar` leads out of it",
            docker().link("l.tar", "../../etc/passwd"),
        ),
        (
            "l.tar",
            docker().member(EntryType::Char, b"l.tar", b"", b""),
        ),
        ("l.tar", docker()),
        ("`c.json`", docker().file("c.json", "{}")),
        ("", docker().file("l.tar", "no tar")),
        ("", Forged::new().file("index.json", other)),
        ("", Forged::new().file("nothing", "of use")),
        ("", Forged::new().file("manifest.json", "[{")),
    ] {
        home.write("x.tar", archive.bytes());
        let ended = home.run(&["load", "-i", "x.tar"]);
        ended.assert_fails(1, &["error: ", text, "hint: "]);
        assert_eq!(ended.stdout, "", "{ended:?}");
        assert_eq!(home.ok(&["images", "-q"]), "");
        assert_eq!(home.ok(&["system", "check"]), "");
        home.assert_nothing_left();
    }
}

#[test]
fn an_index_without_wasm_says_what_it_has() {
    let home = Home::new();
    let manifest = |architecture: &str, digit: char| {
        let digest = digit.to_string().repeat(64);
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}","size":2,"platform":{{"os":"linux","architecture":"{architecture}"}},"annotations":{{"org.opencontainers.image.ref.name":"app:1"}}}}"#
        )
    };
    let (amd64, arm64) = (manifest("amd64", 'a'), manifest("arm64", 'b'));
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{amd64},{arm64}]}}"#);
    let archive = Forged::new()
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", &index);
    home.write("x.tar", archive.bytes());
    let ended = home.run(&["load", "-i", "x.tar"]);
    ended.assert_fails(1, &["linux/amd64", "linux/arm64", "wasi/wasm", "hint: "]);
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}
