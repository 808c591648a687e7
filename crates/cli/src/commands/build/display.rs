//! How a build's progress is shown, on standard error: lines that move on a terminal, plain lines elsewhere, or events.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use minke_build::{Event, OutputStream, Progress, StepLabel, Warning};
use minke_engine::image::Layer;
use serde_json::{Value, json};

use crate::output::size;

/// `--progress`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Lines that move on a terminal, else plain ones
    Auto,
    /// Lines that move
    Tty,
    /// A line for each thing that happens
    Plain,
    /// An object of JSON for each thing that happens
    #[value(alias = "rawjson")]
    Json,
}

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(100);

/// Shows what a build tells. A build has several threads; what one tells is shown whole.
pub(super) struct Display {
    form: Form,
    state: Mutex<State>,
}

enum Form {
    Plain,
    Json,
    Moving(MultiProgress),
}

#[derive(Default)]
struct State {
    /// By stage and number of the step.
    steps: BTreeMap<(usize, usize), Shown>,
}

/// A step that is shown.
struct Shown {
    /// How it is called in every line about it, from 1.
    id: usize,
    began: Instant,
    /// What was copied by now.
    bytes: u64,
    bar: Option<ProgressBar>,
}

impl Display {
    pub(super) fn new(mode: ProgressMode) -> Display {
        let form = match mode {
            ProgressMode::Auto if std::io::stderr().is_terminal() => {
                Form::Moving(MultiProgress::new())
            }
            ProgressMode::Tty => Form::Moving(MultiProgress::new()),
            ProgressMode::Auto | ProgressMode::Plain => Form::Plain,
            ProgressMode::Json => Form::Json,
        };
        Display {
            form,
            state: Mutex::default(),
        }
    }

    /// Ends what moves.
    pub(super) fn finish(&self) {
        if let Form::Moving(bars) = &self.form {
            // A terminal that is gone needs no clearing.
            let _ = bars.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a line. Progress that cannot be shown is no reason to end.
    fn line(&self, text: &str) {
        let show = || drop(writeln!(std::io::stderr(), "{text}"));
        match &self.form {
            Form::Moving(bars) => bars.suspend(show),
            Form::Plain | Form::Json => show(),
        }
    }

    fn start(&self, step: &StepLabel<'_>) {
        let mut state = self.lock();
        let bar = match &self.form {
            Form::Moving(bars) => Some(spinner(bars, step)),
            Form::Plain | Form::Json => None,
        };
        let shown = Shown {
            id: state.steps.len() + 1,
            began: Instant::now(),
            bytes: 0,
            bar,
        };
        if let Form::Plain = self.form {
            self.line(&format!("#{} {}", shown.id, label(step)));
        }
        state.steps.insert(key(step), shown);
    }

    fn end(&self, step: &StepLabel<'_>, end: &End<'_>) {
        let mut state = self.lock();
        let Some(shown) = state.steps.get_mut(&key(step)) else {
            return;
        };
        let seconds = shown.began.elapsed().as_secs_f64();
        let text = end.text(shown, seconds);
        if let Some(bar) = shown.bar.take() {
            bar.finish_and_clear();
            self.line(&format!("=> {} {text}", label(step)));
        } else {
            self.line(&format!("#{} {text}", shown.id));
        }
    }

    fn copied(&self, step: &StepLabel<'_>, bytes: u64) {
        let mut state = self.lock();
        if let Some(shown) = state.steps.get_mut(&key(step)) {
            shown.bytes = bytes;
            if let Some(bar) = &shown.bar {
                let seconds = shown.began.elapsed().as_secs_f64();
                bar.set_message(format!("{} {}", label(step), amount(bytes, seconds)));
            }
        }
    }

    fn output(&self, step: &StepLabel<'_>, text: &str) {
        let state = self.lock();
        let Some(shown) = state.steps.get(&key(step)) else {
            return;
        };
        let seconds = shown.began.elapsed().as_secs_f64();
        self.line(&format!("#{} {seconds:.3} {text}", shown.id));
    }

    fn warning(&self, warning: &Warning) {
        let mut text = format!("warning: {}", warning.message);
        if let Some(hint) = &warning.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        self.line(&text);
    }
}

/// How a step ended.
enum End<'a> {
    Cached,
    Done(Option<&'a Layer>),
    Failed,
}

impl End<'_> {
    fn text(&self, shown: &Shown, seconds: f64) -> String {
        match self {
            End::Cached => "CACHED".to_owned(),
            End::Failed => "ERROR".to_owned(),
            End::Done(_) if shown.bytes > 0 => {
                format!("DONE {seconds:.1}s {}", amount(shown.bytes, seconds))
            }
            End::Done(Some(layer)) => format!("DONE {seconds:.1}s {}", size(layer.size_bytes)),
            End::Done(None) => format!("DONE {seconds:.1}s"),
        }
    }
}

/// Returns how much was copied, and how fast where that can be told.
fn amount(bytes: u64, seconds: f64) -> String {
    /// Below, a rate says more about the clock than about the disk.
    const SECONDS_MIN: f64 = 0.05;
    if seconds < SECONDS_MIN {
        return size(bytes);
    }
    let rate = (bytes as f64 / seconds) as u64;
    format!("{} {}/s", size(bytes), size(rate))
}

fn key(step: &StepLabel<'_>) -> (usize, usize) {
    (step.stage_index, step.number)
}

fn label(step: &StepLabel<'_>) -> String {
    let (number, count, text) = (step.number, step.steps_count, step.text);
    match step.stage {
        Some(stage) => format!("[{stage} {number}/{count}] {text}"),
        None => format!("[{number}/{count}] {text}"),
    }
}

fn spinner(bars: &MultiProgress, step: &StepLabel<'_>) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.expect("the template is valid"));
    let bar = bars.add(bar);
    bar.set_message(label(step));
    bar.enable_steady_tick(TICK);
    bar
}

impl Progress for Display {
    fn event(&self, event: &Event<'_>) {
        if let Form::Json = self.form {
            return self.line(&to_json(event).to_string());
        }
        match event {
            Event::Started { step } => self.start(step),
            Event::Cached { step, .. } => self.end(step, &End::Cached),
            Event::Done { step, layer } => self.end(step, &End::Done(*layer)),
            Event::Failed { step } => self.end(step, &End::Failed),
            Event::Copied { step, bytes } => self.copied(step, *bytes),
            Event::Compiling { step, size_bytes } => {
                let text = format!("compiling {}, which is done once", size(*size_bytes));
                self.output(step, &text);
            }
            Event::Output { step, text, .. } => self.output(step, text),
            Event::Warning(warning) => self.warning(warning),
        }
    }
}

fn to_json(event: &Event<'_>) -> Value {
    let of = |event: &str, step: &StepLabel<'_>, more: Value| {
        let mut object = json!({
            "event": event,
            "stage": step.stage,
            "stage_index": step.stage_index,
            "step": step.number,
            "steps": step.steps_count,
            "text": step.text,
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    };
    let layer = |layer: &Option<&Layer>| match layer {
        Some(layer) => json!({"layer": layer.digest.to_string(), "size_bytes": layer.size_bytes}),
        None => json!({}),
    };
    match event {
        Event::Started { step } => of("started", step, json!({})),
        Event::Cached { step, layer: made } => of("cached", step, layer(made)),
        Event::Done { step, layer: made } => of("done", step, layer(made)),
        Event::Failed { step } => of("failed", step, json!({})),
        Event::Copied { step, bytes } => of("copied", step, json!({"bytes": bytes})),
        Event::Compiling { step, size_bytes } => {
            of("compiling", step, json!({"size_bytes": size_bytes}))
        }
        Event::Output { step, stream, text } => {
            let stream = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            of("output", step, json!({"stream": stream, "output": text}))
        }
        Event::Warning(warning) => json!({
            "event": "warning",
            "rule": warning.rule,
            "message": warning.message,
            "hint": warning.hint,
        }),
    }
}
