//! `minke build`: a Balenafile and its context to an image.

use std::path::{Path, PathBuf};

use clap::Args;
use minke_build::{
    BuildOptions, BuiltImage, CachePolicy, ContextSource, HeldImage, Input, Progress, PullPolicy,
    Silent,
};
use minke_engine::Engine;
use minke_engine::image::Reference;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

mod display;
mod syntax;

use display::{Display, ProgressMode};

/// Build an image from a Balenafile
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke build -t app:1 .\n  minke build -t app:1 --build-arg VERSION=2 -f other.Balenafile ."
)]
pub(crate) struct Build {
    /// Name for the image, `NAME[:TAG]`; may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,

    /// File to build from, `-` for standard input [default: `Balenafile`, then `Dockerfile`, in the context]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Value of an `ARG`, `NAME=VALUE`; a `NAME` alone takes its value from the environment
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,

    /// Stage to build, by name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,

    /// Label for the image, `NAME=VALUE`; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Secret for `RUN --mount=type=secret`: `id=NAME[,src=FILE|,env=VARIABLE]`
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,

    /// Where the result goes: `type=oci|docker|tar|local,dest=PATH`, a directory, or `-` for a tar on standard output
    #[arg(short, long = "output", value_name = "OUTPUT")]
    outputs: Vec<String>,

    /// Make every layer anew
    #[arg(long)]
    no_cache: bool,

    /// Make every layer of a stage anew, by name or number; may be given several times, or several with commas
    #[arg(long = "no-cache-filter", value_name = "STAGE", value_delimiter = ',')]
    renewed_stages: Vec<String>,

    /// Ask for newer base images
    #[arg(long)]
    pull: bool,

    /// How progress is shown
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressMode::Auto)]
    progress: ProgressMode,

    /// Check the file without building it
    #[arg(long)]
    check: bool,

    /// Print nothing but the image's id
    #[arg(short, long)]
    quiet: bool,

    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,

    /// Platform of the image, `wasi/wasm`: there is no other
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,

    /// Directory whose files `COPY` can reach, or `-` for a tar on standard input
    #[arg(value_name = "DIRECTORY")]
    context: PathBuf,
}

impl Build {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let options = self.options()?;
        check_platform(self.platform.as_deref())?;
        let engine = engine()?;
        if self.check {
            return check(&engine, &options);
        }
        self.forget_id();
        let built = match self.quiet {
            true => build(&engine, &options, &Silent)?,
            false => {
                let display = Display::new(self.progress);
                let built = build(&engine, &options, &display);
                display.finish();
                built?
            }
        };
        if let Some(image) = built.image {
            let id = image.id.to_string();
            self.write_id(&id)?;
            print_line(&id)?;
        }
        Ok(0)
    }

    /// Removes an earlier build's id, so that a build that fails is not taken for it. Docker: `docker build --iidfile`.
    fn forget_id(&self) {
        if let Some(path) = &self.iidfile {
            // What cannot be removed cannot be written either, which is told then.
            let _ = std::fs::remove_file(path);
        }
    }

    fn write_id(&self, id: &str) -> Result<(), Report> {
        let Some(path) = &self.iidfile else {
            return Ok(());
        };
        std::fs::write(path, id).map_err(|error| {
            Report::new(
                format!(
                    "cannot write the image's id to `{}`: {error}",
                    path.display()
                ),
                "give the path of a file in a directory that is there",
            )
        })
    }

    fn options(&self) -> Result<BuildOptions, Report> {
        let is_standard = |path: &Path| path == Path::new("-");
        let context = match is_standard(&self.context) {
            true => ContextSource::Archive(Input::Standard),
            false => ContextSource::Directory(self.context.clone()),
        };
        let all = |texts: &[String]| texts.iter().filter_map(|text| argument(text)).collect();
        Ok(BuildOptions {
            file: self.file.clone().map(|file| match is_standard(&file) {
                true => Input::Standard,
                false => Input::Path(file),
            }),
            tags: each(&self.tags, reference)?,
            target: self.target.clone(),
            arguments: all(&self.arguments),
            labels: self.labels.iter().map(|label| pair(label)).collect(),
            secrets: each(&self.secrets, syntax::secret)?,
            outputs: each(&self.outputs, syntax::output)?,
            source_date_epoch_s: epoch()?,
            cache: match self.no_cache {
                true => CachePolicy::Renew,
                false => CachePolicy::Use,
            },
            renewed_stages: self.renewed_stages.clone(),
            pull: match self.pull {
                true => PullPolicy::Always,
                false => PullPolicy::Missing,
            },
            ..BuildOptions::new(context)
        })
    }
}

/// Builds a directory for `minke run DIRECTORY`: an image without a name, which a prune at the same time leaves.
pub(super) fn build_directory<'engine>(
    engine: &'engine Engine,
    directory: &Path,
) -> Result<HeldImage<'engine>, Report> {
    let options = BuildOptions {
        source_date_epoch_s: epoch()?,
        ..BuildOptions::new(ContextSource::Directory(directory.to_path_buf()))
    };
    let display = Display::new(ProgressMode::Auto);
    let held = minke_build::build_and_hold(engine, &options, &display);
    display.finish();
    Ok(held?)
}

fn build(
    engine: &Engine,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuiltImage, Report> {
    Ok(minke_build::build(engine, options, progress)?)
}

/// Checks what is typed as `--platform`, as `FROM --platform` is checked.
pub(super) fn check_platform(typed: Option<&str>) -> Result<(), Report> {
    match typed {
        Some(typed) if !matches!(typed.split('/').nth(1), Some("wasm" | "wasm32")) => {
            Err(Report::usage(
                format!("platform `{typed}` cannot run here"),
                "leave it out, or write `--platform=wasi/wasm`",
            ))
        }
        _ => Ok(()),
    }
}

/// Docker: `docker build --check` ends with 1 where it finds something.
fn check(engine: &Engine, options: &BuildOptions) -> Result<u8, Report> {
    let warnings = minke_build::check(engine, options)?;
    for warning in &warnings {
        if let Some(rule) = warning.rule {
            print_line(&format!("WARNING: {rule}"))?;
        }
        print_line(&warning.message)?;
        if let Some(hint) = &warning.hint {
            print_line(&format!("hint: {hint}"))?;
        }
    }
    match warnings.len() {
        0 => print_line("Check complete, no warnings found.")?,
        1 => print_line("Check complete, 1 warning has been found!")?,
        count => print_line(&format!(
            "Check complete, {count} warnings have been found!"
        ))?,
    }
    Ok(u8::from(!warnings.is_empty()))
}

fn each<T>(texts: &[String], parse: impl Fn(&str) -> Result<T, Report>) -> Result<Vec<T>, Report> {
    texts.iter().map(|text| parse(text)).collect()
}

fn reference(text: &str) -> Result<Reference, Report> {
    text.parse().map_err(|error| Report {
        kind: Kind::Usage,
        ..Report::new(format!("{error}"), "write `NAME[:TAG]`, such as `hello:1`")
    })
}

/// Docker: `--label NAME` is an empty label.
fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
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
