//! The image inside of the command: found by its names, imported when it is first used, and built on.

use std::process::Stdio;

use crate::home::Home;

/// A context with two texts, and a Balenafile that has a shell count their lines.
fn context(home: &Home, balenafile: &str) {
    home.write("a.txt", "x\ny\nx\n");
    home.write("b.txt", "z\n");
    home.write("Balenafile", balenafile);
}

#[test]
fn a_shell_runs_from_the_base_image_in_a_new_home() {
    let home = Home::new();
    let said = home.ok(&[
        "run",
        "--rm",
        "minke/base",
        "bash",
        "-c",
        "echo $0 | tr a-z A-Z",
    ]);
    assert_eq!(said, "BASH");
    let listed = home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(listed, "minke/base:latest");
    home.ok(&["rmi", "minke/base"]);
    home.fails(
        &["rmi", "minke/base"],
        1,
        "error: no such image: `minke/base`\nhint: build it first: `minke build -t minke/base DIRECTORY`; `minke images` lists what is there",
    );
    assert_eq!(
        home.ok(&["run", "--rm", "BalenaOS/Base", "echo", "again"]),
        "again"
    );
    let listed = home.ok(&["images", "--format", "{{.Repository}}"]);
    assert_eq!(listed, "balenaos/base");
}

#[test]
fn steps_of_a_build_run_in_shells_of_the_base_image() {
    let home = Home::shared();
    context(
        &home,
        "FROM Minke/Base
WORKDIR /in
COPY *.txt ./
RUN mkdir /out; set -e; for f in *.txt; do sort \"$f\" | uniq -c > \"/out/$f\"; done
SHELL [\"/bin/bash\", \"-c\"]
RUN files=(/out/*); [[ ${#files[@]} == 2 ]] && tar czf /out/all.tgz -C / \"${files[@]#/}\"
CMD tar xzOf /out/all.tgz out/a.txt
",
    );
    home.ok(&["build", "-t", "base-steps", "."]);
    let said = home.ok(&["run", "--rm", "base-steps"]);
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["2", "x", "1", "y"]);
}

#[test]
fn a_name_that_was_given_to_another_image_stays_with_it() {
    let home = Home::new();
    context(&home, "FROM minke/base\nRUN echo ours > /etc/mark\n");
    home.ok(&["build", "-t", "minke/base", "."]);
    let said = home.ok(&["run", "--rm", "minke/base", "cat", "/etc/mark"]);
    assert_eq!(said, "ours");
}

#[test]
fn several_commands_may_be_the_first_to_use_it() {
    let home = Home::new();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = home.command(&["create", "minke/base", "true"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("minke starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    let listed = home.ok(&["images", "-q"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn users_directories_and_permissions_are_those_of_a_small_linux() {
    let home = Home::shared();
    let script = "stat -c '%a %n' /tmp /root /var/tmp /home/user; ls -l /bin/sh /bin/bash | cut -c1; . /etc/os-release; echo $ID; id -un; \
                  cd ~user && pwd; for c in vi less awk sed grep find ps top; do command -v $c > /dev/null || echo no $c; done";
    let said = home.ok(&["run", "--rm", "minke/base", "sh", "-c", script]);
    assert_eq!(
        said,
        "1777 /tmp\n700 /root\n1777 /var/tmp\n755 /home/user\n-\nl\nminke\nroot\n/home/user"
    );
}
