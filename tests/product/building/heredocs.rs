//! Here-documents of `COPY` and `ADD`.
//!
//! Spec: Dockerfile reference, "Here-Documents".

use super::{check_names, check_refused, check_tree, context};

#[test]
fn a_here_document_is_a_file() {
    let home = context(&[("b.txt", "b")]);
    for (instructions, expected) in [
        (
            "COPY <<EOF /a\none\ntwo\nEOF",
            &["644 0/0 a: one\ntwo\n"][..],
        ),
        ("ADD <<EOF /a\none\nEOF", &["644 0/0 a: one\n"]),
        (
            "COPY <<name.txt /d/\none\nname.txt",
            &["755 0/0 d/", "644 0/0 d/name.txt: one\n"],
        ),
        (
            "WORKDIR /d\nCOPY <<a .\none\na",
            &["755 0/0 d/", "644 0/0 d/a: one\n"],
        ),
        ("COPY <<EOF /a\nEOF", &["644 0/0 a: "]),
        (
            "COPY --chmod=750 --chown=1:2 <<EOF /bin/run\n#!/bin/sh\nEOF",
            &["750 1/2 bin/", "750 1/2 bin/run: #!/bin/sh\n"],
        ),
        (
            "COPY --chmod=u+x --link <<EOF /run\nx\nEOF",
            &["744 0/0 run: x\n"],
        ),
    ] {
        check_tree(&home, instructions, expected);
    }
}

#[test]
fn several_here_documents_and_files_go_into_a_directory() {
    let home = context(&[("b.txt", "b")]);
    check_names(
        &home,
        "COPY <<one <<two b.txt /d/\n1\none\n2\ntwo",
        &["d/", "d/b.txt: b", "d/one: 1", "", "d/two: 2"],
    );
    check_names(
        &home,
        "COPY <<b.txt b.txt /d/\ntyped\nb.txt",
        &["d/", "d/b.txt: typed"],
    );
    check_refused(
        &home,
        "COPY <<one <<two /d\n1\none\n2\ntwo",
        &[
            "Balenafile:2:",
            "several sources need a directory",
            "hint: write `/d/`",
        ],
    );
}

#[test]
fn variables_are_replaced_unless_the_name_is_quoted() {
    let home = context(&[]);
    let values = "ARG A=arg\nENV E=env\n";
    for (document, content) in [
        ("<<EOF /x\n$A ${E} ${N:-none} \\$A\nEOF", "arg env none $A"),
        ("<<\"EOF\" /x\n$A ${E}\nEOF", "$A ${E}"),
        ("<<'EOF' /x\n$A \\$A\nEOF", "$A \\$A"),
        ("<<-\"EOF\" /x\n\t$A\n\tEOF", "$A"),
        // Quotes are no quotes in it.
        ("<<EOF /x\n\"$A\" '$E'\nEOF", "\"arg\" 'env'"),
        // An instruction or a comment is a text in it.
        (
            "<<EOF /x\n# no comment\nRUN no step\nEOF",
            "# no comment\nRUN no step",
        ),
    ] {
        let expected = format!("644 0/0 x: {content}\n");
        check_tree(&home, &format!("{values}COPY {document}"), &[&expected]);
    }
}

#[test]
fn leading_tabs_are_taken_away_where_a_dash_asks() {
    let home = context(&[]);
    check_tree(
        &home,
        "COPY <<-EOF /x\n\tone\n\t\ttwo\n  three\n\tEOF",
        &["644 0/0 x: one\ntwo\n  three\n"],
    );
    check_tree(&home, "COPY <<EOF /x\n\tone\nEOF", &["644 0/0 x: \tone\n"]);
}

#[test]
fn a_here_document_that_is_not_closed_is_refused() {
    let home = context(&[]);
    for document in [
        "<<EOF /x\ntext",
        "<<EOF /x\n\tEOF",
        "<<one <<two /d/\none\n",
    ] {
        let texts = &[
            "Balenafile:2:",
            "is not closed",
            "hint: end it with a line that is",
        ];
        check_refused(&home, &format!("COPY {document}"), texts);
    }
}
