//! A stage: its instructions evaluated one after the other on the base image.

use std::path::Path;

use minke_balenafile::{ArgDeclaration, Balenafile, Copy, Instruction, Span, Stage, Step, Word};
use minke_image::tree::Tree;
use minke_image::{
    CachedStep, Digest, Hasher, HistoryEntry, ImageConfig, Layer, Lease, NewImage, Platform,
    StoreError, program,
};

use crate::build::{BuildError, BuildOptions, BuiltImage, CachePolicy};
use crate::configure::{self, Commands, PortError};
use crate::context::{Context, ContextError};
use crate::copy;
use crate::owner::{self, Owner, OwnerError};
use crate::placement::{PlaceError, Placement, Placer, Target, absolute};
use crate::progress::{Event, Progress, StepLabel, Warning};
use crate::select::{SelectError, Selection, Selector};
use crate::variables::Variables;

/// The image that is none.
const SCRATCH: &str = "scratch";

/// A build under way.
pub(crate) struct Builder<'a> {
    lease: &'a Lease<'a>,
    file: &'a Balenafile,
    stage: &'a Stage,
    context: &'a Context,
    options: &'a BuildOptions,
    progress: &'a mut dyn Progress,
    variables: Variables,
    image: NewImage,
    commands: Commands,
    /// What the layers so far make; read when an instruction first asks.
    tree: Option<Tree>,
    /// The newest time of what went in, with the base image's; none while nothing did.
    newest_mtime_s: Option<i64>,
    source_date_epoch_s: Option<u64>,
    layers_made_count: usize,
    layers_cached_count: usize,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        lease: &'a Lease<'a>,
        file: &'a Balenafile,
        context: &'a Context,
        options: &'a BuildOptions,
        progress: &'a mut dyn Progress,
    ) -> Result<Self, BuildError> {
        let stage = file
            .stages
            .last()
            .ok_or_else(|| BuildError::NoFile(options.context.clone()))?;
        let config = ImageConfig {
            working_dir: "/".to_owned(),
            ..ImageConfig::default()
        };
        // BuildKit: `--build-arg SOURCE_DATE_EPOCH=` counts as the environment's.
        let argument = options
            .arguments
            .iter()
            .rev()
            .find(|(name, _)| name == "SOURCE_DATE_EPOCH");
        Ok(Self {
            lease,
            file,
            stage,
            context,
            options,
            progress,
            variables: Variables::new(&options.arguments),
            image: NewImage {
                platform: Platform::default(),
                config,
                ..NewImage::default()
            },
            commands: Commands::default(),
            tree: None,
            newest_mtime_s: None,
            source_date_epoch_s: argument
                .and_then(|(_, value)| value.parse().ok())
                .or(options.source_date_epoch_s),
            layers_made_count: 0,
            layers_cached_count: 0,
        })
    }

    /// Builds the image and commits it. `now_s` is only for the list of images.
    pub(crate) fn run(mut self, now_s: i64) -> Result<BuiltImage, BuildError> {
        let (file, stage) = (self.file, self.stage);
        for argument in &file.global_arguments {
            let default =
                self.default_of(argument, |builder, name| builder.variables.global(name))?;
            self.variables.declare_global(&argument.name, default);
        }
        self.started(1, &stage.text);
        self.from(stage)?;
        self.finished(1, &stage.text, None);
        for (index, step) in stage.steps.iter().enumerate() {
            self.started(index + 2, &step.text);
            match self.step(step)? {
                Some(Made::Cached(layer)) => {
                    let step = self.label(index + 2, &step.text);
                    self.progress.event(&Event::Cached {
                        step,
                        layer: layer.as_ref(),
                    });
                }
                Some(Made::New(layer)) => self.finished(index + 2, &step.text, layer.as_ref()),
                None => self.finished(index + 2, &step.text, None),
            }
        }
        self.check()?;
        self.image.created_s = self.created_s();
        let image = self
            .lease
            .commit_image(&self.image, &self.options.tags, now_s)?;
        // The layers are at hand and about to be run: unpack them now rather than at the first start.
        self.lease.store().root_layers(&image)?;
        Ok(BuiltImage {
            image,
            layers_made_count: self.layers_made_count,
            layers_cached_count: self.layers_cached_count,
        })
    }

    fn label<'text>(&self, number: usize, text: &'text str) -> StepLabel<'text> {
        StepLabel {
            number,
            steps_count: self.stage.steps.len() + 1,
            text,
        }
    }

    fn started(&mut self, number: usize, text: &str) {
        let step = self.label(number, text);
        self.progress.event(&Event::Started { step });
    }

    fn finished(&mut self, number: usize, text: &str, layer: Option<&Layer>) {
        let step = self.label(number, text);
        self.progress.event(&Event::Done { step, layer });
    }

    fn warn(&mut self, span: Span, message: String, hint: &str) {
        let warning = Warning::from(&self.file.source.warning(span, message, Some(hint)));
        self.progress.event(&Event::Warning(&warning));
    }

    fn error(&self, span: Span, message: impl Into<String>, hint: Option<&str>) -> BuildError {
        self.file.source.error(span, message, hint).into()
    }

    /// Returns the image's time: see the crate's "Reproducibility".
    fn created_s(&self) -> Option<i64> {
        self.source_date_epoch_s
            .and_then(|epoch| i64::try_from(epoch).ok())
            .or(self.newest_mtime_s)
    }

    fn default_of(
        &mut self,
        argument: &ArgDeclaration,
        lookup: impl Fn(&Self, &str) -> Option<String>,
    ) -> Result<Option<String>, BuildError> {
        argument
            .default
            .as_ref()
            .map(|word| self.expand_with(word, lookup))
            .transpose()
    }

    fn expand_with(
        &mut self,
        word: &Word,
        lookup: impl Fn(&Self, &str) -> Option<String>,
    ) -> Result<String, BuildError> {
        word.expand(&mut |name| lookup(self, name))
            .map_err(|error| {
                self.error(
                    word.span,
                    error.to_string(),
                    Some("set it with `ENV`, `ARG` or `--build-arg`"),
                )
            })
    }

    /// Returns a word with the stage's variables replaced.
    fn expand(&mut self, word: &Word) -> Result<String, BuildError> {
        self.expand_with(word, |builder, name| {
            builder.variables.lookup(&builder.image.config.env, name)
        })
    }

    fn from(&mut self, stage: &Stage) -> Result<(), BuildError> {
        let global = |builder: &Self, name: &str| builder.variables.global(name);
        if let Some(platform) = &stage.from.platform {
            let text = self.expand_with(platform, global)?;
            if text.split('/').nth(1) != Some("wasm") {
                let message = format!("platform `{text}` cannot run here");
                return Err(self.error(
                    platform.span,
                    message,
                    Some("leave it out, or write `--platform=wasi/wasm`"),
                ));
            }
        }
        let word = &stage.from.image;
        let name = self.expand_with(word, global)?;
        if name.is_empty() {
            let hint = "give the variable a default: `ARG NAME=VALUE` before `FROM`";
            return Err(self.error(word.span, format!("`{}` is empty", word.text), Some(hint)));
        }
        if name == SCRATCH {
            configure::set_env(&mut self.image.config, "PATH", program::PATH_DEFAULT);
            return Ok(());
        }
        let located = |error: StoreError| match error.is_not_found()
            || matches!(error, StoreError::Reference(_))
        {
            true => self.error(word.span, error.to_string(), error.hint().as_deref()),
            false => error.into(),
        };
        let base = self.lease.store().image(&name).map_err(located)?;
        self.lease.hold_image(&base)?;
        self.newest_mtime_s = base.created_s;
        self.image = NewImage {
            platform: base.platform,
            created_s: None,
            layers: base.layers,
            config: base.config,
            history: base.history,
        };
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Option<Made>, BuildError> {
        let created_by = match &step.instruction {
            Instruction::From(_) => return Ok(None),
            Instruction::Copy(copy) => return self.copy(step, copy).map(Some),
            Instruction::Workdir(word) => return self.workdir(step.span, word).map(Some),
            Instruction::Arg(arguments) => self.arg(arguments)?,
            Instruction::Env(pairs) => self.env(pairs)?,
            Instruction::Label(pairs) => self.label_image(pairs)?,
            Instruction::User(word) => self.user(word)?,
            Instruction::Expose(words) => self.expose(words)?,
            Instruction::Cmd(command) => {
                self.commands.set_cmd(&mut self.image.config, command);
                configure::command_text("CMD", command)
            }
            Instruction::Entrypoint(command) => {
                self.commands
                    .set_entrypoint(&mut self.image.config, command);
                configure::command_text("ENTRYPOINT", command)
            }
        };
        self.remember(created_by, false);
        Ok(None)
    }

    fn remember(&mut self, created_by: String, has_layer: bool) {
        let created_s = self.created_s();
        self.image.history.push(HistoryEntry {
            created_by,
            created_s,
            has_layer,
        });
    }

    fn arg(&mut self, arguments: &[ArgDeclaration]) -> Result<String, BuildError> {
        for argument in arguments {
            let stage = |builder: &Self, name: &str| {
                builder.variables.lookup(&builder.image.config.env, name)
            };
            let default = self.default_of(argument, stage)?;
            self.variables.declare(&argument.name, default);
        }
        // The value stays out of the history: it may be a secret, and a layer's key has it where it matters.
        Ok(format!(
            "ARG {}",
            arguments
                .iter()
                .map(|argument| argument.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        ))
    }

    /// Every value of an instruction sees the variables before it. Spec: Dockerfile reference, "Environment replacement".
    fn pairs(
        &mut self,
        pairs: &[minke_balenafile::Pair],
    ) -> Result<Vec<(String, String)>, BuildError> {
        let mut expanded = Vec::new();
        for pair in pairs {
            let name = self.expand(&pair.name)?;
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(self.error(
                    pair.name.span,
                    "a name is empty or has a `=`",
                    Some("write `NAME=VALUE`"),
                ));
            }
            expanded.push((name, self.expand(&pair.value)?));
        }
        Ok(expanded)
    }

    fn env(&mut self, pairs: &[minke_balenafile::Pair]) -> Result<String, BuildError> {
        let pairs = self.pairs(pairs)?;
        for (name, value) in &pairs {
            configure::set_env(&mut self.image.config, name, value);
        }
        Ok(format!("ENV {}", pair_text(&pairs)))
    }

    fn label_image(&mut self, pairs: &[minke_balenafile::Pair]) -> Result<String, BuildError> {
        let pairs = self.pairs(pairs)?;
        self.image.config.labels.extend(pairs.iter().cloned());
        Ok(format!("LABEL {}", pair_text(&pairs)))
    }

    fn user(&mut self, word: &Word) -> Result<String, BuildError> {
        let user = self.expand(word)?;
        if user.trim().is_empty() {
            return Err(self.error(
                word.span,
                "the user is empty",
                Some("write a name or a number: `USER 1000:1000`"),
            ));
        }
        let created_by = format!("USER {user}");
        self.image.config.user = Some(user);
        Ok(created_by)
    }

    fn expose(&mut self, words: &[Word]) -> Result<String, BuildError> {
        let mut texts = Vec::new();
        for word in words {
            let text = self.expand(word)?;
            for port in text.split_whitespace() {
                configure::expose(&mut self.image.config, port).map_err(|error| {
                    let hint = match error {
                        PortError::Published(_) => {
                            "write the container's port only, and publish it with `minke run -p`"
                        }
                        _ => "write `PORT`, `PORT-PORT` or `PORT/udp`",
                    };
                    self.error(word.span, error.to_string(), Some(hint))
                })?;
            }
            texts.push(text);
        }
        Ok(format!("EXPOSE {}", texts.join(" ")))
    }

    fn workdir(&mut self, span: Span, word: &Word) -> Result<Made, BuildError> {
        let text = self.expand(word)?;
        if text.is_empty() {
            return Err(self.error(
                span,
                "the working directory is empty",
                Some("write a path: `WORKDIR /app`"),
            ));
        }
        let destination = absolute(&self.image.config.working_dir, &text);
        let Some(directory) = destination.to_str().map(str::to_owned) else {
            return Err(self.error(span, "the working directory is not a text", None));
        };
        let target = Target {
            destination,
            is_directory: true,
            owner: Owner::default(),
            mode: None,
            mtime_s: self.source_date_epoch_s,
        };
        let newest_mtime_s = self
            .newest_mtime_s
            .and_then(|newest| u64::try_from(newest).ok())
            .unwrap_or(0);
        let made = self.layer("WORKDIR", span, &target, &[], |tree| {
            Placer::new(tree, &target, newest_mtime_s).directory()
        })?;
        let has_layer = made.layer().is_some();
        self.remember(format!("WORKDIR {directory}"), has_layer);
        self.image.config.working_dir = directory;
        Ok(made)
    }

    fn copy(&mut self, step: &Step, copy: &Copy) -> Result<Made, BuildError> {
        let selections = self.select(copy)?;
        let target = self.target(copy)?;
        let newest_mtime_s = copy::newest_mtime_s(&selections);
        let made = self.layer("COPY", step.span, &target, &selections, |tree| {
            Placer::new(tree, &target, newest_mtime_s).place(&selections)
        })?;
        let has_layer = made.layer().is_some();
        self.remember(step.text.clone(), has_layer);
        Ok(made)
    }

    fn select(&mut self, copy: &Copy) -> Result<Vec<Selection>, BuildError> {
        let mut selector = Selector::new(self.context);
        let mut selections = Vec::new();
        for word in &copy.sources {
            let source = self.expand(word)?;
            let selected = selector
                .select(&source)
                .map_err(|error| self.select_error(word.span, &source, error))?;
            if selected.is_empty() {
                self.warn(
                    word.span,
                    format!("nothing in the context matches `{source}`"),
                    "check the pattern and `.dockerignore`",
                );
            }
            selections.extend(selected);
            for skipped in std::mem::take(&mut selector.skipped) {
                let message = format!(
                    "`{}` is a socket, a pipe or a device, and is left out",
                    skipped.display()
                );
                self.warn(word.span, message, "name it in `.dockerignore`");
            }
        }
        Ok(selections)
    }

    fn select_error(&self, span: Span, source: &str, error: SelectError) -> BuildError {
        let (message, hint) = match error {
            SelectError::NotFound { nearest } => (
                format!("`{source}` is not in the context"),
                nearest.map_or_else(
                    || format!("paths are relative to `{}`", self.options.context.display()),
                    |nearest| format!("did you mean `{nearest}`?"),
                ),
            ),
            SelectError::Outside => (
                format!("`{source}` leads out of the context"),
                "copy the file into the context first, or build with a directory above it as the context".to_owned(),
            ),
            SelectError::Ignored => (
                format!("`{source}` is left out of the context by `.dockerignore`"),
                format!("add the line `!{source}` to it"),
            ),
            SelectError::Special => {
                (format!("`{source}` is a socket, a pipe or a device"), "name a file or a directory".to_owned())
            }
            SelectError::Pattern(problem) => {
                (format!("`{source}` is not a pattern: {problem}"), "write a backslash before a special character".to_owned())
            }
            SelectError::Context { path, error } => {
                let hint = match error {
                    ContextError::Changed => "check its symbolic links, and build again when nothing writes to it",
                    _ => "check the file, or name it in `.dockerignore`",
                };
                (format!("cannot read `{}` of the context: {error}", path.display()), hint.to_owned())
            }
        };
        self.error(span, message, Some(&hint))
    }

    fn target(&mut self, copy: &Copy) -> Result<Target, BuildError> {
        let text = self.expand(&copy.destination)?;
        if text.is_empty() {
            return Err(self.error(
                copy.destination.span,
                "the destination is empty",
                Some("write `.` for the working directory"),
            ));
        }
        let is_directory = text.ends_with('/') || text == "." || text.ends_with("/.");
        if copy.sources.len() > 1 && !is_directory {
            let message =
                format!("several sources need a directory, and `{text}` does not end in `/`");
            return Err(self.error(
                copy.destination.span,
                message,
                Some(&format!("write `{text}/`")),
            ));
        }
        Ok(Target {
            destination: absolute(&self.image.config.working_dir, &text),
            is_directory,
            owner: copy
                .chown
                .as_ref()
                .map_or(Ok(Owner::default()), |word| self.owner(word))?,
            mode: copy
                .chmod
                .as_ref()
                .map(|word| self.mode(word))
                .transpose()?,
            mtime_s: self.source_date_epoch_s,
        })
    }

    fn owner(&mut self, word: &Word) -> Result<Owner, BuildError> {
        let text = self.expand(word)?;
        let found = match owner::has_names(&text) {
            true => owner::find(&text, self.tree()?),
            false => owner::find(&text, &Tree::default()),
        };
        found.map_err(|error| match error {
            OwnerError::Store(error) => error.into(),
            error => self.error(
                word.span,
                error.to_string(),
                Some("write numbers: `--chown=1000:1000`"),
            ),
        })
    }

    fn mode(&mut self, word: &Word) -> Result<u32, BuildError> {
        let text = self.expand(word)?;
        let is_octal = (1..=5).contains(&text.len())
            && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| is_octal && *mode <= 0o7777);
        mode.ok_or_else(|| {
            let message = format!("`{text}` is not an octal number of permissions");
            self.error(
                word.span,
                message,
                Some("write three or four digits: `--chmod=755`"),
            )
        })
    }

    /// Returns what the layers so far make.
    fn tree(&mut self) -> Result<&mut Tree, BuildError> {
        if self.tree.is_none() {
            let layers = self.lease.store().layer_files(&self.image.layers)?;
            self.tree = Some(Tree::read(&layers)?);
        }
        Ok(self.tree.get_or_insert_default())
    }

    /// Returns the name of the layers so far. Spec: OCI image-spec 1.1 config.md, "Layer ChainID".
    fn chain(&self) -> Digest {
        let mut hasher = Hasher::new();
        self.image
            .layers
            .iter()
            .for_each(|layer| hasher.field(layer.diff_id.to_string().as_bytes()));
        hasher.finish()
    }

    /// Adds the layer of an instruction: the one that was made before from the same, else a new one.
    fn layer(
        &mut self,
        instruction: &str,
        span: Span,
        target: &Target,
        selections: &[Selection],
        place: impl FnOnce(&Tree) -> Result<Placement, PlaceError>,
    ) -> Result<Made, BuildError> {
        let key = copy::key(instruction, &self.chain(), target, selections);
        let cached = match self.options.cache {
            CachePolicy::Use => self.lease.cached_step(&key)?,
            CachePolicy::Renew => None,
        };
        let (step, is_cached) = match cached {
            Some(step) => (step, true),
            None => (self.make_layer(&key, span, selections, place)?, false),
        };
        if !selections.is_empty() {
            // Times are not part of the key: a cached layer is as old as when it was made.
            self.newest_mtime_s = self.newest_mtime_s.max(Some(step.newest_mtime_s));
        }
        if let Some(layer) = &step.layer {
            *if is_cached {
                &mut self.layers_cached_count
            } else {
                &mut self.layers_made_count
            } += 1;
            self.image.layers.push(layer.clone());
            if let Some(tree) = &mut self.tree {
                let files = self
                    .lease
                    .store()
                    .layer_files(std::slice::from_ref(layer))?;
                files.iter().try_for_each(|file| tree.push(file))?;
            }
        }
        Ok(if is_cached {
            Made::Cached(step.layer)
        } else {
            Made::New(step.layer)
        })
    }

    fn make_layer(
        &mut self,
        key: &Digest,
        span: Span,
        selections: &[Selection],
        place: impl FnOnce(&Tree) -> Result<Placement, PlaceError>,
    ) -> Result<CachedStep, BuildError> {
        let placement = place(self.tree()?).map_err(|error| {
            self.error(span, error.to_string(), Some("choose another destination"))
        })?;
        let newest_mtime_s = i64::try_from(copy::newest_mtime_s(selections)).unwrap_or(i64::MAX);
        let step = copy::write(self.lease, self.context, &placement, newest_mtime_s)?;
        self.lease.remember_step(key, &step)?;
        Ok(step)
    }

    /// Warns of what will not work as it was meant to.
    fn check(&mut self) -> Result<(), BuildError> {
        let last_span = self
            .stage
            .steps
            .last()
            .map_or(self.stage.span, |step| step.span);
        if self.commands.drop_lost_cmd(&mut self.image.config) {
            let message =
                "`CMD` has no effect: the shell form of `ENTRYPOINT` takes no arguments".to_owned();
            self.warn(
                last_span,
                message,
                "write `ENTRYPOINT` in the exec form: `[\"program\"]`",
            );
        }
        let unused: Vec<(String, Option<String>)> = self
            .variables
            .unused()
            .map(|name| {
                (
                    name.to_owned(),
                    self.variables.nearest(name).map(str::to_owned),
                )
            })
            .collect();
        for (name, nearest) in unused {
            let hint = nearest.map_or_else(
                || format!("declare it: `ARG {name}`"),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            let warning = Warning {
                message: format!("build argument `{name}` is not declared by any `ARG`"),
                hint: Some(hint),
            };
            self.progress.event(&Event::Warning(&warning));
        }
        self.check_program()
    }

    /// Warns of a command that no file of the image answers.
    fn check_program(&mut self) -> Result<(), BuildError> {
        let config = &self.image.config;
        let Some(name) = config.entrypoint.first().or(config.cmd.first()).cloned() else {
            return Ok(());
        };
        let path = config
            .env
            .iter()
            .find_map(|pair| pair.strip_prefix("PATH="))
            .map(str::to_owned);
        let directory = config.working_dir.clone();
        let tree = self.tree()?;
        if program::find(&name, path.as_deref(), &directory, |path| {
            tree.file(Path::new(path)).is_some()
        })
        .is_some()
        {
            return Ok(());
        }
        let is_command = |step: &&Step| {
            matches!(
                step.instruction,
                Instruction::Cmd(_) | Instruction::Entrypoint(_)
            )
        };
        let span = self
            .stage
            .steps
            .iter()
            .rev()
            .find(is_command)
            .map_or(self.stage.span, |step| step.span);
        let message = format!("program `{name}` is not in the image");
        let hint = match name.contains('/') {
            true => format!("`COPY` it to `{}`", absolute(&directory, &name).display()),
            false => format!(
                "`COPY` it to a directory of `PATH`, as `{name}` or `{name}{}`",
                program::SUFFIX
            ),
        };
        self.warn(span, message, &hint);
        Ok(())
    }
}

/// The layer of a step, if it changed files.
enum Made {
    Cached(Option<Layer>),
    New(Option<Layer>),
}

impl Made {
    fn layer(&self) -> Option<&Layer> {
        match self {
            Self::Cached(layer) | Self::New(layer) => layer.as_ref(),
        }
    }
}

fn pair_text(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
