//! Mounts: their options, their defaults, and their variables.

use minke_balenafile::{Balenafile, Instruction};

fn mount(options: &str) -> String {
    let text = format!("FROM scratch\nRUN --mount={options} command\n");
    let file = match Balenafile::parse("Balenafile", text.as_bytes()) {
        Ok(file) => file,
        Err(error) => return error.to_string(),
    };
    let Instruction::Run(run) = &file.stages[0].steps[0].instruction else {
        panic!("it is a RUN")
    };
    let mut lookup = |name: &str| (name == "V").then(|| "value".to_owned());
    match run.mounts[0].resolve(&mut lookup) {
        Err(complaint) => file.source.complain(complaint).to_string(),
        Ok(mount) => {
            let mut text = format!("{:?} {:?} -> {:?}", mount.kind, mount.source, mount.target);
            text.extend(mount.from.iter().map(|from| format!(" from={}", from.text)));
            text.push_str(if mount.is_read_only { " ro" } else { " rw" });
            text.extend(mount.size_bytes.map(|size| format!(" size={size}")));
            text.push_str(&format!(" id={:?} {:?}", mount.id, mount.sharing));
            text.extend(mount.is_required.then_some(" required"));
            text.extend(mount.variable.map(|name| format!(" env={name}")));
            let owner = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
            for (name, value) in owner {
                text.extend(value.map(|value| format!(" {name}={value}")));
            }
            text
        }
    }
}

#[test]
fn each_type_has_its_options_and_defaults() {
    for (options, expected) in [
        ("target=/a", r#"Bind "" -> "/a" ro id="" Shared"#),
        (
            "type=bind,from=b,src=c,dst=/a,rw",
            r#"Bind "c" -> "/a" from=b rw id="" Shared"#,
        ),
        (
            "type=Bind,source=/c,destination=a,readonly=false",
            r#"Bind "/c" -> "a" rw id="" Shared"#,
        ),
        (
            "type=cache,target=/a/./b/",
            r#"Cache "" -> "/a/./b/" rw id="/a/b" Shared"#,
        ),
        (
            "type=cache,id=x,target=/a,sharing=private,mode=0700,uid=1,gid=2,ro",
            r#"Cache "" -> "/a" ro id="x" Private mode=448 uid=1 gid=2"#,
        ),
        (
            "target=/a,type=tmpfs,size=1g",
            r#"Tmpfs "" -> "/a" rw size=1073741824 id="" Shared"#,
        ),
        (
            "type=secret,id=k",
            r#"Secret "" -> "/run/secrets/k" ro id="k" Shared"#,
        ),
        (
            "type=secret,source=a/k,required",
            r#"Secret "" -> "/run/secrets/k" ro id="a/k" Shared required"#,
        ),
        (
            "type=secret,target=/x/k,mode=0444",
            r#"Secret "" -> "/x/k" ro id="k" Shared mode=292"#,
        ),
        (
            "type=secret,id=k,env=KEY",
            r#"Secret "" -> "" ro id="k" Shared env=KEY"#,
        ),
        (
            "type=secret,id=k,env=",
            r#"Secret "" -> "" ro id="k" Shared env=k"#,
        ),
        (
            "type=secret,id=k,env=K,target=/x",
            r#"Secret "" -> "/x" ro id="k" Shared env=K"#,
        ),
        ("type=ssh", r#"Ssh "" -> "" ro id="default" Shared"#),
        (
            "required=true,type=ssh,id=x",
            r#"Ssh "" -> "" ro id="x" Shared required"#,
        ),
        (r#""target=/a b""#, r#"Bind "" -> "/a b" ro id="" Shared"#),
        (
            r#"\"target=/a,b\",rw"#,
            r#"Bind "" -> "/a,b" rw id="" Shared"#,
        ),
    ] {
        assert_eq!(mount(options), expected, "{options}");
    }
}

#[test]
fn variables_are_replaced_when_they_are_known() {
    assert_eq!(
        mount("type=cache,target=/$V,id=${V:+x}"),
        r#"Cache "" -> "/value" rw id="x" Shared"#
    );
    insta::assert_snapshot!(mount("type=$V,target=/a"), @r"
    Balenafile:2:13: `value` is no value of `type`
     2 | RUN --mount=type=$V,target=/a command
       |             ^^^^^^^
    ");
    insta::assert_snapshot!(mount("type=cache,target=${NONE:?where}"), @r"
    Balenafile:2:24: variable `NONE` is not set: where
     2 | RUN --mount=type=cache,target=${NONE:?where} command
       |                        ^^^^^^^^^^^^^^^^^^^^^
    ");
}
