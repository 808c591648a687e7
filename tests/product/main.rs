//! The whole product, through the real binary: each test has a home of its own and real guests.
//!
//! Hosts choose the ports, so that all tests run at the same time. Guests come from `cargo xtask guests`.
//!
//! | module | is |
//! |---|---|
//! | `home` | runs `minke` with a home of its own, finds guests and examples |
//! | `run` | what a container is given, and how it ends, in the foreground |
//! | `lifecycle` | containers in the background, from `run -d` to `rm` |
//! | `limits` | limits hold, and `stats` tells what is used |
//! | `groups` | limits are held by control groups too, where one can be made |
//! | `logs` | what was printed, kept, bounded and followed |
//! | `containers` | over several lives: created, started, restarted, renamed, updated |
//! | `processes` | processes that start, signal and wait for others |
//! | `prune` | containers that do not run go, others stay |
//! | `contended` | several commands at once on the same container |
//! | `restarts` | restart policies, and the process that keeps them |
//! | `listing` | which containers `ps` and `inspect` show, and what of them |
//! | `events` | what happened, kept and followed |
//! | `exec` | programs beside the first of a container that runs |
//! | `attach` | what a container prints and is typed, by several commands |
//! | `top` | a container's processes |
//! | `pause` | all processes of a container stand still, and go on |
//! | `build` | images from Balenafiles |
//! | `building` | each instruction and option of a build: context in, tree out |
//! | `images` | lists, names, archives and the store |
//! | `check` | `build --check`: the rules of the language |
//! | `copied` | what files keep when a build copies them |
//! | `copied_files` | files between a container and the host |
//! | `deep` | trees of directories that are deeper than paths, descriptors and stacks |
//! | `disks` | ext4 file systems in files |
//! | `snapshots` | points of a container's root that it is put back to |
//! | `steps` | `RUN`: programs of a build |
//! | `arguments` | what is typed wrong: message, exit code, nothing left behind |
//! | `faults` | bad input and bad luck: message, exit code, nothing left behind |
//! | `front` | help, manual, completion, the machine's check |
//! | `formats` | lists and objects as `--format` says |
//! | `examples` | each example, used as its README says |
//! | `http` | an HTTP client that keeps its connection |
//! | `together` | many commands at once |
//! | `sdk` | programs compiled by `minke cc` |
//! | `rust` | programs compiled by `minke cargo` |
//! | `terminal` | `-t`: what programs see of a terminal, and what they change of it |
//! | `readme` | the session in the README, typed on a terminal |
//! | `threads` | programs with threads |
//! | `volumes` | files that outlive containers |
//! | `volume_disks` | named volumes that are disks |
//! | `published` | programs that nobody here wrote |

mod arguments;
mod attach;
mod base;
mod build;
mod building;
mod busybox;
mod caches;
mod check;
mod containers;
mod contended;
mod copied;
mod copied_files;
mod deep;
mod disk_volumes;
mod disks;
mod events;
mod examples;
mod exec;
mod faults;
mod formats;
mod front;
mod groups;
mod home;
mod hostile;
mod http;
mod images;
mod lifecycle;
mod limits;
mod linux;
mod listing;
mod logs;
mod pause;
mod processes;
mod prune;
mod published;
mod readme;
mod restarts;
mod roots;
mod run;
mod rust;
mod scripts;
mod sdk;
mod snapshots;
mod steps;
mod terminal;
mod threads;
mod together;
mod top;
mod volume_disks;
mod volumes;
