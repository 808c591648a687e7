//! `cargo xtask bench`: what is measured, against what, and how far it should reach.
//!
//! Ours and the other are run in turns within one measure, so that whatever else the machine does
//! meets both; medians are compared. A peer that is not there is reported as not measured. Figures
//! are no tests: nothing fails here.

mod builds;
mod cgroups;
mod compute;
mod disk_ops;
mod disk_start;
mod files;
mod http;
mod images;
mod inprocess;
mod listing;
mod memory;
mod peers;
mod processes;
mod product;
mod report;
mod startup;
mod stop;
mod unpack;
mod usage;

use anyhow::{Context, Result, bail};

use crate::guests;
use crate::layout::{root, target_dir};
use crate::process::{cargo, run};
use crate::setup::{self, Purpose};
use peers::Peers;
use product::Product;
use report::Row;

/// What the measures run: minke as released, and what it is compared with.
pub struct Lab {
    pub product: Product,
    pub peers: Peers,
}

/// One line of the table of speed and memory; it gives one row or several.
struct Measure {
    name: &'static str,
    about: &'static str,
    run: fn(&Lab) -> Result<Vec<Row>>,
}

const MEASURES: &[Measure] = &[
    Measure {
        name: "hello",
        about: "a bare module, start to end, against `wasmtime run`",
        run: startup::module,
    },
    Measure {
        name: "image",
        about: "an image, start to end, against `crun run` and `runc run`",
        run: startup::image,
    },
    Measure {
        name: "http",
        about: "requests per second of hello-c, against the same program native",
        run: http::run,
    },
    Measure {
        name: "files",
        about: "file calls from a loop, against native on tmpfs and `wasmtime run`",
        run: files::calls,
    },
    Measure {
        name: "clock",
        about: "a host call with no work, against `wasmtime run`",
        run: files::clock,
    },
    Measure {
        name: "idle",
        about: "memory of an idle detached container",
        run: memory::idle,
    },
    Measure {
        name: "kernels",
        about: "pure computation, against `wasmtime run` without interruption",
        run: compute::run,
    },
    Measure {
        name: "spawn",
        about: "a 3 KB module's life in process, against wasmtime's pooled one",
        run: inprocess::spawn,
    },
    Measure {
        name: "build-noop",
        about: "a build of a thousand files that changes nothing, against buildah or podman",
        run: builds::noop,
    },
    Measure {
        name: "build-one-changed",
        about: "a build after one of a thousand files has changed, against buildah or podman",
        run: builds::one_changed,
    },
    Measure {
        name: "copy-10k",
        about: "`COPY` of 10,000 files and 200 MB, against `cp -r` and `tar --zstd`",
        run: builds::copy,
    },
    Measure {
        name: "unpack",
        about: "the first use of a packed layer of 10,000 files and 200 MB, against `umoci raw unpack`",
        run: unpack::layer,
    },
    Measure {
        name: "run-steps",
        about: "ten programs of a build, one after the other",
        run: builds::run_steps,
    },
    Measure {
        name: "stages",
        about: "ten independent stages, against the same one at a time",
        run: builds::stages,
    },
    Measure {
        name: "ps-100",
        about: "listing a hundred containers",
        run: listing::containers,
    },
    Measure {
        name: "images-1000",
        about: "listing a thousand images",
        run: images::list,
    },
    Measure {
        name: "save-load",
        about: "an image of 500 MB out and in, against `skopeo copy`",
        run: images::carry,
    },
    Measure {
        name: "fairness",
        about: "1,000 CPU-bound guests in one container",
        run: inprocess::fairness,
    },
    Measure {
        name: "disk-ops",
        about: "calls on files of a mounted disk, against a directory of the host",
        run: disk_ops::run,
    },
    Measure {
        name: "disk-start",
        about: "starts of an image of 1 GiB against one of 1 MiB, and a hundred containers of one image",
        run: disk_start::run,
    },
    Measure {
        name: "disk-chain",
        about: "reading a file system through twenty snapshots, against one snapshot",
        run: inprocess::disk_chain,
    },
    Measure {
        name: "processes",
        about: "processes of a container and programs in bash, against the machine's own",
        run: processes::run,
    },
    Measure {
        name: "stop",
        about: "`minke stop` of 1,000 CPU-bound threads",
        run: stop::thousand,
    },
];

/// The same features as the benchmarks' of the workspace, or wasmtime would be compiled for each of them.
const BUILD: [&str; 7] = [
    "build",
    "--quiet",
    "--release",
    "--locked",
    "--workspace",
    "--bin",
    "minke",
];

#[derive(Default)]
struct Options {
    json: bool,
    install: bool,
    only: Vec<String>,
}

/// `bench [--only NAME]... [--format json] [--install]`.
pub fn command(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    cgroups::enter_version_2();
    setup::ensure(Purpose::Bench)?;
    guests::ensure(&["rust", "hello-c", "base", "native-busybox", "bench"])?;
    eprintln!("bench: cargo build --release");
    run(cargo().args(BUILD).current_dir(root()))?;
    if options.install {
        peers::install_wasmtime()?;
    }
    let lab = Lab {
        product: Product::new(target_dir().join("release/minke"))?,
        peers: Peers::find(),
    };
    let mut rows = Vec::new();
    for measure in MEASURES.iter().filter(|it| options.wants(it.name)) {
        eprintln!("bench: {}: {}", measure.name, measure.about);
        let measured = (measure.run)(&lab).with_context(|| format!("measure `{}`", measure.name));
        rows.extend(measured.unwrap_or_else(|error| vec![Row::failed(measure.name, &error)]));
    }
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&report::json(&rows))?),
        false => print!("{}", report::table(&rows)),
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut words = args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--install" => options.install = true,
            "--format" => match words.next() {
                Some("json") => options.json = true,
                other => bail!("expected `json`, found `{}`", other.unwrap_or_default()),
            },
            "--only" => {
                let name = words.next().unwrap_or_default();
                require_measure(name)?;
                options.only.push(name.to_string());
            }
            other => bail!(
                "unknown argument `{other}`, expected `--only NAME`, `--format json` or `--install`"
            ),
        }
    }
    Ok(options)
}

fn require_measure(name: &str) -> Result<()> {
    let names: Vec<_> = MEASURES.iter().map(|it| it.name).collect();
    if !names.contains(&name) {
        bail!(
            "unknown measure `{name}`\nhint: one of {}",
            names.join(", ")
        );
    }
    Ok(())
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_string)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn measures_are_chosen_by_name() {
        let options = parsed("--only http --only idle --format json").expect("it is well formed");
        assert!(options.json && options.wants("http") && !options.wants("hello"));
        assert!(parsed("").expect("nothing is fine").wants("hello"));
    }

    #[test]
    fn an_unknown_measure_is_answered_with_those_there_are() {
        let error = parsed("--only htp")
            .err()
            .expect("there is none of this name")
            .to_string();
        assert!(error.contains("`htp`") && error.contains("http"), "{error}");
    }
}
