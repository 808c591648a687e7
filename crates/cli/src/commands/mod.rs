//! The commands, one file each.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use minke_engine::image::{ImageFilter, Reference};
use minke_engine::syntax::{parse_bytes, parse_time};
use minke_engine::{Container, Engine, Home};

use crate::base::BASE;
use crate::report::{Kind, Report};

mod attach;
mod attached;
mod build;
mod builder;
mod cargo;
mod cc;
mod commit;
pub(crate) mod complete;
mod completion;
mod confirm;
mod container;
mod cp;
mod create;
mod detach;
mod diff;
mod disk;
mod doctor;
mod events;
mod exec;
mod export;
mod follow;
mod history;
mod image;
mod images;
mod info;
mod inspect;
mod kill;
mod limits;
mod load;
mod logs;
mod manual;
mod options;
mod pause;
mod port;
mod ps;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod sdk;
mod snapshot;
mod start;
mod stats;
mod stop;
mod stopped;
mod system;
mod tag;
mod terminal;
#[cfg(test)]
mod tests;
mod top;
mod unpause;
mod update;
mod variables;
mod version;
mod volume;
mod wait;

/// Bounds what is kept for later builds: a size, such as `20g`.
const BUILD_CACHE_VARIABLE: &str = "MINKE_BUILD_CACHE_SIZE";

/// Runs containers whose programs are WebAssembly.
#[derive(Debug, Parser)]
#[command(
    name = "minke",
    version,
    about,
    propagate_version = false,
    disable_version_flag = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  minke run --rm ./hello.wasm\n  minke build -t app:1 . && minke run -d -p 8080:3000 app:1\n\nState is kept in `MINKE_HOME`, or else in the XDG directories; for root in `/var/lib/minke` and `/run/minke`."
)]
pub(crate) struct Cli {
    /// Print version
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Declares the commands, each with the type of its arguments: the name is the variant's in small letters.
macro_rules! commands {
    ($($(#[$attribute:meta])* $variant:ident($arguments:ty),)*) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($(#[$attribute])* $variant($arguments),)*
        }

        impl Command {
            /// Runs the command; returns its exit code.
            pub(crate) fn run(&self) -> Result<u8, Report> {
                match self {
                    $(Command::$variant(command) => command.run(),)*
                }
            }

            /// Parses arguments with the parser of the one command that they name, if that finds nothing to say about them.
            ///
            /// To make the parser of all takes longer than most commands.
            pub(crate) fn parse_alone(arguments: &[OsString]) -> Option<Command> {
                let name = arguments.get(1)?.to_str()?;
                $(if is_named(stringify!($variant), name) {
                    return parse_alone::<$arguments>(&arguments[1..]).map(Command::$variant);
                })*
                None
            }
        }
    };
}

commands! {
    Build(build::Build),
    Run(Box<run::Run>),
    Create(Box<create::Create>),
    Start(start::Start),
    Exec(Box<exec::Exec>),
    Attach(attach::Attach),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Inspect(inspect::Inspect),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Kill(kill::Kill),
    Pause(pause::Pause),
    Unpause(unpause::Unpause),
    Wait(wait::Wait),
    Stats(stats::Stats),
    Top(top::Top),
    Events(events::Events),
    Rename(rename::Rename),
    Update(update::Update),
    Port(port::Port),
    Cp(cp::Cp),
    Diff(diff::Diff),
    Commit(commit::Commit),
    Export(export::Export),
    Rm(rm::Rm),
    Images(images::Images),
    Rmi(rmi::Rmi),
    Tag(tag::Tag),
    History(history::History),
    Save(save::Save),
    Load(load::Load),
    Image(image::Image),
    Container(container::Container),
    Snapshot(snapshot::Snapshot),
    Volume(volume::Volume),
    Disk(disk::Disk),
    Cc(cc::Cc),
    #[command(name = "c++")]
    Cplusplus(cc::Cplusplus),
    Cargo(cargo::Cargo),
    Sdk(sdk::Sdk),
    Info(info::Info),
    Doctor(doctor::Doctor),
    Builder(builder::Builder),
    System(system::System),
    Version(version::Version),
    Completion(completion::Completion),
    #[command(hide = true)]
    Manual(manual::Manual),
}

fn is_named(variant: &str, typed: &str) -> bool {
    let name = variant.bytes().map(|letter| letter.to_ascii_lowercase());
    typed.bytes().eq(name)
}

/// Parses the arguments of one command, the first of which is its name.
fn parse_alone<T: Args>(arguments: &[OsString]) -> Option<T> {
    let mut parser = T::augment_args(clap::Command::new("minke"));
    let matches = parser.try_get_matches_from_mut(arguments);
    // It takes a while to give back, and the process lives no longer than its command.
    std::mem::forget(parser);
    T::from_arg_matches(&matches.ok()?).ok()
}

/// Opens the home that the environment names.
fn engine() -> Result<Engine, Report> {
    let mut engine = Engine::open(home()?)?;
    engine.provided = Some(BASE);
    if let Some(text) = std::env::var_os(BUILD_CACHE_VARIABLE) {
        engine.build_cache_bytes_max = build_cache_bytes_max(&text.to_string_lossy())?;
    }
    Ok(engine)
}

fn build_cache_bytes_max(text: &str) -> Result<u64, Report> {
    parse_bytes(text).map_err(|_| {
        Report::new(
            format!("`{BUILD_CACHE_VARIABLE}` is `{text}`"),
            "set it to a size, such as `20g`, or unset it",
        )
    })
}

/// Returns the home that the environment names; it may not be there yet.
fn home() -> Result<Home, Report> {
    let is_root = rustix::process::geteuid().is_root();
    Home::from_environment(|name| std::env::var_os(name), is_root).map_err(|error| {
        Report::new(
            error.to_string(),
            "set `MINKE_HOME` to a directory that you may write",
        )
    })
}

/// Reads an image's name as typed.
fn image_name(text: &str) -> Result<Reference, Report> {
    text.parse().map_err(|error| Report {
        kind: Kind::Usage,
        ..Report::new(format!("{error}"), "write `NAME[:TAG]`, such as `hello:1`")
    })
}

/// Reads filters of images as typed; a name is a reference.
fn image_filter(texts: &[String], name: Option<&str>) -> Result<ImageFilter, Report> {
    let mut filter = ImageFilter::default();
    let time = |text: &str| parse_time(text).ok().map(jiff::Timestamp::as_second);
    for text in texts {
        filter.add(text, time).map_err(|error| Report {
            kind: Kind::Usage,
            ..Report::new(error.to_string(), error.hint())
        })?;
    }
    filter.references.extend(name.map(str::to_owned));
    Ok(filter)
}

/// Reads the filters of a prune as typed: fewer keys than a list has. Docker: `docs/reference/commandline/container_prune.md`.
fn prune_filter(texts: &[String]) -> Result<ImageFilter, Report> {
    const KEYS: [&str; 3] = ["label", "label!", "until"];
    let mut keys = texts
        .iter()
        .filter_map(|text| Some(text.split_once('=')?.0));
    match keys.find(|key| !KEYS.contains(key)) {
        Some(key) => Err(Report::usage(
            format!("invalid filter `{key}`"),
            format!("use one of {}, such as `until=24h`", KEYS.join(", ")),
        )),
        None => image_filter(texts, None),
    }
}

/// Does something with each container; `action` is given the name as typed. One that fails does not keep the others from it, as with Docker; the
/// reports are printed, and the exit code says that there were some.
fn for_each(
    engine: &Engine,
    names: &[String],
    mut action: impl FnMut(&Container, &str) -> Result<(), Report>,
) -> Result<u8, Report> {
    let mut code = 0;
    for name in names {
        let result = engine
            .container(name)
            .map_err(Report::from)
            .and_then(|container| action(&container, name));
        if let Err(report) = result {
            report.print();
            code = Kind::Command.exit_code();
        }
    }
    Ok(code)
}
