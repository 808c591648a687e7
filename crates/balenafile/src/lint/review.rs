//! Review: rules about what a file means, which need its stages and what is known of their bases.
//!
//! Spec: BuildKit `dockerfile2llb/convert.go` dispatch(), `validations.go`.

use std::collections::BTreeMap;

use super::names::{shown, typed_name};
use super::{Linter, WARNINGS_MAX, rules};
use crate::arguments::{PLATFORM_ARGUMENTS, TARGET_STAGE};
use crate::graph::{Graph, Node, Origin};
use crate::ignore::IgnoreFile;
use crate::instruction::{Balenafile, Instruction, Stage, Step};
use crate::source::Diagnostic;
use crate::table;
use crate::word::Word;

/// Declared names, with their values where they are known.
pub(super) type Values = BTreeMap<String, Option<String>>;

/// What a review needs besides the file.
pub struct Facts<'facts> {
    /// Answers what is known of a stage's base image, by the stage's number; none if nothing is.
    pub base: &'facts dyn Fn(usize) -> Option<BaseFacts>,
    /// Answers the values of `--build-arg`.
    pub arguments: &'facts dyn Fn(&str) -> Option<String>,
    /// The context's ignore file, if there is one.
    pub ignore: Option<&'facts IgnoreFile>,
}

/// What is known of a base image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseFacts {
    /// Names and values of its environment.
    pub variables: Vec<(String, String)>,
    /// Whether it names a shell.
    pub has_shell: bool,
}

/// What is known at a point of a stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Declared names, with their values where they are known.
    pub(super) variables: Values,
    /// Whether the base may have variables that nobody knows of.
    pub(super) is_open: bool,
    pub(super) has_shell: bool,
    pub(super) has_workdir: bool,
}

impl Balenafile {
    /// Applies the rules that need more than the text. The findings are in the order of the file.
    pub fn review(&self, graph: &Graph, facts: &Facts<'_>) -> Vec<Diagnostic> {
        let mut review = Review {
            file: self,
            facts,
            linter: Linter::new(&self.source, &self.lint),
            globals: BTreeMap::new(),
        };
        review.globals = review.globals_with(facts.arguments);
        review.default_bases();
        let mut scopes: Vec<Scope> = Vec::new();
        for (index, (stage, node)) in self.stages.iter().zip(&graph.nodes).enumerate() {
            review.from(stage);
            let scope = review.base_scope(index, node, &scopes);
            scopes.push(review.stage(stage, scope));
        }
        review.linter.finish()
    }
}

pub(super) struct Review<'a> {
    pub(super) file: &'a Balenafile,
    pub(super) facts: &'a Facts<'a>,
    pub(super) linter: Linter<'a>,
    /// What `FROM`s see.
    pub(super) globals: Values,
}

impl Review<'_> {
    /// Returns the arguments before the first `FROM`, those of the platform among them.
    pub(super) fn globals_with(&self, given: &dyn Fn(&str) -> Option<String>) -> Values {
        let platform = PLATFORM_ARGUMENTS.into_iter();
        let mut values: Values = platform
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .collect();
        values.insert(TARGET_STAGE.to_owned(), None);
        for argument in &self.file.global_arguments {
            let default = argument.default.as_ref();
            let value =
                given(&argument.name).or_else(|| default.and_then(|word| known(word, &values)));
            values.insert(argument.name.clone(), value);
        }
        values
    }

    fn base_scope(&self, index: usize, node: &Node, scopes: &[Scope]) -> Scope {
        let base = match &node.base {
            Origin::Stage(base) => return scopes.get(*base).cloned().unwrap_or_default(),
            Origin::Scratch => Some(BaseFacts::default()),
            Origin::Image(_) => (self.facts.base)(index),
        };
        let is_open = base.is_none();
        let base = base.unwrap_or_default();
        let variables = base.variables.into_iter();
        let mut scope = Scope {
            variables: variables.map(|(name, value)| (name, Some(value))).collect(),
            is_open,
            has_shell: base.has_shell || is_open,
            has_workdir: false,
        };
        // Docker: a stage has a `PATH` whatever its base has.
        scope.variables.entry("PATH".to_owned()).or_insert(None);
        scope
    }

    fn stage(&mut self, stage: &Stage, mut scope: Scope) -> Scope {
        let mut commands: Vec<(&'static str, &Step)> = Vec::new();
        for step in &stage.steps {
            self.step_variables(step, &scope);
            self.step(step, &mut scope);
            let name = step.instruction.name();
            if !matches!(name, "CMD" | "ENTRYPOINT" | "HEALTHCHECK") {
                continue;
            }
            if let Some(at) = commands.iter().position(|(known, _)| *known == name) {
                self.second(commands.remove(at).1, step);
            }
            commands.push((name, step));
        }
        scope
    }

    /// Reports the first of two instructions of which the second counts.
    fn second(&mut self, first: &Step, second: &Step) {
        let name = typed_name(second);
        let message = format!(
            "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
        );
        let rule = &rules::MULTIPLE_INSTRUCTIONS_DISALLOWED;
        self.linter.report(
            rule,
            &second.comments,
            first.span,
            message,
            "keep one of them",
        );
    }

    fn step_variables(&mut self, step: &Step, scope: &Scope) {
        if scope.is_open || matches!(step.instruction, Instruction::Arg(_)) {
            return;
        }
        for word in step.instruction.expanded_words() {
            self.undefined(step, word, scope);
        }
    }

    pub(super) fn undefined(&mut self, step: &Step, word: &Word, scope: &Scope) {
        if scope.is_open {
            return;
        }
        let is_undefined = |name: &&str| !scope.variables.contains_key(*name);
        let names = word.variables().into_iter().filter(is_undefined);
        for name in names.take(WARNINGS_MAX) {
            let nearest = table::nearest(name, scope.variables.keys().map(String::as_str));
            let suggestion = nearest.map(|nearest| format!(" (did you mean ${nearest}?)"));
            let message = format!(
                "Usage of undefined variable '${}'{}",
                shown(name),
                suggestion.unwrap_or_default()
            );
            let hint = format!(
                "declare it before: `ARG {}`, or set it with `ENV`",
                shown(name)
            );
            let rule = &rules::UNDEFINED_VAR;
            self.linter
                .report(rule, &step.comments, word.span, message, &hint);
        }
    }
}

/// Returns a word's value, none if one of its variables is not known.
pub(super) fn known(word: &Word, variables: &Values) -> Option<String> {
    let is_known = |name: &&str| variables.get(*name).is_none_or(Option::is_some);
    if !word.variables().iter().all(is_known) {
        return None;
    }
    let expanded = word.expand(&mut |name| variables.get(name).cloned().flatten());
    expanded.ok()
}
