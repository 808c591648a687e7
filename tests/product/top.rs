//! `minke top`: the processes of a container, as its own kernel numbers them.

use serde_json::Value;

use crate::home::{Home, guest};

#[test]
fn processes_are_shown_with_their_parents_and_commands() {
    let home = Home::new();
    let shell = guest("linux/dash.wasm");
    // A child that waits, as its parent does.
    let script = "read -r a & echo $!; read -r b";
    home.ok(&[
        "run", "-d", "-i", "-u", "1000", "--name", "web", &shell, "-c", script,
    ]);
    let columns = ["-o", "pid,ppid,user,args"];
    let rows = || {
        let text = home.ok(&[&["top", "web"], &columns[..]].concat());
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned));
        lines.map(Iterator::collect).collect::<Vec<Vec<String>>>()
    };
    let mut shown = rows();
    while shown.len() < 3 {
        shown = rows();
    }
    assert_eq!(shown[0], ["PID", "PPID", "USER", "COMMAND"]);
    assert_eq!(shown[1][..3], ["1", "0", "1000"]);
    assert!(shown[1].join(" ").ends_with(script), "{shown:?}");
    assert_eq!(shown[2][1..3], ["1", "1000"]);
    let json = home.ok(&["top", "--format", "json", "web"]);
    let first: Value = serde_json::from_str(json.lines().next().expect("a line")).expect("JSON");
    assert_eq!([&first["PID"], &first["TTY"]], ["1", "?"]);
    assert!(home.ok(&["top", "web", "-ef"]).starts_with("UID"));
    home.run(&["top", "web", "aux"])
        .assert_fails(125, &["`ps` options `aux` are not known here"]);
    home.ok(&["kill", "web"]);
    home.ok(&["wait", "web"]);
    home.run(&["top", "web"]).assert_fails(
        1,
        &["cannot show the processes of container `web`: it is not running"],
    );
}
