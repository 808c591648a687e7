//! Running: `RUN`, a program of the image in a sandbox, whose changes become a layer.
//!
//! Spec: Dockerfile reference, "RUN"; BuildKit `dockerfile2llb`, dispatchRun().

use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use minke_balenafile::{Run, RunCommand, RunNetwork, RunSecurity, Span, Step};
use minke_engine::spec::{MountSpec, NetworkModeSpec};
use minke_engine::step::{NewStep, Step as Process, StepEnd};
use minke_engine::supervise::StartError;
use minke_image::{CachedStep, Digest, program};

use super::mounts::Mounts;
use super::{Evaluator, Made};
use crate::build::{Build, BuildError};
use crate::changes::{self, Times};
use crate::configure;
use crate::layer;
use crate::progress::{Event, OutputStream, Progress, StepLabel};

/// Bounds a line that is told at once; a longer one comes in parts.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Bounds what is told of one program's output. BuildKit: `defaultMaxLogSize`, 2 MiB.
const OUTPUT_BYTES_MAX: u64 = 2 << 20;

/// Where a script that names its own interpreter is while it runs. BuildKit: dispatchRun(), `/dev/pipes`.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";

/// Permissions of such a script.
const SCRIPT_MODE: u32 = 0o755;

const FULL_HOST_HINT: &str =
    "free space on the file system of `MINKE_HOME`, or set it to a directory on another";

/// What a `RUN` starts.
struct Program {
    args: Vec<String>,
    /// A file that it reads.
    script: Option<MountSpec>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn run_command(&mut self, step: &'a Step, run: &'a Run) -> Result<Made, BuildError> {
        if run.security == RunSecurity::Insecure {
            let hint = "leave it out: every program runs in a sandbox";
            return Err(self.error(step.span, "security.insecure is not allowed", Some(hint)));
        }
        let program = self.program(step.span, &run.command)?;
        let mounts = self.mounts(run)?;
        let network = match run.network {
            RunNetwork::Default => NetworkModeSpec::Private,
            RunNetwork::None => NetworkModeSpec::None,
            RunNetwork::Host => NetworkModeSpec::Host,
        };
        let key = self.run_key(&program, &mounts, network);
        let made = match self.cached(&key)? {
            Some(cached) => self.push_layer(cached, true)?,
            None => {
                let made = self.execute(step, &program, mounts, network)?;
                self.build.lease.remember_step(&key, &made)?;
                self.push_layer(made, false)?
            }
        };
        let has_layer = made.layer().is_some();
        self.remember(step.text.clone(), has_layer);
        Ok(made)
    }

    fn program(&mut self, span: Span, command: &RunCommand) -> Result<Program, BuildError> {
        let args = match command {
            RunCommand::Exec(words) => words.clone(),
            RunCommand::Shell(command) => self.shell_words(command)?,
            RunCommand::Script(script) => {
                let text = &script.text.text;
                if let Some(line) = text.strip_prefix("#!") {
                    return self.interpreted(span, line, &script.name, text);
                }
                let mut words = self.shell_of(span, "a script")?;
                words.push(text.clone());
                words
            }
        };
        Ok(Program { args, script: None })
    }

    /// Returns what runs a script that names its interpreter. Linux: `execve(2)`, "Interpreter scripts".
    fn interpreted(
        &self,
        span: Span,
        line: &str,
        name: &str,
        text: &str,
    ) -> Result<Program, BuildError> {
        let line = line.lines().next().unwrap_or_default().trim();
        let (interpreter, argument) = match line.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, Some(argument.trim())),
            None => (line, None),
        };
        if interpreter.is_empty() {
            let hint = "write the interpreter's path: `#!/bin/sh`";
            return Err(self.error(span, "the script names no interpreter", Some(hint)));
        }
        let target = format!("{SCRIPT_DIRECTORY}/{name}");
        let words = [Some(interpreter), argument, Some(target.as_str())];
        Ok(Program {
            args: words.into_iter().flatten().map(str::to_owned).collect(),
            script: Some(MountSpec::File {
                target: target.clone(),
                content: text.as_bytes().to_vec(),
                mode: SCRIPT_MODE,
                uid: 0,
                gid: 0,
            }),
        })
    }

    /// The environment that a step depends on: the image's, and below it the arguments that were declared.
    fn environment(&self) -> Vec<String> {
        let config = &self.image.config;
        let mut env = config.env.clone();
        let is_set = |name: &str| {
            let mut pairs = config.env.iter();
            pairs.any(|pair| pair.split_once('=').is_some_and(|(own, _)| own == name))
        };
        let declared = self.variables.declared().filter(|(name, _)| !is_set(name));
        env.extend(declared.map(|(name, value)| format!("{name}={value}")));
        env
    }

    fn run_key(&self, program: &Program, mounts: &Mounts, network: NetworkModeSpec) -> Digest {
        let mut hasher = layer::begin("RUN", Some(&self.chain()));
        let config = &self.image.config;
        let facts = (
            &program.args,
            &program.script,
            self.environment(),
            &config.working_dir,
            &config.user,
            network,
            self.build.source_date_epoch_s,
        );
        hasher.field(format!("{facts:?}").as_bytes());
        for part in &mounts.key {
            hasher.field(part.as_bytes());
        }
        hasher.finish()
    }

    fn execute(
        &mut self,
        step: &'a Step,
        program: &Program,
        mut mounts: Mounts,
        network: NetworkModeSpec,
    ) -> Result<CachedStep, BuildError> {
        self.build.check_going_on()?;
        let lease = self.build.lease;
        let layers = lease.store().layer_files(&self.image.layers)?;
        let snapshots = lease.step_snapshots(&layers)?;
        let mut env = self.environment();
        let undeclared = self.variables.undeclared();
        env.extend(undeclared.map(|(name, value)| format!("{name}={value}")));
        env.append(&mut mounts.env);
        mounts.specs.extend(program.script.clone());
        let held = self.hold_caches(&mounts.caches)?;
        held.mount(&mut mounts.specs);
        let config = &self.image.config;
        let search = configure::env_of(config, "PATH");
        let new = NewStep {
            snapshots,
            changes: lease.scratch_path(),
            program_paths: match program.args.first() {
                Some(word) => program::candidates(word, search, &config.working_dir),
                None => Vec::new(),
            },
            args: program.args.clone(),
            env,
            cwd: config.working_dir.clone(),
            user: config.user.clone().unwrap_or_default(),
            mounts: mounts.specs,
            network,
        };
        let times = Times {
            began_s: seconds_now(),
            own_s: self.own_mtime_s(),
            epoch_s: self.build.source_date_epoch_s,
        };
        let shown = program.args.join(" ");
        let label = self.label(&step.text);
        let result = run(self.build, label, &new, &times);
        if !mounts.caches.is_empty() {
            self.build.has_used_caches.store(true, Ordering::Relaxed);
        }
        // Whoever waits for a cache may have it now.
        drop(held);
        result.map_err(|failure| self.failed(step.span, &shown, failure))
    }

    /// Docker: `executor.ExitError`, "process … did not complete successfully".
    fn failed(&self, span: Span, shown: &str, failure: Failure) -> BuildError {
        let (reason, hint) = match failure {
            Failure::Build(error) => return error,
            Failure::Start(error) => (error.message, error.hint),
            Failure::Ended(end) => {
                let code = format!("exit code: {}", end.exit_code);
                let reason = end.reason.map(|reason| format!("{code} ({reason})"));
                let hint = end.is_host_full.then(|| FULL_HOST_HINT.to_owned());
                (reason.unwrap_or(code), hint)
            }
        };
        let message = format!("process \"{shown}\" did not complete successfully: {reason}");
        // Another stage's failure ended it.
        match self.build.check_going_on() {
            Ok(()) => self.error(span, message, hint.as_deref()),
            Err(over) => over,
        }
    }
}

/// Why a program gave no layer.
enum Failure {
    Build(BuildError),
    /// It never ran, or what it made was lost.
    Start(StartError),
    Ended(StepEnd),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

/// Runs a program to its end, tells what it prints, and makes a layer of what it changed.
fn run(
    build: &Build<'_>,
    label: StepLabel<'_>,
    new: &NewStep,
    times: &Times,
) -> Result<CachedStep, Failure> {
    let mut process = Process::start(build.engine.home(), new)?;
    let output = process.take_output();
    let progress = build.progress;
    std::thread::scope(|scope| {
        if let Some((stdout, stderr)) = output {
            scope.spawn(move || tell_lines(progress, label, OutputStream::Stdout, stdout));
            scope.spawn(move || tell_lines(progress, label, OutputStream::Stderr, stderr));
        }
        // The process ends in there, whatever happens, and with it what the threads read.
        collect(build, label, process, times)
    })
}

fn collect(
    build: &Build<'_>,
    label: StepLabel<'_>,
    mut process: Process,
    times: &Times,
) -> Result<CachedStep, Failure> {
    let _registered = build.running.register(&process);
    let end = process.wait(&mut |size_bytes| {
        let step = label;
        build.progress.event(&Event::Compiling { step, size_bytes });
    })?;
    if end.exit_code != 0 {
        return Err(Failure::Ended(end));
    }
    match changes::write(build.lease, process.changes(), times) {
        Ok(made) => process.finish().map(|()| made).map_err(Failure::Start),
        // An archive that ends early is the fault of a process that did, which says more.
        Err(BuildError::Changes(reason)) if is_at_end(process.changes()) => {
            process.finish()?;
            Err(BuildError::Changes(reason).into())
        }
        // What else went wrong is ours. The process waits for a reader, and ends with its value.
        Err(error) => Err(error.into()),
    }
}

fn is_at_end(mut changes: impl Read) -> bool {
    !matches!(changes.read(&mut [0]), Ok(1..))
}

/// Tells each line, up to a limit; what is beyond it is read and forgotten, for the program must not wait.
fn tell_lines(
    progress: &dyn Progress,
    step: StepLabel<'_>,
    stream: OutputStream,
    output: impl Read,
) {
    let mut reader = BufReader::new(output);
    let mut told_bytes = 0;
    let mut line = Vec::new();
    while (&mut reader)
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        let was_below = told_bytes < OUTPUT_BYTES_MAX;
        told_bytes += line.len() as u64;
        let is_below = told_bytes < OUTPUT_BYTES_MAX;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let clipped = "[output clipped, log limit 2MiB reached]";
        if was_below {
            let text = if is_below { text } else { clipped };
            progress.event(&Event::Output { step, stream, text });
        }
        line.clear();
    }
}

fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
