//! Progress: what a build tells while it works.

use minke_balenafile::Diagnostic;
use minke_image::Layer;

/// Is told what happens, by several threads at once. Implemented by closures too.
pub trait Progress: Sync {
    fn event(&self, event: &Event<'_>);
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    Started {
        step: StepLabel<'a>,
    },
    /// The step's result was there already.
    Cached {
        step: StepLabel<'a>,
        layer: Option<&'a Layer>,
    },
    /// The step is done; with a layer if it changed files.
    Done {
        step: StepLabel<'a>,
        layer: Option<&'a Layer>,
    },
    /// The step failed, and the build with it.
    Failed {
        step: StepLabel<'a>,
    },
    /// So many bytes of files went into the step's layer by now.
    Copied {
        step: StepLabel<'a>,
        bytes: u64,
    },
    /// The step's program is compiled, which it is once only.
    Compiling {
        step: StepLabel<'a>,
        size_bytes: u64,
    },
    /// The step's program printed a line, or the beginning of a long one.
    Output {
        step: StepLabel<'a>,
        stream: OutputStream,
        text: &'a str,
    },
    Warning(&'a Warning),
}

/// Where a program printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// Which step an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepLabel<'a> {
    /// Which stage of the file it is of, from 0.
    pub stage_index: usize,
    /// The stage's name, or its number where it has none; none in a file of one stage.
    pub stage: Option<&'a str>,
    /// From 1.
    pub number: usize,
    pub steps_count: usize,
    /// The instruction on one line, as typed.
    pub text: &'a str,
}

/// Something that does not end the build but that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule of the language that it breaks, such as `StageNameCasing`.
    pub rule: Option<&'static str>,
    /// With file and line where there is one.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

impl<F: Fn(&Event<'_>) + Sync> Progress for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl From<&Diagnostic> for Warning {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            rule: diagnostic.rule.map(|rule| rule.name),
            message: diagnostic.to_string(),
            hint: diagnostic.hint.clone(),
        }
    }
}
