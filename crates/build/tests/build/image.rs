//! The image that a build makes: configuration, history, blobs.

use std::process::Command;

use minke_build::{BuildOptions, Input};

use crate::{Bench, output};

fn bench() -> Bench {
    let bench = Bench::new();
    bench
        .write("python.wasm", "program")
        .write("server.py", "main");
    bench
}

#[test]
fn every_instruction_leaves_its_mark() {
    let file = "FROM scratch\nARG V=1\nENV A=$V PATH=$PATH:/opt\nLABEL a=\"b c\"\nWORKDIR /app\nCOPY python.wasm /opt/\n\
        COPY server.py .\nEXPOSE 3000 53/udp\nUSER 1000:1000\nENTRYPOINT [\"python\"]\nCMD server.py -p 3000\n";
    let outcome = bench().build(file);
    insta::assert_debug_snapshot!((&outcome.built.image.config, &outcome.built.image.history), @r#"
    (
        ImageConfig {
            env: [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt",
                "A=1",
            ],
            entrypoint: [
                "python",
            ],
            cmd: [
                "server.py",
                "-p",
                "3000",
            ],
            user: Some(
                "1000:1000",
            ),
            working_dir: "/app",
            exposed_ports: [
                "3000/tcp",
                "53/udp",
            ],
            labels: {
                "a": "b c",
            },
            stop_signal: None,
            volumes: [],
            shell: [],
            on_build: [],
            health_check: None,
            author: None,
        },
        [
            HistoryEntry {
                created_by: "ARG V",
                created_s: None,
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "ENV A=1 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt",
                created_s: None,
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "LABEL a=b c",
                created_s: None,
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "WORKDIR /app",
                created_s: None,
                has_layer: true,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "COPY python.wasm /opt/",
                created_s: Some(
                    1700000000,
                ),
                has_layer: true,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "COPY server.py .",
                created_s: Some(
                    1700000000,
                ),
                has_layer: true,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "EXPOSE 3000 53/udp",
                created_s: Some(
                    1700000000,
                ),
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "USER 1000:1000",
                created_s: Some(
                    1700000000,
                ),
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "ENTRYPOINT [\"python\"]",
                created_s: Some(
                    1700000000,
                ),
                has_layer: false,
                comment: "minke.balenafile",
            },
            HistoryEntry {
                created_by: "CMD [\"server.py\" \"-p\" \"3000\"]",
                created_s: Some(
                    1700000000,
                ),
                has_layer: false,
                comment: "minke.balenafile",
            },
        ],
    )
    "#);
    assert!(
        !outcome
            .events
            .iter()
            .any(|event| event.starts_with("warning")),
        "{:?}",
        outcome.events
    );
}

#[test]
fn an_image_builds_on_another_and_inherits() {
    let bench = bench();
    bench.build("FROM scratch\nCOPY python.wasm /usr/bin/\nENV A=1\nCMD [\"python\"]\nEXPOSE 1\n");
    let base = bench.store().image("test").expect("it was built");
    bench.write("Balenafile", "ARG BASE=TEST:latest\nFROM ${BASE} AS final\nENV B=$A\nCOPY server.py /app/\nENTRYPOINT [\"python\", \"/app/server.py\"]\n");
    let image = bench
        .try_build(&bench.options("child"))
        .expect("the build works")
        .built
        .image;
    assert_eq!(image.layers[0], base.layers[0]);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.config.env[1..], ["A=1", "B=1"]);
    assert_eq!(image.config.exposed_ports, ["1/tcp"]);
    assert!(
        image.config.cmd.is_empty(),
        "the base's CMD was meant for another entrypoint"
    );
    bench
        .store()
        .remove("test", minke_image::Force::No)
        .expect("the base can be removed");
    bench
        .store()
        .root_layers(&image)
        .expect("its layers stay with the child");
}

#[test]
fn blobs_have_the_digests_that_name_them() {
    let bench = bench();
    let image = bench.build("FROM scratch\nCOPY . /\n").built.image;
    let layer = &image.layers[0];
    let sums = output(
        Command::new("sha256sum").args([
            bench.store().blob_path(&image.manifest_digest),
            bench.store().blob_path(&image.id),
            bench.store().blob_path(&layer.digest),
            bench
                .store()
                .root_layers(&image)
                .expect("the layers are there")[0]
                .path
                .clone(),
        ]),
    );
    let sums: Vec<String> = String::from_utf8_lossy(&sums)
        .lines()
        .map(|line| line[..64].to_owned())
        .collect();
    assert_eq!(
        sums,
        [image.manifest_digest, image.id, layer.digest, layer.diff_id].map(|digest| digest.hex())
    );
}

#[test]
fn the_manifest_is_an_oci_manifest() {
    let bench = bench();
    let image = bench.build("FROM scratch\nCOPY . /\n").built.image;
    let manifest = bench
        .store()
        .read_blob(&image.manifest_digest)
        .expect("it is there");
    let text = String::from_utf8(manifest).expect("it is JSON");
    for part in [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "\"schemaVersion\":2",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_program_that_is_not_there_is_warned_of() {
    let warnings = |text: &str| {
        let events = bench().build(&format!("FROM scratch\n{text}")).events;
        events
            .into_iter()
            .filter(|event| event.starts_with("warning"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(warnings("COPY server.py /app/\nCMD python server.py"), @r"
    warning: Balenafile:3:1: program `python` is not in the image
     3 | CMD python server.py
       | ^^^^^^^^^^^^^^^^^^^^
     hint: `COPY` it to a directory of `PATH`, as `python` or `python.wasm`
    ");
    insta::assert_snapshot!(warnings("WORKDIR /app\nCMD [\"./server\"]"), @r#"
    warning: Balenafile:3:1: program `./server` is not in the image
     3 | CMD ["./server"]
       | ^^^^^^^^^^^^^^^^
     hint: `COPY` it to `/app/server`
    "#);
    assert_eq!(warnings("COPY python.wasm /bin/\nCMD python x"), "");
    assert_eq!(
        warnings("COPY python.wasm /x/\nWORKDIR /x\nCMD ./python x"),
        ""
    );
    assert_eq!(
        warnings("ENV PATH=/x\nCOPY python.wasm /x/\nCMD python x"),
        ""
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let bench = bench();
    bench.write("Balenafile", "FROM scratch\nARG NAME\nCOPY python.wasm /bin/\nCOPY *.none /x\nENTRYPOINT python -v\nCMD [\"lost\"]\n");
    let arguments = [("NMAE", "1"), ("HTTP_PROXY", "x"), ("OTHER", "2")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let outcome = bench
        .try_build(&BuildOptions {
            arguments: arguments.to_vec(),
            ..bench.options("test")
        })
        .expect("the build works");
    assert!(outcome.built.image.config.cmd.is_empty());
    let warnings: Vec<_> = outcome
        .events
        .iter()
        .filter(|event| event.starts_with("warning"))
        .cloned()
        .collect();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    warning: Balenafile:4:6: nothing in the context matches `*.none`
     4 | COPY *.none /x
       |      ^^^^^^
     hint: check the pattern, `--exclude` and `.dockerignore`
    warning: Balenafile:6:1: `CMD` has no effect: the shell form of `ENTRYPOINT` takes no arguments
     6 | CMD ["lost"]
       | ^^^^^^^^^^^^
     hint: write `ENTRYPOINT` in the exec form: `["program"]`
    warning: One or more build-args [NMAE OTHER] were not consumed
     hint: declare them in the file, by `ARG NMAE`, `ARG OTHER`
    "#);
}

#[test]
fn a_dockerfile_is_read_where_there_is_no_balenafile_and_any_file_that_is_named() {
    let bench = bench();
    bench
        .write("Dockerfile", "FROM scratch\nLABEL from=docker")
        .write("sub/Other", "FROM scratch\nLABEL from=other");
    let label = |options: &BuildOptions| {
        bench
            .try_build(options)
            .expect("the build works")
            .built
            .image
            .config
            .labels["from"]
            .clone()
    };
    assert_eq!(label(&bench.options("test")), "docker");
    assert_eq!(
        label(&BuildOptions {
            file: Some(Input::Path(bench.context().join("sub/Other"))),
            ..bench.options("test")
        }),
        "other"
    );
    bench.write("Balenafile", "FROM scratch\nLABEL from=balena");
    assert_eq!(label(&bench.options("test")), "balena");
}

#[test]
fn a_name_moves_to_the_new_image_and_the_old_one_stays_without() {
    let bench = bench();
    let old = bench.build("FROM scratch\nLABEL a=1").built.image;
    let new = bench.build("FROM scratch\nLABEL a=2").built.image;
    assert_eq!(bench.store().image("test").expect("it is named").id, new.id);
    assert!(
        bench
            .store()
            .image(&old.id.short())
            .expect("its id is known")
            .tags
            .is_empty()
    );
}

#[test]
fn variables_have_the_scope_of_their_declaration() {
    let bench = bench();
    bench.write(
        "Balenafile",
        "ARG BASE=scratch G=global H=hidden\nFROM --platform=$BUILDPLATFORM $BASE\nARG G TARGETARCH A=one E=arg\nENV E=env\nARG B=$A-$G\n\
         LABEL g=$G h=x$H arch=$TARGETARCH a=$A b=$B e=$E\n",
    );
    let labels = |arguments: &[(&str, &str)]| {
        let arguments = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let options = BuildOptions {
            arguments,
            ..bench.options("test")
        };
        let labels = bench
            .try_build(&options)
            .expect("the build works")
            .built
            .image
            .config
            .labels;
        labels
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        labels(&[]),
        "a=one arch=wasm b=one-global e=env g=global h=x"
    );
    let given = [("A", "two"), ("G", "given"), ("E", "lost"), ("H", "unseen")];
    assert_eq!(
        labels(&given),
        "a=two arch=wasm b=two-given e=env g=given h=x"
    );
}
