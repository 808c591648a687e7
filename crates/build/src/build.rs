//! One build from its options to its image.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minke_balenafile::{Balenafile, Diagnostic, Graph, Literal, Origin, Source, Stage};
use minke_engine::{Engine, EngineError};
use minke_image::tree::Tree;
use minke_image::{Digest, Force, Image, ImageSummary, Layer, Lease, NewImage, StoreError};

use crate::export::{self, ExportError};
use crate::inputs::{Files, Inputs};
use crate::options::{BuildOptions, Output, OutputKind, PullPolicy};
use crate::origin::TreeOrigin;
use crate::plan::{Plan, Planner};
use crate::progress::{Event, Progress, Warning};
use crate::schedule;
use crate::secret::{Secret, SecretError};
use crate::stage::{Evaluator, StageResult, default_of};
use crate::stopping::Running;
use crate::variables::Variables;

/// BuildKit: what `TARGETSTAGE` is for a target without a name.
const TARGET_DEFAULT: &str = "default";

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// None for a build whose result went elsewhere and that gave it no name.
    pub image: Option<Image>,
    /// Steps whose layer had to be made.
    pub layers_made_count: usize,
    /// Steps whose layer was there already.
    pub layers_cached_count: usize,
}

/// Why a build has no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Something in the file, or about what it names.
    #[error("{0}")]
    File(Box<Diagnostic>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` is not a directory", .0.display())]
    ContextNotDirectory(PathBuf),
    #[error("there is no `Balenafile` and no `Dockerfile` in `{}`", .0.display())]
    NoFile(PathBuf),
    #[error("there is no `{}` in the archive", .0.display())]
    NoFileInArchive(PathBuf),
    #[error("`{}` was changed while it was copied", .0.display())]
    Changed(PathBuf),
    #[error("target stage `{wanted}` could not be found")]
    NoTarget {
        wanted: String,
        nearest: Option<String>,
    },
    #[error("the context and the file cannot both be standard input")]
    TwoStandardInputs,
    #[error("cannot read the context: {reason}")]
    Context { reason: String, hint: &'static str },
    #[error("cannot keep what the program made: {0}")]
    Changes(String),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Of these rules, in a file whose `# check=` asks for it.
    #[error("lint violation found for rules: {0}")]
    Violation(String),
    /// `--build-arg BUILDKIT_DOCKERFILE_CHECK`
    #[error("{0}")]
    LintOptions(String),
    /// It does more than change a configuration.
    #[error("`{0}` is not a valid change command")]
    NoChangeCommand(String),
    /// Another stage failed first.
    #[error("the build is over")]
    Over,
}

impl BuildError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(diagnostic) => diagnostic.hint.clone(),
            Self::Store(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Export(error) => error.hint(),
            Self::Secret(error) => Some(error.hint()),
            Self::ContextNotDirectory(_) => {
                Some("give the directory that holds the files to copy".into())
            }
            Self::NoFile(_) => {
                Some("write a `Balenafile` there, or name another file with `-f FILE`".into())
            }
            Self::NoFileInArchive(_) => {
                Some("name a file of the archive, or `-f -` to read it from standard input".into())
            }
            Self::Changed(_) => Some("build again when nothing writes to it".into()),
            Self::NoTarget {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`?")),
            Self::NoTarget { .. } => Some("name a stage of the file: `FROM … AS NAME`".into()),
            Self::TwoStandardInputs => Some("give one of them as a file".into()),
            Self::Context { hint, .. } => Some((*hint).into()),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path; a relative one begins where the command is run".into())
            }
            Self::LintOptions(_) => {
                Some("write `BUILDKIT_DOCKERFILE_CHECK=skip=RULE,RULE;error=true`".into())
            }
            Self::Violation(_) => {
                Some("change what the warnings show, or take `error=true` out of `# check=`".into())
            }
            Self::NoChangeCommand(_) => Some(
                "use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR".into(),
            ),
            Self::Io { .. } | Self::Changes(_) | Self::Over => None,
        }
    }
}

impl From<Diagnostic> for BuildError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::File(Box::new(diagnostic))
    }
}

/// What all stages of a build share.
pub(crate) struct Build<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) lease: &'a Lease<'a>,
    pub(crate) file: &'a Balenafile,
    pub(crate) files: &'a Files,
    pub(crate) options: &'a BuildOptions,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) variables: Variables,
    pub(crate) graph: Graph,
    pub(crate) plan: Plan,
    pub(crate) source_date_epoch_s: Option<u64>,
    results: BTreeMap<usize, OnceLock<StageResult>>,
    stage_names: Vec<String>,
    /// Images that files are taken from, by name.
    images: Mutex<BTreeMap<String, Arc<TreeOrigin>>>,
    is_over: AtomicBool,
    pub(crate) running: Running,
    /// Whether a program had a cache, which may have grown.
    pub(crate) has_used_caches: AtomicBool,
}

/// Builds an image, gives it its names, and returns it.
///
/// A failed build leaves no image; layers that it finished stay in the cache until the next collection.
pub fn build(
    engine: &Engine,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuiltImage, BuildError> {
    let is_passing = !is_kept(options) && options.outputs.iter().any(is_archived);
    // If this process is killed between the end of the build's lease and the collection, whoever sweeps this one collects.
    let _sweeper = match is_passing {
        true => Some(engine.store()?.lease()?),
        false => None,
    };
    let built = build_and_hold(engine, options, progress).map(|held| held.built);
    if is_passing {
        // The image was in the store only to be written elsewhere, and the lease held it until now.
        let collected = engine.store()?.collect();
        return built.and_then(|built| Ok(collected.map(|_| built)?));
    }
    built
}

/// What a build made; no prune takes it while this value lives.
#[derive(Debug)]
pub struct HeldImage<'engine> {
    pub built: BuiltImage,
    _lease: Lease<'engine>,
}

/// Builds an image as [`build()`] does, to be taken into use before anybody can prune it.
pub fn build_and_hold<'engine>(
    engine: &'engine Engine,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<HeldImage<'engine>, BuildError> {
    let lease = engine.store()?.lease()?;
    let built = build_with(engine, &lease, options, progress)?;
    Ok(HeldImage {
        built,
        _lease: lease,
    })
}

/// Builds with a lease on everything that it makes.
fn build_with(
    engine: &Engine,
    lease: &Lease<'_>,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuiltImage, BuildError> {
    options.secrets.iter().try_for_each(Secret::check)?;
    let inputs = Inputs::open(options, lease)?;
    let file = inputs.parse(options)?;
    let build = Build::new(engine, lease, &file, &inputs.files, options, progress)?;
    build.lint()?;
    let run = build.run_stages();
    if build.has_used_caches.load(Ordering::Relaxed) {
        engine.bound_build_caches();
    }
    run?;
    let built = build.commit()?;
    if built.layers_made_count > 0 {
        lease.store().bound_build_cache()?;
    }
    Ok(built)
}

/// Returns whether the image is to be in the store.
fn is_kept(options: &BuildOptions) -> bool {
    options.outputs.is_empty() || !options.tags.is_empty()
}

/// Returns whether an output is written from an image in the store.
fn is_archived(output: &Output) -> bool {
    matches!(output.kind, OutputKind::Oci | OutputKind::Docker)
}

/// Reads a build's file and checks it without building; returns what it warns of.
pub fn check(engine: &Engine, options: &BuildOptions) -> Result<Vec<Warning>, BuildError> {
    let lease = engine.store()?.lease()?;
    let inputs = Inputs::open(options, &lease)?;
    let file = inputs.parse(options)?;
    let progress = &crate::Silent;
    let build = Build::new(engine, &lease, &file, &inputs.files, options, progress)?;
    let findings = build.findings();
    Ok(findings.iter().map(Warning::from).collect())
}

impl<'a> Build<'a> {
    fn new(
        engine: &'a Engine,
        lease: &'a Lease<'a>,
        file: &'a Balenafile,
        files: &'a Files,
        options: &'a BuildOptions,
        progress: &'a dyn Progress,
    ) -> Result<Self, BuildError> {
        let variables = globals(file, options)?;
        let graph = file.graph(&mut |name| variables.global(name))?;
        let planner = Planner {
            file,
            graph: &graph,
            store: lease.store(),
        };
        let plan = planner.plan(planner.target(options.target.as_deref())?)?;
        let indices = plan.stages.keys();
        Ok(Self {
            engine,
            lease,
            file,
            files,
            options,
            progress,
            variables,
            source_date_epoch_s: source_date_epoch_s(options),
            results: indices.map(|index| (*index, OnceLock::new())).collect(),
            graph,
            plan,
            stage_names: stage_names(file),
            images: Mutex::default(),
            is_over: AtomicBool::new(false),
            running: Running::default(),
            has_used_caches: AtomicBool::new(false),
        })
    }

    fn run_stages(&self) -> Result<(), BuildError> {
        let stages = self.plan.stages.iter();
        let needs = stages.map(|(index, stage)| (*index, stage.needs.clone()));
        let result = schedule::run(needs.collect(), |index| {
            let result = Evaluator::new(self, index).run();
            let result = result.inspect_err(|_| self.end())?;
            self.results[&index].get_or_init(|| result);
            Ok(())
        });
        self.review_arguments();
        result
    }

    /// Keeps other stages from going on.
    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.running.stop();
    }

    /// Fails once another stage has.
    pub(crate) fn check_going_on(&self) -> Result<(), BuildError> {
        match self.is_over.load(Ordering::Relaxed) {
            true => Err(BuildError::Over),
            false => Ok(()),
        }
    }

    /// Returns a stage that is done, as those are that a stage needs.
    pub(crate) fn result(&self, index: usize) -> &StageResult {
        let result = self.results[&index].get();
        result.expect("a stage begins when those that it needs are done")
    }

    /// Returns what messages call a stage; none in a file of one stage.
    pub(crate) fn stage_name(&self, index: usize) -> Option<&str> {
        if self.file.stages.len() == 1 {
            return None;
        }
        Some(&self.stage_names[index])
    }

    /// Returns the files that `--from` means, with what messages call them.
    pub(crate) fn foreign_origin(
        &self,
        source: &Source,
        from: &Literal,
    ) -> Result<(Arc<TreeOrigin>, Vec<Layer>, String), BuildError> {
        let origin = self.file.origin(from);
        match origin.map_err(|complaint| source.complain(complaint))? {
            Origin::Scratch => {
                let nothing = TreeOrigin::new(Tree::default(), Vec::new());
                Ok((Arc::new(nothing), Vec::new(), "`scratch`".to_owned()))
            }
            Origin::Stage(index) => {
                let result = self.result(index);
                let layers = result.image.layers.clone();
                let name = format!("stage `{}`", from.text);
                Ok((result.origin(self)?, layers, name))
            }
            Origin::Image(name) => {
                let image = self.image(source, from, &name)?;
                let origin = self.image_origin(&name, &image)?;
                Ok((origin, image.layers, format!("image `{name}`")))
            }
        }
    }

    fn image(&self, source: &Source, from: &Literal, name: &str) -> Result<Image, BuildError> {
        let image = self.lease.store().image(name).map_err(|error| {
            match error.is_not_found() || matches!(error, StoreError::Reference(_)) {
                true => {
                    let stage = self.file.nearest_stage(name);
                    let stage = stage.map(|stage| format!("did you mean stage `{stage}`?"));
                    let hint = stage.or_else(|| error.hint());
                    BuildError::from(source.error(from.span, error.to_string(), hint.as_deref()))
                }
                false => error.into(),
            }
        })?;
        self.lease.hold_image(&image)?;
        Ok(image)
    }

    fn image_origin(&self, name: &str, image: &Image) -> Result<Arc<TreeOrigin>, BuildError> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = images.get(name) {
            return Ok(Arc::clone(origin));
        }
        let origin = Arc::new(self.origin_of(&image.layers)?);
        images.insert(name.to_owned(), Arc::clone(&origin));
        Ok(origin)
    }

    /// Returns what layers make, open for reading.
    pub(crate) fn origin_of(&self, layers: &[Layer]) -> Result<TreeOrigin, BuildError> {
        let files = self.lease.store().layer_files(layers)?;
        TreeOrigin::of_layers(Tree::read(&files)?).map_err(|source| BuildError::Io {
            action: "read the layers of",
            path: self.lease.store().root().to_owned(),
            source,
        })
    }

    /// Warns of build arguments that no stage asked for.
    fn review_arguments(&self) {
        let mut variables = self.variables.clone();
        let done = self.results.values().filter_map(OnceLock::get);
        done.for_each(|result| variables.absorb(&result.variables));
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        if let Some(warning) = unused_arguments(&variables) {
            self.progress.event(&Event::Warning(&warning));
        }
        if self.options.pull == PullPolicy::Always {
            self.progress.event(&Event::Warning(&Warning {
                rule: None,
                message: "`--pull` has no registry to ask yet: local images were used".to_owned(),
                hint: Some("leave it out".to_owned()),
            }));
        }
    }

    fn commit(&self) -> Result<BuiltImage, BuildError> {
        let target = self.result(self.plan.target);
        let mut image = target.image.clone();
        image
            .config
            .labels
            .extend(self.options.labels.iter().cloned());
        let image = self.place(&image)?;
        let done = || self.results.values().filter_map(OnceLock::get);
        Ok(BuiltImage {
            image,
            layers_made_count: done().map(|result| result.layers_made_count).sum(),
            layers_cached_count: done().map(|result| result.layers_cached_count).sum(),
        })
    }

    /// Puts the image into the store, and where else it was asked for.
    fn place(&self, image: &NewImage) -> Result<Option<Image>, BuildError> {
        // The layers are at hand and about to be run: unpack them now rather than at the first start.
        self.lease.store().layer_files(&image.layers)?;
        let is_kept = is_kept(self.options);
        let known = self.lease.store().images()?;
        let committed = match is_kept || self.options.outputs.iter().any(is_archived) {
            true => Some(self.commit_image(image)?),
            false => None,
        };
        let mut outputs = self.options.outputs.iter();
        let written = outputs
            .try_for_each(|output| export::write(self.lease, image, committed.as_ref(), output));
        match committed {
            // It was in the store only to be written elsewhere.
            Some(image) if !is_kept => {
                let is_known =
                    |known: &ImageSummary| known.manifest_digest == image.manifest_digest;
                if !known.iter().any(is_known) {
                    let name = image.manifest_digest.to_string();
                    self.lease.store().remove(&name, Force::No)?;
                }
                written?;
                Ok(None)
            }
            committed => {
                written?;
                Ok(committed)
            }
        }
    }

    fn commit_image(&self, image: &NewImage) -> Result<Image, BuildError> {
        // The time of day is only for the list of images: it is in no image.
        let now_s = i64::try_from(now().as_secs()).unwrap_or(i64::MAX);
        Ok(self.lease.commit_image(image, &self.options.tags, now_s)?)
    }

    /// Returns the name of some layers. Spec: OCI image-spec 1.1 config.md, "Layer ChainID".
    pub(crate) fn chain_of(layers: &[Layer]) -> Digest {
        let mut hasher = minke_image::Hasher::new();
        layers
            .iter()
            .for_each(|layer| hasher.field(layer.diff_id.to_string().as_bytes()));
        hasher.finish()
    }
}

/// Returns a warning of the build arguments that no stage asked for, if there are any, in BuildKit's words.
fn unused_arguments(variables: &Variables) -> Option<Warning> {
    let names: Vec<&str> = variables.unused().collect();
    if names.is_empty() {
        return None;
    }
    let nearest = names.iter().filter_map(|name| variables.nearest(name));
    let nearest: Vec<String> = nearest.map(|name| format!("`{name}`")).collect();
    let declared: Vec<String> = names.iter().map(|name| format!("`ARG {name}`")).collect();
    Some(Warning {
        rule: None,
        message: format!(
            "One or more build-args [{}] were not consumed",
            names.join(" ")
        ),
        hint: Some(match nearest.is_empty() {
            true => format!("declare them in the file, by {}", declared.join(", ")),
            false => format!("did you mean {}?", nearest.join(", ")),
        }),
    })
}

/// Evaluates the `ARG`s before the first `FROM`.
fn globals(file: &Balenafile, options: &BuildOptions) -> Result<Variables, BuildError> {
    let target = options.target.as_deref().filter(|name| !name.is_empty());
    let last = file
        .stages
        .last()
        .and_then(|stage| stage.from.name.as_deref());
    let target = target.or(last).unwrap_or(TARGET_DEFAULT);
    let mut variables = Variables::new(&options.arguments, target);
    for argument in &file.global_arguments {
        let default = default_of(argument, &file.source, &mut |name| variables.global(name))?;
        variables.declare_global(&argument.name, default);
    }
    Ok(variables)
}

/// BuildKit: a stage without a name is called by its number.
fn stage_names(file: &Balenafile) -> Vec<String> {
    let stages = file.stages.iter().enumerate();
    let name = |(index, stage): (usize, &Stage)| {
        let own = stage.from.name.clone();
        own.unwrap_or_else(|| format!("stage-{index}"))
    };
    stages.map(name).collect()
}

/// BuildKit: `--build-arg SOURCE_DATE_EPOCH=` counts as the environment's.
fn source_date_epoch_s(options: &BuildOptions) -> Option<u64> {
    let mut arguments = options.arguments.iter().rev();
    let argument = arguments.find(|(name, _)| name == "SOURCE_DATE_EPOCH");
    argument
        .and_then(|(_, value)| value.parse().ok())
        .or(options.source_date_epoch_s)
}

/// Returns the time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
