//! Images whose configuration says another thing of a layer than the layer is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::build;
use crate::home::Home;

/// Contents of an archive by their names.
type Members = BTreeMap<String, Vec<u8>>;

/// Returns a digest as documents have it.
fn digest(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are installed");
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(bytes).expect("it reads all");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("digits");
    format!("sha256:{}", &text[..64])
}

fn blob(digest: &str) -> String {
    digest.replacen("sha256:", "blobs/sha256/", 1)
}

/// Takes the document of a descriptor out of an archive.
fn take(members: &mut Members, descriptor: &Value) -> Value {
    let name = blob(descriptor["digest"].as_str().expect("a digest"));
    let bytes = members.remove(&name).expect("it is there");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Puts a changed document into an archive, and makes its descriptor one of the new content.
fn put(members: &mut Members, descriptor: &mut Value, document: &Value) {
    let bytes = document.to_string().into_bytes();
    let digest = digest(&bytes);
    descriptor["size"] = json!(bytes.len());
    descriptor["digest"] = json!(digest);
    members.insert(blob(&digest), bytes);
}

/// Saves an image.
fn saved(home: &Home, image: &str) -> PathBuf {
    let name = format!("{}.tar", image.replace(':', "-"));
    home.ok(&["save", "--format", "oci", "-o", &name, image]);
    home.files().join(name)
}

/// Saves an image whose configuration says that its one layer is the one with this diff id.
fn saved_with(home: &Home, image: &str, diff_id: &Value) -> PathBuf {
    let path = saved(home, image);
    let bytes = fs::read(&path).expect("it was saved");
    let mut members = Members::new();
    for entry in tar::Archive::new(&bytes[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("it is whole");
        members.insert(name, content);
    }
    let mut index: Value = serde_json::from_slice(&members["index.json"]).expect("JSON");
    let mut manifest = take(&mut members, &index["manifests"][0]);
    let mut config = take(&mut members, &manifest["config"]);
    config["rootfs"]["diff_ids"][0] = diff_id.clone();
    put(&mut members, &mut manifest["config"], &config);
    put(&mut members, &mut index["manifests"][0], &manifest);
    members.insert("index.json".to_owned(), index.to_string().into_bytes());
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in &members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let appended = builder.append_data(&mut header, name, &content[..]);
        appended.expect("a vector takes everything");
    }
    fs::write(&path, builder.into_inner().expect("finished")).expect("writable");
    path
}

fn load(home: &Home, archive: &std::path::Path) {
    home.ok(&["load", "-i", archive.to_str().expect("the path is text")]);
}

/// A home with the image `liar:1`, whose configuration says that its layer is that of `honest:1`, and an archive of that.
///
/// The last home keeps the archive.
fn home_with_a_liar() -> (Home, PathBuf, Home) {
    let home = Home::new();
    build(&home, "honest:1", "");
    let honest = home.inspect("honest:1")["RootFS"]["Layers"][0].clone();
    build(&home, "liar:1", "");
    home.write("context-liar-1/more", "more");
    home.write(
        "context-liar-1/Balenafile",
        "FROM scratch\nCOPY hello.wasm more /\nCMD [\"/hello.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "liar:1", "context-liar-1"]);
    let liar = saved_with(&home, "liar:1", &honest);
    let honest = saved(&home, "honest:1");
    let other = Home::new();
    load(&other, &liar);
    (other, honest, home)
}

#[test]
fn a_layer_that_is_another_than_its_configuration_says_is_refused_where_it_is_used_first() {
    let (home, _, _source) = home_with_a_liar();
    let said = [
        "error: layer `sha256:",
        "` of image `liar:1` holds `sha256:",
        "its configuration says `sha256:",
        "hint: the image is not what it says",
        "minke rmi",
    ];
    for _ in 0..2 {
        home.run(&["run", "--rm", "liar:1"])
            .assert_fails(125, &said);
        home.run(&["run", "-d", "liar:1"]).assert_fails(125, &said);
        home.run(&["create", "liar:1"]).assert_fails(1, &said);
    }
    home.write(
        "app/Balenafile",
        "FROM scratch\nCOPY --from=liar:1 /more /\n",
    );
    home.run(&["build", "-t", "app", "app"])
        .assert_fails(1, &said[1..]);
    home.write("app/Balenafile", "FROM liar:1\nRUN [\"/hello.wasm\"]\n");
    home.run(&["build", "-t", "app", "app"])
        .assert_fails(1, &said[1..]);
    home.run(&["save", "--format", "docker", "-o", "x.tar", "liar:1"])
        .assert_fails(1, &said);
    assert!(!home.files().join("x.tar").exists());
    home.assert_nothing_left();
    let cached = fs::read_dir(home.path().join("images/layers")).expect("readable");
    let cached = cached.filter_map(|entry| entry.ok().map(|it| it.file_name()));
    let cached: Vec<_> = cached.filter(|name| name != ".lock").collect();
    assert!(cached.is_empty(), "{cached:?}");
}

#[test]
fn an_image_that_lies_spoils_nothing_of_the_one_that_it_lies_about() {
    let (home, honest, _source) = home_with_a_liar();
    home.run(&["run", "--rm", "liar:1"]).assert_fails(125, &[]);
    load(&home, &honest);
    assert_eq!(home.ok(&["run", "--rm", "honest:1"]), "hello");
    let checked = home.run(&["system", "check"]);
    checked.assert_fails(1, &["1 fault"]);
    for text in ["layer `sha256:", "of `liar:1` holds `sha256:"] {
        assert!(checked.stdout.contains(text), "no {text:?} in {checked:?}");
    }
    assert!(!checked.stdout.contains("honest:1"), "{checked:?}");
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert!(
        repaired.contains("lost: image `liar:1`") && !repaired.contains("honest:1"),
        "{repaired}"
    );
    assert_eq!(home.ok(&["system", "check"]), "");
    assert_eq!(
        home.ok(&["images", "--format", "{{.Repository}}"]),
        "honest"
    );
    assert_eq!(home.ok(&["run", "--rm", "honest:1"]), "hello");
}
