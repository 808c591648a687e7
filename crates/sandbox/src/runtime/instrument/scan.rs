//! Validates a module and finds the places where it needs a check.

use smallvec::SmallVec;
use wasmparser::types::Types;
use wasmparser::{
    FuncValidatorAllocations, FunctionBody, MemoryType, Operator, Parser, Payload, TypeRef,
    ValidPayload, Validator, WasmFeatures,
};

use super::bulk::Bulk;
use super::shared::SharedOperator;
use super::{BULK_CHUNK_BYTES, InstrumentError, RESERVED_EXPORTS};

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
    /// The bulk operations to replace, each once; their order is that of the helper functions.
    pub(super) bulk: Vec<Bulk>,
    /// The operators on the shared memory that the host serves.
    pub(super) shared: Vec<SharedOperator>,
    /// All places, in the order of their offsets.
    pub(super) sites: Vec<Site>,
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
                allocations = function.into_allocations();
                scanner.function(&body)?;
            }
            ValidPayload::End(types) => return scanner.finish(&types),
            ValidPayload::Ok | ValidPayload::Parser(_) => scanner.section(&payload)?,
        }
    }
    unreachable!("the parser ends with `End` or an error")
}

#[derive(Default)]
struct Scanner {
    functions_imported: u32,
    /// Known before the first function is looked at.
    memories: Vec<MemoryType>,
    start: Option<u32>,
    bulk: Vec<Bulk>,
    shared: Vec<SharedOperator>,
    sites: Vec<Site>,
}

impl Scanner {
    fn section(&mut self, payload: &Payload<'_>) -> Result<(), InstrumentError> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions_imported += 1,
                        TypeRef::Memory(memory) => self.memories.push(memory),
                        _ => {}
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
                    let name = export?.name;
                    if RESERVED_EXPORTS.contains(&name) {
                        return Err(InstrumentError::ReservedExport(name.to_owned()));
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(*func),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, types: &Types) -> Result<Scan, InstrumentError> {
        let types = types.as_ref();
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
            bulk: self.bulk,
            shared: self.shared,
            sites: self.sites,
        })
    }

    /// Finds the places of one function.
    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), InstrumentError> {
        let mut reader = body.get_operators_reader()?;
        let mut calls = CheckedCalls::new(reader.original_position(), self.sites.len());
        let mut constant = None;
        while !reader.eof() {
            let start = reader.original_position();
            let operator = reader.read()?;
            let end = reader.original_position();
            match operator {
                Operator::Loop { .. } => {
                    calls.begin_loop();
                    self.sites.push(Site::check(end));
                }
                Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                    calls.begin_block();
                }
                Operator::Else => calls.other_arm(),
                Operator::End => calls.end_block(),
                _ if self.may_recurse(&operator) => calls.call(start, &mut self.sites),
                _ => match SharedOperator::of(&operator, &self.memories) {
                    Some(shared) => self.shared_operator(shared, start, end),
                    None => self.bulk_operator(&operator, constant, start, end),
                },
            }
            constant = constant_of(&operator);
        }
        Ok(())
    }

    /// Returns whether `operator` calls what may call the function it stands in. An imported function
    /// does not: the host calls none on its own, and checks for interruption when it returns.
    fn may_recurse(&self, operator: &Operator<'_>) -> bool {
        match operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                *function_index >= self.functions_imported
            }
            Operator::CallIndirect { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallRef { .. } => true,
            _ => false,
        }
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
        if constant.is_some_and(|length| length <= u64::from(BULK_CHUNK_BYTES)) {
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

/// Sees to it that a check stands before each call of one function, on every path that leads there.
///
/// What returns before it calls, as the last of many recursive calls do, so passes none.
struct CheckedCalls {
    /// Where the function begins, and the number of its first site.
    entry: usize,
    first: usize,
    /// Whether a check was passed since the function began, whatever the path to the operator at hand.
    is_checked: bool,
    /// The same for where each open block began. At its end that is all that is known: a branch may have left the block earlier.
    blocks: Vec<bool>,
    /// Which sites are checks that stand only for calls.
    added: SmallVec<[usize; CHECKED_CALLS_MAX]>,
    /// There were too many of them: one stands at the entry.
    has_entry_check: bool,
}

/// With more calls to check on separate paths, the code grows more than the time shrinks.
const CHECKED_CALLS_MAX: usize = 3;

impl CheckedCalls {
    fn new(entry: usize, first: usize) -> Self {
        Self {
            entry,
            first,
            is_checked: false,
            blocks: Vec::new(),
            added: SmallVec::new(),
            has_entry_check: false,
        }
    }

    fn begin_block(&mut self) {
        self.blocks.push(self.is_checked);
    }

    /// A loop begins with a check, which whatever leaves it has passed.
    fn begin_loop(&mut self) {
        self.is_checked = true;
        self.begin_block();
    }

    fn other_arm(&mut self) {
        self.is_checked = self.blocks.last().copied().unwrap_or(false);
    }

    /// Ends a block, or the function itself.
    fn end_block(&mut self) {
        self.is_checked = self.blocks.pop().unwrap_or(false);
    }

    fn call(&mut self, at: usize, sites: &mut Vec<Site>) {
        if self.is_checked || self.has_entry_check {
            return;
        }
        self.is_checked = true;
        if self.added.len() < CHECKED_CALLS_MAX {
            self.added.push(sites.len());
            sites.push(Site::check(at));
        } else {
            self.check_entry(sites);
        }
    }

    /// Puts one check at the entry in place of those before calls.
    fn check_entry(&mut self, sites: &mut Vec<Site>) {
        self.has_entry_check = true;
        for index in self.added.drain(..).rev() {
            sites.remove(index);
        }
        sites.insert(self.first, Site::check(self.entry));
    }
}

impl Site {
    fn check(at: usize) -> Self {
        Self {
            offset: offset(at),
            edit: Edit::Check,
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the length of the module was compared with u32::MAX")
}

fn operator_length(start: usize, end: usize) -> u16 {
    u16::try_from(end - start).expect("an operator has three numbers at most")
}

fn constant_of(operator: &Operator<'_>) -> Option<u64> {
    match *operator {
        Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}
