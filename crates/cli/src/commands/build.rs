//! `minke build`: a Balenafile and its context to an image.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use minke_build::{BuildOptions, BuiltImage, CachePolicy, Event, Progress, StepLabel};
use minke_engine::Engine;
use minke_engine::image::Reference;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

/// Build an image from a Balenafile
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke build -t app:1 .\n  minke build -t app:1 --build-arg VERSION=2 -f other.Balenafile ."
)]
pub(crate) struct Build {
    /// Name for the image, `NAME[:TAG]`; may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,

    /// File to build from [default: `Balenafile`, then `Dockerfile`, in the context]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Value of an `ARG`, `NAME=VALUE`; a `NAME` alone takes its value from the environment
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,

    /// Make every layer anew
    #[arg(long)]
    no_cache: bool,

    /// Print nothing but the image's id
    #[arg(short, long)]
    quiet: bool,

    /// Directory whose files `COPY` can reach
    #[arg(value_name = "DIRECTORY")]
    context: PathBuf,
}

impl Build {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let options = BuildOptions {
            context: self.context.clone(),
            file: self.file.clone(),
            tags: self
                .tags
                .iter()
                .map(|tag| reference(tag))
                .collect::<Result<_, _>>()?,
            arguments: self.arguments.iter().filter_map(|a| argument(a)).collect(),
            source_date_epoch_s: epoch()?,
            cache: match self.no_cache {
                true => CachePolicy::Renew,
                false => CachePolicy::Use,
            },
        };
        let engine = engine()?;
        let built = build(&engine, &options, self.quiet)?;
        print_line(&built.image.id.to_string())?;
        Ok(0)
    }
}

/// Builds a directory for `minke run DIRECTORY`: an image without a name.
pub(super) fn build_directory(engine: &Engine, directory: &Path) -> Result<BuiltImage, Report> {
    let options = BuildOptions {
        context: directory.to_path_buf(),
        file: None,
        tags: Vec::new(),
        arguments: Vec::new(),
        source_date_epoch_s: epoch()?,
        cache: CachePolicy::Use,
    };
    build(engine, &options, false)
}

fn build(engine: &Engine, options: &BuildOptions, is_quiet: bool) -> Result<BuiltImage, Report> {
    let mut display = Display::new(is_quiet);
    let built = minke_build::build(engine.store()?, options, &mut display);
    display.bar.finish_and_clear();
    Ok(built?)
}

fn reference(text: &str) -> Result<Reference, Report> {
    text.parse().map_err(|error| Report {
        kind: Kind::Usage,
        ..Report::new(format!("{error}"), "write `NAME[:TAG]`, such as `hello:1`")
    })
}

/// Docker: `--build-arg NAME` without a value takes the environment's, and is nothing when that has none.
fn argument(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text)
            .ok()
            .map(|value| (text.to_owned(), value)),
    }
}

/// Spec: reproducible-builds.org, `SOURCE_DATE_EPOCH`.
fn epoch() -> Result<Option<u64>, Report> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| {
        Report::new(
            format!("`SOURCE_DATE_EPOCH` is `{}`", text.display()),
            "set it to seconds since 1970, or unset it",
        )
    })
}

/// Shows steps on standard error: a line that moves on a terminal, lines that stay elsewhere.
struct Display {
    is_quiet: bool,
    is_terminal: bool,
    bar: ProgressBar,
}

impl Display {
    fn new(is_quiet: bool) -> Display {
        let is_terminal = std::io::stderr().is_terminal() && !is_quiet;
        let bar = match is_terminal {
            true => ProgressBar::new_spinner().with_style(
                ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"),
            ),
            false => ProgressBar::hidden(),
        };
        Display {
            is_quiet,
            is_terminal,
            bar,
        }
    }

    fn line(&self, text: &str) {
        if self.is_quiet {
            return;
        }
        // Progress that cannot be shown is no reason to end.
        let show = || writeln!(std::io::stderr(), "{text}");
        let _ = self.bar.suspend(show);
    }
}

impl Progress for Display {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { step } if self.is_terminal => {
                self.bar.set_message(label(step));
                self.bar.tick();
            }
            Event::Started { .. } => {}
            Event::Cached { step, .. } => self.line(&format!("{} (cached)", label(step))),
            Event::Done { step, .. } => self.line(&label(step)),
            Event::Warning(warning) => {
                self.line(&format!("warning: {}", warning.message));
                if let Some(hint) = &warning.hint {
                    self.line(&format!("hint: {hint}"));
                }
            }
        }
    }
}

fn label(step: &StepLabel<'_>) -> String {
    format!("[{}/{}] {}", step.number, step.steps_count, step.text)
}
