//! Volumes: what is in them outlives containers, is shared between them, and begins as the image has it.

use serde_json::Value;

use crate::home::{Ended, Home, guest};

/// An image whose `/data` is a volume with a file, a directory and a link.
fn image(home: &Home) {
    home.write(
        "app/probe.wasm",
        std::fs::read(guest("probe.wasm")).expect("read"),
    );
    home.write("app/data/in.txt", "from the image");
    home.write("app/data/deep/er.txt", "deep");
    std::os::unix::fs::symlink("in.txt", home.files().join("app/data/link")).expect("a link");
    home.write(
        "app/Balenafile",
        "FROM scratch\nCOPY probe.wasm /probe.wasm\nCOPY data /data\nVOLUME /data\nENTRYPOINT [\"/probe.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "app"]);
}

/// What is kept of volumes, whole or not.
fn kept(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.path().join("volumes"))
        .into_iter()
        .flatten();
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("listed")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

fn mount(home: &Home, container: &str) -> Value {
    home.inspect(container)["Mounts"][0].clone()
}

#[test]
fn what_is_in_a_volume_outlives_the_container_and_is_shared() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let volume = ["run", "--rm", "-v", "data:/d"];
    home.ok(&[&volume[..], &[&probe, "write", "/d/f", "kept"]].concat());
    assert_eq!(
        home.ok(&[&volume[..], &[&probe, "cat", "/d/f"]].concat()),
        "kept"
    );
    home.start("one", &["--mount", "source=data,target=/a"], &["wait"]);
    let other = [
        "run",
        "--rm",
        "--mount",
        "type=volume,src=data,dst=/b",
        &probe,
    ];
    home.ok(&[&other[..], &["write", "/b/g", "shared"]].concat());
    let data = mount(&home, "one");
    let source = data["Source"].as_str().expect("text");
    assert_eq!(
        std::fs::read_to_string(format!("{source}/g"))
            .expect("there")
            .trim(),
        "shared"
    );
    assert_eq!(
        (
            &data["Type"],
            &data["Name"],
            &data["Destination"],
            &data["RW"]
        ),
        (&"volume".into(), &"data".into(), &"/a".into(), &true.into())
    );
    home.ok(&["rm", "-fv", "one"]);
    assert_eq!(kept(&home), ["data"]);
    home.assert_nothing_left();
}

#[test]
fn a_read_only_volume_is_read_and_not_written() {
    let home = Home::new();
    image(&home);
    for option in [
        ["-v", "data:/data:ro"],
        ["--mount", "source=data,target=/data,readonly"],
    ] {
        let run = [&["run", "--rm"][..], &option, &["app"]].concat();
        assert_eq!(
            home.ok(&[&run[..], &["cat", "/data/in.txt"]].concat()),
            "from the image"
        );
        assert_eq!(
            home.run(&[&run[..], &["write", "/data/in.txt", "x"]].concat())
                .code,
            1
        );
    }
}

#[test]
fn a_new_volume_gets_what_the_image_has_once() {
    let home = Home::new();
    image(&home);
    let run = ["run", "--rm", "-v", "data:/data", "app"];
    for (path, text) in [
        ("in.txt", "from the image"),
        ("deep/er.txt", "deep"),
        ("link", "from the image"),
    ] {
        assert_eq!(
            home.ok(&[&run[..], &["cat", &format!("/data/{path}")]].concat()),
            text
        );
    }
    home.ok(&[&run[..], &["write", "/data/in.txt", "changed"]].concat());
    assert_eq!(
        home.ok(&[&run[..], &["cat", "/data/in.txt"]].concat()),
        "changed"
    );
    for option in [
        ["-v", "bare:/data:nocopy"],
        ["--mount", "source=none,target=/data,volume-nocopy"],
    ] {
        let run = [&["run", "--rm"][..], &option, &["app", "ls", "/data"]].concat();
        assert_eq!(home.ok(&run), "");
    }
    assert_eq!(kept(&home), ["bare", "data", "none"]);
}

#[test]
fn an_empty_volume_is_filled_by_each_container_and_one_with_files_by_none() {
    let home = Home::new();
    image(&home);
    let probe = guest("probe.wasm");
    let run = ["run", "--rm", "-v", "data:/data"];
    let cat = || home.run(&[&run[..], &["app", "cat", "/data/in.txt"]].concat());
    // Somebody had it, and left it empty.
    home.ok(&[&run[..], &[&probe, "exit", "0"]].concat());
    home.start("watching", &["-v", "data:/seen"], &["wait"]);
    assert_eq!(cat().stdout.trim(), "from the image");
    let seen = format!(
        "{}/in.txt",
        mount(&home, "watching")["Source"].as_str().expect("text")
    );
    assert!(
        std::fs::exists(&seen).expect("readable"),
        "in place, not beside"
    );
    home.ok(&["rm", "-f", "watching"]);
    // Somebody wrote to it before.
    home.ok(&["volume", "rm", "data"]);
    home.ok(&[&run[..], &[&probe, "write", "/data/own", "own"]].concat());
    cat().assert_fails(1, &["ENOENT"]);
    let list = [&run[..], &["app", "ls", "/data"]].concat();
    assert_eq!(home.ok(&list), "own");
    // Emptied, it is filled again when a container is made with it, not when one is started.
    home.ok(&[
        "create",
        "--name",
        "later",
        "-v",
        "data:/data",
        "app",
        "ls",
        "/data",
    ]);
    home.ok(&[&run[..], &[&probe, "unlink", "/data/own"]].concat());
    assert_eq!(home.ok(&["start", "-a", "later"]), "");
    assert_eq!(cat().stdout.trim(), "from the image");
}

#[test]
fn what_was_left_to_be_moved_into_a_volume_is_moved_by_the_next_container() {
    let home = Home::new();
    image(&home);
    home.ok(&["volume", "create", "data"]);
    let volume = home.path().join("volumes/data");
    std::fs::create_dir_all(volume.join("moving/deep")).expect("made");
    std::fs::create_dir_all(volume.join("filling/half")).expect("made");
    std::fs::write(volume.join("moving/in.txt"), "moved").expect("written");
    std::fs::write(volume.join("data/there"), "first").expect("written");
    std::fs::write(volume.join("moving/there"), "second").expect("written");
    let run = ["run", "--rm", "-v", "data:/data", "app"];
    let text = |name: &str| home.ok(&[&run[..], &["cat", &format!("/data/{name}")]].concat());
    assert_eq!(text("in.txt"), "moved");
    assert_eq!(text("there"), "first");
    assert!(volume.join("data/deep").is_dir() && !volume.join("moving").exists());
}

#[test]
fn a_volume_that_nobody_named_goes_with_its_container_where_that_was_asked_for() {
    let home = Home::new();
    image(&home);
    assert_eq!(
        home.ok(&["run", "--rm", "app", "cat", "/data/in.txt"]),
        "from the image"
    );
    assert_eq!(kept(&home), [""; 0]);
    home.ok(&[
        "run", "--name", "one", "-v", "/other", "app", "write", "/data/f", "x",
    ]);
    let names = kept(&home);
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
    home.ok(&["rm", "one"]);
    assert_eq!(kept(&home), names);
    // One that somebody calls by its name is not anybody's to remove.
    home.ok(&["create", "--name", "two", "-v", "/fresh", "app", "wait"]);
    let fresh = home.inspect("two")["Mounts"].clone();
    let fresh = fresh
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["Destination"] == "/fresh");
    let fresh = fresh.expect("mounted")["Name"]
        .as_str()
        .expect("text")
        .to_owned();
    let named = format!("{fresh}:/f");
    home.ok(&[
        "run",
        "--rm",
        "-v",
        &named,
        &guest("probe.wasm"),
        "write",
        "/f/x",
        "y",
    ]);
    home.ok(&["rm", "-v", "two"]);
    let mut expected = names;
    expected.push(fresh);
    expected.sort();
    assert_eq!(kept(&home), expected);
}

#[test]
fn volumes_are_made_listed_inspected_and_removed() {
    let home = Home::new();
    assert_eq!(home.ok(&["volume", "ls"]), "DRIVER    VOLUME NAME");
    assert_eq!(
        home.ok(&["volume", "create", "--label", "tier=test", "data"]),
        "data"
    );
    assert_eq!(home.ok(&["volume", "create", "data"]), "data");
    let random = home.ok(&["volume", "create"]);
    assert_eq!(random.len(), 64);
    home.start("web", &["-v", "data:/d"], &["wait"]);
    for (filter, expected) in [
        ("name=ata", "data"),
        ("label=tier", "data"),
        ("label=tier=other", ""),
        ("dangling=true", &*random),
        ("dangling=false", "data"),
        ("label=com.docker.volume.anonymous", &*random),
    ] {
        assert_eq!(
            home.ok(&["volume", "ls", "-q", "-f", filter]),
            expected,
            "{filter}"
        );
    }
    let shown = home.ok(&[
        "volume",
        "inspect",
        "-f",
        "{{.Labels.tier}} {{.Mountpoint}}",
        "data",
    ]);
    let data = home.path().join("volumes/data/data");
    assert_eq!(shown, format!("test {}", data.display()));
    let listed = home.ok(&[
        "ps",
        "--format",
        "{{.LocalVolumes}} {{.Mounts}}",
        "-f",
        "volume=data",
    ]);
    assert_eq!(listed, "1 data");
    assert_eq!(
        home.ok(&["__complete", "minke", "volume", "rm", "dat"]),
        "data"
    );
    let in_use = "error: cannot remove volume `data`: it is in use by container `web`\nhint: remove the container first, with `minke rm web`";
    home.fails(&["volume", "rm", "data"], 1, in_use);
    home.fails(&["volume", "rm", "-f", "data"], 1, in_use);
    home.ok(&["stop", "-t", "0", "web"]);
    home.fails(&["volume", "rm", "data"], 1, in_use);
    home.ok(&["rm", "web"]);
    assert_eq!(
        home.ok(&["volume", "rm", "data", &random]),
        format!("data\n{random}")
    );
    home.fails(
        &["volume", "rm", "data"],
        1,
        "error: no such volume: `data`\nhint: `minke volume ls` lists the volumes",
    );
    assert_eq!(home.ok(&["volume", "rm", "-f", "data"]), "data");
    assert_eq!(kept(&home), [""; 0]);
    let told = home.events("type=volume");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn names_that_are_none_make_no_volume() {
    let home = Home::new();
    for name in ["x", ".data", "-data", "da/ta", "..", "da ta"] {
        let ended = home.run(&["volume", "create", "--", name]);
        ended.assert_fails(1, &["no name of a volume"]);
        let ended = home.run(&["volume", "rm", "--", name]);
        ended.assert_fails(1, &["no such volume"]);
    }
    assert_eq!(kept(&home), [""; 0]);
}

#[test]
fn a_prune_takes_what_nobody_named_or_has_and_the_others_where_all_are_meant() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&[
        "create", "--name", "web", "-v", "used:/u", "-v", "/own", &probe, "wait",
    ]);
    home.ok(&["volume", "create", "--label", "tier=test", "old"]);
    home.ok(&["volume", "create", "other"]);
    let random = home.ok(&["volume", "create"]);
    home.run(&["volume", "prune"])
        .assert_fails(1, &["all anonymous volumes", "has been cancelled"]);
    home.run(&["volume", "prune", "-f", "--filter", "until=1h"])
        .assert_fails(125, &["invalid filter `until`"]);
    // What programs made so that nobody may change it goes too.
    let locked = home.path().join(format!("volumes/{random}/data/locked"));
    std::fs::create_dir(&locked).expect("made");
    std::fs::write(locked.join("file"), "1234").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(&locked, mode).expect("set");
    std::fs::create_dir(home.path().join("volumes/.new-left")).expect("made");
    let pruned = home.ok(&["volume", "prune", "-f"]);
    assert!(
        pruned.starts_with(&format!("Deleted Volumes:\n{random}\n\n")),
        "{pruned}"
    );
    assert_eq!(kept(&home).len(), 4);
    // The container goes first, and what nobody named of it then.
    let pruned = home.ok(&["system", "prune", "-f", "--volumes"]);
    assert!(pruned.contains("Deleted Volumes:\n"), "{pruned}");
    assert_eq!(kept(&home), ["old", "other", "used"]);
    let pruned = home.ok(&["volume", "prune", "-af", "--filter", "label=tier=test"]);
    assert_eq!(pruned, "Deleted Volumes:\nold\n\nTotal reclaimed space: 0B");
    home.ok(&[
        "run", "--name", "user", "-v", "used:/u", &probe, "write", "/u/f", "1234",
    ]);
    let table = home.ok(&["system", "df"]);
    let line = table
        .lines()
        .find(|line| line.starts_with("Local Volumes"))
        .expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[2..4], ["2", "1"], "{table}");
    home.ok(&["volume", "prune", "-a", "-f"]);
    assert_eq!(kept(&home), ["used"]);
}

#[test]
fn a_start_that_fails_leaves_no_volume_that_nobody_named() {
    let home = Home::new();
    image(&home);
    let ended = home.run(&["run", "--entrypoint", "/nothing", "app"]);
    assert_eq!(ended.code, 127, "{ended:?}");
    let ended = home.run(&["run", "-d", "--entrypoint", "/nothing", "app"]);
    assert_eq!(ended.code, 127, "{ended:?}");
    assert_eq!(kept(&home), [""; 0]);
    home.assert_nothing_left();
}

#[test]
fn several_runs_that_use_a_volume_first_all_see_what_the_image_has() {
    let home = Home::new();
    image(&home);
    let run = [
        "run",
        "--rm",
        "-v",
        "data:/data",
        "app",
        "cat",
        "/data/in.txt",
    ];
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| home.run(&run))).collect();
        for run in runs {
            let Ended { code, stdout, .. } = run.join().expect("it ends");
            assert_eq!((code, stdout.trim_end()), (0, "from the image"));
        }
    });
    assert_eq!(kept(&home), ["data"]);
}

#[test]
fn a_run_that_is_killed_hides_nothing_of_the_image() {
    let home = Home::new();
    image(&home);
    let run = [
        "run",
        "--rm",
        "-v",
        "data:/data",
        "app",
        "cat",
        "/data/in.txt",
    ];
    home.ok(&run);
    home.ok(&["run", "--rm", "-v", "other:/data", "app", "exit", "0"]);
    for moment in 0..24_u64 {
        std::fs::remove_dir_all(home.path().join("volumes/data")).expect("removed");
        let mut child = home
            .command(&run)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("minke starts");
        std::thread::sleep(std::time::Duration::from_micros(500 * moment));
        child.kill().expect("killed");
        child.wait().expect("it ends");
        assert_eq!(home.ok(&run), "from the image", "{moment}");
    }
    home.ok(&["ps", "-a"]);
    home.assert_nothing_left();
}

#[test]
fn a_container_gets_the_volumes_and_binds_of_others() {
    let home = Home::new();
    image(&home);
    home.write("bound/file", "of the host");
    let created = ["create", "--name", "one", "-v", "./bound:/bound:ro"];
    home.ok(&[&created[..], &["-v", "named:/named", "app"]].concat());
    let probe = guest("probe.wasm");
    let read = |from: &str, path: &str| {
        let run = ["run", "--rm", "--volumes-from", from, &probe, "cat", path];
        home.run(&run)
    };
    assert_eq!(read("one", "/data/in.txt").stdout.trim(), "from the image");
    assert_eq!(read("one:ro", "/bound/file").stdout.trim(), "of the host");
    let write = |from: &str, path: &str| {
        let run = ["run", "--rm", "--volumes-from", from, &probe, "write"];
        home.run(&[&run[..], &[path, "x"]].concat())
    };
    assert_eq!(write("one", "/named/x").code, 0);
    write("one:ro", "/named/y").assert_fails(1, &["EROFS"]);
    write("one", "/bound/x").assert_fails(1, &["EROFS"]);
    // Its own mounts win, and the later of two containers.
    home.ok(&["create", "--name", "two", "-v", "other:/named", "app"]);
    let order = ["--volumes-from", "one", "--volumes-from", "two"];
    home.ok(&[
        &["create", "--name", "three"],
        &order[..],
        &["-v", "own:/data", "app"],
    ]
    .concat());
    let mounts = home.inspect("three")["Mounts"].clone();
    let mut named: Vec<String> = mounts
        .as_array()
        .expect("a list")
        .iter()
        .map(|mount| format!("{} {}", mount["Destination"], mount["Name"]).replace('"', ""))
        .collect();
    named.sort();
    assert_eq!(named, ["/bound null", "/data own", "/named other"]);
}

#[test]
fn what_a_container_got_from_another_outlives_that() {
    let home = Home::new();
    image(&home);
    home.ok(&["create", "--name", "one", "app"]);
    home.start("two", &["--volumes-from", "one"], &["wait"]);
    home.ok(&["rm", "-v", "one"]);
    assert_eq!(kept(&home).len(), 1);
    home.ok(&["rm", "-fv", "two"]);
    home.assert_nothing_left();
}

#[test]
fn containers_whose_mounts_are_wanted_are_named_when_they_are_not_there() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let run = |from: &str| home.run(&["run", "--rm", "--volumes-from", from, &probe, "exit", "0"]);
    run("nobody").assert_fails(125, &["no such container: `nobody`"]);
    run("nobody:later").assert_fails(125, &["unknown option `later`", "hint: use `ro` or `rw`"]);
    run(":ro").assert_fails(125, &["names no container", "hint: write `CONTAINER[:ro]`"]);
    home.assert_nothing_left();
}
