//! Committing: an image of what a container has become.
//!
//! Its configuration is the container's, as with Docker, whose `--change` takes instructions of the language that this crate evaluates.
//! A program that runs without an image has no layers below; then the image gets one with the program.
//!
//! Docker: `daemon/commit.go`, `builder/dockerfile`, BuildFromConfig().

use std::fs::File;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use minke_balenafile::{Balenafile, Command, Diagnostic, Instruction, Pair, Step, Word};
use minke_engine::image::{
    EntryMetadata, HistoryEntry, Image, ImageConfig, Layer, Lease, NewImage, Reference,
};
use minke_engine::spec::MountSpec;
use minke_engine::{Container, Engine, Event};

use crate::build::BuildError;
use crate::changes::{self, Times};
use crate::configure::{self, Commands};
use crate::placement::absolute;

/// What messages call the instructions of `--change`.
const CHANGES_NAME: &str = "--change";

/// Permission bits of a program that had no image.
const PROGRAM_MODE: u32 = 0o755;

/// How a container is committed.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    pub tag: Option<Reference>,
    pub author: Option<String>,
    /// For the history; may be empty.
    pub message: String,
    /// Instructions, each as typed.
    pub changes: Vec<String>,
}

/// Makes an image of what a container is now. A failure leaves none.
pub fn commit(
    engine: &Engine,
    container: &Container,
    options: &CommitOptions,
) -> Result<Image, BuildError> {
    let store = engine.store()?;
    let lease = store.lease()?;
    let base = match &container.config.image_id {
        Some(id) => Some(store.image(id)?),
        None => None,
    };
    let mut image = beginning(&lease, container, base.as_ref())?;
    image.config.author.clone_from(&options.author);
    apply(&mut image.config, &options.changes)?;
    let now_s = now_s();
    let times = Times {
        // Programs' own times stay: the image is of this moment anyway.
        began_s: u64::MAX,
        own_s: u64::try_from(now_s).unwrap_or(0),
        epoch_s: None,
    };
    let step = engine.with_layer(container, |tar| changes::write(&lease, tar, &times))??;
    image.created_s = Some(now_s);
    image.history.push(HistoryEntry {
        created_by: container.config.spec.process.args.join(" "),
        created_s: Some(now_s),
        has_layer: step.layer.is_some(),
        comment: options.message.clone(),
    });
    image.layers.extend(step.layer);
    let tags: Vec<Reference> = options.tag.iter().cloned().collect();
    let committed = lease.commit_image(&image, &tags, now_s)?;
    let event = Event::of_container("commit", &container.config);
    let event = event.with("imageID", committed.id.to_string());
    engine.events().record(&event);
    Ok(committed)
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// Returns what the image has before the container's changes.
fn beginning(
    lease: &Lease<'_>,
    container: &Container,
    base: Option<&Image>,
) -> Result<NewImage, BuildError> {
    let Some(base) = base else {
        return beginning_of_program(lease, container);
    };
    lease.hold_image(base)?;
    Ok(NewImage {
        platform: base.platform.clone(),
        created_s: None,
        layers: base.layers.clone(),
        config: config_of(container, &base.config),
        history: base.history.clone(),
    })
}

fn beginning_of_program(lease: &Lease<'_>, container: &Container) -> Result<NewImage, BuildError> {
    let Some(program) = &container.config.spec.root.program else {
        return Ok(NewImage::default());
    };
    let name = program.file_name().unwrap_or_default();
    let mut config = config_of(container, &ImageConfig::default());
    config.entrypoint = vec![format!("/{}", name.to_string_lossy())];
    Ok(NewImage {
        layers: vec![program_layer(lease, program, Path::new(name))?],
        history: vec![HistoryEntry {
            created_by: format!("COPY {} /", name.to_string_lossy()),
            created_s: None,
            has_layer: true,
            comment: String::new(),
        }],
        config,
        ..NewImage::default()
    })
}

fn program_layer(lease: &Lease<'_>, program: &Path, name: &Path) -> Result<Layer, BuildError> {
    let failed = |source| BuildError::Io {
        action: "read",
        path: program.to_path_buf(),
        source,
    };
    let file = File::open(program).map_err(failed)?;
    let size_bytes = file.metadata().map_err(failed)?.len();
    let mut writer = lease.layer_writer()?;
    let metadata = EntryMetadata {
        mode: PROGRAM_MODE,
        uid: 0,
        gid: 0,
        mtime_s: 0,
    };
    writer.file(name, metadata, size_bytes, file)?;
    Ok(writer.finish()?)
}

/// Returns the configuration of a container, over that of its image.
fn config_of(container: &Container, base: &ImageConfig) -> ImageConfig {
    let config = &container.config;
    let process = &config.spec.process;
    let mut volumes = base.volumes.clone();
    volumes.extend(config.spec.mounts.iter().filter_map(|mount| match mount {
        MountSpec::Volume {
            target,
            is_anonymous: true,
            ..
        } => Some(target.clone()),
        _ => None,
    }));
    volumes.sort();
    volumes.dedup();
    // It is the terminal's, not the image's.
    let is_terminals = |variable: &&String| process.has_terminal && **variable == "TERM=xterm";
    ImageConfig {
        env: process
            .env
            .iter()
            .filter(|variable| !is_terminals(variable))
            .cloned()
            .collect(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.command.clone(),
        user: Some(process.user.clone()).filter(|user| !user.is_empty()),
        working_dir: process.cwd.clone(),
        exposed_ports: config.exposed_ports.clone(),
        labels: config.labels.clone(),
        stop_signal: Some(process.stop_signal.clone()),
        volumes,
        health_check: config.health_check.clone(),
        ..base.clone()
    }
}

/// Applies instructions that change a configuration only.
fn apply(config: &mut ImageConfig, changes: &[String]) -> Result<(), BuildError> {
    if changes.is_empty() {
        return Ok(());
    }
    let text = format!("FROM scratch\n{}\n", changes.join("\n"));
    let file = Balenafile::parse(CHANGES_NAME, text.as_bytes())?;
    let [stage] = &file.stages[..] else {
        return Err(BuildError::NoChangeCommand("FROM".to_owned()));
    };
    let mut applied = Applied {
        config,
        commands: Commands::default(),
        file: &file,
    };
    stage.steps.iter().try_for_each(|step| applied.apply(step))
}

/// A configuration that instructions are applied to.
struct Applied<'a> {
    config: &'a mut ImageConfig,
    commands: Commands,
    file: &'a Balenafile,
}

impl Applied<'_> {
    fn apply(&mut self, step: &Step) -> Result<(), BuildError> {
        match &step.instruction {
            Instruction::Cmd(command) => {
                let words = self.words(command);
                self.commands.set_cmd(self.config, words);
            }
            Instruction::Entrypoint(command) => {
                let words = self.words(command);
                self.commands.set_entrypoint(self.config, command, words);
            }
            Instruction::Env(pairs) => {
                for (name, value) in self.pairs(pairs)? {
                    configure::set_env(self.config, &name, &value);
                }
            }
            Instruction::Label(pairs) => {
                let labels = self.pairs(pairs)?;
                self.config.labels.extend(labels);
            }
            Instruction::Expose(words) => {
                for word in words {
                    for port in self.expand(word)?.split_whitespace() {
                        configure::expose(self.config, port).map_err(|error| {
                            self.error(step, error.to_string(), "write `PORT` or `PORT/udp`")
                        })?;
                    }
                }
            }
            Instruction::Onbuild(onbuild) => self.config.on_build.push(onbuild.text.clone()),
            Instruction::User(word) => self.config.user = Some(self.expand(word)?),
            Instruction::Volume(words) => {
                for word in words {
                    let path = self.expand(word)?;
                    self.config.volumes.push(path);
                }
                self.config.volumes.sort();
                self.config.volumes.dedup();
            }
            Instruction::Workdir(word) => {
                let path = absolute(&self.config.working_dir, &self.expand(word)?);
                self.config.working_dir = path.to_string_lossy().into_owned();
            }
            Instruction::Stopsignal(word) => self.config.stop_signal = Some(self.signal(word)?),
            // Docker: `builder/dockerfile`, `validCommitCommands`.
            _ => {
                let name = step.text.split_whitespace().next().unwrap_or_default();
                return Err(BuildError::NoChangeCommand(name.to_owned()));
            }
        }
        Ok(())
    }

    /// Returns a command's words: those that `SHELL` names before a text for a shell, and `/bin/sh` before one that needs it.
    fn words(&self, command: &Command) -> Vec<String> {
        let shell = match command {
            Command::Exec(words) => return words.clone(),
            Command::Shell(shell) => shell,
        };
        let mut words = match (&shell.words, self.config.shell.is_empty()) {
            (_, false) => self.config.shell.clone(),
            (Ok(words), true) => return words.clone(),
            (Err(_), true) => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        words.push(shell.text.clone());
        words
    }

    fn signal(&self, word: &Word) -> Result<String, BuildError> {
        let signal = self.expand(word)?;
        match minke_engine::signal_number(&signal) {
            Some(_) => Ok(signal),
            None => Err(self
                .file
                .source
                .error(
                    word.span,
                    format!("invalid signal: {signal}"),
                    Some("write a name or a number, such as `SIGINT` or `9`"),
                )
                .into()),
        }
    }

    /// Returns a word with the variables of the configuration replaced.
    fn expand(&self, word: &Word) -> Result<String, BuildError> {
        let mut lookup = |name: &str| configure::env_of(self.config, name).map(str::to_owned);
        Ok(crate::stage::expand(word, &self.file.source, &mut lookup)?)
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, BuildError> {
        pairs
            .iter()
            .map(|pair| Ok((self.expand(&pair.name)?, self.expand(&pair.value)?)))
            .collect()
    }

    fn error(&self, step: &Step, message: String, hint: &str) -> Diagnostic {
        self.file.source.error(step.span, message, Some(hint))
    }
}
