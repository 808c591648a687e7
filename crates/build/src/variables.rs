//! Variables: what `$NAME` means at each point of a file.
//!
//! Spec: Dockerfile reference, "ARG", "Scope", "Impact on build caching", "Predefined ARGs", "Automatic platform ARGs".

use std::collections::{BTreeMap, BTreeSet};

use minke_balenafile::{PLATFORM_ARGUMENTS, PREDEFINED_ARGUMENTS};

use crate::lint;

/// The variables of a build.
#[derive(Debug, Clone)]
pub(crate) struct Variables {
    /// From the command line.
    given: BTreeMap<String, String>,
    /// Names from the command line that a declaration asked for.
    used: BTreeSet<String>,
    /// Declared before the first `FROM`.
    global: BTreeMap<String, String>,
    /// Declared in the stage.
    stage: BTreeMap<String, String>,
}

impl Variables {
    /// Makes those of a build of the stage `target`.
    pub(crate) fn new(given: &[(String, String)], target: &str) -> Self {
        let platform = PLATFORM_ARGUMENTS
            .into_iter()
            .chain([("TARGETSTAGE", target)])
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            given: given.iter().cloned().collect(),
            used: BTreeSet::new(),
            global: platform.collect(),
            stage: BTreeMap::new(),
        }
    }

    /// Declares an argument before `FROM`.
    pub(crate) fn declare_global(&mut self, name: &str, default: Option<String>) {
        if let Some(value) = self.given(name).or(default) {
            self.global.insert(name.to_owned(), value);
        }
    }

    /// Declares an argument in a stage. Without a default it takes the global one's.
    pub(crate) fn declare(&mut self, name: &str, default: Option<String>) {
        let value = self
            .given(name)
            .or(default)
            .or_else(|| self.global.get(name).cloned());
        match value {
            Some(value) => drop(self.stage.insert(name.to_owned(), value)),
            None => drop(self.stage.remove(name)),
        }
    }

    fn given(&mut self, name: &str) -> Option<String> {
        let value = self.given.get(name)?;
        self.used.insert(name.to_owned());
        Some(value.clone())
    }

    /// Returns what a variable means in `FROM`.
    pub(crate) fn global(&self, name: &str) -> Option<String> {
        self.global.get(name).cloned()
    }

    /// Returns what a variable means in a stage whose environment is `env`, which goes before arguments.
    pub(crate) fn lookup(&self, env: &[String], name: &str) -> Option<String> {
        let from_env = env
            .iter()
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        from_env
            .map(|(_, value)| value.to_owned())
            .or_else(|| self.stage.get(name).cloned())
    }

    /// Returns the arguments that a stage declared, as the environment of its commands has them.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stage
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the arguments from the command line that commands see without a declaration.
    pub(crate) fn undeclared(&self) -> impl Iterator<Item = (&str, &str)> {
        let given = self.given.iter();
        given
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| {
                PREDEFINED_ARGUMENTS.contains(name) && !self.stage.contains_key(*name)
            })
    }

    /// Takes over what a stage declared and asked for, for the review of the whole build.
    pub(crate) fn absorb(&mut self, stage: &Self) {
        self.used.extend(stage.used.iter().cloned());
        self.stage.extend(stage.stage.clone());
    }

    /// Returns the names from the command line that nothing asked for.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        let unused = self.given.keys().filter(|name| !self.used.contains(*name));
        unused
            .map(String::as_str)
            .filter(|name| !PREDEFINED_ARGUMENTS.contains(name) && *name != lint::ARGUMENT)
    }

    /// Returns the declared name most like one that nothing asked for.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        const MISTAKES_MAX: usize = 2;
        let declared = self
            .global
            .keys()
            .chain(self.stage.keys())
            .map(String::as_str);
        let best = declared.min_by_key(|declared| strsim::damerau_levenshtein(declared, name))?;
        (strsim::damerau_levenshtein(best, name) <= MISTAKES_MAX).then_some(best)
    }
}
