//! Tests that passed only when they were run again, as nextest's report tells.
//!
//! `.config/nextest.toml` says which tests may be run again, and where the report is.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::layout::target_dir;

/// The report, below the directory of what is built. Nextest: `profile.default.junit.path`.
const REPORT: &str = "nextest/default/junit.xml";

/// Removes the report of an earlier run.
pub fn forget() -> Result<()> {
    match fs::remove_file(path()) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("the report"),
        _ => Ok(()),
    }
}

/// Prints how many tests were flaky in the run that has just ended, and which.
pub fn tell() -> Result<()> {
    let report = match fs::read_to_string(path()) {
        // What was not built was not run.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        report => report.with_context(|| path().display().to_string())?,
    };
    println!("{}", line(&named(&report)));
    Ok(())
}

fn path() -> PathBuf {
    target_dir().join(REPORT)
}

fn line(names: &[String]) -> String {
    match names.len() {
        0 => "flaky tests: 0".to_owned(),
        count => format!(
            "flaky tests: {count}, each a defect to mend: {}",
            names.join(", ")
        ),
    }
}

/// Returns the names of a report's flaky tests, each after its binary's.
///
/// A test that passed when it was run again has its failures in elements `flakyFailure` and `flakyError`. Names of tests are paths
/// of Rust, in which nothing is escaped. Source: Maven Surefire, "Rerun failing tests".
fn named(report: &str) -> Vec<String> {
    let cases = report.split("<testcase ").skip(1);
    let flaky = cases.filter(|case| {
        let own = case.split("</testcase>").next().unwrap_or_default();
        own.contains("<flakyFailure") || own.contains("<flakyError")
    });
    flaky
        .map(|case| {
            format!(
                "{} {}",
                attribute(case, "classname"),
                attribute(case, "name")
            )
        })
        .collect()
}

fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let mut words = element.split('>').next().unwrap_or_default().split(' ');
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix("=\""));
    value
        .and_then(|value| value.split('"').next())
        .unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<testsuites name="nextest-run" tests="3"><testsuite name="minke::product">
        <testcase name="logs::one" classname="minke::product" time="1.0">
        </testcase>
        <testcase name="logs::two" classname="minke::product" time="1.0">
            <flakyFailure timestamp="x" type="test failure with exit code 101"/>
        </testcase>
        <testcase name="logs::three" classname="minke::product" time="1.0">
            <failure type="test failure with exit code 101"/><rerunFailure type="x"/>
        </testcase></testsuite></testsuites>"#;

    #[test]
    fn tests_that_passed_when_they_were_run_again_are_named() {
        assert_eq!(named(REPORT), ["minke::product logs::two"]);
        assert_eq!(
            line(&named(REPORT)),
            "flaky tests: 1, each a defect to mend: minke::product logs::two"
        );
        assert_eq!(line(&named("<testsuites/>")), "flaky tests: 0");
    }
}
