//! Words: quotes, escapes and every form of substitution, with bash as the judge where Docker follows it.

use std::process::{Command, Stdio};

use minke_balenafile::{Balenafile, Instruction, Word};
use proptest::prelude::*;

const VARIABLES: [(&str, &str); 4] = [
    ("V", "value"),
    ("EMPTY", ""),
    ("FILE", "/a/b.tar.gz"),
    ("STARS", "a*b?c"),
];

fn word(text: &str) -> Result<Word, String> {
    let file = format!("FROM scratch\nWORKDIR {text}");
    let file = Balenafile::parse("Balenafile", file.as_bytes()).map_err(|error| error.message)?;
    match &file.stages[0].steps[0].instruction {
        Instruction::Workdir(word) => Ok(word.clone()),
        other => Err(format!("`{}`?", other.name())),
    }
}

fn expand_with(text: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let mut lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let expanded = word(text)?.expand(&mut lookup);
    expanded.map_err(|error| error.to_string())
}

fn expand(text: &str) -> Result<String, String> {
    expand_with(text, &VARIABLES)
}

/// Returns what bash makes of words, none where it complains.
fn bash(words: &[String], variables: &[(&str, &str)]) -> Vec<Option<String>> {
    let mut script = String::from("shopt -u patsub_replacement 2>/dev/null\n");
    for word in words {
        // A subshell, so that `${x?}` ends that word alone. An assignment neither splits nor looks for files.
        script.push_str(&format!("(r={word}; printf '=%s' \"$r\"); printf '\\0'\n"));
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs(variables.iter().copied())
        .stderr(Stdio::null())
        .output()
        .expect("bash is installed");
    let text = String::from_utf8(output.stdout).expect("the values are text");
    let values = text.split_terminator('\0');
    values
        .map(|value| value.strip_prefix('=').map(str::to_owned))
        .collect()
}

/// Forms that Docker has from the shell, with their values. `error` for none.
const FORMS: &[(&str, &str)] = &[
    // Plain.
    ("a$V", "avalue"),
    ("a${V}b", "avalueb"),
    ("$V$V", "valuevalue"),
    ("$NONE", ""),
    ("${NONE}x", "x"),
    ("$V.x", "value.x"),
    ("$", "$"),
    ("a$.b", "a$.b"),
    // Escapes and quotes.
    (r"\$V", "$V"),
    (r"\${V}", "${V}"),
    (r"a\bc", "abc"),
    (r"\\$V", r"\value"),
    ("'$V'", "$V"),
    (r"'a\b'", r"a\b"),
    ("\"$V\"", "value"),
    ("\"a'b\"", "a'b"),
    (r#""\$V""#, "$V"),
    (r#""a\b""#, r"a\b"),
    (r#""a\\b""#, r"a\b"),
    (r#""a\"b""#, "a\"b"),
    (r#"a"b"'c'"#, "abc"),
    (r"a\'b", "a'b"),
    // `-`
    ("${V:-d}", "value"),
    ("${EMPTY:-d}", "d"),
    ("${NONE:-d}", "d"),
    ("${EMPTY-d}", ""),
    ("${NONE-d}", "d"),
    ("${NONE-}", ""),
    ("${NONE:-$V}", "value"),
    ("${NONE:-${NO:-${V}}}", "value"),
    ("${NONE:-\"a b\"}", "a b"),
    ("${NONE:-'$V'}", "$V"),
    (r"${NONE:-\}}", "}"),
    // `+`
    ("${V:+a}", "a"),
    ("${EMPTY:+a}", ""),
    ("${NONE:+a}", ""),
    ("${EMPTY+a}", "a"),
    ("${NONE+a}", ""),
    ("${V:+${EMPTY}x}", "x"),
    // `?`
    ("${V:?m}", "value"),
    ("${V?}", "value"),
    ("${EMPTY?m}", ""),
    ("${EMPTY:?m}", "error"),
    ("${NONE?m}", "error"),
    ("${NONE:?}", "error"),
    // `#`, `%`
    ("${FILE#*/}", "a/b.tar.gz"),
    ("${FILE##*/}", "b.tar.gz"),
    ("${FILE%.*}", "/a/b.tar"),
    ("${FILE%%.*}", "/a/b"),
    ("${FILE#x}", "/a/b.tar.gz"),
    ("${FILE#/?/}", "b.tar.gz"),
    ("${FILE%.gz}", "/a/b.tar"),
    ("${NONE#a}", ""),
    ("${V#}", "value"),
    ("${V##*}", ""),
    (r"${STARS#a\*}", "b?c"),
    (r"${STARS%\?c}", "a*b"),
    ("${V#${V%ue}}", "ue"),
    ("${V%\"ue\"}", "val"),
    // `/`, `//`
    ("${FILE/a/x}", "/x/b.tar.gz"),
    ("${FILE//a/x}", "/x/b.txr.gz"),
    ("${FILE/./-}", "/a/b-tar.gz"),
    ("${FILE//./-}", "/a/b-tar-gz"),
    (r"${FILE//\//_}", "_a_b.tar.gz"),
    ("${FILE//a/}", "//b.tr.gz"),
    ("${FILE/b*/c}", "/a/c"),
    ("${FILE/x/y}", "/a/b.tar.gz"),
    ("${V//?/$EMPTY-}", "-----"),
    (r"${STARS//\*/+}", "a+b?c"),
    ("${NONE/a/b}", ""),
];

#[test]
fn every_form_of_substitution_has_its_value() {
    for (text, expected) in FORMS {
        let value = expand(text).unwrap_or_else(|_| "error".into());
        assert_eq!(value, *expected, "{text}");
    }
}

#[test]
fn every_form_of_substitution_is_bashs() {
    let texts: Vec<String> = FORMS.iter().map(|(text, _)| (*text).to_owned()).collect();
    let judged = bash(&texts, &VARIABLES);
    assert_eq!(judged.len(), texts.len());
    for (text, value) in texts.iter().zip(judged) {
        assert_eq!(expand(text).ok(), value, "{text}");
    }
}

#[test]
fn where_docker_is_not_bash_docker_is_followed() {
    for (text, expected) in [
        // Positions and special parameters are never set.
        ("he$1x", "hex"),
        ("$12a", "a"),
        ("$@@$#$?$-$$$!$0", "@"),
        ("${1:-d}${@:-d}${#:-d}", "ddd"),
        // An escape at the end goes.
        ("a\\\\", "a\\"),
        // A `}` that closes nothing is one.
        ("${V}}", "value}"),
        // The escapes of a replacement stay.
        (r"${FILE/\/a/\/x}", r"\/x/b.tar.gz"),
        // An empty pattern is everywhere.
        ("${EMPTY//*/x}", "x"),
        ("안녕$NONE", "안녕"),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn malformed_words_are_refused() {
    for (text, message) in [
        ("'a", "a ' quote is not closed"),
        ("\"a", "a \" quote is not closed"),
        ("\"a\\\"", "a \" quote is not closed"),
        ("${V", "a `${` is not closed"),
        ("${", "a `${` is not closed"),
        ("${V:-a", "a `${` is not closed"),
        ("${NONE:-$V ${V}", "a `${` is not closed"),
        ("${}", "`${` needs a variable's name"),
        ("${{V}", "`${` needs a variable's name"),
        ("${:-a}", "`${` needs a variable's name"),
        ("${.}", "`${` needs a variable's name"),
        ("${V:=a}", "`:=` does not follow a name in `${`"),
        ("${V:#a}", "`:#` does not follow a name in `${`"),
        ("${V:a}", "`:a` does not follow a name in `${`"),
        ("${V^}", "`^` does not follow a name in `${`"),
        ("${V/a}", "a `/` is missing in `${…/…}`"),
        ("${V/a/b", "a `${` is not closed"),
        (
            r"${V#\a}",
            r"`\a` is not a pattern: a backslash stands before `*`, `?`, `\`, `}` or `/` only",
        ),
    ] {
        assert_eq!(expand(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn the_variables_of_a_word_are_known_before_it_is_expanded() {
    let word = word("$A${B:-$C}${D#$E}${F/$G/${H}}'$no'\\$no$A").expect("it is a word");
    assert_eq!(word.variables(), ["A", "B", "C", "D", "E", "F", "G", "H"]);
}

#[test]
fn an_expansion_is_bounded_in_each_form() {
    let long = "a".repeat(minke_balenafile::EXPANSION_BYTES_MAX / 2 + 1);
    for text in [
        "$A$A",
        "${A//a/aa}aa",
        "${A//?/xx}$A",
        "${N:-$A$A}",
        "${A/*/$A$A}",
    ] {
        let expanded = expand_with(text, &[("A", &long)]);
        assert!(
            expanded.is_err_and(|error| error.contains("more than")),
            "{text}"
        );
    }
}

proptest! {
    // Each case starts a bash.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn patterns_match_as_in_bash(
        cases in proptest::collection::vec(("[ab/]{1,7}", "[ab/*?]{1,5}", "[xy]{0,2}", 0..6_usize), 40)
    ) {
        let mut variables = Vec::new();
        let mut texts = Vec::new();
        for (index, (value, pattern, replacement, operator)) in cases.iter().enumerate() {
            let name = format!("X{index}");
            let quoted = pattern.replace('/', "\\/");
            texts.push(match operator {
                4 => format!("${{{name}/{quoted}/{replacement}}}"),
                5 => format!("${{{name}//{quoted}/{replacement}}}"),
                trim => format!("${{{name}{}{pattern}}}", ["#", "##", "%", "%%"][*trim]),
            });
            variables.push((name, value.clone()));
        }
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (text, value) in texts.iter().zip(bash(&texts, &variables)) {
            // `${X//…}` and `${X##…}`: where the pattern begins in the operator's sign, the longer operator is meant.
            prop_assert_eq!(expand_with(text, &variables).ok(), value, "{} of {:?}", text, variables);
        }
    }

    #[test]
    fn any_word_expands_or_says_why_not(text in r#"[ab$\{\}:+?/#%*\\'"V-]{0,24}"#) {
        let _ = expand(text.trim());
    }
}
