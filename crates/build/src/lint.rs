//! Lint: the language's rules, with what the build knows of base images and of the context.
//!
//! BuildKit: `linter/linter.go`, `dockerfile2llb/convert.go`. The rules themselves are `balenafile`'s.

use minke_balenafile::{Balenafile, BaseFacts, Diagnostic, Facts, LintOptions, Reach};
use minke_image::Image;

use crate::build::{Build, BuildError};
use crate::options::BuildOptions;
use crate::plan::Base;
use crate::progress::{Event, Warning};

/// `--build-arg` that takes the place of the file's `# check=`. Spec: Dockerfile reference, "BuildKit built-in build args".
pub(crate) const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Returns the options that a build brings.
pub(crate) fn options(options: &BuildOptions) -> Result<Option<LintOptions>, BuildError> {
    let mut given = options.arguments.iter().rev();
    let found = given.find(|(name, _)| name == ARGUMENT);
    let parsed = found.map(|(_, text)| LintOptions::parse(text));
    parsed.transpose().map_err(BuildError::LintOptions)
}

impl Build<'_> {
    /// Returns what the rules find, in the order of the file.
    pub(crate) fn findings(&self) -> Vec<Diagnostic> {
        let facts = Facts {
            base: &|index| self.base_facts(index),
            arguments: &|name| {
                let mut given = self.options.arguments.iter().rev();
                let found = given.find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone())
            },
            ignore: Some(self.files.ignore()),
        };
        let mut findings = self.file.warnings.clone();
        findings.extend(self.file.review(&self.graph, &facts));
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings
    }

    /// Returns what is known of the image that a stage begins with; none of a stage that the build does not need.
    fn base_facts(&self, index: usize) -> Option<BaseFacts> {
        match &self.plan.stages.get(&index)?.base {
            Base::Scratch => Some(BaseFacts::default()),
            Base::Image(image) => Some(facts_of(image)),
            Base::Stage(_) => None,
        }
    }

    /// Tells the findings that concern what runs. Fails if the file asks to: `# check=error=true`.
    pub(crate) fn lint(&self) -> Result<(), BuildError> {
        let findings = self.findings();
        let is_wanted = |finding: &&Diagnostic| {
            let reach = finding.rule.map(|rule| rule.reach);
            reach != Some(Reach::Check) || self.file.lint.is_error
        };
        for finding in findings.iter().filter(is_wanted) {
            let warning = Warning::from(finding);
            self.progress.event(&Event::Warning(&warning));
        }
        violation(self.file, &findings)
    }
}

/// Fails for findings in a file that asks to.
fn violation(file: &Balenafile, findings: &[Diagnostic]) -> Result<(), BuildError> {
    if !file.lint.is_error || findings.is_empty() {
        return Ok(());
    }
    let mut rules: Vec<&str> = Vec::new();
    for rule in findings.iter().filter_map(|finding| finding.rule) {
        if !rules.contains(&rule.name) {
            rules.push(rule.name);
        }
    }
    Err(BuildError::Violation(rules.join(", ")))
}

fn facts_of(image: &Image) -> BaseFacts {
    let variables = image.config.env.iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    });
    BaseFacts {
        variables: variables.collect(),
        has_shell: !image.config.shell.is_empty(),
    }
}
