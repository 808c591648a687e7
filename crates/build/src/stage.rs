//! A stage: its instructions evaluated one after the other on the base image.

mod copying;
mod review;
mod settings;

use minke_balenafile::table::{self, Support};
use minke_balenafile::{ArgDeclaration, Balenafile, Instruction, Span, Stage, Step, Word};
use minke_image::tree::Tree;
use minke_image::{
    CachedStep, Digest, Hasher, HistoryEntry, ImageConfig, Layer, Lease, NewImage, Platform,
    StoreError, program,
};

use crate::build::{BuildError, BuildOptions, BuiltImage, CachePolicy, now};
use crate::configure::{self, Commands};
use crate::context::Context;
use crate::layer;
use crate::placement::{PlaceError, Placement, Target};
use crate::progress::{Event, Progress, StepLabel, Warning};
use crate::select::Selection;
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

    /// Builds the image and commits it.
    pub(crate) fn run(mut self) -> Result<BuiltImage, BuildError> {
        let (file, stage) = (self.file, self.stage);
        if file.stages.len() > 1 {
            let hint = "build each image with its own file, and use its name in `FROM`";
            let message = "a second `FROM` is not supported yet";
            return Err(self.error(stage.span, message, Some(hint)));
        }
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
        self.review()?;
        self.image.created_s = self.created_s();
        // The time of day is only for the list of images: it is in no image.
        let now_s = i64::try_from(now().as_secs()).unwrap_or(i64::MAX);
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
            Instruction::Cmd(command) => self.cmd(command)?,
            Instruction::Entrypoint(command) => self.entrypoint(command)?,
            other => return Err(self.not_yet(step.span, other.name())),
        };
        self.remember(created_by, false);
        Ok(None)
    }

    /// Returns the refusal of an instruction that is not done yet.
    fn not_yet(&self, span: Span, name: &str) -> BuildError {
        let hint = match table::find(name).map(|row| row.support) {
            Some(Support::NotYet { instead }) => Some(instead),
            _ => None,
        };
        self.error(span, format!("`{name}` is not supported yet"), hint)
    }

    fn remember(&mut self, created_by: String, has_layer: bool) {
        let created_s = self.created_s();
        self.image.history.push(HistoryEntry {
            created_by,
            created_s,
            has_layer,
        });
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
        let key = layer::key(instruction, &self.chain(), target, selections);
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
        let newest_mtime_s = i64::try_from(layer::newest_mtime_s(selections)).unwrap_or(i64::MAX);
        let step = layer::write(self.lease, self.context, &placement, newest_mtime_s)?;
        self.lease.remember_step(key, &step)?;
        Ok(step)
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
