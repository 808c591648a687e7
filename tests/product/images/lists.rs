//! Lists of images, their names, and what removes them.

use serde_json::{Value, json};

use super::build;
use crate::home::{Home, guest};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn images_are_listed_filtered_and_formatted() {
    let home = Home::new();
    build(&home, "app:1", "LABEL tier=front");
    build(&home, "app:2", "LABEL tier=back");
    build(&home, "org/tool:1", "ENV A=1");
    let names = |filters: &[&str]| {
        let words = [&["images", "--format", "{{.Repository}}:{{.Tag}}"], filters].concat();
        let text = home.ok(&words);
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names(&[]), ["app:1", "app:2", "org/tool:1"]);
    assert_eq!(names(&["app"]), ["app:1", "app:2"]);
    assert_eq!(names(&["app:2"]), ["app:2"]);
    assert_eq!(names(&["-f", "reference=*:1"]), ["app:1"]);
    assert_eq!(
        names(&["-f", "reference=*/*", "-f", "reference=app:2"]),
        ["app:2", "org/tool:1"]
    );
    assert_eq!(names(&["-f", "label=tier"]), ["app:1", "app:2"]);
    assert_eq!(names(&["-f", "label=tier=back"]), ["app:2"]);
    assert_eq!(names(&["-f", "dangling=true"]), Vec::<String>::new());
    assert_eq!(
        names(&["-f", "since=app:1", "-f", "before=app:1"]),
        Vec::<String>::new()
    );
    build(&home, "app:1", "LABEL tier=new");
    assert_eq!(names(&["-f", "dangling=true"]), ["<none>:<none>"]);
    assert_eq!(names(&["-a"]).len(), 4);
    let table = home.ok(&["image", "ls", "--digests", "--no-trunc", "app:2"]);
    let digest = home.ok(&["images", "--format", "{{.Digest}}", "app:2"]);
    assert!(
        table.starts_with("REPOSITORY") && table.contains("DIGEST") && table.contains(&digest),
        "{table}"
    );
    assert_eq!(lines(&home.ok(&["images", "-q", "app"])).len(), 2);
}

#[test]
fn filters_that_are_none_are_answered_with_those_there_are() {
    let home = Home::new();
    home.fails(
        &["images", "-f", "colour=red"],
        125,
        "error: invalid filter `colour`\nhint: use one of before, dangling, label, label!, reference, since, until, such as `dangling=true`",
    );
    home.run(&["images", "-f", "dangling=maybe"])
        .assert_fails(125, &["invalid filter `dangling=maybe`", "hint: "]);
    home.run(&["images", "-f", "since=nosuch"])
        .assert_fails(1, &["no such image: `nosuch`"]);
}

#[test]
fn a_tag_is_one_more_name() {
    let home = Home::new();
    let id = build(&home, "app:1", "");
    home.ok(&["tag", "app:1", "app:2"]);
    home.ok(&["image", "tag", &id, "example.test:5000/team/app"]);
    let tags = home.ok(&[
        "image",
        "inspect",
        "--format",
        "{{json .RepoTags}}",
        "app:2",
    ]);
    let tags: Value = serde_json::from_str(&tags).expect("it is JSON");
    assert_eq!(
        tags,
        json!(["app:1", "app:2", "example.test:5000/team/app:latest"])
    );
    build(&home, "other:1", "ENV A=1");
    home.ok(&["tag", "other:1", "app:2"]);
    assert_eq!(
        home.ok(&["images", "-q", "--no-trunc", "app:2"]),
        home.ok(&["images", "-q", "--no-trunc", "other:1"])
    );
    home.run(&["tag", "nosuch", "x"])
        .assert_fails(1, &["no such image: `nosuch`"]);
    home.run(&["tag", "app:1", "not a name"])
        .assert_fails(125, &["`not a name` is not an image name", "hint: "]);
}

#[test]
fn history_tells_the_instructions_newest_first() {
    let home = Home::new();
    build(&home, "app:1", "ENV A=1");
    let instructions = home.ok(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "app:1",
    ]);
    let instructions = lines(&instructions);
    assert_eq!(instructions.len(), 3, "{instructions:?}");
    assert!(instructions[0].starts_with("CMD"), "{instructions:?}");
    assert!(
        instructions[2].starts_with("COPY hello.wasm"),
        "{instructions:?}"
    );
    let comments = home.ok(&["history", "--format", "{{.Comment}}", "app:1"]);
    assert_eq!(lines(&comments), ["minke.balenafile"; 3]);
    let table = home.ok(&["image", "history", "app:1"]);
    let rows = lines(&table);
    assert!(rows[0].starts_with("IMAGE"), "{table}");
    let id = home.ok(&["images", "-q", "app:1"]);
    assert!(
        rows[1].starts_with(&id) && rows[2].starts_with("<missing>"),
        "{table}"
    );
    assert!(rows[3].contains("kB") && rows[1].contains("0B"), "{table}");
}

#[test]
fn image_inspect_knows_images_alone() {
    let home = Home::new();
    let id = build(&home, "app:1", "LABEL a=b");
    let text = home.ok(&["image", "inspect", "app:1"]);
    let found: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(found[0]["Id"], json!(id));
    assert_eq!(
        (&found[0]["Os"], &found[0]["Architecture"]),
        (&json!("wasi"), &json!("wasm"))
    );
    assert_eq!(found[0]["Config"]["Labels"], json!({"a": "b"}));
    assert_eq!(home.inspect("app:1"), found[0]);
    home.ok(&["run", "--name", "web", &guest("hello.wasm")]);
    let ended = home.run(&["image", "inspect", "web", "app:1"]);
    ended.assert_fails(1, &["no such image: `web`"]);
    assert!(
        ended.stdout.contains(&id),
        "the other one is shown: {ended:?}"
    );
    home.ok(&["rm", "web"]);
}

#[test]
fn rmi_tells_untagged_and_deleted_and_keeps_what_is_used() {
    let home = Home::new();
    let id = build(&home, "app:1", "");
    home.ok(&["tag", "app:1", "app:2"]);
    assert_eq!(home.ok(&["rmi", "app:2"]), "Untagged: app:2");
    home.ok(&["run", "--name", "ended", "app:1"]);
    home.run(&["rmi", "app:1"])
        .assert_fails(1, &["is used by container `ended`", "hint: "]);
    home.ok(&["tag", "app:1", "app:2"]);
    home.run(&["rmi", &id])
        .assert_fails(1, &["has 2 names", "hint: "]);
    let removed = home.ok(&["image", "rm", "-f", &id]);
    assert_eq!(
        lines(&removed),
        [
            "Untagged: app:1",
            "Untagged: app:2",
            &format!("Deleted: {id}")
        ]
    );
    // Docker: with `-f` it is told, and no failure.
    home.run(&["rmi", "-f", "nosuch"])
        .assert_fails(0, &["no such image: `nosuch`"]);
    let ended = home.run(&["rmi", "nosuch", "app:1"]);
    ended.assert_fails(1, &["no such image: `nosuch`", "no such image: `app:1`"]);
    home.ok(&["rm", "ended"]);
    assert_eq!(home.ok(&["images", "-q"]), "");
}

#[test]
fn an_image_that_runs_loses_its_name_by_force_but_is_not_deleted() {
    let home = Home::new();
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /\nCMD [\"/probe.wasm\", \"wait\"]\n",
    );
    std::fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    let id = home.ok(&["build", "-q", "-t", "app:1", "."]);
    home.ok(&["run", "-d", "--name", "web", "app:1"]);
    home.run(&["rmi", "-f", &id])
        .assert_fails(1, &["is used by container `web`"]);
    assert_eq!(home.ok(&["rmi", "-f", "app:1"]), "Untagged: app:1");
    assert_eq!(home.ok(&["images", "-q", "--no-trunc"]), id);
    home.ok(&["image", "prune", "-a", "-f"]);
    assert_eq!(
        home.ok(&["images", "-q", "--no-trunc"]),
        id,
        "the container still needs it"
    );
    home.ok(&["rm", "-f", "web"]);
    home.ok(&["image", "prune", "-f"]);
    assert_eq!(home.ok(&["images", "-q"]), "");
}

#[test]
fn a_prune_asks_and_tells_what_it_did() {
    let home = Home::new();
    let first = build(&home, "app:1", "");
    build(&home, "app:1", "ENV A=1");
    let refused = home.run(&["image", "prune"]);
    refused.assert_fails(
        1,
        &[
            "WARNING! This will remove all dangling images.",
            "[y/N]",
            "has been cancelled",
        ],
    );
    let pruned = home.run_with_input(&["image", "prune"], b"y\n");
    assert_eq!(pruned.code, 0, "{pruned:?}");
    assert!(
        pruned.stdout.contains(&format!("deleted: {first}")),
        "{pruned:?}"
    );
    assert!(
        pruned.stdout.contains("Total reclaimed space: "),
        "{pruned:?}"
    );
    assert_eq!(home.ok(&["images", "--format", "{{.Tag}}"]), "1");
    assert_eq!(
        home.ok(&["image", "prune", "-f"]),
        "Total reclaimed space: 0B"
    );
    let kept = home.ok(&["image", "prune", "-a", "-f", "--filter", "label=nosuch"]);
    assert_eq!(kept, "Total reclaimed space: 0B");
    assert!(
        home.ok(&["image", "prune", "-a", "-f"])
            .contains("untagged: app:1")
    );
    assert_eq!(home.ok(&["images", "-q"]), "");
    assert!(
        home.ok(&["events", "--since", "1h", "--until", "0s"])
            .contains("image prune")
    );
}
