//! Instructions that set the configuration: what `inspect` shows of the image, and what its containers see.
//!
//! Spec: Dockerfile reference; OCI image-spec 1.1 config.md; Docker image-spec 1.2.

use std::fs;

use serde_json::{Value, json};

use super::{build, check_refused, context};
use crate::home::{Home, guest};

/// A home whose context has the probe.
fn with_probe() -> Home {
    let home = context(&[("a.txt", "a")]);
    let to = home.files().join("context/probe.wasm");
    fs::copy(guest("probe.wasm"), to).expect("copied");
    home
}

/// Builds instructions, which must work, and returns the configuration.
#[track_caller]
fn config(home: &Home, instructions: &str) -> Value {
    let ended = build(home, instructions);
    assert_eq!(ended.code, 0, "{instructions}: {ended:?}");
    home.inspect("made")["Config"].clone()
}

/// Checks one field after each of some texts.
#[track_caller]
fn check_field(field: &str, rows: &[(&str, Value)]) {
    let home = context(&[]);
    for (instructions, expected) in rows {
        assert_eq!(
            config(&home, instructions)[field],
            *expected,
            "{instructions}"
        );
    }
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn variables_are_set_in_every_form() {
    check_field(
        "Env",
        &[
            ("ENV A=1 B=2", json!([PATH, "A=1", "B=2"])),
            (
                "ENV A=\"one two\" B=one\\ two C='$D'",
                json!([PATH, "A=one two", "B=one two", "C=$D"]),
            ),
            ("ENV A one  two", json!([PATH, "A=one  two"])),
            ("ENV A=", json!([PATH, "A="])),
            // All values of an instruction see the variables before it.
            ("ENV A=1\nENV A=2 B=$A", json!([PATH, "A=2", "B=1"])),
            ("ENV A=1\nENV B=2\nENV A=3", json!([PATH, "A=3", "B=2"])),
            (
                "ENV PATH=/opt:$PATH",
                json!([PATH.replace("PATH=", "PATH=/opt:")]),
            ),
            // The environment goes before an argument of the same name.
            (
                "ENV A=env\nARG A=arg\nENV B=$A",
                json!([PATH, "A=env", "B=env"]),
            ),
            (
                "ARG A=arg\nENV A=env\nENV B=$A",
                json!([PATH, "A=env", "B=env"]),
            ),
            ("ARG A\nENV B=x$A", json!([PATH, "B=x"])),
            ("ARG A=1 B=$A\nENV C=$A$B", json!([PATH, "C=11"])),
            ("ENV A=a=b=c", json!([PATH, "A=a=b=c"])),
        ],
    );
}

#[test]
fn labels_are_set_in_every_form() {
    check_field(
        "Labels",
        &[
            ("LABEL a=1 b=2\nLABEL a=3", json!({"a": "3", "b": "2"})),
            ("LABEL \"a b\"=\"c d\"", json!({"a b": "c d"})),
            ("LABEL a one two", json!({"a": "one two"})),
            ("LABEL a=\"x\\\ny\"", json!({"a": "xy"})),
            ("ARG V=1\nLABEL v$V=${V}0", json!({"v1": "10"})),
            ("LABEL org.example.a=", json!({"org.example.a": ""})),
        ],
    );
}

#[test]
fn working_directories_follow_each_other() {
    check_field(
        "WorkingDir",
        &[
            ("ENV A=b", json!("/")),
            ("WORKDIR /a/b/", json!("/a/b")),
            ("WORKDIR a", json!("/a")),
            ("WORKDIR /a\nWORKDIR b\nWORKDIR c/../d", json!("/a/b/d")),
            ("WORKDIR /a\nWORKDIR ../../..", json!("/")),
            ("ENV D=/x\nWORKDIR $D/${E:-y}", json!("/x/y")),
            ("WORKDIR /with space", json!("/with space")),
        ],
    );
}

#[test]
fn ports_volumes_users_signals_and_shells_are_kept() {
    check_field(
        "ExposedPorts",
        &[
            ("EXPOSE 80 53/udp", json!({"80/tcp": {}, "53/udp": {}})),
            (
                "EXPOSE 8000-8002/TCP",
                json!({"8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}),
            ),
            (
                "ARG P=81\nEXPOSE $P\nEXPOSE 80",
                json!({"80/tcp": {}, "81/tcp": {}}),
            ),
        ],
    );
    check_field(
        "Volumes",
        &[
            ("VOLUME /a /b\nVOLUME /a", json!({"/a": {}, "/b": {}})),
            ("VOLUME [\"/a b\", \"/c\"]", json!({"/a b": {}, "/c": {}})),
            ("ENV V=/v\nVOLUME $V", json!({"/v": {}})),
        ],
    );
    check_field(
        "User",
        &[
            ("USER 1000", json!("1000")),
            ("USER app:staff", json!("app:staff")),
            ("ARG U=7\nUSER $U:$U", json!("7:7")),
            ("USER 1\nUSER 2", json!("2")),
        ],
    );
    check_field(
        "StopSignal",
        &[
            ("STOPSIGNAL SIGINT", json!("SIGINT")),
            ("STOPSIGNAL 9", json!("9")),
            ("ARG S=QUIT\nSTOPSIGNAL SIG$S", json!("SIGQUIT")),
            ("ENV A=b", json!(null)),
        ],
    );
    check_field(
        "Shell",
        &[("SHELL [\"/bin/sh\", \"-ec\"]", json!(["/bin/sh", "-ec"]))],
    );
}

#[test]
fn a_health_check_that_nobody_runs_is_warned_of_when_it_is_built_and_when_it_is_run() {
    let home = context(&[]);
    fs::copy(guest("probe.wasm"), home.files().join("context/probe.wasm")).expect("copied");
    let build = |check: &str| {
        let file = format!(
            "FROM scratch\nCOPY probe.wasm /bin/\n{check}\nCMD [\"probe\", \"print\", \"x\"]\n"
        );
        home.write("context/Balenafile", file);
        home.run(&["build", "-t", "app", "context"])
    };
    let warning = "HEALTHCHECK` is";
    let not_run = "not run: containers are not checked yet";
    let built = build("HEALTHCHECK CMD [\"a\"]\nHEALTHCHECK CMD [\"b\"]");
    assert_eq!(built.stderr.matches(not_run).count(), 1, "{built:?}");
    let ran = home.run(&["run", "--name", "web", "app"]);
    assert_eq!((ran.code, ran.stdout.trim()), (0, "x"), "{ran:?}");
    assert_eq!(ran.stderr.matches(not_run).count(), 1, "{ran:?}");
    let inspected = home.inspect("web");
    assert_eq!(inspected["State"]["Health"]["Status"], "none");
    assert_eq!(inspected["Config"]["Healthcheck"]["Test"][1], "b");
    let unchecked = home.run(&["run", "--rm", "--no-healthcheck", "app"]);
    assert!(!unchecked.stderr.contains(warning), "{unchecked:?}");
    assert!(!build("HEALTHCHECK NONE").stderr.contains(warning));
    let ran = home.run(&["run", "--rm", "app"]);
    assert!(!ran.stderr.contains(warning), "{ran:?}");
}

#[test]
fn health_checks_are_kept_and_shown() {
    let second = 1_000_000_000_u64;
    check_field(
        "Healthcheck",
        &[
            ("ENV A=b", json!(null)),
            ("HEALTHCHECK NONE", json!({"Test": ["NONE"]})),
            (
                "HEALTHCHECK CMD [\"probe\", \"print\"]",
                json!({"Test": ["CMD", "probe", "print"]}),
            ),
            (
                "HEALTHCHECK --interval=1m30s --timeout=3s --start-period=1h --start-interval=500ms --retries=5 CMD [\"probe\"]",
                json!({
                    "Test": ["CMD", "probe"],
                    "Interval": 90 * second,
                    "Timeout": 3 * second,
                    "StartPeriod": 3600 * second,
                    "StartInterval": second / 2,
                    "Retries": 5,
                }),
            ),
            (
                "HEALTHCHECK CMD [\"a\"]\nHEALTHCHECK CMD [\"b\"]",
                json!({"Test": ["CMD", "b"]}),
            ),
            (
                "SHELL [\"/bin/sh\", \"-c\"]\nHEALTHCHECK CMD probe || exit 1",
                json!({"Test": ["CMD-SHELL", "probe || exit 1"]}),
            ),
        ],
    );
    let home = context(&[]);
    for (instruction, text) in [
        (
            "HEALTHCHECK --interval=5 CMD [\"a\"]",
            "`5` is not a duration",
        ),
        (
            "HEALTHCHECK --timeout=1us CMD [\"a\"]",
            "`1us` is less than 1ms",
        ),
        (
            "HEALTHCHECK --retries=x CMD [\"a\"]",
            "`x` is not a number of retries",
        ),
        (
            "HEALTHCHECK --retires=3 CMD [\"a\"]",
            "did you mean `--retries`?",
        ),
        ("HEALTHCHECK TEST", "`TEST` is neither `CMD` nor `NONE`"),
        (
            "HEALTHCHECK NONE x",
            "`HEALTHCHECK NONE` takes no arguments",
        ),
    ] {
        check_refused(&home, instruction, &["Balenafile:2:", text, "hint: "]);
    }
}

#[test]
fn what_is_kept_is_kept_in_an_archive_and_by_images_above() {
    let home = context(&[]);
    config(
        &home,
        "MAINTAINER Somebody <a@b.invalid>\nHEALTHCHECK --retries=2 CMD [\"a\"]\nSHELL [\"s\"]\nONBUILD LABEL c=d\nVOLUME /v\nSTOPSIGNAL 3",
    );
    assert_eq!(
        home.inspect("made")["Author"],
        json!("Somebody <a@b.invalid>")
    );
    let before = home.inspect("made");
    home.ok(&["save", "-o", "x.tar", "made"]);
    home.ok(&["rmi", "made"]);
    home.ok(&["load", "-q", "-i", "x.tar"]);
    assert_eq!(home.inspect("made"), before);
    let shown = home.ok(&[
        "image",
        "inspect",
        "-f",
        "{{json .Config.Healthcheck.Test}}",
        "made",
    ]);
    assert_eq!(shown, "[\"CMD\",\"a\"]");
    home.ok(&["tag", "made", "base"]);
    home.write("Balenafile", "FROM base\n");
    home.ok(&["build", "-q", "-t", "above", "-f", "Balenafile", "context"]);
    let above = home.inspect("above")["Config"].clone();
    for field in ["Healthcheck", "Shell", "Volumes", "StopSignal"] {
        assert_eq!(above[field], before["Config"][field], "{field}");
    }
    assert_eq!(
        (&above["OnBuild"], &above["Labels"]),
        (&json!(null), &json!({"c": "d"}))
    );
}

#[test]
fn triggers_are_done_by_the_first_build_on_the_image_and_no_later_one() {
    let home = with_probe();
    let instructions = "ONBUILD ARG WHO=nobody\nONBUILD ENV WHO=$WHO\nONBUILD COPY a.txt /on/\nONBUILD COPY <<EOF /doc\n$WHO\nEOF\nCOPY probe.wasm /bin/";
    assert_eq!(
        config(&home, instructions)["OnBuild"],
        json!([
            "ARG WHO=nobody",
            "ENV WHO=$WHO",
            "COPY a.txt /on/",
            "COPY <<EOF /doc\n$WHO\nEOF"
        ])
    );
    home.ok(&["tag", "made", "base"]);
    home.write(
        "Balenafile",
        "FROM base\nCMD [\"probe\", \"cat\", \"/on/a.txt\", \"/doc\"]\n",
    );
    let ended = home.run(&[
        "build",
        "-t",
        "child",
        "--build-arg",
        "WHO=me",
        "-f",
        "Balenafile",
        "context",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("[6/6] CMD"), "{ended:?}");
    assert_eq!(home.ok(&["run", "--rm", "child"]), "ame");
    assert_eq!(home.inspect("child")["Config"]["OnBuild"], json!(null));
    home.write(
        "Balenafile",
        "FROM child\nRUN [\"probe\", \"unlink\", \"/on/a.txt\"]\n",
    );
    home.ok(&[
        "build",
        "-q",
        "-t",
        "grandchild",
        "-f",
        "Balenafile",
        "context",
    ]);
    let gone = home.run(&["run", "--rm", "grandchild"]);
    gone.assert_fails(1, &["ENOENT"]);
    // Stages of one file leave them too.
    home.write(
        "Balenafile",
        "FROM scratch AS one\nONBUILD LABEL a=b\nFROM one AS two\nFROM two\nLABEL c=d\n",
    );
    home.ok(&["build", "-q", "-t", "staged", "-f", "Balenafile", "context"]);
    assert_eq!(
        home.inspect("staged")["Config"]["Labels"],
        json!({"a": "b", "c": "d"})
    );
}

#[test]
fn triggers_that_may_not_be_are_refused() {
    let home = context(&[]);
    for (trigger, text) in [
        (
            "FROM scratch",
            "`FROM` is not allowed as an `ONBUILD` trigger",
        ),
        (
            "MAINTAINER me",
            "`MAINTAINER` is not allowed as an `ONBUILD` trigger",
        ),
        ("ONBUILD RUN x", "`ONBUILD ONBUILD` is not allowed"),
        ("COPPY a b", "unknown instruction `COPPY`"),
        ("", "`ONBUILD` needs more than this"),
    ] {
        check_refused(
            &home,
            &format!("ONBUILD {trigger}"),
            &["Balenafile:2:", text, "hint: "],
        );
    }
}

#[test]
fn a_trigger_that_fails_names_itself() {
    let home = context(&[]);
    config(&home, "ONBUILD COPY missing.txt /");
    home.ok(&["tag", "made", "base"]);
    home.ok(&["rmi", "made"]);
    home.write("Balenafile", "FROM base\n");
    let ended = home.run(&["build", "-t", "x", "-f", "Balenafile", "context"]);
    ended.assert_fails(
        1,
        &["ONBUILD:1:6: `missing.txt` is not in the context", "hint: "],
    );
    assert_eq!(home.ok(&["images", "--format", "{{.Repository}}"]), "base");
    home.assert_nothing_left();
}

#[test]
fn settings_that_are_none_are_refused() {
    let home = context(&[]);
    for (instruction, place, text) in [
        ("ENV", "2:1", "`ENV` needs more than this"),
        ("ENV A", "2:", "A"),
        ("ENV =b", "2:", ""),
        ("LABEL", "2:1", "`LABEL` needs more than this"),
        ("USER", "2:1", "`USER` needs more than this"),
        ("WORKDIR", "2:1", "`WORKDIR` needs more than this"),
        ("WORKDIR $NONE", "2:", "the working directory is empty"),
        ("EXPOSE 70000", "2:8", "70000"),
        ("EXPOSE 80/icmp", "2:8", "`icmp` is not a protocol"),
        ("EXPOSE 9-8", "2:8", "9-8"),
        ("VOLUME", "2:1", "`VOLUME` needs more than this"),
        ("VOLUME [\"\"]", "2:", "a volume's path is empty"),
        ("STOPSIGNAL SIGNONE", "2:12", "invalid signal: SIGNONE"),
        ("SHELL /bin/sh -c", "2:", "SHELL"),
        ("SHELL []", "2:", "SHELL"),
        ("MAINTAINER", "2:1", "`MAINTAINER` needs more than this"),
        ("ARG", "2:1", "`ARG` needs more than this"),
        ("ARG a=1 =2", "2:", ""),
    ] {
        let place = format!("Balenafile:{place}");
        check_refused(&home, instruction, &[&place, text, "hint: "]);
    }
}

#[test]
fn commands_and_entrypoints_play_together_as_docker_says() {
    let home = with_probe();
    let base = "COPY probe.wasm /bin/\n";
    for (instructions, arguments, expected) in [
        ("CMD [\"probe\", \"print\", \"a\"]", &[][..], "a"),
        (
            "CMD [\"probe\", \"print\", \"a\"]",
            &["probe", "print", "b"],
            "b",
        ),
        ("CMD probe print 'one  two'", &[], "one  two"),
        ("ENTRYPOINT [\"probe\", \"print\"]\nCMD [\"a\"]", &[], "a"),
        ("CMD [\"a\"]\nENTRYPOINT [\"probe\", \"print\"]", &[], "a"),
        (
            "ENTRYPOINT [\"probe\", \"print\"]\nCMD [\"a\"]",
            &["b"],
            "b",
        ),
        ("ENTRYPOINT [\"probe\"]", &["print", "c"], "c"),
        ("ENTRYPOINT probe print d\nCMD [\"lost\"]", &[], "d"),
        (
            "CMD [\"x\"]\nCMD [\"probe\", \"print\", \"last\"]",
            &[],
            "last",
        ),
        (
            "SHELL [\"probe\", \"print\"]\nCMD one && two",
            &[],
            "one && two",
        ),
        (
            "SHELL [\"probe\", \"print\"]\nENTRYPOINT three | four",
            &[],
            "three | four",
        ),
        // Variables of the exec form are nobody's to replace.
        ("ENV A=b\nCMD [\"probe\", \"print\", \"$A\"]", &[], "$A"),
    ] {
        config(&home, &format!("{base}{instructions}"));
        let said = home.ok(&[&["run", "--rm", "made"], arguments].concat());
        assert_eq!(said, expected, "{instructions} {arguments:?}");
    }
    // An entrypoint takes the base's command away; an empty one takes the base's entrypoint away.
    config(
        &home,
        &format!("{base}ENTRYPOINT [\"probe\", \"exit\"]\nCMD [\"9\"]"),
    );
    home.ok(&["tag", "made", "base"]);
    for (instructions, expected) in [
        ("ENTRYPOINT [\"probe\", \"print\", \"e\"]", "e"),
        ("ENTRYPOINT []\nCMD [\"probe\", \"print\", \"r\"]", "r"),
    ] {
        home.write("Balenafile", format!("FROM base\n{instructions}\n"));
        home.ok(&["build", "-q", "-t", "child", "-f", "Balenafile", "context"]);
        assert_eq!(
            home.ok(&["run", "--rm", "child"]),
            expected,
            "{instructions}"
        );
    }
    assert_eq!(home.run(&["run", "--rm", "base"]).code, 9);
}

#[test]
fn containers_see_what_the_image_sets() {
    let home = with_probe();
    config(
        &home,
        "COPY probe.wasm /bin/\nWORKDIR /w/x\nCOPY a.txt .\nENV A=b\nUSER 12:34\nSTOPSIGNAL SIGUSR1\nENTRYPOINT [\"probe\"]",
    );
    assert_eq!(home.ok(&["run", "--rm", "made", "cat", "a.txt"]), "a");
    assert_eq!(home.ok(&["run", "--rm", "made", "env", "A"]), "b");
    let denied = home.run(&["run", "--rm", "made", "write", "y", "z"]);
    denied.assert_fails(1, &["EACCES"]);
    home.ok(&["run", "-d", "--name", "web", "made", "wait"]);
    home.ok(&["stop", "web"]);
    // SIGUSR1 is 10.
    assert_eq!(home.inspect("web")["State"]["ExitCode"], json!(138));
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}
