//! Which loops have a poll: those that a program may be in for long.
//!
//! A loop that calls functions, or has another in it, costs more than its poll. One that does neither is most often a walk over memory
//! of a known length, and would take twice as long. It has a poll only where it looks endless: nothing leaves it but a signal's handler,
//! or it loads again and again from one address, as who waits for a flag does.

use std::collections::HashSet;

use wasmparser::Operator;

/// The loops of one function that have not ended, from the outermost.
#[derive(Default)]
pub(super) struct Loops {
    blocks: Vec<Option<Loop>>,
    last: Option<Source>,
}

/// A loop that was not left yet.
struct Loop {
    /// Where its body begins.
    start: usize,
    /// It calls a function, or has a loop in it.
    is_slow: bool,
    has_exit: bool,
    /// Locals that it changes.
    changed: HashSet<u32>,
    /// Locals that it loads from the address of.
    loaded: HashSet<u32>,
    /// It loads from an address that is written in the code.
    loads_constant: bool,
}

/// Where an operand comes from, if that is what the operator before has done.
#[derive(Clone, Copy)]
enum Source {
    Local(u32),
    Constant,
}

impl Loop {
    fn at(start: usize) -> Loop {
        Loop {
            start,
            is_slow: false,
            has_exit: false,
            changed: HashSet::new(),
            loaded: HashSet::new(),
            loads_constant: false,
        }
    }

    fn needs_poll(&self) -> bool {
        let waits = self.loads_constant || !self.loaded.is_subset(&self.changed);
        self.is_slow || !self.has_exit || waits
    }
}

impl Loops {
    /// Takes the next operator, which ends at `end`; returns where a poll is to stand, if it ends a loop that needs one.
    pub(super) fn next(&mut self, operator: &Operator<'_>, end: usize) -> Option<usize> {
        let source = self.last.take();
        match operator {
            Operator::Loop { .. } => {
                self.mark(|it| it.is_slow = true);
                self.blocks.push(Some(Loop::at(end)));
            }
            Operator::If { .. } => {
                self.mark(|it| it.has_exit = true);
                self.blocks.push(None);
            }
            Operator::Block { .. } | Operator::TryTable { .. } => self.blocks.push(None),
            Operator::End => {
                let ended = self.blocks.pop().flatten()?;
                return ended.needs_poll().then_some(ended.start);
            }
            Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. } => self.mark(|it| it.has_exit = true),
            Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.mark(|it| it.is_slow = true);
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.mark(|it| {
                    it.changed.insert(*local_index);
                });
            }
            Operator::LocalGet { local_index } => self.last = Some(Source::Local(*local_index)),
            Operator::I32Const { .. } | Operator::I64Const { .. } | Operator::GlobalGet { .. } => {
                self.last = Some(Source::Constant);
            }
            _ if is_load(operator) => self.mark(|it| match source {
                Some(Source::Constant) => it.loads_constant = true,
                Some(Source::Local(local)) => {
                    it.loaded.insert(local);
                }
                None => {}
            }),
            _ => {}
        }
        None
    }

    /// Notes something of the innermost loop.
    fn mark(&mut self, note: impl FnOnce(&mut Loop)) {
        if let Some(innermost) = self.blocks.iter_mut().rev().flatten().next() {
            note(innermost);
        }
    }
}

/// Loads of numbers, as of flags and counters.
fn is_load(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::I32Load { .. }
            | Operator::I64Load { .. }
            | Operator::I32Load8S { .. }
            | Operator::I32Load8U { .. }
            | Operator::I32Load16S { .. }
            | Operator::I32Load16U { .. }
            | Operator::I64Load8S { .. }
            | Operator::I64Load8U { .. }
            | Operator::I64Load16S { .. }
            | Operator::I64Load16U { .. }
            | Operator::I64Load32S { .. }
            | Operator::I64Load32U { .. }
            | Operator::I32AtomicLoad { .. }
            | Operator::I64AtomicLoad { .. }
            | Operator::I32AtomicLoad8U { .. }
            | Operator::I32AtomicLoad16U { .. }
    )
}
