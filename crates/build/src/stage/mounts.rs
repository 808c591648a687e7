//! Mounts of `RUN`: what its program sees besides the image.
//!
//! Files of the context are packed into a layer of their own first: the program sees exactly what the step's key was made
//! from, and nothing that `.dockerignore` hides.
//!
//! Spec: Dockerfile reference, "RUN --mount".

use std::path::{Path, PathBuf};

use minke_balenafile::{Mount, MountFlag, MountKind, Run, Span};
use minke_engine::spec::MountSpec;
use minke_image::Digest;

use super::caches::CacheMount;
use super::copying::Place;
use super::{Copying, Evaluator, LayerBase};
use crate::build::{Build, BuildError, now};
use crate::layer::{self, Depth};
use crate::origin::Origin;
use crate::placement::{Placer, Target, absolute};
use crate::select::{Rules, Selection, Selector};

/// Permissions of a secret. BuildKit: 0400.
const SECRET_MODE: u32 = 0o400;

/// What the mounts of a `RUN` are once looked up.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) specs: Vec<MountSpec>,
    /// What is taken only when the program is about to run.
    pub(super) caches: Vec<CacheMount>,
    /// Secrets that are variables.
    pub(super) env: Vec<String>,
    /// What of them the step's result depends on.
    pub(super) key: Vec<String>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn mounts(&mut self, run: &'a Run) -> Result<Mounts, BuildError> {
        let mut mounts = Mounts::default();
        for flag in &run.mounts {
            let mount = self.resolved(flag)?;
            mounts.key.push(key_of(&mount));
            match mount.kind {
                MountKind::Bind => self.bind(flag.span, &mount, &mut mounts)?,
                MountKind::Cache => self.cache(flag.span, &mount, &mut mounts)?,
                MountKind::Tmpfs => mounts.specs.push(MountSpec::Tmpfs {
                    target: self.mount_target(&mount.target),
                    size_bytes: mount.size_bytes,
                }),
                MountKind::Secret => self.secret(flag.span, &mount, &mut mounts)?,
                MountKind::Ssh => {
                    let hint = "give what it needs as a secret: `--mount=type=secret,id=NAME`";
                    let message = "`--mount=type=ssh` is not supported: programs reach no agent";
                    return Err(self.error(flag.span, message, Some(hint)));
                }
            }
        }
        Ok(mounts)
    }

    fn resolved(&self, flag: &MountFlag) -> Result<Mount, BuildError> {
        let mut lookup = |name: &str| self.variables.lookup(&self.image.config.env, name);
        flag.resolve(&mut lookup)
            .map_err(|complaint| self.source.complain(complaint).into())
    }

    fn mount_target(&self, target: &str) -> String {
        let path = absolute(&self.image.config.working_dir, target);
        path.to_string_lossy().into_owned()
    }

    fn bind(&mut self, span: Span, mount: &Mount, mounts: &mut Mounts) -> Result<(), BuildError> {
        let target = self.mount_target(&mount.target);
        let (layers, subpath) = match &mount.from {
            None => self.bind_context(span, mount, mounts)?,
            Some(from) => {
                let (origin, layers, name) = self.build.foreign_origin(self.source, from)?;
                let place = Place {
                    hint: format!("check the paths of {name}"),
                    name,
                };
                let path = relative(&mount.source);
                let (real, _) = origin.follow(&path).map_err(|error| {
                    let error = crate::select::SelectError::Context { path, error };
                    self.select_error(span, &mount.source, &place, error)
                })?;
                mounts.key.push(Build::chain_of(&layers).to_string());
                (layers, real)
            }
        };
        let files = self.build.lease.store().layer_files(&layers)?;
        mounts.specs.push(MountSpec::Layers {
            layers: files.into_iter().map(|file| file.path).collect(),
            subpath: subpath.to_string_lossy().into_owned(),
            target,
            is_read_only: mount.is_read_only,
        });
        Ok(())
    }

    /// Packs files of the context into a layer.
    fn bind_context(
        &mut self,
        span: Span,
        mount: &Mount,
        mounts: &mut Mounts,
    ) -> Result<(Vec<minke_image::Layer>, PathBuf), BuildError> {
        let now_ns = i64::try_from(now().as_nanos()).unwrap_or(i64::MAX);
        let place = Place {
            name: "the context".to_owned(),
            hint: "paths are relative to the context's directory".to_owned(),
        };
        let rules = Rules::default();
        let source = if mount.source.is_empty() {
            "."
        } else {
            &mount.source
        };
        let store = self.build.lease.store();
        let selections = self.build.files.select(store, now_ns, |origin| {
            let selected = Selector::new(origin, &rules).select(source);
            selected.map_err(|error| self.select_error(span, source, &place, error))
        })?;
        let subpath = match &selections[..] {
            [Selection::File { name, .. }] => PathBuf::from(name),
            _ => PathBuf::new(),
        };
        let target = Target {
            destination: "/".into(),
            is_directory: true,
            owner: None,
            mode: None,
            mtime_s: self.build.source_date_epoch_s,
        };
        let copying = Copying {
            instruction: "RUN --mount",
            text: "RUN --mount",
            span,
            target: &target,
            selections: &selections,
            base: LayerBase::Nothing,
        };
        let key = self.key(&copying, Depth::Content)?;
        mounts.key.push(key.to_string());
        let layer = self.context_layer(&key, &copying)?;
        Ok((layer.into_iter().collect(), subpath))
    }

    /// Returns the layer of some files of the context, made before or now.
    fn context_layer(
        &mut self,
        key: &Digest,
        copying: &Copying<'a, '_>,
    ) -> Result<Option<minke_image::Layer>, BuildError> {
        if let Some(cached) = self.build.lease.cached_step(key)? {
            return Ok(cached.layer);
        }
        let selections: Vec<&Selection> = copying.selections.iter().collect();
        let newest_mtime_s = layer::newest_mtime_s(&selections);
        let placement = self.placement(copying, |tree| {
            Placer::new(tree, copying.target, newest_mtime_s).place(&selections)
        })?;
        let planned = super::Planned {
            placement,
            newest_mtime_s,
        };
        let made = self.make_layer(copying, &planned)?;
        self.build.lease.remember_step(key, &made)?;
        Ok(made.layer)
    }

    fn cache(&self, span: Span, mount: &Mount, mounts: &mut Mounts) -> Result<(), BuildError> {
        if mount.from.is_some() {
            let message = "`from` of a cache is not supported: caches begin empty";
            let hint = "copy what it is to hold in the step before, or leave `from` out";
            return Err(self.error(span, message, Some(hint)));
        }
        mounts.caches.push(CacheMount {
            position: mounts.specs.len(),
            target: self.mount_target(&mount.target),
            mount: mount.clone(),
        });
        Ok(())
    }

    fn secret(&self, span: Span, mount: &Mount, mounts: &mut Mounts) -> Result<(), BuildError> {
        let id = &mount.id;
        let found = self.secret_bytes(span, id)?;
        let Some(content) = found else {
            if !mount.is_required {
                return Ok(());
            }
            let message = format!("secret {id}: not found");
            let hint = format!("give it: `--secret id={id},src=FILE`");
            return Err(self.error(span, message, Some(&hint)));
        };
        if let Some(variable) = &mount.variable {
            let value = String::from_utf8_lossy(&content);
            mounts.env.push(format!("{variable}={value}"));
        }
        // A variable alone needs no file. BuildKit: `env=` without `target=`.
        if !mount.target.is_empty() {
            mounts.specs.push(MountSpec::File {
                target: self.mount_target(&mount.target),
                content,
                mode: mount.mode.unwrap_or(SECRET_MODE),
                uid: mount.uid.unwrap_or_default(),
                gid: mount.gid.unwrap_or_default(),
            });
        }
        Ok(())
    }

    fn secret_bytes(&self, span: Span, id: &str) -> Result<Option<Vec<u8>>, BuildError> {
        let mut secrets = self.build.options.secrets.iter();
        let Some(secret) = secrets.find(|secret| secret.id == id) else {
            return Ok(None);
        };
        secret.read().map_err(|error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            self.error(span, format!("{error}{cause}"), Some(&error.hint()))
        })
    }
}

/// What a mount says, without what it holds: that of secrets and caches must not decide whether a step is done again.
fn key_of(mount: &Mount) -> String {
    let facts = (
        mount.kind,
        &mount.source,
        &mount.target,
        mount.is_read_only,
        mount.size_bytes,
        &mount.id,
        &mount.variable,
        (mount.mode, mount.uid, mount.gid),
    );
    format!("{facts:?}")
}

fn relative(path: &str) -> PathBuf {
    absolute("/", path)
        .strip_prefix("/")
        .map(Path::to_owned)
        .unwrap_or_default()
}
