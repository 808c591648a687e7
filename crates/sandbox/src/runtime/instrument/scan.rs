//! Validates a module and finds the places where it needs a check, or another operator.

use wasmparser::types::Types;
use wasmparser::{
    ExternalKind, FuncValidatorAllocations, FunctionBody, MemoryType, Operator, Parser, Payload,
    TypeRef, ValidPayload, Validator, WasmFeatures,
};

use super::bulk::Bulk;
use super::loops::Loops;
use super::shared::SharedOperator;
use super::{InstrumentError, POLL_EXPORT, RESERVED_EXPORTS, UNCHECKED_BULK_BYTES_MAX};

/// What the rewriting needs to know of a module.
pub(super) struct Scan {
    /// Types defined in the type section.
    pub(super) types_count: u32,
    /// Functions, imported and defined.
    pub(super) functions_count: u32,
    /// Memories, imported and defined.
    pub(super) memories: Vec<MemoryType>,
    /// Index of the shared memory.
    pub(super) shared_memory: Option<u32>,
    /// Tables, imported and defined.
    pub(super) tables_count: u32,
    /// The start function.
    pub(super) start: Option<u32>,
    /// The function that polls call.
    pub(super) poll: Option<u32>,
    /// The bulk operations to replace, each once; their order is that of the helper functions.
    pub(super) bulk: Vec<Bulk>,
    /// The operators on the shared memory that the host serves.
    pub(super) shared: Vec<SharedOperator>,
    /// All places, in the order of their offsets.
    pub(super) sites: Vec<Site>,
}

impl Scan {
    /// Whether there is a check or a poll anywhere, hence a hidden memory.
    pub(super) fn has_checks(&self) -> bool {
        let is_check = |site: &Site| matches!(site.edit, Edit::Check | Edit::Poll);
        !self.bulk.is_empty() || self.sites.iter().any(is_check)
    }
}

/// A place in the code section.
#[derive(Clone, Copy)]
pub(super) struct Site {
    /// Where, from the beginning of the module.
    pub(super) offset: u32,
    /// What to do there.
    pub(super) edit: Edit,
}

/// What to do at a [`Site`].
#[derive(Clone, Copy)]
pub(super) enum Edit {
    /// Insert a check.
    Check,
    /// Insert a poll.
    Poll,
    /// Replace the operator of `length` bytes by a call of helper number `helper`.
    Bulk {
        /// Index into [`Scan::bulk`].
        helper: u16,
        /// Bytes of the operator that is replaced.
        length: u16,
    },
    /// Replace the operator of `length` bytes by a call of the host.
    Shared {
        /// Index into [`Scan::shared`].
        number: u32,
        /// Bytes of the operator that is replaced.
        length: u16,
    },
}

/// Validates `wasm` and finds its places.
pub(super) fn scan(wasm: &[u8], features: WasmFeatures) -> Result<Scan, InstrumentError> {
    if u32::try_from(wasm.len()).is_err() {
        return Err(InstrumentError::TooLarge);
    }
    let mut scanner = Scanner::default();
    let mut validator = Validator::new_with_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        match validator.payload(&payload)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(std::mem::take(&mut allocations));
                function.validate(&body)?;
                let index = function.index();
                allocations = function.into_allocations();
                scanner.function(index, &body)?;
            }
            ValidPayload::End(types) => return scanner.finish(&types),
            ValidPayload::Ok | ValidPayload::Parser(_) => scanner.section(&payload)?,
        }
    }
    unreachable!("the parser ends with `End` or an error")
}

#[derive(Default)]
struct Scanner {
    /// Known before the first function is looked at.
    memories: Vec<MemoryType>,
    start: Option<u32>,
    /// What is exported as [`POLL_EXPORT`], whatever its type.
    poll: Option<u32>,
    bulk: Vec<Bulk>,
    shared: Vec<SharedOperator>,
    sites: Vec<Site>,
}

impl Scanner {
    fn section(&mut self, payload: &Payload<'_>) -> Result<(), InstrumentError> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    if let TypeRef::Memory(memory) = import?.ty {
                        self.memories.push(memory);
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    self.memories.push(memory?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    if RESERVED_EXPORTS.contains(&export.name) {
                        return Err(InstrumentError::ReservedExport(export.name.to_owned()));
                    }
                    if export.name == POLL_EXPORT && export.kind == ExternalKind::Func {
                        self.poll = Some(export.index);
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(*func),
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self, types: &Types) -> Result<Scan, InstrumentError> {
        let types = types.as_ref();
        self.poll = self.poll.filter(|poll| {
            let ty = types[types.core_function_at(*poll)].unwrap_func();
            ty.params().is_empty() && ty.results().is_empty()
        });
        if self.poll.is_none() {
            self.sites.retain(|site| !matches!(site.edit, Edit::Poll));
        }
        let numbered = (0..).zip(&self.memories);
        let mut shared_memories = numbered.filter(|(_, memory)| memory.shared);
        let shared_memory = shared_memories.next().map(|(index, _)| index);
        if shared_memories.next().is_some() {
            return Err(InstrumentError::SharedMemories);
        }
        Ok(Scan {
            types_count: types.core_type_count_in_module(),
            functions_count: types.function_count(),
            tables_count: types.table_count(),
            memories: self.memories,
            shared_memory,
            start: self.start,
            poll: self.poll,
            bulk: self.bulk,
            shared: self.shared,
            sites: self.sites,
        })
    }

    /// Finds the places of one function.
    fn function(&mut self, index: u32, body: &FunctionBody<'_>) -> Result<(), InstrumentError> {
        let mut reader = body.get_operators_reader()?;
        let (first_site, first_operator) = (self.sites.len(), reader.original_position());
        let mut calls_itself = false;
        let mut loops = Loops::default();
        let mut constant = None;
        while !reader.eof() {
            let start = reader.original_position();
            let operator = reader.read()?;
            let end = reader.original_position();
            if self.poll.is_some() {
                calls_itself |= is_call_of(&operator, index);
                self.polls(loops.next(&operator, end));
            }
            match SharedOperator::of(&operator, &self.memories) {
                Some(shared) => self.shared_operator(shared, start, end),
                None if may_take_long(&operator) => self.sites.push(Site {
                    offset: offset(start),
                    edit: Edit::Check,
                }),
                None => self.bulk_operator(&operator, constant, start, end),
            }
            constant = constant_of(&operator);
        }
        self.polls(calls_itself.then_some(first_operator));
        // A loop is known when it has ended.
        self.sites[first_site..].sort_by_key(|site| site.offset);
        Ok(())
    }

    fn polls(&mut self, at: Option<usize>) {
        self.sites.extend(at.map(|at| Site {
            offset: offset(at),
            edit: Edit::Poll,
        }));
    }

    fn shared_operator(&mut self, operator: SharedOperator, start: usize, end: usize) {
        let number = u32::try_from(self.shared.len()).expect("the module has fewer bytes");
        self.shared.push(operator);
        self.sites.push(Site {
            offset: offset(start),
            edit: Edit::Shared {
                number,
                length: operator_length(start, end),
            },
        });
    }

    /// Marks a bulk memory operation, unless its length is the `constant` before it and short.
    fn bulk_operator(
        &mut self,
        operator: &Operator<'_>,
        constant: Option<u64>,
        start: usize,
        end: usize,
    ) {
        let bulk = match *operator {
            Operator::MemoryFill { mem } => Bulk::Fill { memory: mem },
            Operator::MemoryCopy { dst_mem, src_mem } => Bulk::Copy {
                destination: dst_mem,
                source: src_mem,
            },
            _ => return,
        };
        if constant.is_some_and(|length| length <= UNCHECKED_BULK_BYTES_MAX) {
            return;
        }
        let known = self.bulk.iter().position(|other| *other == bulk);
        let helper = known.unwrap_or_else(|| {
            self.bulk.push(bulk);
            self.bulk.len() - 1
        });
        self.sites.push(Site {
            offset: offset(start),
            edit: Edit::Bulk {
                helper: u16::try_from(helper).expect("a module has at most 100 memories"),
                length: operator_length(start, end),
            },
        });
    }
}

fn is_call_of(operator: &Operator<'_>, function: u32) -> bool {
    match operator {
        Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
            *function_index == function
        }
        _ => false,
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the length of the module was compared with u32::MAX")
}

fn operator_length(start: usize, end: usize) -> u16 {
    u16::try_from(end - start).expect("an operator has three numbers at most")
}

/// Returns whether the host runs `operator` for a time that grows with what it is given, as often as it is given it, or with the
/// depth of the stack, as to throw. Bulk operations on memories are looked at more closely.
fn may_take_long(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryInit { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayNewData { .. }
            | Operator::ArrayNewElem { .. }
            | Operator::ArrayFill { .. }
            | Operator::ArrayCopy { .. }
            | Operator::ArrayInitData { .. }
            | Operator::ArrayInitElem { .. }
    )
}

fn constant_of(operator: &Operator<'_>) -> Option<u64> {
    match *operator {
        Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}
