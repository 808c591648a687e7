//! Builds of real contexts, their images read back with `tar`, `zstd` and `sha256sum`.

mod cache;
mod complaints;
mod copy;
mod image;
mod races;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::sync::Mutex;

use minke_build::{BuildError, BuildOptions, ContextSource, Event, build};
use minke_engine::{Engine, Home};
use minke_image::{Image, Store};
use tempfile::TempDir;

/// A home and a context in a directory of their own.
struct Bench {
    directory: TempDir,
    engine: Engine,
}

/// What a build made and what it told.
#[derive(Debug)]
struct Outcome {
    built: Built,
    events: Vec<String>,
}

/// What a build made, into the store.
#[derive(Debug)]
struct Built {
    image: Image,
    layers_made_count: usize,
    layers_cached_count: usize,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        fs::create_dir(directory.path().join("context")).expect("a directory can be made");
        let home = Home::at(&directory.path().join("home"));
        let engine = Engine::open(home).expect("a home can be made");
        Self { directory, engine }
    }

    fn store(&self) -> &Store {
        self.engine.store().expect("a store can be made")
    }

    fn context(&self) -> PathBuf {
        self.directory.path().join("context")
    }

    /// Writes a file of the context with mode 644 and a fixed time.
    fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().expect("the path has a parent"))
            .expect("directories can be made");
        fs::write(&path, content).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode can be set");
        set_time(&path, 1_700_000_000);
        self
    }

    fn options(&self, tag: &str) -> BuildOptions {
        BuildOptions {
            tags: vec![tag.parse().expect("the tag is valid")],
            ..BuildOptions::new(ContextSource::Directory(self.context()))
        }
    }

    fn try_build(&self, options: &BuildOptions) -> Result<Outcome, BuildError> {
        let events = Mutex::new(Vec::new());
        let built = build(&self.engine, options, &|event: &Event<'_>| {
            events
                .lock()
                .expect("nobody panics")
                .extend(describe(event));
        })?;
        let built = Built {
            image: built.image.expect("the image is in the store"),
            layers_made_count: built.layers_made_count,
            layers_cached_count: built.layers_cached_count,
        };
        let events = events.into_inner().expect("nobody panics");
        Ok(Outcome { built, events })
    }

    /// Builds a file's text, which must work.
    #[track_caller]
    fn build(&self, file: &str) -> Outcome {
        self.write("Balenafile", file);
        match self.try_build(&self.options("test")) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}\nhint: {:?}", error.hint()),
        }
    }

    /// Builds a file's text, which must fail, and returns message and hint.
    #[track_caller]
    fn complaint(&self, file: &str) -> String {
        self.write("Balenafile", file);
        complaint_of(
            &self
                .try_build(&self.options("test"))
                .expect_err("the build must fail"),
        )
    }

    /// Lists the layers of an image as `tar` sees them: type and mode, owner, size, name.
    fn listing(&self, image: &Image) -> String {
        let listings = image.layers.iter().map(|layer| {
            let tar = output(
                Command::new("zstd")
                    .arg("-dc")
                    .arg(self.store().blob_path(&layer.digest)),
            );
            let text = pipe(
                Command::new("tar").args(["--numeric-owner", "--full-time", "--utc", "-tvf", "-"]),
                &tar,
            );
            let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(columns).collect::<Vec<_>>().join("\n")
        });
        listings.collect::<Vec<_>>().join("\n--\n")
    }

    /// Unpacks all layers of an image into a new directory.
    fn unpack(&self, image: &Image) -> TempDir {
        let root = tempfile::tempdir().expect("a directory can be made");
        for layer in self
            .store()
            .root_layers(image)
            .expect("the layers are there")
        {
            output(
                Command::new("tar")
                    .arg("-xpf")
                    .arg(&layer.path)
                    .arg("-C")
                    .arg(root.path()),
            );
        }
        root
    }
}

fn complaint_of(error: &BuildError) -> String {
    let hint = error.hint().unwrap_or_else(|| "none".to_owned());
    format!("{error}\n hint: {hint}")
}

/// Returns an event as a line; what depends on how fast a disk is, is none.
fn describe(event: &Event<'_>) -> Option<String> {
    let layer =
        |layer: &Option<&minke_image::Layer>| if layer.is_some() { " with a layer" } else { "" };
    let name = |step: &minke_build::StepLabel<'_>| match step.stage {
        Some(stage) => format!("{stage} {}", step.number),
        None => step.number.to_string(),
    };
    Some(match event {
        Event::Started { step } => format!("{}/{} {}", name(step), step.steps_count, step.text),
        Event::Cached { step, layer: made } => format!("{} cached{}", name(step), layer(made)),
        Event::Done { step, layer: made } => format!("{} done{}", name(step), layer(made)),
        Event::Failed { step } => format!("{} failed", name(step)),
        Event::Copied { .. } | Event::Compiling { .. } => return None,
        Event::Output { step, text, .. } => format!("{} says {text}", name(step)),
        Event::Warning(warning) => {
            format!(
                "warning: {}\n hint: {}",
                warning.message,
                warning.hint.as_deref().unwrap_or("none")
            )
        }
    })
}

fn set_time(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let file = fs::File::open(path).expect("the file can be opened");
    file.set_modified(time).expect("a time can be set");
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .expect("the program is installed");
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

fn pipe(command: &mut Command, input: &[u8]) -> String {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is installed");
    let mut stdin = child.stdin.take().expect("it was asked for");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the program ends");
    writer
        .join()
        .expect("the writer ends")
        .expect("the program reads everything");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("the program writes text")
}
