//! Progress: what a build tells while it works.

use minke_balenafile::Diagnostic;
use minke_image::Layer;

/// Is told what happens. Implemented by closures too.
pub trait Progress {
    fn event(&mut self, event: &Event<'_>);
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
    Warning(&'a Warning),
}

/// Which step an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepLabel<'a> {
    /// From 1.
    pub number: usize,
    pub steps_count: usize,
    /// The instruction on one line, as typed.
    pub text: &'a str,
}

/// Something that does not end the build but that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// With file and line where there is one.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&mut self, _event: &Event<'_>) {}
}

impl<F: FnMut(&Event<'_>)> Progress for F {
    fn event(&mut self, event: &Event<'_>) {
        self(event);
    }
}

impl From<&Diagnostic> for Warning {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            message: diagnostic.to_string(),
            hint: diagnostic.hint.clone(),
        }
    }
}
