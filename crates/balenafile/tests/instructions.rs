//! Every instruction, flag and form: text in, plan out.

mod plan;

use minke_balenafile::Step;

use crate::plan::plan;

/// Returns the plan of a stage's instructions.
fn steps(text: &str) -> String {
    let plan = plan(&format!("FROM scratch\n{text}"));
    let mut lines = plan.lines().skip_while(|line| line.starts_with("FROM"));
    match plan.starts_with("FROM") {
        true => lines.by_ref().collect::<Vec<_>>().join("\n"),
        false => plan,
    }
}

#[test]
fn add_has_its_flags() {
    let text = "ADD --chown=1:2 --chmod=$V --link --exclude=*.o --exclude=a/** --keep-git-dir --checksum=sha256:$V --unpack=false a.tar https://example.com/b ./\nADD [\"a b\", \"c\"]";
    insta::assert_snapshot!(steps(text), @r"
    ADD ‹a.tar› ‹https://example.com/b› -> ‹./› chown=‹1:2› chmod=‹value› checksum=‹sha256:value› link exclude=*.o exclude=a/** keep-git-dir=true unpack=false
    ADD ‹a b› -> ‹c›
    ");
}

#[test]
fn copy_has_its_flags() {
    let text = "COPY --from=Base --chown=$V --chmod=u+x --link=true --parents --exclude=*.o --exclude=$V a b /c/\nCOPY --link=false --parents=FALSE --from=other a b\nCOPY --from=registry.example/a/b:1 a b";
    insta::assert_snapshot!(steps(text), @r"
    COPY ‹a› ‹b› -> ‹/c/› chown=‹value› chmod=‹u+x› from=Base link parents exclude=*.o exclude=$V
    COPY ‹a› -> ‹b› from=other
    COPY ‹a› -> ‹b› from=registry.example/a/b:1
    ");
}

#[test]
fn quotes_in_flags_go() {
    let text = "COPY --chown=\"a b\":c --exclude='x y' --chmod=7\\55 a b";
    insta::assert_snapshot!(steps(text), @"COPY ‹a› -> ‹b› chown=‹a b:c› chmod=‹755› exclude=x y");
}

#[test]
fn two_dashes_end_the_flags() {
    let text = "COPY -- --chown=a b\nCMD -- --version\nENTRYPOINT -- --x";
    insta::assert_snapshot!(steps(text), @r#"
    COPY ‹--chown=a› -> ‹b›
    CMD shell "--version" = ["--version"]
    ENTRYPOINT shell "--x" = ["--x"]
    "#);
}

#[test]
fn a_copy_takes_heredocs() {
    let text = "COPY <<A <<-B file <<\"C\" /d/\n$V \"q\" \\$V \\n\nA\n\ta\n\t\tb $V\n\tB\n$V \\$V\n  C\nC\nUSER u";
    insta::assert_snapshot!(steps(text), @r#"
    COPY <<A "‹value \"q\" $V n\n›" <<B "‹a\nb value\n›" ‹file› <<C "‹$V \\$V\n  C\n›" -> ‹/d/›
    USER ‹u›
    "#);
}

#[test]
fn heredocs_keep_comments_blank_lines_and_ends() {
    let text = "COPY <<EOF /a\n# no comment\n\n  x \\\r\n\\\\\nEOF\r\nUSER u";
    insta::assert_snapshot!(steps(text), @r#"
    COPY <<EOF "‹# no comment\n\n  x \r\n\\\n›" -> ‹/a›
    USER ‹u›
    "#);
}

#[test]
fn an_empty_heredoc_is_an_empty_file() {
    let text = "ADD <<EOF /a\nEOF";
    insta::assert_snapshot!(steps(text), @r#"ADD <<EOF "‹›" -> ‹/a›"#);
}

#[test]
fn a_run_takes_a_script() {
    let text =
        "RUN <<EOF\nset -e\nmake $V\nEOF\nRUN <<-\"EOF\"\n\t#!/usr/bin/python\n\tprint(1)\n\tEOF";
    insta::assert_snapshot!(steps(text), @r##"
    RUN script "set -e\nmake $V\n"; Default Sandbox
    RUN script "#!/usr/bin/python\nprint(1)\n"; Default Sandbox
    "##);
}

#[test]
fn a_run_gives_heredocs_to_its_shell() {
    let text = "RUN cat <<EOF > /a && sh <<-B\nx $V\nEOF\n\ty\n\tB\nUSER u";
    insta::assert_snapshot!(steps(text), @r#"
    RUN shell "cat <<EOF > /a && sh <<-B\nx $V\nEOF\n\ty\nB": `<` needs a shell; Default Sandbox
    USER ‹u›
    "#);
}

#[test]
fn what_is_no_heredoc_is_left_alone() {
    let text = "RUN cat <<<x 'y<<Z' \"<<W\"\nRUN [\"a\", \"<<EOF\"]\nCMD cat <<EOF\nCOPY a<<b /c";
    insta::assert_snapshot!(steps(text), @r#"
    RUN shell "cat <<<x 'y<<Z' \"<<W\"": `<` needs a shell; Default Sandbox
    RUN exec ["a", "<<EOF"]; Default Sandbox
    CMD shell "cat <<EOF": `<` needs a shell
    COPY ‹a<<b› -> ‹/c›
    "#);
}

#[test]
fn a_run_has_its_forms() {
    let text = "RUN make -j2 \"a b\"\nRUN [\"make\", \"$V\"]\nRUN a && \\\n  # why\n  b\nRUN [ -f x ] && y";
    insta::assert_snapshot!(steps(text), @r#"
    RUN shell "make -j2 \"a b\"" = ["make", "-j2", "a b"]; Default Sandbox
    RUN exec ["make", "$V"]; Default Sandbox
    RUN shell "a &&   b": `&` needs a shell; Default Sandbox
    RUN shell "[ -f x ] && y": the exec form is a JSON array: each text is in double quotes; Default Sandbox
    "#);
}

#[test]
fn a_run_has_its_flags() {
    let text = "RUN --network=none --security=insecure --mount=type=cache,target=/$V,sharing=locked --mount=from=base,source=/a,target=/b,rw make\nRUN --mount=type=secret,id=k --network=host [\"a\"]";
    insta::assert_snapshot!(steps(text), @r#"
    RUN shell "make" = ["make"]; None Insecure; mount type=‹cache› target=‹/value› sharing=‹locked›; mount source=‹/a› target=‹/b› rw from=base
    RUN exec ["a"]; Host Sandbox; mount type=‹secret› id=‹k›
    "#);
}

#[test]
fn a_workdir_a_user_a_signal_and_volumes() {
    let text = "WORKDIR a b\nUSER ${V}:g\nSTOPSIGNAL SIG$V\nVOLUME /a $V\nVOLUME [\"/a b\", \"$V\"]\nVOLUME [ab]";
    insta::assert_snapshot!(steps(text), @r"
    WORKDIR ‹a b›
    USER ‹value:g›
    STOPSIGNAL ‹SIGvalue›
    VOLUME ‹/a› ‹value›
    VOLUME ‹/a b› ‹value›
    VOLUME ‹[ab]›
    ");
}

#[test]
fn ports_are_words() {
    let text = "EXPOSE 80 443/tcp $V 8000-8010/UDP";
    insta::assert_snapshot!(steps(text), @"EXPOSE ‹80› ‹443/tcp› ‹value› ‹8000-8010/UDP›");
}

#[test]
fn a_shell_is_an_array() {
    let text = "SHELL [\"/bin/sh\", \"-c\"]";
    insta::assert_snapshot!(steps(text), @r#"SHELL ["/bin/sh", "-c"]"#);
}

#[test]
fn a_healthcheck_has_its_forms() {
    let text = "HEALTHCHECK NONE\nHEALTHCHECK --interval=1m30s --timeout=3s --start-period=0s --start-interval=1.5s --retries=2 CMD curl -f http://localhost/\nhealthcheck cmd [\"a\", \"b\"]";
    insta::assert_snapshot!(steps(text), @r#"
    HEALTHCHECK NONE
    HEALTHCHECK shell "curl -f http://localhost/" = ["curl", "-f", "http://localhost/"] interval=Some(90s) timeout=Some(3s) start=None/Some(1.5s) retries=Some(2)
    HEALTHCHECK exec ["a", "b"] interval=None timeout=None start=None/None retries=None
    warning: Balenafile:4:1: Command 'healthcheck' should match the case of the command majority (uppercase)
     4 | healthcheck cmd ["a", "b"]
       | ^^^^^^^^^^^
    "#);
}

#[test]
fn onbuild_keeps_its_text() {
    let text =
        "ONBUILD COPY --chown=1 . /app\nONBUILD RUN <<EOF\nmake\nEOF\nONBUILD RUN [\"make\"]";
    insta::assert_snapshot!(steps(text), @r#"
    ONBUILD "COPY --chown=1 . /app" = COPY ‹.› -> ‹/app› chown=‹1›
    ONBUILD "RUN <<EOF\nmake\nEOF" = RUN script "make\n"; Default Sandbox
    ONBUILD "RUN [\"make\"]" = RUN exec ["make"]; Default Sandbox
    "#);
}

#[test]
fn a_maintainer_is_a_text() {
    let text = "MAINTAINER A $V <a@b>";
    insta::assert_snapshot!(steps(text), @r"
    MAINTAINER A $V <a@b>
    warning: Balenafile:2:1: Maintainer instruction is deprecated in favor of using label
     2 | MAINTAINER A $V <a@b>
       | ^^^^^^^^^^
    ");
}

#[test]
fn commands_have_two_forms() {
    let text = "CMD [\"a\", \"$V\"]\nCMD a $V\nCMD []\nENTRYPOINT a 'b c'\nENTRYPOINT ['a']\nCMD [\"a\" \"b\"]";
    insta::assert_snapshot!(steps(text), @r#"
    CMD exec ["a", "$V"]
    CMD shell "a $V": `$` needs a shell
    CMD exec []
    ENTRYPOINT shell "a 'b c'" = ["a", "b c"]
    ENTRYPOINT shell "['a']": the exec form is a JSON array: each text is in double quotes
    CMD shell "[\"a\" \"b\"]": the exec form is a JSON array: texts are separated by `,` and the array ends in `]`
    "#);
}

#[test]
fn names_have_any_case() {
    let text = "cOpY a b\nuser u";
    insta::assert_snapshot!(steps(text), @r"
    COPY ‹a› -> ‹b›
    USER ‹u›
    warning: Balenafile:2:1: Command 'cOpY' should match the case of the command majority (uppercase)
     2 | cOpY a b
       | ^^^^
    warning: Balenafile:3:1: Command 'user' should match the case of the command majority (uppercase)
     3 | user u
       | ^^^^
    ");
}

#[test]
fn labels_and_variables_have_two_forms() {
    let text = "LABEL a=b 'c d'=\"e f\" \"g\"=h\\ i\nLABEL j k l\nENV A=b C=$V\nENV D e  f";
    insta::assert_snapshot!(steps(text), @r"
    LABEL ‹a›=‹b›, ‹c d›=‹e f›, ‹g›=‹h i›
    LABEL ‹j›=‹k l›
    ENV ‹A›=‹b›, ‹C›=‹value›
    ENV ‹D›=‹e  f›
    ");
}

#[test]
fn an_unclosed_heredoc_is_shown_where_it_begins() {
    let text = "RUN cat <<EOF <<END\nx\nEOF\ny\n";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:15: here-document `END` is not closed
     2 | RUN cat <<EOF <<END
       |               ^^^^^
     hint: end it with a line that is `END` and nothing else
    ");
}

#[test]
fn a_heredoc_is_no_destination() {
    let text = "COPY a <<EOF\nx\nEOF\n";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:8: `<<EOF` is no destination
     2 | COPY a <<EOF
       |        ^^^^^
     hint: write the path of the file after it
    ");
}

#[test]
fn a_switch_is_true_or_false() {
    let text = "COPY --link=maybe a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:6: `--link` is true or false, not `maybe`
     2 | COPY --link=maybe a b
       |      ^^^^^^^^^^^^
     hint: write `--link`
    ");
}

#[test]
fn a_flag_is_given_once() {
    let text = "COPY --chown=1 --chown=2 a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:16: `--chown` is given twice
     2 | COPY --chown=1 --chown=2 a b
       |                ^^^^^^^^^
     hint: remove one of them
    ");
}

#[test]
fn a_command_has_no_flags() {
    let text = "CMD --version";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:5: `CMD` has no flag `--version`
     2 | CMD --version
       |     ^^^^^^^^^
     hint: write `--` first if it belongs to the argument: `CMD -- --version`
    ");
}

#[test]
fn a_from_has_no_variables() {
    let text = "COPY --from=$V a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: variables are not replaced in `from`
     2 | COPY --from=$V a b
       |             ^^
     hint: name a stage: `FROM $IMAGE AS NAME`, and take it from there
    ");
}

#[test]
fn a_mounts_from_has_no_variables() {
    let text = "RUN --mount=type=bind,from=$V,target=/a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:23: variables are not replaced in `from`
     2 | RUN --mount=type=bind,from=$V,target=/a b
       |                       ^^^^^^^
     hint: name a stage: `FROM $IMAGE AS NAME`, and take it from there
    ");
}

#[test]
fn a_mount_has_a_known_type() {
    let text = "RUN --mount=type=bin,target=/a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: `bin` is no value of `type`
     2 | RUN --mount=type=bin,target=/a b
       |             ^^^^^^^^
     hint: did you mean `bind`?
    ");
}

#[test]
fn a_mount_has_known_options() {
    let text = "RUN --mount=type=cache,taget=/a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:24: `--mount` has no option `taget`
     2 | RUN --mount=type=cache,taget=/a b
       |                        ^^^^^^^^
     hint: did you mean `target`?
    ");
}

#[test]
fn an_option_has_a_value() {
    let text = "RUN --mount=type=cache,target b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:24: `target` of `--mount` needs a value
     2 | RUN --mount=type=cache,target b
       |                        ^^^^^^
     hint: write `target=VALUE`
    ");
}

#[test]
fn an_option_belongs_to_its_type() {
    let text = "RUN --mount=target=/a,size=1m b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:23: `size` is no option of a `bind` mount
     2 | RUN --mount=target=/a,size=1m b
       |                       ^^^^^^^
     hint: remove it
    ");
}

#[test]
fn a_size_is_a_size() {
    let text = "RUN --mount=type=tmpfs,target=/a,size=much b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:34: `much` is no value of `size`
     2 | RUN --mount=type=tmpfs,target=/a,size=much b
       |                                  ^^^^^^^^^
     hint: write a number with a unit: `size=64m`
    ");
}

#[test]
fn a_mode_is_octal() {
    let text = "RUN --mount=type=secret,id=a,mode=999 b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:30: `999` is no value of `mode`
     2 | RUN --mount=type=secret,id=a,mode=999 b
       |                              ^^^^^^^^
     hint: write an octal number: `mode=0400`
    ");
}

#[test]
fn a_secret_has_a_name() {
    let text = "RUN --mount=type=secret b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: a secret has no `id` and no `target`
     2 | RUN --mount=type=secret b
       |             ^^^^^^^^^^^
     hint: name it: `--mount=type=secret,id=NAME`
    ");
}

#[test]
fn a_secret_has_one_name() {
    let text = "RUN --mount=type=secret,id=a,source=b c";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: a secret has both `source` and `id`
     2 | RUN --mount=type=secret,id=a,source=b c
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^
     hint: remove one of them
    ");
}

#[test]
fn a_secret_is_from_nowhere() {
    let text = "RUN --mount=type=secret,id=a,from=b c";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: `from` is no option of a `secret` mount
     2 | RUN --mount=type=secret,id=a,from=b c
       |             ^^^^^^^^^^^^^^^^^^^^^^^
     hint: remove it
    ");
}

#[test]
fn a_mounts_quotes_are_closed() {
    let text = "RUN --mount=\\\"type=cache b";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:13: a quote in `--mount` is not closed, or does not begin its option
     2 | RUN --mount=\"type=cache b
       |             ^^^^^^^^^^^^
     hint: write the whole option in quotes
    "#);
}

#[test]
fn a_network_is_known() {
    let text = "RUN --network=hosts b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:15: `hosts` is no value of `--network`
     2 | RUN --network=hosts b
       |               ^^^^^
     hint: did you mean `host`?
    ");
}

#[test]
fn a_security_is_known() {
    let text = "RUN --security=x b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:16: `x` is no value of `--security`
     2 | RUN --security=x b
       |                ^
     hint: write one of `sandbox`, `insecure`
    ");
}

#[test]
fn a_run_runs_something() {
    let text = "RUN []";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:5: `RUN` needs more than this
     2 | RUN []
       |     ^^
     hint: write `RUN [FLAG...] ["PROGRAM", "ARGUMENT"...]` or `RUN [FLAG...] COMMAND`
    "#);
}

#[test]
fn an_array_has_texts() {
    let text = "RUN [\"a\", 1]";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:5: the exec form is an array of texts only
     2 | RUN ["a", 1]
       |     ^^^^^^^^
     hint: write each in double quotes: `["program", "1"]`
    "#);
}

#[test]
fn a_shell_is_not_in_shell_form() {
    let text = "SHELL /bin/sh -c";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:7: `SHELL` is written as a JSON array: the exec form begins with `[`
     2 | SHELL /bin/sh -c
       |       ^^^^^^^^^^
     hint: write `SHELL ["/bin/sh", "-c"]`
    "#);
}

#[test]
fn a_shell_has_a_program() {
    let text = "SHELL []";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:7: `SHELL` needs more than this
     2 | SHELL []
       |       ^^
     hint: write `SHELL ["PROGRAM", "ARGUMENT"...]`
    "#);
}

#[test]
fn a_volume_has_a_path() {
    let text = "VOLUME [\"\"]";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:8: a volume's path is empty
     2 | VOLUME [""]
       |        ^^^^
     hint: write a path: `VOLUME /data`
    "#);
}

#[test]
fn volumes_are_some() {
    let text = "VOLUME []";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:8: `VOLUME` needs more than this
     2 | VOLUME []
       |        ^^
     hint: write `VOLUME PATH...` or `VOLUME ["PATH"...]`
    "#);
}

#[test]
fn a_check_has_a_command() {
    let text = "HEALTHCHECK CMD";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: `HEALTHCHECK` needs more than this
     2 | HEALTHCHECK CMD
       |             ^^^
     hint: write `HEALTHCHECK [FLAG...] CMD COMMAND` or `HEALTHCHECK NONE`
    ");
}

#[test]
fn a_check_is_cmd_or_none() {
    let text = "HEALTHCHECK curl x";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:13: `curl` is neither `CMD` nor `NONE`
     2 | HEALTHCHECK curl x
       |             ^^^^
     hint: write `HEALTHCHECK CMD` before the command
    ");
}

#[test]
fn no_check_has_no_command() {
    let text = "HEALTHCHECK NONE x";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:18: `HEALTHCHECK NONE` takes no arguments
     2 | HEALTHCHECK NONE x
       |                  ^
     hint: remove them, or write `HEALTHCHECK CMD`
    ");
}

#[test]
fn an_interval_has_a_unit() {
    let text = "HEALTHCHECK --interval=30 CMD a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:24: `30` is not a duration
     2 | HEALTHCHECK --interval=30 CMD a
       |                        ^^
     hint: write a time with its unit: `--interval=30s`
    ");
}

#[test]
fn an_interval_is_not_too_short() {
    let text = "HEALTHCHECK --timeout=10us CMD a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:23: `10us` is less than 1ms
     2 | HEALTHCHECK --timeout=10us CMD a
       |                       ^^^^
     hint: write a time with its unit: `--timeout=30s`
    ");
}

#[test]
fn retries_are_a_number() {
    let text = "HEALTHCHECK --retries=-1 CMD a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:23: `-1` is not a number of retries
     2 | HEALTHCHECK --retries=-1 CMD a
       |                       ^^
     hint: write a number: `--retries=3`
    ");
}

#[test]
fn a_trigger_is_not_a_trigger() {
    let text = "ONBUILD ONBUILD CMD a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:9: `ONBUILD ONBUILD` is not allowed
     2 | ONBUILD ONBUILD CMD a
       |         ^^^^^^^
     hint: write the instruction itself
    ");
}

#[test]
fn a_trigger_is_no_stage() {
    let text = "ONBUILD FROM a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:9: `FROM` is not allowed as an `ONBUILD` trigger
     2 | ONBUILD FROM a
       |         ^^^^
     hint: write it in the files that build on this image
    ");
}

#[test]
fn a_trigger_is_read() {
    let text = "ONBUILD COPPY a b";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:9: unknown instruction `COPPY`
     2 | ONBUILD COPPY a b
       |         ^^^^^
     hint: did you mean `COPY`?
    ");
}

#[test]
fn a_maintainer_has_a_name() {
    let text = "MAINTAINER";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:1: `MAINTAINER` needs more than this
     2 | MAINTAINER
       | ^^^^^^^^^^
     hint: write `MAINTAINER NAME`
    ");
}

#[test]
fn an_argument_has_a_name() {
    let text = "ARG =a";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:5: a variable's name is empty, or has a variable in it
     2 | ARG =a
       |     ^^
     hint: write `ARG NAME` or `ARG NAME=DEFAULT`
    ");
}

#[test]
fn a_stage_has_three_words() {
    let text = "FROM a b c";
    insta::assert_snapshot!(steps(text), @r"
    Balenafile:2:6: `FROM` needs more than this
     2 | FROM a b c
       |      ^^^^^
     hint: write `FROM [FLAG...] IMAGE [AS NAME]` or `FROM scratch`
    ");
}

#[test]
fn arguments_come_in_lines() {
    let text = "ARG A B=c D=\"$V e\" F=";
    insta::assert_snapshot!(steps(text), @"ARG A, B‹c›, D‹value e›, F‹›");
}

#[test]
fn a_pattern_is_no_array_and_a_number_no_source() {
    assert_eq!(steps("COPY [12]* b"), "COPY ‹[12]*› -> ‹b›");
    let text = "COPY [1]";
    insta::assert_snapshot!(steps(text), @r#"
    Balenafile:2:6: the exec form is an array of texts only
     2 | COPY [1]
       |      ^^^
     hint: write each in double quotes: `["program", "1"]`
    "#);
}

#[test]
fn triggers_are_read_again() {
    let read = |text: &str| match Step::parse_trigger(text) {
        Ok((_, step)) => format!("{} {}", step.instruction.name(), step.text),
        Err(error) => format!("{error}\n hint: {}", error.hint.clone().unwrap_or_default()),
    };
    assert_eq!(read("COPY . /app"), "COPY COPY . /app");
    assert_eq!(read("RUN <<EOF\nmake\nEOF"), "RUN RUN <<EOF");
    insta::assert_snapshot!(read("FROM a"), @r"
    ONBUILD:1:1: `FROM` is not allowed as an `ONBUILD` trigger
     1 | FROM a
       | ^^^^
     hint: write it in the files that build on this image
    ");
    insta::assert_snapshot!(read("USER a\nUSER b"), @r"
    ONBUILD:1:1: an `ONBUILD` trigger is one instruction
     1 | USER a
       | ^
     hint: build the base image again
    ");
    insta::assert_snapshot!(read("COPPY a b"), @r"
    ONBUILD:1:1: unknown instruction `COPPY`
     1 | COPPY a b
       | ^^^^^
     hint: did you mean `COPY`?
    ");
}
