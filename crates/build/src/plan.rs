//! The plan: what the stages that a build needs begin with, and what each waits for.
//!
//! The language's graph says which stages and images the names of a file mean, and that none needs a later one. Here the
//! images are looked up, and with them what their `ONBUILD` adds.

use std::collections::{BTreeMap, BTreeSet};

use minke_balenafile::{Balenafile, Graph, Instruction, Origin, Source, Step};
use minke_image::{Image, Store, StoreError};

use crate::build::BuildError;

/// Bounds the triggers of a base image, each of which is an instruction.
const TRIGGERS_MAX: usize = 1000;

/// What a stage begins with.
#[derive(Debug)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(Box<Image>),
}

/// A stage that is built.
#[derive(Debug)]
pub(crate) struct PlannedStage {
    pub(crate) base: Base,
    /// `--platform`, variables replaced.
    pub(crate) platform: Option<String>,
    /// Instructions that the base left for builds on it, with the text that each points into.
    pub(crate) triggers: Vec<(Source, Step)>,
    /// Stages that come first.
    pub(crate) needs: BTreeSet<usize>,
}

/// The stages that a target needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: usize,
    pub(crate) stages: BTreeMap<usize, PlannedStage>,
}

/// Makes the plan of a target.
pub(crate) struct Planner<'a> {
    pub(crate) file: &'a Balenafile,
    pub(crate) graph: &'a Graph,
    pub(crate) store: &'a Store,
}

impl Planner<'_> {
    /// Finds `--target`, by name or number; the last stage without one.
    pub(crate) fn target(&self, wanted: Option<&str>) -> Result<usize, BuildError> {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return Ok(self.file.stages.len() - 1);
        };
        self.file.stage(wanted).ok_or_else(|| BuildError::NoTarget {
            wanted: wanted.to_owned(),
            nearest: self.file.nearest_stage(wanted).map(str::to_owned),
        })
    }

    /// Makes the plan.
    pub(crate) fn plan(&self, target: usize) -> Result<Plan, BuildError> {
        let mut stages = BTreeMap::new();
        let mut pending = vec![target];
        while let Some(index) = pending.pop() {
            if stages.contains_key(&index) {
                continue;
            }
            let stage = self.stage(index)?;
            pending.extend(&stage.needs);
            stages.insert(index, stage);
        }
        Ok(Plan { target, stages })
    }

    fn stage(&self, index: usize) -> Result<PlannedStage, BuildError> {
        let node = self.graph.node(index);
        let node = node.map_err(|complaint| self.file.source.complain(complaint))?;
        let base = self.base(index, &node.base)?;
        let triggers = match &base {
            Base::Scratch => Vec::new(),
            Base::Stage(base) => triggers_of(&self.left_by_stage(*base))?,
            Base::Image(image) => triggers_of(&image.config.on_build)?,
        };
        let mut needs: BTreeSet<usize> = node.stages.iter().copied().collect();
        for (source, step) in &triggers {
            for from in step.origins() {
                let origin = self.file.earlier_origin(index, from);
                let origin = origin.map_err(|complaint| source.complain(complaint))?;
                if let Origin::Stage(needed) = origin {
                    needs.insert(needed);
                }
            }
        }
        Ok(PlannedStage {
            base,
            platform: node.platform.clone(),
            triggers,
            needs,
        })
    }

    /// Returns the triggers that a stage has for those that begin with it.
    fn left_by_stage(&self, index: usize) -> Vec<String> {
        let steps = self.file.stages[index].steps.iter();
        let triggers = steps.filter_map(|step| match &step.instruction {
            Instruction::Onbuild(onbuild) => Some(onbuild.text.clone()),
            _ => None,
        });
        triggers.collect()
    }

    fn base(&self, index: usize, origin: &Origin) -> Result<Base, BuildError> {
        let name = match origin {
            Origin::Scratch => return Ok(Base::Scratch),
            Origin::Stage(base) => return Ok(Base::Stage(*base)),
            Origin::Image(name) => name,
        };
        match self.store.image(name) {
            Ok(image) => Ok(Base::Image(Box::new(image))),
            Err(error) if error.is_not_found() || matches!(error, StoreError::Reference(_)) => {
                let span = self.file.stages[index].from.image.span;
                let (message, hint) = (error.to_string(), error.hint());
                Err(self
                    .file
                    .source
                    .error(span, message, hint.as_deref())
                    .into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn triggers_of(texts: &[String]) -> Result<Vec<(Source, Step)>, BuildError> {
    let parse = |text: &String| Ok(Step::parse_trigger(text)?);
    texts.iter().take(TRIGGERS_MAX).map(parse).collect()
}
