//! Stages and what each needs.

use minke_balenafile::{Balenafile, Diagnostic, Origin};

/// Returns the file, its platform arguments being known.
fn graph(text: &str) -> Result<String, String> {
    let with_hint = |error: Diagnostic| {
        let hint = error.hint.clone().unwrap_or_default();
        format!("{error}\n hint: {hint}")
    };
    let file = Balenafile::parse("Balenafile", text.as_bytes()).map_err(with_hint)?;
    let mut lookup = |name: &str| (name == "BASE").then(|| "Builder".to_owned());
    let graph = file.graph(&mut lookup).map_err(with_hint)?;
    let lines = graph.nodes.iter().enumerate().map(|(index, node)| {
        let order = match graph.order(index) {
            Ok(order) => format!("{order:?}"),
            Err(complaint) => file.source.complain(complaint).to_string(),
        };
        format!("{:?} {:?} {order}", node.base, node.stages)
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(graph(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn names_are_found_whatever_their_case_and_numbers_count_from_zero() {
    check(
        "FROM a/b AS Builder\nFROM BUILDER AS two\nFROM $BASE\nCOPY --from=TWO a b\nCOPY --from=0 a b\nFROM scratch\nCOPY --from=2 a b\nRUN --mount=from=two,target=/x y",
        "Image(\"a/b\") [] [0]\nStage(0) [0] [0, 1]\nStage(0) [0, 1] [0, 1, 2]\nScratch [1, 2] [0, 1, 2, 3]",
    );
}

#[test]
fn a_target_needs_no_more_than_it_needs() {
    check(
        "FROM scratch AS a\nFROM scratch AS b\nFROM a\nCOPY --from=image:1 a b\nCOPY --from=scratch a b",
        "Scratch [] [0]\nScratch [] [1]\nStage(0) [0] [0, 2]",
    );
}

#[test]
fn a_stage_may_have_its_images_name_and_later_stages_are_images_to_from() {
    check(
        "FROM a AS a\nFROM b\nFROM a AS b",
        "Image(\"a\") [] [0]\nImage(\"b\") [] [1]\nStage(0) [0] [0, 2]",
    );
}

#[test]
fn of_two_stages_with_one_name_the_last_is_meant() {
    check(
        "FROM scratch AS a\nFROM a AS a\nFROM a\nCOPY --from=a x y",
        "Scratch [] [0]\nStage(0) [0] [0, 1]\nStage(1) [1] [0, 1, 2]",
    );
}

#[test]
fn a_cycle_is_refused() {
    let complaint = |text| graph(text).expect_err("it is a cycle");
    insta::assert_snapshot!(complaint("FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\n"), @r"
    Balenafile:2:13: circular dependency detected on stage: `a`
     2 | COPY --from=b / /
       |             ^
     hint: let one of the stages do without the other
    ");
    insta::assert_snapshot!(complaint("FROM scratch AS a\nRUN --mount=from=A,target=/x y\n"), @r"
    Balenafile:2:13: circular dependency detected on stage: `a`
     2 | RUN --mount=from=A,target=/x y
       |             ^^^^^^
     hint: let one of the stages do without the other
    ");
    insta::assert_snapshot!(complaint("FROM scratch\nCOPY --from=1 / /\nFROM scratch\nCOPY --from=2 / /\nFROM scratch\nCOPY --from=0 / /\n"), @r"
    Balenafile:2:13: circular dependency detected on stage: `0`
     2 | COPY --from=1 / /
       |             ^
     hint: let one of the stages do without the other
    ");
}

#[test]
fn a_cycle_through_a_variable_is_refused_when_it_is_known() {
    let text = "FROM scratch AS builder\nCOPY --from=b / /\nFROM $BASE AS b\n";
    assert!(Balenafile::parse("Balenafile", text.as_bytes()).is_ok());
    assert!(graph(text).is_err_and(|error| error.contains("circular dependency")));
}

#[test]
fn a_later_stage_is_refused_where_it_is_needed() {
    insta::assert_snapshot!(graph("FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\n").expect("no cycle"), @r"
    Scratch [1] Balenafile:2:13: cannot copy from stage `b`, it needs to be defined before current stage `a`
     2 | COPY --from=b / /
       |             ^
    Scratch [] [1]
    ");
}

#[test]
fn a_number_that_no_stage_has_is_refused() {
    insta::assert_snapshot!(graph("FROM scratch\nCOPY --from=7 / /\n").expect_err("one stage"), @r"
    Balenafile:2:13: there is no stage number 7
     2 | COPY --from=7 / /
       |             ^
     hint: the only stage is number 0
    ");
    insta::assert_snapshot!(graph("FROM scratch\nFROM scratch\nCOPY --from=-1 / /\n").expect_err("two stages"), @r"
    Balenafile:3:13: there is no stage number -1
     3 | COPY --from=-1 / /
       |             ^^
     hint: stages are numbered from 0 to 1
    ");
}

#[test]
fn an_empty_base_is_refused() {
    insta::assert_snapshot!(graph("FROM $NONE\n").expect_err("it is empty"), @r"
    Balenafile:1:6: `$NONE` is empty
     1 | FROM $NONE
       |      ^^^^^
     hint: give the variable a default: `ARG NAME=VALUE` before `FROM`
    ");
    insta::assert_snapshot!(graph("FROM --platform=$NONE scratch\n").expect_err("it is empty"), @r"
    Balenafile:1:17: `$NONE` is empty
     1 | FROM --platform=$NONE scratch
       |                 ^^^^^
     hint: give the variable a default: `ARG NAME=VALUE` before `FROM`
    ");
    insta::assert_snapshot!(graph("FROM ${NONE?why}\n").expect_err("it is required"), @r"
    Balenafile:1:6: variable `NONE` is not set: why
     1 | FROM ${NONE?why}
       |      ^^^^^^^^^^^
     hint: set it with `ARG` or `--build-arg`
    ");
}

#[test]
fn targets_are_names_or_numbers() {
    let file =
        Balenafile::parse("Balenafile", b"FROM a AS one\nFROM b AS Two\n").expect("it is valid");
    let found = ["ONE", "two", "0", "1", "2", "x"].map(|name| file.stage(name));
    assert_eq!(found, [Some(0), Some(1), Some(0), Some(1), None, None]);
    assert_eq!(file.nearest_stage("Tow"), Some("two"));
    assert_eq!(file.nearest_stage("x"), None);
}

#[test]
fn many_stages_are_ordered_in_time() {
    let mut text = String::from("FROM scratch AS s0\n");
    for index in 1..500 {
        text.push_str(&format!(
            "FROM s{} AS s{index}\nCOPY --from=s0 a b\n",
            index - 1
        ));
    }
    let file = Balenafile::parse("Balenafile", text.as_bytes()).expect("it is valid");
    let graph = file.graph(&mut |_| None).expect("no cycle");
    assert_eq!(graph.nodes[1].base, Origin::Stage(0));
    assert_eq!(graph.order(499).expect("no later stage").len(), 500);
}
