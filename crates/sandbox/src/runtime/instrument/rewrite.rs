//! Writes the instrumented module: the old one's bytes, with the additions spliced in.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode, ExportKind, InstructionSink, MemArg, SectionId, ValType};
use wasmparser::{BinaryReader, CodeSectionReader, Parser, Payload};

use super::scan::{Edit, Scan, Site};
use super::shared::{SHARED_CALLS, table_type, wasm_types};
use super::{
    ATTENTION_BYTES, InstrumentError, MEMORY_BYTES, MEMORY_EXPORT, SHARED_EXPORT, START_EXPORT,
    TABLE_EXPORT,
};

/// A check of one function: a load from the hidden memory at an offset of its own.
#[derive(Clone, Copy)]
pub(super) struct Check {
    /// Index of the hidden memory.
    memory: u32,
    /// Number of the check within its function.
    number: u32,
}

impl Check {
    /// Appends the check as bytes.
    fn emit(self, out: &mut Vec<u8>) {
        let mut sink = InstructionSink::new(out);
        self.emit_instructions(&mut sink);
    }

    /// Appends the check as instructions.
    pub(super) fn emit_instructions(self, sink: &mut InstructionSink<'_>) {
        self.emit_load(sink, MEMORY_BYTES);
        sink.drop();
    }

    /// Appends a look at the check's byte, and a call of `function` where that is set.
    fn emit_poll(self, out: &mut Vec<u8>, function: u32) {
        let mut sink = InstructionSink::new(out);
        self.emit_load(&mut sink, ATTENTION_BYTES);
        sink.if_(BlockType::Empty).call(function).end();
    }

    /// Appends a load of one of the first `bytes` of the hidden memory.
    fn emit_load(self, sink: &mut InstructionSink<'_>, bytes: usize) {
        let at = |offset| MemArg {
            offset,
            align: 0,
            memory_index: self.memory,
        };
        sink.i32_const(0);
        if (self.number as usize) < bytes {
            sink.i32_load8_u(at(u64::from(self.number)));
        } else {
            sink.i32_atomic_load8_u(at(0));
        }
    }
}

/// A module with its edits made.
pub(super) struct Rewritten {
    pub(super) wasm: Vec<u8>,
    /// The parts of functions that were copied, in order.
    pub(super) pieces: Vec<Piece>,
}

/// Bytes of a function that were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) old: usize,
    pub(super) new: usize,
    pub(super) length: usize,
}

/// Returns `wasm` with the edits of `scan` made.
pub(super) fn rewrite(wasm: &[u8], scan: &Scan) -> Result<Rewritten, InstrumentError> {
    let mut writer = Writer::new(wasm, scan);
    for payload in Parser::new(0).parse_all(wasm) {
        writer.payload(&payload?)?;
    }
    if u32::try_from(writer.out.len()).is_err() {
        return Err(InstrumentError::TooLarge);
    }
    Ok(Rewritten {
        wasm: writer.out,
        pieces: writer.pieces,
    })
}

/// How many bytes a check adds at most where the hidden memory has a one-byte index:
/// to size the output, not a limit.
const CHECK_BYTES_TYPICAL: usize = 8;

/// The body of the function through which guests' code is left: no locals, `unreachable`, `end`.
const EXIT_BODY: [u8; 3] = [0, 0, 0x0b];

struct Writer<'a> {
    wasm: &'a [u8],
    scan: &'a Scan,
    out: Vec<u8>,
    /// The edited body of the function at hand; kept for its capacity.
    body: Vec<u8>,
    pieces: Vec<Piece>,
    /// The edits not made yet.
    sites: &'a [Site],
    is_type_written: bool,
    is_function_written: bool,
    is_table_written: bool,
    is_memory_written: bool,
    is_export_written: bool,
    is_code_written: bool,
}

/// Entries to append to a section.
#[derive(Default)]
struct Extra {
    count: u32,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(wasm: &'a [u8], scan: &'a Scan) -> Self {
        Self {
            wasm,
            scan,
            out: Vec::with_capacity(wasm.len() + scan.sites.len() * CHECK_BYTES_TYPICAL + 256),
            body: Vec::new(),
            pieces: Vec::new(),
            sites: &scan.sites,
            is_type_written: false,
            is_function_written: false,
            // Without calls of the host there is nothing to write, nor without checks.
            is_table_written: scan.shared.is_empty(),
            is_memory_written: !scan.has_checks(),
            is_export_written: false,
            is_code_written: false,
        }
    }

    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), InstrumentError> {
        match payload {
            Payload::Version { range, .. } => self.out.extend(&self.wasm[range.clone()]),
            Payload::TypeSection(_) => {
                self.is_type_written = true;
                self.extended(payload, &self.helper_types())?;
            }
            Payload::FunctionSection(_) => {
                self.missing_sections(SectionId::Function);
                self.is_function_written = true;
                self.extended(payload, &self.helper_functions())?;
            }
            Payload::TableSection(_) if !self.is_table_written => {
                self.missing_sections(SectionId::Table);
                self.is_table_written = true;
                self.extended(payload, &hidden_table())?;
            }
            Payload::MemorySection(_) if !self.is_memory_written => {
                self.missing_sections(SectionId::Memory);
                self.is_memory_written = true;
                self.extended(payload, &hidden_memory())?;
            }
            Payload::ExportSection(_) => {
                self.missing_sections(SectionId::Global);
                self.is_export_written = true;
                self.extended(payload, &self.hidden_exports())?;
            }
            Payload::StartSection { .. } | Payload::CodeSectionEntry(_) => {}
            Payload::CodeSectionStart { range, .. } => {
                self.missing_sections(SectionId::Code);
                self.is_code_written = true;
                self.code(range.clone())?;
            }
            Payload::CustomSection(custom) if custom.name() != "name" => {}
            Payload::End(_) => self.missing_sections(SectionId::Data),
            other => self.copied(other),
        }
        Ok(())
    }

    /// Copies a section as it is.
    fn copied(&mut self, payload: &Payload<'_>) {
        let Some((id, range)) = payload.as_section() else {
            return;
        };
        if let Some(next) = section_id(id) {
            self.missing_sections(next);
        }
        let section = self.begin_section(id);
        self.out.extend(&self.wasm[range]);
        self.end_section(section);
    }

    /// Copies a section that is a vector, with entries appended.
    fn extended(&mut self, payload: &Payload<'_>, extra: &Extra) -> Result<(), InstrumentError> {
        let (id, range) = payload
            .as_section()
            .expect("the caller matched a section with entries");
        let mut reader = BinaryReader::new(&self.wasm[range.clone()], range.start);
        let count = reader.read_var_u32()?;
        let section = self.begin_section(id);
        (count + extra.count).encode(&mut self.out);
        self.out
            .extend(&self.wasm[reader.original_position()..range.end]);
        self.out.extend(&extra.bytes);
        self.end_section(section);
        Ok(())
    }

    /// Writes the sections of ours that the module has not, if `next` must come after them.
    fn missing_sections(&mut self, next: SectionId) {
        if !self.is_type_written && is_after(next, SectionId::Type) {
            self.is_type_written = true;
            self.own_section(SectionId::Type, &self.helper_types());
        }
        if !self.is_function_written && is_after(next, SectionId::Function) {
            self.is_function_written = true;
            self.own_section(SectionId::Function, &self.helper_functions());
        }
        if !self.is_table_written && is_after(next, SectionId::Table) {
            self.is_table_written = true;
            self.own_section(SectionId::Table, &hidden_table());
        }
        if !self.is_memory_written && is_after(next, SectionId::Memory) {
            self.is_memory_written = true;
            self.own_section(SectionId::Memory, &hidden_memory());
        }
        if !self.is_export_written && is_after(next, SectionId::Export) {
            self.is_export_written = true;
            let exports = self.hidden_exports();
            if exports.count > 0 {
                self.own_section(SectionId::Export, &exports);
            }
        }
        if !self.is_code_written && is_after(next, SectionId::Code) {
            self.is_code_written = true;
            let section = self.begin_section(SectionId::Code.into());
            self.added_count().encode(&mut self.out);
            self.added_code();
            self.end_section(section);
        }
    }

    fn own_section(&mut self, id: SectionId, entries: &Extra) {
        let section = self.begin_section(id.into());
        entries.count.encode(&mut self.out);
        self.out.extend(&entries.bytes);
        self.end_section(section);
    }

    /// Writes a section's id and room for its size; returns where the size stands.
    fn begin_section(&mut self, id: u8) -> usize {
        self.out.push(id);
        self.out.extend([0; SIZE_BYTES]);
        self.out.len()
    }

    /// Fills in the size of the section whose contents begin at `start`.
    fn end_section(&mut self, start: usize) {
        let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
        self.out[start - SIZE_BYTES..start].copy_from_slice(&padded(size));
    }

    /// Returns the types of what is added: of the exit, of the helpers, and of the host's calls.
    fn helper_types(&self) -> Extra {
        let mut extra = Extra::default();
        extra.push_function_type(&[], &[]);
        for bulk in &self.scan.bulk {
            extra.push_function_type(&bulk.parameters(&self.scan.memories), &[]);
        }
        if let (false, Some(memory)) = (self.scan.shared.is_empty(), self.scan.shared_memory) {
            let memory = &self.scan.memories[memory as usize];
            for call in SHARED_CALLS {
                let (parameters, result) = wasm_types(call, memory);
                extra.push_function_type(&parameters, &[result]);
            }
        }
        extra
    }

    /// Returns the index of the type of the first call of the host; those of the others follow.
    fn first_shared_type(&self) -> u32 {
        self.scan.types_count + self.added_count()
    }

    /// Returns how many functions are added: the helpers, and the exit as the last of all.
    fn added_count(&self) -> u32 {
        let helpers =
            u32::try_from(self.scan.bulk.len()).expect("at most one per pair of memories");
        helpers + 1
    }

    fn helper_functions(&self) -> Extra {
        let exit_type = self.scan.types_count;
        let mut extra = Extra::default();
        for _ in &self.scan.bulk {
            extra.count += 1;
            (exit_type + extra.count).encode(&mut extra.bytes);
        }
        extra.count += 1;
        exit_type.encode(&mut extra.bytes);
        extra
    }

    fn hidden_memory_index(&self) -> u32 {
        u32::try_from(self.scan.memories.len()).expect("validated: at most 100 memories")
    }

    fn hidden_exports(&self) -> Extra {
        let mut extra = Extra::default();
        let mut add = |name: &str, kind: ExportKind, index: u32| {
            extra.count += 1;
            name.encode(&mut extra.bytes);
            kind.encode(&mut extra.bytes);
            index.encode(&mut extra.bytes);
        };
        if self.scan.has_checks() {
            let memory = self.hidden_memory_index();
            add(MEMORY_EXPORT, ExportKind::Memory, memory);
        }
        if let Some(start) = self.scan.start {
            add(START_EXPORT, ExportKind::Func, start);
        }
        if let Some(memory) = self.scan.shared_memory {
            add(SHARED_EXPORT, ExportKind::Memory, memory);
        }
        if !self.scan.shared.is_empty() {
            add(TABLE_EXPORT, ExportKind::Table, self.scan.tables_count);
        }
        extra
    }

    fn code(&mut self, range: Range<usize>) -> Result<(), InstrumentError> {
        let reader = BinaryReader::new(&self.wasm[range.clone()], range.start);
        let functions = CodeSectionReader::new(reader)?;
        let section = self.begin_section(SectionId::Code.into());
        (functions.count() + self.added_count()).encode(&mut self.out);
        for function in functions {
            self.function(function?.range());
        }
        self.added_code();
        self.end_section(section);
        Ok(())
    }

    /// Writes the bodies of the functions that are added.
    fn added_code(&mut self) {
        for bulk in &self.scan.bulk {
            let check = Check {
                memory: self.hidden_memory_index(),
                number: 0,
            };
            bulk.body(&self.scan.memories, check)
                .as_slice()
                .encode(&mut self.out);
        }
        EXIT_BODY.as_slice().encode(&mut self.out);
    }

    /// Writes the body that stands at `range`, edited.
    fn function(&mut self, range: Range<usize>) {
        let mine = self
            .sites
            .partition_point(|site| (site.offset as usize) < range.end);
        let (sites, rest) = self.sites.split_at(mine);
        self.sites = rest;
        self.body.clear();
        let first_piece = self.pieces.len();
        let mut copied_to = range.start;
        let mut number = 0;
        for site in sites {
            let offset = site.offset as usize;
            self.copy_code(copied_to..offset);
            copied_to = offset;
            match site.edit {
                Edit::Check => {
                    let memory = self.hidden_memory_index();
                    Check { memory, number }.emit(&mut self.body);
                    number += 1;
                }
                Edit::Poll => {
                    let memory = self.hidden_memory_index();
                    if let Some(function) = self.scan.poll {
                        Check { memory, number }.emit_poll(&mut self.body, function);
                        number += 1;
                    }
                }
                Edit::Bulk { helper, length } => {
                    let function = self.scan.functions_count + u32::from(helper);
                    InstructionSink::new(&mut self.body).call(function);
                    copied_to += usize::from(length);
                }
                Edit::Shared { number, length } => {
                    let operator = self.scan.shared[number as usize];
                    let first_type = self.first_shared_type();
                    operator.emit(&mut self.body, self.scan.tables_count, first_type);
                    copied_to += usize::from(length);
                }
            }
        }
        self.copy_code(copied_to..range.end);
        self.body.len().encode(&mut self.out);
        for piece in &mut self.pieces[first_piece..] {
            piece.new += self.out.len();
        }
        self.out.extend(&self.body);
    }

    /// Copies a part of the function at hand; where the piece lies in the module is not known yet.
    fn copy_code(&mut self, range: Range<usize>) {
        self.pieces.push(Piece {
            old: range.start,
            new: self.body.len(),
            length: range.len(),
        });
        self.body.extend(&self.wasm[range]);
    }
}

impl Extra {
    /// Appends a function type: 0x60, parameters, results.
    fn push_function_type(&mut self, parameters: &[ValType], results: &[ValType]) {
        self.count += 1;
        self.bytes.push(0x60);
        parameters.encode(&mut self.bytes);
        results.encode(&mut self.bytes);
    }
}

/// Bytes of a section's size: a LEB128 number padded to what any 32-bit number takes, so that
/// it can be filled in when the contents are written.
const SIZE_BYTES: usize = 5;

fn padded(mut size: u32) -> [u8; SIZE_BYTES] {
    std::array::from_fn(|index| {
        let more = if index + 1 < SIZE_BYTES { 0x80 } else { 0 };
        let byte = (size & 0x7f) as u8 | more;
        size >>= 7;
        byte
    })
}

fn hidden_table() -> Extra {
    let mut extra = Extra {
        count: 1,
        ..Extra::default()
    };
    table_type().encode(&mut extra.bytes);
    extra
}

fn hidden_memory() -> Extra {
    let page = wasm_encoder::MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    let mut extra = Extra {
        count: 1,
        ..Extra::default()
    };
    page.encode(&mut extra.bytes);
    extra
}

/// Sections in the order in which a module has them.
///
/// Spec: WebAssembly 3.0, "Modules" of the binary format.
const ORDER: [SectionId; 12] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

fn section_id(id: u8) -> Option<SectionId> {
    ORDER.into_iter().find(|known| u8::from(*known) == id)
}

fn is_after(section: SectionId, other: SectionId) -> bool {
    let rank = |id: SectionId| {
        ORDER
            .iter()
            .position(|known| u8::from(*known) == u8::from(id))
    };
    rank(section) > rank(other)
}
