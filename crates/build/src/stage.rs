//! A stage: its instructions evaluated one after the other on its base.

mod adding;
mod caches;
mod copying;
mod mounts;
mod review;
mod running;
mod settings;

use std::io;
use std::sync::{Arc, OnceLock};

use minke_balenafile::{ArgDeclaration, Diagnostic, Instruction, Source, Span, Stage, Step, Word};
use minke_image::tree::Tree;
use minke_image::{
    CachedStep, Digest, Hasher, HistoryEntry, ImageConfig, Layer, NewImage, Platform, program,
};

use crate::build::{Build, BuildError};
use crate::configure::{self, Commands};
use crate::layer::{self, Depth};
use crate::options::CachePolicy;
use crate::origin::TreeOrigin;
use crate::placement::{PlaceError, Placement, Target};
use crate::plan::{Base, PlannedStage};
use crate::progress::{Event, StepLabel, Warning};
use crate::select::Selection;
use crate::variables::Variables;

/// Who made a line of the history. BuildKit: `buildkit.dockerfile.v0`.
const COMMENT: &str = "minke.balenafile";

/// A stage that is done.
#[derive(Debug)]
pub(crate) struct StageResult {
    pub(crate) image: NewImage,
    pub(crate) variables: Variables,
    pub(crate) newest_mtime_s: Option<i64>,
    pub(crate) layers_made_count: usize,
    pub(crate) layers_cached_count: usize,
    /// What its layers make, once somebody copies from it.
    origin: OnceLock<Arc<TreeOrigin>>,
}

impl StageResult {
    /// Returns the files of the stage.
    pub(crate) fn origin(&self, build: &Build<'_>) -> Result<Arc<TreeOrigin>, BuildError> {
        if let Some(origin) = self.origin.get() {
            return Ok(Arc::clone(origin));
        }
        let made = Arc::new(build.origin_of(&self.image.layers)?);
        Ok(Arc::clone(self.origin.get_or_init(|| made)))
    }
}

/// A stage under way.
pub(crate) struct Evaluator<'a> {
    build: &'a Build<'a>,
    index: usize,
    planned: &'a PlannedStage,
    stage: &'a Stage,
    /// What the spans of the instruction at hand point into: the file, or a trigger of the base image.
    source: &'a Source,
    variables: Variables,
    image: NewImage,
    commands: Commands,
    /// What the layers so far make; read when an instruction first asks.
    tree: Option<Tree>,
    /// The newest time of what went in, with the base image's; none while nothing did.
    newest_mtime_s: Option<i64>,
    /// The step at hand, from 1.
    number: usize,
    steps_count: usize,
    layers_made_count: usize,
    layers_cached_count: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(build: &'a Build<'a>, index: usize) -> Self {
        let planned = &build.plan.stages[&index];
        let stage = &build.file.stages[index];
        let config = ImageConfig {
            working_dir: "/".to_owned(),
            ..ImageConfig::default()
        };
        Self {
            build,
            index,
            planned,
            stage,
            source: &build.file.source,
            variables: build.variables.clone(),
            image: NewImage {
                platform: Platform::default(),
                config,
                ..NewImage::default()
            },
            commands: Commands::default(),
            tree: None,
            newest_mtime_s: None,
            number: 1,
            steps_count: 1 + planned.triggers.len() + stage.steps.len(),
            layers_made_count: 0,
            layers_cached_count: 0,
        }
    }

    /// Evaluates every instruction.
    pub(crate) fn run(mut self) -> Result<StageResult, BuildError> {
        let (planned, stage) = (self.planned, self.stage);
        self.told(&stage.text, |evaluator| evaluator.from().map(|()| None))?;
        for (source, step) in &planned.triggers {
            self.source = source;
            self.told(&step.text, |evaluator| evaluator.step(step))?;
        }
        self.source = &self.build.file.source;
        for step in &stage.steps {
            self.told(&step.text, |evaluator| evaluator.step(step))?;
        }
        self.review()?;
        self.image.created_s = self.created_s();
        Ok(StageResult {
            image: self.image,
            variables: self.variables,
            newest_mtime_s: self.newest_mtime_s,
            layers_made_count: self.layers_made_count,
            layers_cached_count: self.layers_cached_count,
            origin: OnceLock::new(),
        })
    }

    /// Does one step and tells of it.
    fn told(
        &mut self,
        text: &'a str,
        act: impl FnOnce(&mut Self) -> Result<Option<Made>, BuildError>,
    ) -> Result<(), BuildError> {
        self.build.check_going_on()?;
        let step = self.label(text);
        self.tell(&Event::Started { step });
        match act(self) {
            Ok(Some(Made::Cached(layer))) => self.tell(&Event::Cached {
                step,
                layer: layer.as_ref(),
            }),
            Ok(Some(Made::New(layer))) => self.tell(&Event::Done {
                step,
                layer: layer.as_ref(),
            }),
            Ok(None) => self.tell(&Event::Done { step, layer: None }),
            Err(error) => {
                self.tell(&Event::Failed { step });
                return Err(error);
            }
        }
        self.number += 1;
        Ok(())
    }

    fn label(&self, text: &'a str) -> StepLabel<'a> {
        StepLabel {
            stage_index: self.index,
            stage: self.build.stage_name(self.index),
            number: self.number,
            steps_count: self.steps_count,
            text,
        }
    }

    fn tell(&self, event: &Event<'_>) {
        self.build.progress.event(event);
    }

    fn warn(&self, span: Span, message: String, hint: &str) {
        let warning = Warning::from(&self.source.warning(span, message, Some(hint)));
        self.tell(&Event::Warning(&warning));
    }

    fn error(&self, span: Span, message: impl Into<String>, hint: Option<&str>) -> BuildError {
        self.source.error(span, message, hint).into()
    }

    /// Returns the image's time: see the crate's "Reproducibility".
    fn created_s(&self) -> Option<i64> {
        self.build
            .source_date_epoch_s
            .and_then(|epoch| i64::try_from(epoch).ok())
            .or(self.newest_mtime_s)
    }

    /// Returns the time of what the builder makes itself.
    fn own_mtime_s(&self) -> u64 {
        let newest = self
            .newest_mtime_s
            .and_then(|newest| u64::try_from(newest).ok());
        self.build
            .source_date_epoch_s
            .or(newest)
            .unwrap_or_default()
    }

    /// Returns a word with the stage's variables replaced.
    fn expand(&self, word: &Word) -> Result<String, BuildError> {
        let mut lookup = |name: &str| self.variables.lookup(&self.image.config.env, name);
        Ok(expand(word, self.source, &mut lookup)?)
    }

    fn from(&mut self) -> Result<(), BuildError> {
        self.check_platform()?;
        match &self.planned.base {
            Base::Scratch => {
                configure::set_env(&mut self.image.config, "PATH", program::PATH_DEFAULT);
            }
            Base::Stage(index) => {
                let base = self.build.result(*index);
                self.newest_mtime_s = base.newest_mtime_s;
                self.image = base.image.clone();
                // Spec: Dockerfile reference, "ARG", "Scope": a stage inherits the arguments of the one that it is based on.
                self.variables = base.variables.clone();
            }
            Base::Image(image) => {
                self.build.lease.hold_image(image)?;
                self.newest_mtime_s = image.created_s;
                self.image = NewImage {
                    platform: image.platform.clone(),
                    created_s: None,
                    layers: image.layers.clone(),
                    config: image.config.clone(),
                    history: image.history.clone(),
                };
            }
        }
        // They are about to be done. BuildKit: dispatchOnBuildTriggers().
        self.image.config.on_build.clear();
        Ok(())
    }

    fn check_platform(&self) -> Result<(), BuildError> {
        let typed = self.stage.from.platform.as_ref();
        let Some((typed, text)) = typed.zip(self.planned.platform.as_ref()) else {
            return Ok(());
        };
        if matches!(text.split('/').nth(1), Some("wasm" | "wasm32")) {
            return Ok(());
        }
        let message = format!("platform `{text}` cannot run here");
        let hint = "leave it out, or write `--platform=wasi/wasm`";
        Err(self.error(typed.span, message, Some(hint)))
    }

    fn step(&mut self, step: &'a Step) -> Result<Option<Made>, BuildError> {
        let created_by = match &step.instruction {
            Instruction::From(_) => return Ok(None),
            Instruction::Add(add) => return self.add(step, add).map(Some),
            Instruction::Copy(copy) => return self.copy(step, copy).map(Some),
            Instruction::Run(run) => return self.run_command(step, run).map(Some),
            Instruction::Workdir(word) => return self.workdir(step.span, word).map(Some),
            Instruction::Arg(arguments) => self.arg(arguments)?,
            Instruction::Env(pairs) => self.env(pairs)?,
            Instruction::Label(pairs) => self.label_image(pairs)?,
            Instruction::User(word) => self.user(word)?,
            Instruction::Expose(words) => self.expose(words)?,
            Instruction::Cmd(command) => self.cmd(command)?,
            Instruction::Entrypoint(command) => self.entrypoint(command)?,
            Instruction::Healthcheck(check) => self.health_check(check)?,
            Instruction::Maintainer(name) => self.maintainer(name),
            Instruction::Onbuild(onbuild) => self.on_build(onbuild),
            Instruction::Shell(words) => self.shell(words),
            Instruction::Stopsignal(word) => self.stop_signal(word)?,
            Instruction::Volume(words) => self.volume(words)?,
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
            comment: COMMENT.to_owned(),
        });
    }

    /// Returns what the layers so far make.
    fn tree(&mut self) -> Result<&mut Tree, BuildError> {
        if self.tree.is_none() {
            let store = self.build.lease.store();
            let layers = store.layer_files(&self.image.layers)?;
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

    /// Returns what a step of this key made, unless everything, or this stage, is to be made anew.
    fn cached(&self, key: &Digest) -> Result<Option<CachedStep>, BuildError> {
        match self.build.options.cache {
            CachePolicy::Use if !self.is_renewed() => Ok(self.build.lease.cached_step(key)?),
            CachePolicy::Use | CachePolicy::Renew => Ok(None),
        }
    }

    /// BuildKit: names that no stage has are no mistake.
    fn is_renewed(&self) -> bool {
        let mut renewed = self.build.options.renewed_stages.iter();
        renewed.any(|name| self.build.file.stage(name) == Some(self.index))
    }

    /// Adds the layer of an instruction that copies: the one that was made before from the same, else a new one.
    fn copy_layer(
        &mut self,
        copying: &Copying<'a, '_>,
        plan: impl FnOnce(&mut Self) -> Result<Planned, BuildError>,
    ) -> Result<Made, BuildError> {
        let mut keys = vec![self.key(copying, Depth::Place)?];
        let mut cached = self.cached(&keys[0])?;
        if cached.is_none() && layer::has_ranges(copying.selections) {
            keys.push(self.key(copying, Depth::Content)?);
            cached = self.cached(&keys[1])?;
        }
        let is_cached = cached.is_some();
        let made = match cached {
            Some(step) => step,
            None => {
                let planned = plan(self)?;
                self.make_layer(copying, &planned)?
            }
        };
        // A step found by content is found by place the next time.
        if !is_cached || keys.len() > 1 {
            for key in &keys {
                self.build.lease.remember_step(key, &made)?;
            }
        }
        if !copying.selections.is_empty() {
            // Times are not part of the key: a cached layer is as old as when it was made.
            self.newest_mtime_s = self.newest_mtime_s.max(Some(made.newest_mtime_s));
        }
        self.push_layer(made, is_cached)
    }

    fn key(&self, copying: &Copying<'_, '_>, depth: Depth) -> Result<Digest, BuildError> {
        let chain = self.chain();
        let parent = match copying.base {
            LayerBase::Below => Some(&chain),
            LayerBase::Nothing => None,
        };
        let Copying {
            instruction,
            target,
            selections,
            ..
        } = copying;
        layer::key(instruction, parent, target, selections, depth).map_err(unreadable)
    }

    /// Finds out where files go.
    fn placement(
        &mut self,
        copying: &Copying<'_, '_>,
        place: impl FnOnce(&Tree) -> Result<Placement, PlaceError>,
    ) -> Result<Placement, BuildError> {
        let placed = match copying.base {
            LayerBase::Below => place(self.tree()?),
            LayerBase::Nothing => place(&Tree::default()),
        };
        placed.map_err(|error| {
            let hint = Some("choose another destination");
            self.error(copying.span, error.to_string(), hint)
        })
    }

    fn make_layer(
        &self,
        copying: &Copying<'a, '_>,
        planned: &Planned,
    ) -> Result<CachedStep, BuildError> {
        let newest_mtime_s = i64::try_from(planned.newest_mtime_s).unwrap_or(i64::MAX);
        let step = self.label(copying.text);
        let mut bytes = 0;
        let mut copied = |more: u64| {
            bytes += more;
            self.tell(&Event::Copied { step, bytes });
        };
        let (lease, files) = (self.build.lease, &self.build.files);
        layer::write(
            lease,
            files,
            &planned.placement,
            newest_mtime_s,
            &mut copied,
        )
    }

    /// Puts a step's layer on top.
    fn push_layer(&mut self, step: CachedStep, is_cached: bool) -> Result<Made, BuildError> {
        if let Some(layer) = &step.layer {
            match is_cached {
                true => self.layers_cached_count += 1,
                false => self.layers_made_count += 1,
            }
            self.image.layers.push(layer.clone());
            if let Some(tree) = &mut self.tree {
                let store = self.build.lease.store();
                let files = store.layer_files(std::slice::from_ref(layer))?;
                files.iter().try_for_each(|file| tree.push(file))?;
            }
        }
        Ok(match is_cached {
            true => Made::Cached(step.layer),
            false => Made::New(step.layer),
        })
    }
}

/// An instruction that copies files, evaluated.
struct Copying<'text, 'step> {
    /// Its name, which is a part of the key.
    instruction: &'static str,
    text: &'text str,
    span: Span,
    target: &'step Target,
    selections: &'step [Selection],
    base: LayerBase,
}

/// What goes into a layer.
struct Planned {
    placement: Placement,
    /// The newest time of what goes in.
    newest_mtime_s: u64,
}

/// What a layer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayerBase {
    /// The layers below.
    Below,
    /// Nothing: `--link`.
    Nothing,
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

/// Returns a word with its variables replaced.
pub(crate) fn expand(
    word: &Word,
    source: &Source,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<String, Diagnostic> {
    word.expand(lookup).map_err(|error| {
        let hint = "set it with `ENV`, `ARG` or `--build-arg`";
        source.error(word.span, error.to_string(), Some(hint))
    })
}

/// Returns the default of an `ARG` with its variables replaced.
pub(crate) fn default_of(
    argument: &ArgDeclaration,
    source: &Source,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Option<String>, Diagnostic> {
    let default = argument.default.as_ref();
    default.map(|word| expand(word, source, lookup)).transpose()
}

/// A layer of the store that was there a moment ago.
fn unreadable(source: io::Error) -> BuildError {
    BuildError::Io {
        action: "read the files of",
        path: "a stage".into(),
        source,
    }
}
