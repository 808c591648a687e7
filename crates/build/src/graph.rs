//! The graph of stages: which of them a build needs, and what each waits for.
//!
//! BuildKit: `dockerfile2llb/convert.go`, findStateByName(), hasCircularDependency(). A `FROM` finds earlier stages only, since a
//! stage may be called like the image that it begins with; `--from` finds every stage.

use std::collections::{BTreeMap, BTreeSet};

use minke_balenafile::{Balenafile, Instruction, Literal, Source, Step};
use minke_image::{Image, Store, StoreError};

use crate::build::BuildError;

/// The image that is none.
pub(crate) const SCRATCH: &str = "scratch";

/// Bounds the triggers of a base image, each of which is an instruction.
const TRIGGERS_MAX: usize = 1000;

/// What a stage begins with.
#[derive(Debug)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(Box<Image>),
}

/// What files are taken from beside the context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Foreign {
    Stage(usize),
    Image(String),
}

/// A stage that is built.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) base: Base,
    /// Instructions that the base left for builds on it, with the text that each points into.
    pub(crate) triggers: Vec<(Source, Step)>,
    /// Stages that come first.
    pub(crate) needs: BTreeSet<usize>,
}

/// The stages that a target needs.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) target: usize,
    pub(crate) nodes: BTreeMap<usize, Node>,
}

/// Makes the graph of a target; `base_names` are the words after `FROM` with their variables replaced.
pub(crate) struct Planner<'a> {
    pub(crate) file: &'a Balenafile,
    pub(crate) base_names: &'a [String],
    pub(crate) store: &'a Store,
}

impl Planner<'_> {
    /// Finds `--target`, by name or number; the last stage without one.
    pub(crate) fn target(&self, wanted: Option<&str>) -> Result<usize, BuildError> {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return Ok(self.file.stages.len() - 1);
        };
        let is_number = |index: &usize| *index < self.file.stages.len();
        stage_called(self.file, wanted, self.file.stages.len())
            .or_else(|| wanted.parse().ok().filter(is_number))
            .ok_or_else(|| BuildError::NoTarget {
                wanted: wanted.to_owned(),
                nearest: nearest_stage(self.file, wanted),
            })
    }

    /// Makes the graph.
    pub(crate) fn graph(&self, target: usize) -> Result<Graph, BuildError> {
        let mut nodes = BTreeMap::new();
        let mut pending = vec![target];
        while let Some(index) = pending.pop() {
            if nodes.contains_key(&index) {
                continue;
            }
            let node = self.node(index)?;
            pending.extend(&node.needs);
            nodes.insert(index, node);
        }
        let graph = Graph { target, nodes };
        match graph.circle() {
            None => Ok(graph),
            Some(index) => Err(self.circular(index)),
        }
    }

    fn circular(&self, index: usize) -> BuildError {
        let stage = &self.file.stages[index];
        let name = stage.from.name.clone().unwrap_or_else(|| index.to_string());
        let message = format!("circular dependency detected on stage: {name}");
        let hint = "copy from a stage that does not need this one";
        self.file
            .source
            .error(stage.span, message, Some(hint))
            .into()
    }

    fn node(&self, index: usize) -> Result<Node, BuildError> {
        let base = self.base(index)?;
        let triggers = match &base {
            Base::Scratch => Vec::new(),
            Base::Stage(base) => triggers_of(&self.left_by_stage(*base))?,
            Base::Image(image) => triggers_of(&image.config.on_build)?,
        };
        let mut needs = BTreeSet::new();
        if let Base::Stage(base) = base {
            needs.insert(base);
        }
        let own = self.file.stages[index].steps.iter();
        let own = own.map(|step| (&self.file.source, step));
        let inherited = triggers.iter().map(|(source, step)| (source, step));
        for (source, step) in own.chain(inherited) {
            for from in froms(&step.instruction) {
                if let Foreign::Stage(needed) = self.foreign(source, from)? {
                    needs.insert(needed);
                }
            }
        }
        Ok(Node {
            base,
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

    fn base(&self, index: usize) -> Result<Base, BuildError> {
        let word = &self.file.stages[index].from.image;
        let name = &self.base_names[index];
        let failed = |message: String, hint: Option<&str>| {
            BuildError::from(self.file.source.error(word.span, message, hint))
        };
        if name.is_empty() {
            let hint = "give the variable a default: `ARG NAME=VALUE` before `FROM`";
            return Err(failed(format!("`{}` is empty", word.text), Some(hint)));
        }
        if name.eq_ignore_ascii_case(SCRATCH) {
            return Ok(Base::Scratch);
        }
        if let Some(base) = stage_called(self.file, name, index) {
            return Ok(Base::Stage(base));
        }
        match self.store.image(name) {
            Ok(image) => Ok(Base::Image(Box::new(image))),
            Err(error) if error.is_not_found() || matches!(error, StoreError::Reference(_)) => {
                Err(failed(error.to_string(), error.hint().as_deref()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells what `--from` means.
    pub(crate) fn foreign(&self, source: &Source, from: &Literal) -> Result<Foreign, BuildError> {
        foreign(self.file, source, from)
    }
}

/// Tells what `--from` means: a stage by name or number, else an image.
pub(crate) fn foreign(
    file: &Balenafile,
    source: &Source,
    from: &Literal,
) -> Result<Foreign, BuildError> {
    let count = file.stages.len();
    if let Ok(index) = from.text.parse::<usize>() {
        return match index < count {
            true => Ok(Foreign::Stage(index)),
            false => {
                let message = format!("invalid stage index {index}: the file has {count} stages");
                let hint = "stages count from 0";
                Err(source.error(from.span, message, Some(hint)).into())
            }
        };
    }
    Ok(match stage_called(file, &from.text, count) {
        Some(index) => Foreign::Stage(index),
        None => Foreign::Image(from.text.clone()),
    })
}

/// Returns the last stage of a name among the first `before`.
fn stage_called(file: &Balenafile, name: &str, before: usize) -> Option<usize> {
    let is_called = |index: &usize| {
        let own = file.stages[*index].from.name.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    (0..before).rev().find(is_called)
}

/// Returns the stage most like a name that none has.
pub(crate) fn nearest_stage(file: &Balenafile, wanted: &str) -> Option<String> {
    const MISTAKES_MAX: usize = 2;
    let names = file
        .stages
        .iter()
        .filter_map(|stage| stage.from.name.clone());
    let scored = names.map(|name| (strsim::damerau_levenshtein(&name, wanted), name));
    let best = scored.min_by_key(|(mistakes, _)| *mistakes)?;
    (best.0 <= MISTAKES_MAX).then_some(best.1)
}

fn triggers_of(texts: &[String]) -> Result<Vec<(Source, Step)>, BuildError> {
    let parse = |text: &String| Ok(Step::parse_trigger(text)?);
    texts.iter().take(TRIGGERS_MAX).map(parse).collect()
}

/// Returns what an instruction takes files from.
fn froms(instruction: &Instruction) -> Vec<&Literal> {
    match instruction {
        Instruction::Copy(copy) => copy.from.iter().collect(),
        Instruction::Run(run) => run
            .mounts
            .iter()
            .filter_map(|mount| mount.from.as_ref())
            .collect(),
        _ => Vec::new(),
    }
}

impl Graph {
    /// Returns a stage that needs itself.
    fn circle(&self) -> Option<usize> {
        let mut done = BTreeSet::new();
        while done.len() < self.nodes.len() {
            let is_ready = |(index, node): &(&usize, &Node)| {
                !done.contains(*index) && node.needs.is_subset(&done)
            };
            match self.nodes.iter().find(is_ready) {
                Some((index, _)) => done.insert(*index),
                // Whatever is left waits for a circle; the first stage that is in one itself is named.
                None => {
                    let left = self.nodes.keys().filter(|index| !done.contains(*index));
                    return left.copied().find(|index| self.reaches(*index));
                }
            };
        }
        None
    }

    fn reaches(&self, index: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<usize> = self.nodes[&index].needs.iter().copied().collect();
        while let Some(next) = pending.pop() {
            if seen.insert(next) {
                pending.extend(&self.nodes[&next].needs);
            }
        }
        seen.contains(&index)
    }
}
