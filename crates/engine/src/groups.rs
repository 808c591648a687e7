//! Control groups as a second hold on what was limited, where a group of our own can be made.
//!
//! The kernel in the sandbox keeps all limits itself. What it does not count is the sandbox's own memory and threads, and what a
//! guest gained by a mistake of ours: a group of the host bounds these too. So its limits are wider, by what a sandbox may need.
//! It is a help that nothing depends on: where no group can be made, or no limit was asked for, there is none.
//!
//! | place | when |
//! |---|---|
//! | below our own group | its controllers are passed on to groups below, or can be |
//! | beside our own group | ours is an unlimited `.scope` of a subtree that systemd has handed to this user: its processes keep it from passing controllers on |
//!
//! The directory of a container's socket holds a link to its group from before that is made, so that whoever sweeps the one
//! removes the other. A sandbox enters its group a second after its start, for Linux takes some 15 ms to move a process: what ends
//! earlier does without. When its guest has ended, it goes back to where it came from, and removes the group itself.
//!
//! Linux: Documentation/admin-guide/cgroup-v2.rst. systemd: docs/CGROUP_DELEGATION.md.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minke_sandbox::spec::LimitsSpec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, access, getxattr, statfs};
use rustix::io::Errno;

use crate::names::ignore_missing;

/// Where Linux's tools mount control groups.
const MOUNT: &str = "/sys/fs/cgroup";

/// Linux: include/uapi/linux/magic.h, `CGROUP2_SUPER_MAGIC`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The link to a container's group, in the directory of its socket.
const LINK: &str = "group";

/// What is limited. Others are of no use to us.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Memory that a sandbox may have beside what it counts: its program, compiled code, stacks of its threads, the host's socket buffers.
const SANDBOX_BYTES: u64 = 256 << 20;

/// Threads that a sandbox may have beside those of its guests.
const SANDBOX_THREADS: u32 = 64;

/// CPU time per time that a sandbox may have beside its guests, so that it still answers while they have used theirs up.
const SANDBOX_CPUS: f64 = 0.1;

/// Over which the CPU time is counted. Linux: the default of `cpu.max`.
const PERIOD_US: f64 = 100_000.0;

/// How long a dead sandbox may take to leave its group; only one that does not leave it takes longer.
const EMPTIED_WITHIN: Duration = Duration::from_secs(2);

/// Bounds what is looked at above our own group for one that was handed over; systemd's trees are less deep.
const DEPTH_MAX: usize = 16;

/// A group in which others can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub directory: PathBuf,
    /// What can be limited there.
    pub controllers: Vec<&'static str>,
    /// The group of this process.
    own: PathBuf,
}

impl Place {
    /// Looks where this process can make groups; `None` when nowhere.
    pub fn find() -> Option<Place> {
        if statfs(MOUNT).ok()?.f_type as u64 != CGROUP2_MAGIC {
            return None;
        }
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Place::find_for(Path::new(MOUNT), own)
    }

    fn find_for(mount: &Path, own: &str) -> Option<Place> {
        let own = mount.join(own);
        let place = |directory: &Path| {
            let controllers = passed_on(directory);
            let is_writable = access(directory, Access::WRITE_OK).is_ok();
            (is_writable && !controllers.is_empty()).then(|| Place {
                directory: directory.to_owned(),
                controllers,
                own: own.clone(),
            })
        };
        pass_on(&own);
        place(&own).or_else(|| {
            let beside = own.parent().filter(|_| is_unlimited_scope(&own))?;
            is_handed_over(mount, beside).then(|| place(beside))?
        })
    }
}

/// Passes the controllers on to groups below. Linux refuses it to a group that has processes, unless it is the root.
fn pass_on(directory: &Path) {
    let there = words(&directory.join("cgroup.controllers"));
    let passed_on = passed_on(directory);
    for name in CONTROLLERS {
        if there.iter().any(|it| it == name) && !passed_on.contains(&name) {
            let _ = write(directory, "cgroup.subtree_control", &format!("+{name}"));
        }
    }
}

fn passed_on(directory: &Path) -> Vec<&'static str> {
    let names = words(&directory.join("cgroup.subtree_control"));
    let mut wanted = CONTROLLERS.to_vec();
    wanted.retain(|name| names.iter().any(|it| it == name));
    wanted
}

/// Whether nothing is evaded by leaving a group: a scope holds a session's processes together, and limits none of them.
fn is_unlimited_scope(group: &Path) -> bool {
    let is_scope = group.extension().is_some_and(|it| it == "scope");
    let is_unlimited = |file: &str| {
        let limit = words(&group.join(file));
        limit.first().is_none_or(|limit| limit == "max")
    };
    is_scope
        && ["memory.max", "cpu.max", "pids.max"]
            .iter()
            .all(|file| is_unlimited(file))
}

/// Whether systemd has said that this group, or one above it, is the user's to divide.
fn is_handed_over(mount: &Path, group: &Path) -> bool {
    let mut above = group.ancestors().take(DEPTH_MAX);
    above
        .by_ref()
        .take_while(|it| it.starts_with(mount))
        .any(|group| {
            let mut value = [0; 1];
            getxattr(group, "user.delegate", &mut value).is_ok() && value == *b"1"
        })
}

/// Removes the group of a container whose socket's directory this is, unless it runs.
pub(crate) fn remove_of(run_directory: &Path) -> io::Result<()> {
    let link = run_directory.join(LINK);
    match fs::read_link(&link) {
        Ok(group) => {
            ignore_missing(fs::remove_dir(group))?;
            ignore_missing(fs::remove_file(link))
        }
        Err(_) => Ok(()),
    }
}

/// Does what [`remove_of`] does for a container whose sandbox has let go of its lock: Linux takes a process out of its group a
/// moment after it has closed its files, so that is waited for. Linux: kernel/exit.c do_exit().
pub(crate) fn remove_emptied_of(run_directory: &Path) -> io::Result<()> {
    match remove_of(run_directory) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            wait_until_empty(&fs::read_link(run_directory.join(LINK))?)?;
            remove_of(run_directory)
        }
        removed => removed,
    }
}

/// Waits until a group has no processes, for [`EMPTIED_WITHIN`] at most. Linux: Documentation/admin-guide/cgroup-v2.rst,
/// "Populated Notification".
fn wait_until_empty(group: &Path) -> io::Result<()> {
    let until = Instant::now() + EMPTIED_WITHIN;
    let mut events = File::open(group.join("cgroup.events"))?;
    loop {
        let mut text = String::new();
        events.rewind()?;
        // What changes after it was read ends the wait.
        events.read_to_string(&mut text)?;
        let left = until.saturating_duration_since(Instant::now());
        if text.contains("populated 0") || left.is_zero() {
            return Ok(());
        }
        let left = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the host has killed a process of the group, because it needed more memory than it may have.
pub(crate) fn was_out_of_memory(group: &Path) -> bool {
    let events = words(&group.join("memory.events"));
    let kills = events.iter().skip_while(|word| *word != "oom_kill").nth(1);
    kills.is_some_and(|count| count != "0")
}

/// Changes the limits of a group. What the host refuses is left as it is.
pub(crate) fn limit(group: &Path, limits: &LimitsSpec) {
    for (file, value) in values(limits) {
        if let Err(error) = write(group, file, &value) {
            tracing::debug!(%error, file, "a limit of the control group is not set");
        }
    }
}

/// Whether anything is limited that a group can hold.
pub(crate) fn is_wanted(limits: &LimitsSpec) -> bool {
    limits.is_memory_asked || limits.is_pids_asked || limits.cpus.is_some()
}

fn values(limits: &LimitsSpec) -> [(&'static str, String); 3] {
    const NONE: &str = "max";
    let or_none = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
    let bytes = limits.memory_bytes_max.saturating_add(SANDBOX_BYTES);
    let threads = limits.pids_max.saturating_add(SANDBOX_THREADS);
    let cpus = limits.cpus.map(|cpus| {
        let microseconds = (cpus + SANDBOX_CPUS) * PERIOD_US;
        format!("{microseconds:.0} {PERIOD_US:.0}")
    });
    [
        (
            "memory.max",
            or_none(limits.is_memory_asked.then(|| bytes.to_string())),
        ),
        (
            "pids.max",
            or_none(limits.is_pids_asked.then(|| threads.to_string())),
        ),
        ("cpu.max", or_none(cpus)),
    ]
}

/// A container's group that this process has made, and may be in.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) path: PathBuf,
    /// Takes a process that writes `0` to it.
    pub(crate) entrance: Arc<File>,
    /// Where this process came from; open, for the jail lets nothing be opened later.
    origin: File,
    run_directory: PathBuf,
}

impl Group {
    /// Makes a group for a container, if something is limited and there is a place.
    pub(crate) fn make(id: &str, limits: &LimitsSpec, run_directory: &Path) -> Option<Group> {
        if !is_wanted(limits) {
            return None;
        }
        let place = Place::find()?;
        match Group::make_at(&place, id, run_directory) {
            Ok(group) => {
                limit(&group.path, limits);
                Some(group)
            }
            Err(error) => {
                tracing::debug!(%error, id, "no control group is made");
                let _ = remove_of(run_directory);
                None
            }
        }
    }

    fn make_at(place: &Place, id: &str, run_directory: &Path) -> io::Result<Group> {
        let origin = File::options()
            .write(true)
            .open(place.own.join("cgroup.procs"))?;
        let path = place.directory.join(format!("minke-{id}"));
        remove_of(run_directory)?;
        symlink(&path, run_directory.join(LINK))?;
        fs::create_dir(&path)?;
        let entrance = File::options()
            .write(true)
            .open(path.join("cgroup.procs"))?;
        Ok(Group {
            path,
            entrance: Arc::new(entrance),
            origin,
            run_directory: run_directory.to_owned(),
        })
    }

    /// Removes the group, after moving this process back if it is in it. What fails is done by the next command that sweeps.
    pub(crate) fn leave(&self) {
        if remove_of(&self.run_directory).is_err() {
            let _ = (&self.origin).write_all(b"0");
            let _ = remove_of(&self.run_directory);
        }
    }
}

/// Writes a file of a group, in one call; it is not made where it is missing.
fn write(group: &Path, name: &str, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(group.join(name))?;
    file.write_all(value.as_bytes())
}

fn words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of directories that looks like control groups: each with its files.
    fn groups(all: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().expect("a directory");
        for (group, files) in all {
            let directory = mount.path().join(group);
            fs::create_dir_all(&directory).expect("made");
            for (name, text) in *files {
                fs::write(directory.join(name), text).expect("written");
            }
        }
        mount
    }

    #[test]
    fn groups_are_made_below_our_own_where_it_passes_controllers_on() {
        let enabled = ("cgroup.subtree_control", "cpu io memory");
        let mount = groups(&[
            ("a", &[enabled]),
            ("b", &[("cgroup.subtree_control", "io")]),
        ]);
        let place = Place::find_for(mount.path(), "a").expect("a place");
        assert_eq!(place.directory, mount.path().join("a"));
        assert_eq!(place.controllers, ["memory", "cpu"]);
        assert_eq!(Place::find_for(mount.path(), "b"), None);
        assert_eq!(Place::find_for(mount.path(), "missing"), None);
    }

    #[test]
    fn nothing_is_evaded_that_limits_our_own_group() {
        let slice: &[_] = &[("cgroup.subtree_control", "memory pids")];
        let mount = groups(&[
            ("app.slice", slice),
            ("app.slice/a.scope", &[("memory.max", "max")]),
            ("app.slice/b.scope", &[("memory.max", "1000000")]),
            ("app.slice/c.service", &[]),
        ]);
        let slice = mount.path().join("app.slice");
        assert!(is_unlimited_scope(&slice.join("a.scope")));
        assert!(!is_unlimited_scope(&slice.join("b.scope")));
        assert!(!is_unlimited_scope(&slice.join("c.service")));
        // Nobody has handed it over.
        assert_eq!(Place::find_for(mount.path(), "app.slice/a.scope"), None);
    }

    #[test]
    fn limits_are_wider_by_what_a_sandbox_needs_and_missing_where_none_was_asked_for() {
        let limits = LimitsSpec {
            memory_bytes_max: 64 << 20,
            is_memory_asked: true,
            pids_max: 10,
            cpus: Some(0.5),
            ..LimitsSpec::default()
        };
        let expected = [
            ("memory.max", "335544320".to_owned()),
            ("pids.max", "max".to_owned()),
            ("cpu.max", "60000 100000".to_owned()),
        ];
        assert_eq!(values(&limits), expected);
        assert!(is_wanted(&limits) && !is_wanted(&LimitsSpec::default()));
    }

    #[test]
    fn a_group_is_found_by_the_link_beside_the_socket_and_removed_with_it() {
        let mount = groups(&[("group", &[]), ("run", &[])]);
        let (group, run) = (mount.path().join("group"), mount.path().join("run"));
        symlink(&group, run.join(LINK)).expect("linked");
        fs::write(group.join("cgroup.procs"), "1").expect("written");
        assert!(remove_of(&run).is_err(), "it is in use");
        fs::remove_file(group.join("cgroup.procs")).expect("removed");
        remove_of(&run).expect("removed");
        assert!(!group.exists() && !run.join(LINK).exists());
        remove_of(&run).expect("nothing to remove");
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_by_the_groups_events() {
        let mount = groups(&[
            ("a", &[("memory.events", "low 0\noom 1\noom_kill 1\n")]),
            ("b", &[("memory.events", "low 0\noom 1\noom_kill 0\n")]),
        ]);
        assert!(was_out_of_memory(&mount.path().join("a")));
        assert!(!was_out_of_memory(&mount.path().join("b")));
        assert!(!was_out_of_memory(&mount.path().join("missing")));
    }
}
