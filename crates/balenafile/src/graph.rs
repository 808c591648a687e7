//! The graph: which stage stands on which, and on which images.
//!
//! Spec: Dockerfile reference, "FROM", "COPY --from"; BuildKit `dockerfile2llb/convert.go` buildDispatchStates(),
//! toCommand(), dispatch(), `validations.go` validateCircularDependency().

use crate::instruction::{Balenafile, Instruction, Literal, Stage, Step};
use crate::source::{Complaint, Diagnostic};
use crate::table;
use crate::word::{Lookup, Word};

/// The image that is none.
const SCRATCH: &str = "scratch";

/// The stages of a file and what each needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// One for each stage, in the order of the file.
    pub nodes: Vec<Node>,
}

/// What a stage needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub base: Origin,
    /// `--platform`, variables replaced.
    pub platform: Option<String>,
    /// Stages that it is from, copies from or mounts; ascending, each once, without itself.
    pub stages: Vec<usize>,
    /// What is wrong with a stage that it names, if it is built.
    problem: Option<Complaint>,
}

/// Where files are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Scratch,
    /// The number of a stage, from 0.
    Stage(usize),
    /// The name of an image.
    Image(String),
}

impl Balenafile {
    /// Returns what each stage needs. `lookup` answers the values of the arguments before the first `FROM`.
    ///
    /// A cycle is refused. So is a number that no stage has.
    pub fn graph(&self, lookup: &mut Lookup<'_>) -> Result<Graph, Diagnostic> {
        let mut nodes = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let node = self.node(index, stage, lookup);
            nodes.push(node.map_err(|complaint| self.source.complain(complaint))?);
        }
        self.without_cycle(Graph { nodes })
    }

    /// Refuses cycles that are there whatever the variables are. A stage whose base has a variable begins with an image.
    pub(crate) fn check_stages(&self) -> Result<(), Diagnostic> {
        let mut nodes = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let name = stage.from.image.literal();
            let base = match &name {
                Some(name) => self.base(index, name),
                None => Origin::Image(stage.from.image.text.clone()),
            };
            let node = self.node_on(base, index, stage);
            nodes.push(node.map_err(|complaint| self.source.complain(complaint))?);
        }
        self.without_cycle(Graph { nodes }).map(drop)
    }

    fn without_cycle(&self, graph: Graph) -> Result<Graph, Diagnostic> {
        match graph.cycle() {
            Some(index) => Err(self.cycle(index)),
            None => Ok(graph),
        }
    }

    fn node(
        &self,
        index: usize,
        stage: &Stage,
        lookup: &mut Lookup<'_>,
    ) -> Result<Node, Complaint> {
        let image = expand(&stage.from.image, lookup)?;
        let platform = stage.from.platform.as_ref();
        let platform = platform.map(|word| expand(word, lookup)).transpose()?;
        Ok(Node {
            platform,
            ..self.node_on(self.base(index, &image), index, stage)?
        })
    }

    fn node_on(&self, base: Origin, index: usize, stage: &Stage) -> Result<Node, Complaint> {
        let mut node = Node {
            base,
            platform: None,
            stages: Vec::new(),
            problem: None,
        };
        if let Origin::Stage(base) = node.base {
            node.stages.push(base);
        }
        for from in stage.steps.iter().flat_map(Step::origins) {
            let Origin::Stage(needed) = self.origin(from)? else {
                continue;
            };
            node.stages.push(needed);
            if let Err(problem) = self.earlier_origin(index, from) {
                node.problem.get_or_insert(problem);
            }
        }
        node.stages.sort_unstable();
        node.stages.dedup();
        Ok(node)
    }

    /// Returns what the name after `FROM` means in a stage: only earlier stages count.
    pub fn base(&self, index: usize, name: &str) -> Origin {
        if name.eq_ignore_ascii_case(SCRATCH) {
            return Origin::Scratch;
        }
        let earlier = self.stages.iter().take(index);
        match earlier.rev().position(|stage| stage.is_named(name)) {
            Some(distance) => Origin::Stage(index - 1 - distance),
            None => Origin::Image(name.to_owned()),
        }
    }

    /// Returns what the `from` of a `COPY` or a mount means: of stages with one name, the last.
    pub fn origin(&self, from: &Literal) -> Result<Origin, Complaint> {
        if let Some(index) = self.stage(&from.text) {
            return Ok(Origin::Stage(index));
        }
        match from.text.as_str() {
            scratch if scratch.eq_ignore_ascii_case(SCRATCH) => Ok(Origin::Scratch),
            number if number.parse::<i64>().is_ok() => Err(Complaint {
                span: from.span,
                message: format!("there is no stage number {number}"),
                hint: Some(match self.stages.len() {
                    1 => "the only stage is number 0".to_owned(),
                    count => format!("stages are numbered from 0 to {}", count - 1),
                }),
            }),
            name => Ok(Origin::Image(name.to_owned())),
        }
    }

    /// Returns what the `from` of an instruction of stage `index` means; a stage must be an earlier one.
    pub fn earlier_origin(&self, index: usize, from: &Literal) -> Result<Origin, Complaint> {
        match self.origin(from)? {
            Origin::Stage(needed) if needed >= index => Err(self.later(index, from)),
            origin => Ok(origin),
        }
    }

    /// Returns the stage of a name, whatever its case, or of a number: for `--target` and `--from`.
    pub fn stage(&self, name: &str) -> Option<usize> {
        let is_named = |stage: &Stage| stage.is_named(name);
        let number = || name.parse().ok().filter(|index| *index < self.stages.len());
        self.stages.iter().rposition(is_named).or_else(number)
    }

    /// Returns the stage's name that is most like a mistyped one.
    pub fn nearest_stage(&self, name: &str) -> Option<&str> {
        let names = self
            .stages
            .iter()
            .filter_map(|stage| stage.from.name.as_deref());
        table::nearest(&name.to_ascii_lowercase(), names)
    }

    fn stage_name(&self, index: usize) -> String {
        let name = self
            .stages
            .get(index)
            .and_then(|stage| stage.from.name.as_ref());
        name.cloned().unwrap_or_else(|| index.to_string())
    }

    fn later(&self, index: usize, from: &Literal) -> Complaint {
        let name = self.stage_name(index);
        Complaint {
            span: from.span,
            message: format!(
                "cannot copy from stage `{}`, it needs to be defined before current stage `{name}`",
                from.text
            ),
            hint: Some(format!("move stage `{}` up", from.text)),
        }
    }

    fn cycle(&self, index: usize) -> Diagnostic {
        let origins = self.stages[index].steps.iter().flat_map(Step::origins);
        let is_stage = |from: &&Literal| matches!(self.origin(from), Ok(Origin::Stage(_)));
        let span = origins
            .into_iter()
            .find(is_stage)
            .map_or(self.stages[index].span, |from| from.span);
        let name = self.stage_name(index);
        self.source.error(
            span,
            format!("circular dependency detected on stage: `{name}`"),
            Some("let one of the stages do without the other"),
        )
    }
}

fn expand(word: &Word, lookup: &mut Lookup<'_>) -> Result<String, Complaint> {
    let complaint = |message: String, hint: &str| Complaint {
        span: word.span,
        message,
        hint: Some(hint.to_owned()),
    };
    let value = word
        .expand(lookup)
        .map_err(|error| complaint(error.to_string(), "set it with `ARG` or `--build-arg`"))?;
    match value.is_empty() {
        true => Err(complaint(
            format!("`{}` is empty", word.text),
            "give the variable a default: `ARG NAME=VALUE` before `FROM`",
        )),
        false => Ok(value),
    }
}

impl Graph {
    /// Returns what a stage needs, or what is wrong with a stage that it names.
    pub fn node(&self, index: usize) -> Result<&Node, Complaint> {
        let node = &self.nodes[index];
        match &node.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(node),
        }
    }

    /// Returns the stages that a target needs and the target itself, each after those that it needs.
    pub fn order(&self, target: usize) -> Result<Vec<usize>, Complaint> {
        let mut is_needed = vec![false; self.nodes.len()];
        let mut rest = vec![target];
        while let Some(index) = rest.pop() {
            let node = self.node(index)?;
            if !std::mem::replace(&mut is_needed[index], true) {
                rest.extend(&node.stages);
            }
        }
        // A stage without a problem needs earlier ones only.
        Ok((0..self.nodes.len())
            .filter(|index| is_needed[*index])
            .collect())
    }

    /// Returns a stage that needs itself, also through others.
    fn cycle(&self) -> Option<usize> {
        // Stages whose needs are all known to be without a cycle fall away until there are none.
        let mut is_free = vec![false; self.nodes.len()];
        loop {
            let is_next = |index: &usize| {
                let mut stages = self.nodes[*index].stages.iter();
                !is_free[*index] && stages.all(|needed| is_free[*needed])
            };
            match (0..self.nodes.len()).find(is_next) {
                Some(index) => is_free[index] = true,
                None => return is_free.iter().position(|is_free| !is_free),
            }
        }
    }
}

impl Stage {
    fn is_named(&self, name: &str) -> bool {
        let own = self.from.name.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

impl Step {
    /// Returns what the instruction takes files from besides the context.
    pub fn origins(&self) -> Vec<&Literal> {
        match &self.instruction {
            Instruction::Copy(copy) => copy.from.iter().collect(),
            Instruction::Run(run) => {
                let mounts = run.mounts.iter();
                mounts.filter_map(|mount| mount.from.as_ref()).collect()
            }
            _ => Vec::new(),
        }
    }
}
