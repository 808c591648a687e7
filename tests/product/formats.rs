//! `--format`: Docker's templates, tables and JSON.

use serde_json::Value;

use crate::home::Home;

fn with_container() -> (Home, String) {
    let home = Home::new();
    let id = home.start("web", &[], &["wait"]);
    (home, id)
}

#[test]
fn containers_are_listed_as_a_template_says() {
    let (home, id) = with_container();
    let short = &id[..12];
    let ps = |format: &str| home.ok(&["ps", "--format", format]);
    assert_eq!(ps("{{.ID}} {{.Names}}"), format!("{short} web"));
    assert_eq!(ps("{{json .State}}"), "\"running\"");
    let table = ps(r"table {{.Names}}\t{{.State}}");
    assert_eq!(table, "NAMES     STATE\nweb       running");
    let row: Value = serde_json::from_str(&ps("json")).expect("one object");
    assert_eq!(row["Names"], "web");
    let made = row["CreatedAt"].as_str().expect("text");
    // Go's `Time.String()`, such as `2026-01-31 12:00:00 +0000 UTC`.
    assert_eq!((made.len(), &made[19..]), (29, " +0000 UTC"), "{made}");
    assert_eq!(ps("table"), home.ok(&["ps"]));
    assert_eq!(home.ok(&["ps", "-q", "--format", "json"]), short);
}

#[test]
fn one_value_is_taken_out_of_inspect() {
    let (home, id) = with_container();
    let inspect = |format: &str| home.ok(&["inspect", "-f", format, "web"]);
    assert_eq!(inspect("{{.Id}} {{.State.Running}}"), format!("{id} true"));
    assert_eq!(
        inspect("{{range $i, $a := .Args}}{{$i}}={{$a}};{{end}}"),
        "0=wait;"
    );
    assert_eq!(inspect("{{index .Config.Labels \"none\"}}"), "");
    let list: Value = serde_json::from_str(&inspect("json")).expect("a list");
    assert_eq!(list[0]["Name"], "/web");
}

#[test]
fn a_wrong_template_is_told_with_its_place() {
    let (home, _) = with_container();
    home.fails(
        &["ps", "--format", "{{.Nmes}}"],
        125,
        "error: template: column 3: no field `Nmes`\nhint: did you mean `.Names`?",
    );
    home.fails(
        &["inspect", "-f", "{{.State.Staus}}", "web"],
        125,
        "error: template: column 9: no field `Staus`\nhint: did you mean `.Status`?",
    );
    let ended = home.run(&["ps", "--format", "{{.ID"]);
    ended.assert_fails(125, &["column 1: unclosed action", "end it with `}}`"]);
}

#[test]
fn the_version_is_told_as_asked() {
    let home = Home::new();
    let version = home.ok(&["version", "--format", "{{.Client.Version}}"]);
    assert!(home.ok(&["version"]).contains(&version));
    let json = home.ok(&["version", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(json["Server"]["Version"], version.as_str());
}
