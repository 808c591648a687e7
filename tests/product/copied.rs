//! What files keep when a build copies them: hard links and extended attributes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use crate::home::Home;

/// An archive of a directory with an attribute, a file with another, and a second name of that file.
fn archive() -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut add = |name: &str, kind: EntryType, attribute: &str, content: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_path(name).expect("the name is short");
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        if kind == EntryType::Link {
            header.set_link_name("d/file").expect("the target is short");
        }
        header.set_cksum();
        let record = [(attribute, &b"\0any \xff"[..])];
        let records = record.into_iter().filter(|(key, _)| !key.is_empty());
        builder.append_pax_extensions(records).expect("appended");
        builder.append(&header, content).expect("appended");
    };
    add("d/", EntryType::Directory, "SCHILY.xattr.user.d", b"");
    add(
        "d/file",
        EntryType::Regular,
        "SCHILY.xattr.user.f",
        b"content",
    );
    add("d/name", EntryType::Link, "", b"");
    add("d/single", EntryType::Regular, "", b"content");
    builder.into_inner().expect("finished")
}

/// What a build's tar has: type, link target, attributes and content by path.
type Listing = BTreeMap<String, (EntryType, String, String, String)>;

fn built(home: &Home, instructions: &str) -> Listing {
    home.write("Balenafile", instructions);
    home.ok(&["build", "-q", "-o", "type=tar,dest=out.tar", "."]);
    let bytes = fs::read(home.files().join("out.tar")).expect("it was written");
    let mut archive = Archive::new(&bytes[..]);
    let entries = archive.entries().expect("it is a tar");
    let listed = entries.map(|entry| {
        let mut entry = entry.expect("it is whole");
        let mut attributes = String::new();
        for record in entry
            .pax_extensions()
            .expect("they are well formed")
            .into_iter()
            .flatten()
        {
            let record = record.expect("it is well formed");
            attributes += &format!(
                "{}={:?};",
                record.key().expect("a text"),
                record.value_bytes()
            );
        }
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("a text");
        let link = entry.link_name().expect("a path").unwrap_or_default();
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let link = link.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        (path, (kind, link, attributes, content))
    });
    listed.collect()
}

fn attribute(name: &str) -> String {
    format!("SCHILY.xattr.user.{name}={:?};", b"\0any \xff")
}

#[test]
fn attributes_and_hard_links_of_an_archive_and_of_a_stage_are_kept() {
    let home = Home::new();
    home.write("files.tar", archive());
    let added = built(&home, "FROM scratch\nADD files.tar /\n");
    let copied = built(
        &home,
        "FROM scratch AS files\nADD files.tar /a/\nFROM scratch\nCOPY --from=files /a /\n",
    );
    for listing in [added, copied] {
        let file = (
            EntryType::Regular,
            String::new(),
            attribute("f"),
            "content".to_owned(),
        );
        assert_eq!(listing["d/file"], file);
        assert_eq!(listing["d/name"].0, EntryType::Link);
        assert_eq!(listing["d/name"].1, "d/file");
        assert_eq!(listing["d/"].2, attribute("d"));
        assert_eq!(
            listing["d/single"].0,
            EntryType::Regular,
            "equal, and another file"
        );
    }
}

/// Returns an attribute of a file; none where the file has none, or its file system knows none.
fn attribute_of(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let size = rustix::fs::getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(size);
    Some(value)
}

#[test]
fn a_directory_that_a_build_is_written_to_gets_hard_links_and_attributes() {
    let home = Home::new();
    home.write("files.tar", archive());
    home.write("Balenafile", "FROM scratch\nADD files.tar /\n");
    // Twice: what is there is replaced.
    for _ in 0..2 {
        home.ok(&["build", "-q", "-o", "out", "."]);
        let path = |name: &str| home.files().join("out/d").join(name);
        let inode = |name: &str| fs::metadata(path(name)).expect("it is there").ino();
        assert_eq!(inode("file"), inode("name"));
        assert_ne!(inode("file"), inode("single"));
        for name in ["file", "name", "single"] {
            assert_eq!(fs::read_to_string(path(name)).expect("a text"), "content");
        }
        let own = home.write("own", "");
        let value = b"\0any \xff";
        if rustix::fs::setxattr(&own, "user.f", value, rustix::fs::XattrFlags::empty()).is_ok() {
            assert_eq!(
                attribute_of(&path("name"), "user.f").as_deref(),
                Some(&value[..])
            );
            assert_eq!(
                attribute_of(&path(""), "user.d").as_deref(),
                Some(&value[..])
            );
            assert_eq!(attribute_of(&path("single"), "user.f"), None);
        }
    }
}

#[test]
fn names_that_two_sources_give_become_two_files() {
    let home = Home::new();
    home.write("files.tar", archive());
    let listing = built(
        &home,
        "FROM scratch AS files\nADD files.tar /\nFROM scratch\nCOPY --from=files /d/file /d/name /to/\n",
    );
    for name in ["to/file", "to/name"] {
        assert_eq!(listing[name].0, EntryType::Regular, "{name}");
        assert_eq!(listing[name].2, attribute("f"), "{name}");
    }
}

#[test]
fn hard_links_of_the_context_are_kept_and_decide_the_layer() {
    let home = Home::new();
    home.write("d/a", "content");
    home.write(".dockerignore", "out.tar\n");
    let (a, b) = (home.files().join("d/a"), home.files().join("d/b"));
    fs::hard_link(&a, &b).expect("linked");
    let file = "FROM scratch\nCOPY d /d\n";
    let linked = built(&home, file);
    assert_eq!(linked["d/b"].0, EntryType::Link);
    assert_eq!(linked["d/b"].1, "d/a");
    fs::remove_file(&b).expect("removed");
    fs::copy(&a, &b).expect("copied");
    let apart = built(&home, file);
    assert_eq!(apart["d/b"].0, EntryType::Regular);
    assert_eq!(apart["d/b"].3, "content");
}

#[test]
fn a_directory_that_a_later_layer_writes_to_keeps_its_attributes() {
    let home = Home::new();
    home.write("files.tar", archive());
    home.write("more", "more");
    let listing = built(&home, "FROM scratch\nADD files.tar /\nCOPY more /d/more\n");
    assert_eq!(listing["d/"].2, attribute("d"));
    assert_eq!(listing["d/more"].3, "more");
}
