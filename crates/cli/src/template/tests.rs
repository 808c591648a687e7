//! Templates against what Go makes of them.

use serde_json::{Value, json};

use super::Template;

/// What Go's own `text/template` makes of these (with Docker's functions) was written down beside each.
fn sample() -> Value {
    json!({
        "Id": "abc",
        "Name": "web",
        "State": { "Status": "running", "ExitCode": 0, "Health": null, "Running": true },
        "Args": ["-p", "80"],
        "Labels": { "com.example.a": "1", "b": "two" },
        "Ports": { "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }], "53/udp": null },
        "Ratio": 1.5,
    })
}

fn render(template: &str) -> Result<String, String> {
    let failed = |error: super::TemplateError| error.to_string();
    Template::parse(template)
        .and_then(|template| template.render(&sample()))
        .map_err(failed)
}

#[track_caller]
fn check(template: &str, expected: &str) {
    assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
}

#[track_caller]
fn check_fails(template: &str, expected: &str) {
    assert_eq!(render(template), Err(expected.to_owned()), "{template}");
}

#[test]
fn fields_are_printed_as_go_prints_them() {
    check("{{.Name}}", "web");
    check("{{ .State.Status }}: {{.State.ExitCode}}", "running: 0");
    check("{{.ID}}", "abc");
    check(
        "{{.Args}} {{.Labels}}",
        "[-p 80] map[b:two com.example.a:1]",
    );
    check("{{.Ratio}} {{.State.Running}}", "1.5 true");
    check("{{.Labels.nothing}}", "<no value>");
    check(
        "{{$.Name}}{{with .State}}{{$.Name}}{{.Status}}{{end}}",
        "webwebrunning",
    );
    check("{{(index .Ports \"80/tcp\" 0).HostPort}}", "8080");
    check(r#"{{.Label "b"}}"#, "two");
}

#[test]
fn text_is_trimmed_and_escaped() {
    check("a {{- .Name -}} b", "awebb");
    check("a {{/* nothing */}}b", "a b");
    check("a {{- /* nothing */ -}} b", "ab");
    check(r"{{.Name}}\t{{.Id}}\n", "web\tabc\n");
    check(r#"{{"a\tb\n"}}{{`a\t`}}"#, "a\tb\na\\t");
    check("{{-3}} {{- 3}}", "-33");
}

#[test]
fn functions_compute() {
    check("{{json .Args}}", r#"["-p","80"]"#);
    check("{{.Args | json}}", r#"["-p","80"]"#);
    check(r#"{{join .Args ","}}"#, "-p,80");
    check(r#"{{index (split "a:b" ":") 1}}"#, "b");
    check(
        r#"{{upper .Name}} {{lower "ABC"}} {{title "a b-c"}}"#,
        "WEB abc A B-C",
    );
    check(r#"{{len .Args}} {{len .Name}} {{len .Labels}}"#, "2 3 2");
    check(
        r#"{{index .Labels "com.example.a"}}{{index .Labels "no"}}"#,
        "1",
    );
    check(r#"{{slice .Name 1 2}}{{slice .Name 2}}"#, "eb");
    check(r#"[{{pad .Name 1 2}}] {{truncate .Name 2}}"#, "[ web  ] we");
    check(
        r#"{{printf "%s %d %q %v %t" .Name 7 .Id .Args true}}"#,
        "web 7 \"abc\" [-p 80] true",
    );
    check(
        r#"{{printf "[%5s|%-5s|%05d|%.1f|%%]" "a" "b" 42 .Ratio}}"#,
        "[    a|b    |00042|1.5|%]",
    );
    check(r#"{{printf "%d %s" "x"}}"#, "%!d(string=x) %!s(MISSING)");
    check(r#"{{printf "a" 1}}"#, "a%!(EXTRA int=1)");
    check(r#"{{println "a" 1}}{{print 1 2 "x" 3}}"#, "a 1\n1 2x3");
    check(r#"{{.Name | printf "%s-%s" "a" | upper}}"#, "A-WEB");
}

#[test]
fn conditions_choose() {
    check("{{if .State.Running}}yes{{else}}no{{end}}", "yes");
    check(
        "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}",
        "none",
    );
    check(
        "{{if .State.Nothing}}a{{else if eq .Name \"web\"}}b{{else}}c{{end}}",
        "b",
    );
    check("{{with .State.Health}}a{{else}}b{{end}}", "b");
    check("{{if not .Nothing}}none{{end}}", "none");
    check(
        "{{and 1 \"\"}}{{or \"\" 0 2}}{{if and .Nothing .Nothing.More}}{{end}}",
        "2",
    );
    check(
        "{{eq 1 2 1}} {{ne .Name \"a\"}} {{lt 1 2}} {{le 2 2}} {{gt 1.5 1}} {{ge \"a\" \"b\"}}",
        "true true true true true false",
    );
}

#[test]
fn lists_and_maps_are_gone_through_in_order() {
    check("{{range .Args}}<{{.}}>{{end}}", "<-p><80>");
    check(
        "{{range $i, $arg := .Args}}{{if $i}},{{end}}{{$arg}}{{end}}",
        "-p,80",
    );
    check(
        "{{range $k, $v := .Ports}}{{$k}}={{range $v}}{{.HostPort}}{{else}}-{{end}} {{end}}",
        "53/udp=- 80/tcp=8080 ",
    );
    check("{{range .Nothing}}{{else}}empty{{end}}", "empty");
    check(
        "{{range $i, $a := .Args}}{{if $i}}{{break}}{{end}}{{$a}}{{continue}}x{{end}}",
        "-p",
    );
    check("{{$n := 0}}{{range .Args}}{{$n = .}}{{end}}{{$n}}", "80");
}

#[test]
fn mistakes_are_told_with_their_place() {
    check_fails(
        "{{.Nam}}",
        "template: column 3: no field `Nam`\nhint: did you mean `.Name`?",
    );
    check_fails(
        "a\n{{.State.Zz}}",
        "template: line 2, column 9: no field `Zz`\nhint: fields are `.ExitCode`, `.Health`, `.Running`, `.Status`",
    );
    check_fails(
        "{{.Name",
        "template: column 1: unclosed action\nhint: end it with `}}`",
    );
    check_fails(
        "{{if .Name}}x",
        "template: column 3: `if` without `end`\nhint: end it with `{{end}}`",
    );
    check_fails(
        "{{end}}",
        "template: column 6: `end` or `else` without `if`, `with` or `range`",
    );
    check_fails(
        "{{jsn .}}",
        "template: column 3: function `jsn` not defined\nhint: did you mean `json`?",
    );
    check_fails(
        "{{Name}}",
        "template: column 3: function `Name` not defined\nhint: fields begin with a dot: `.Name`",
    );
    check_fails("{{$x}}", "template: column 3: undefined variable `$x`");
    check_fails(
        "{{.Name 1}}",
        "template: column 3: only functions take arguments\nhint: put a function's name first",
    );
    check_fails(
        "{{json}}",
        "template: column 3: `json` wants 1 argument, not 0",
    );
    check_fails(
        "{{join .Name 1}}",
        "template: column 3: `join` wants a text, not a number",
    );
    check_fails(
        "{{index .Args 5}}",
        "template: column 3: `index` finds no item 5: there are 2",
    );
    check_fails(
        "{{'x'}}",
        "template: column 3: unexpected `'`\nhint: quote texts with `\"`",
    );
    check_fails(
        "{{\"x}}",
        "template: column 3: unclosed text\nhint: end it with the quote that it begins with",
    );
    check_fails(
        "{{}}",
        "template: column 3: expected a field, a function or a value",
    );
    check_fails(
        "{{.Name | }}",
        "template: column 11: expected a field, a function or a value",
    );
    check_fails("{{(.Name}}", "template: column 9: expected `)`");
    check_fails(
        "{{break}}",
        "template: column 3: `break` outside of `range`",
    );
    check_fails(
        "{{define \"x\"}}{{end}}",
        "template: column 3: `define` is not supported\nhint: write its contents where it is used",
    );
    check_fails(
        "{{.Name.First}}",
        "template: column 8: no field `First`: before it is a text",
    );
    check_fails(
        "{{lt 1 \"a\"}}",
        "template: column 3: `lt` cannot compare a number with a text",
    );
}

#[test]
fn work_text_and_depth_are_bounded() {
    let doubling = format!("{{{{$x := \"{}\"}}}}", "x".repeat(1000));
    let doubling = doubling + &"{{$x = print $x $x}}".repeat(40);
    let message = render(&doubling).expect_err("it is too long");
    assert!(message.contains("too much work"), "{message}");
    let wide = render("{{printf \"%999999999d\" 1}}").expect_err("it is too wide");
    assert!(wide.contains("more than 1000"), "{wide}");
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(100), ")".repeat(100));
    let message = render(&deep).expect_err("it is too deep");
    assert!(message.contains("nested deeper than 64"), "{message}");
    let chained = "{{if 0}}".to_owned() + &"{{else if 0}}".repeat(100) + "{{end}}";
    assert!(render(&chained).is_err());
    let long = "x".repeat(super::SOURCE_BYTES_MAX + 1);
    assert!(render(&long).is_err());
    let items = "{{$l := split \"".to_owned() + &"a,".repeat(2000) + "\" \",\"}}";
    let squared = items + "{{range $l}}{{range $l}}{{end}}{{end}}";
    assert!(render(&squared).is_err());
}

#[test]
fn any_text_is_a_template_or_a_mistake() {
    let pieces = [
        "{{", "}}", "-", " ", ".", "$x", ":=", "\"", "é", "if", "range", "end", "(", ")", "|", "1",
        "\\", "Name", "`", "/*", "*/",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = "{{".to_owned();
        for _ in 0..state % 12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text += pieces[(state >> 33) as usize % pieces.len()];
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let _ = render(&text);
    }
}

#[test]
fn headings_pass_through_functions() {
    let headings = json!({ "ID": "CONTAINER ID", "Names": "NAMES" });
    let heading = |template| Template::parse(template).and_then(|it| it.headings(&headings));
    let expected = |text: &str| Ok(text.to_owned());
    assert_eq!(
        heading("{{.ID}}\\t{{.Names | upper}}"),
        expected("CONTAINER ID\tNAMES")
    );
    assert_eq!(
        heading("{{index (split .Names \",\") 0}}"),
        expected("NAMES")
    );
    assert_eq!(
        heading("{{.Label \"com.example.my-app\"}}"),
        expected("my app")
    );
    assert!(heading("{{.Nams}}").is_err());
}
