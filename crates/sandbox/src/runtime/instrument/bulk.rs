//! The functions that stand for `memory.fill` and `memory.copy` of unknown length.
//!
//! Each begins with a check. A short operation then runs as it is. So does one that ends out of bounds: it traps before it
//! writes anything, with the trap the guest would have got. The others run in chunks with a
//! check between.

use wasm_encoder::{BlockType, Function, InstructionSink, ValType};
use wasmparser::MemoryType;

use super::BULK_CHUNK_BYTES;
use super::rewrite::Check;

/// A bulk operation on given memories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bulk {
    /// `memory.fill`
    Fill {
        /// Index of the memory.
        memory: u32,
    },
    /// `memory.copy`
    Copy {
        /// Index of the memory that is written.
        destination: u32,
        /// Index of the memory that is read.
        source: u32,
    },
}

/// Parameters of every helper: destination, value or source, length.
const DESTINATION: u32 = 0;
const SECOND: u32 = 1;
const LENGTH: u32 = 2;
/// Locals of every helper: the same three as i64, where the second is a source.
const WIDE_DESTINATION: u32 = 3;
const WIDE_SOURCE: u32 = 4;
const WIDE_LENGTH: u32 = 5;

impl Bulk {
    /// Returns the types of the three parameters.
    pub(super) fn parameters(self, memories: &[MemoryType]) -> [ValType; 3] {
        match self {
            Self::Fill { memory } => {
                let index = index_type(memories, memory);
                [index, ValType::I32, index]
            }
            Self::Copy {
                destination,
                source,
            } => {
                let (to, from) = (
                    index_type(memories, destination),
                    index_type(memories, source),
                );
                // Spec: the length has the smaller of the two index types.
                let length = if from == ValType::I32 { from } else { to };
                [to, from, length]
            }
        }
    }

    /// Returns the body of the helper function.
    pub(super) fn body(self, memories: &[MemoryType], check: Check) -> Vec<u8> {
        let emitter = Emitter {
            bulk: self,
            memories,
            parameters: self.parameters(memories),
            check,
        };
        emitter.body()
    }

    fn destination(self) -> u32 {
        match self {
            Self::Fill { memory } => memory,
            Self::Copy { destination, .. } => destination,
        }
    }
}

fn index_type(memories: &[MemoryType], memory: u32) -> ValType {
    if memories[memory as usize].memory64 {
        ValType::I64
    } else {
        ValType::I32
    }
}

struct Emitter<'a> {
    bulk: Bulk,
    memories: &'a [MemoryType],
    parameters: [ValType; 3],
    check: Check,
}

impl Emitter<'_> {
    fn body(&self) -> Vec<u8> {
        let mut function = Function::new([(3, ValType::I64)]);
        let mut sink = function.instructions();
        self.check.emit_instructions(&mut sink);
        self.widen(&mut sink, LENGTH, WIDE_LENGTH);
        sink.local_get(WIDE_LENGTH)
            .i64_const(i64::from(BULK_CHUNK_BYTES))
            .i64_gt_u()
            .if_(BlockType::Empty);
        self.widen(&mut sink, DESTINATION, WIDE_DESTINATION);
        self.is_inside(&mut sink, self.bulk.destination(), WIDE_DESTINATION);
        match self.bulk {
            Bulk::Fill { .. } => {
                sink.if_(BlockType::Empty);
                self.chunks_upwards(&mut sink);
                sink.end();
            }
            Bulk::Copy { source, .. } => {
                self.widen(&mut sink, SECOND, WIDE_SOURCE);
                self.is_inside(&mut sink, source, WIDE_SOURCE);
                sink.i32_and().if_(BlockType::Empty);
                self.copy_chunks(&mut sink);
                sink.end();
            }
        }
        sink.end();
        self.narrow(&mut sink, WIDE_LENGTH, LENGTH);
        sink.local_set(LENGTH);
        sink.local_get(DESTINATION)
            .local_get(SECOND)
            .local_get(LENGTH);
        self.operator(&mut sink);
        sink.end();
        function.into_raw_body()
    }

    /// Sets the local `wide` to the parameter `narrow`, as i64.
    fn widen(&self, sink: &mut InstructionSink<'_>, narrow: u32, wide: u32) {
        sink.local_get(narrow);
        if self.parameters[narrow as usize] == ValType::I32 {
            sink.i64_extend_i32_u();
        }
        sink.local_set(wide);
    }

    /// Pushes the local `wide` in the type of the parameter `narrow`.
    fn narrow(&self, sink: &mut InstructionSink<'_>, wide: u32, narrow: u32) {
        sink.local_get(wide);
        if self.parameters[narrow as usize] == ValType::I32 {
            sink.i32_wrap_i64();
        }
    }

    /// Pushes whether `LENGTH` bytes at `address` lie inside `memory`.
    fn is_inside(&self, sink: &mut InstructionSink<'_>, memory: u32, address: u32) {
        self.memory_bytes(sink, memory);
        sink.local_get(WIDE_LENGTH).i64_ge_u();
        sink.local_get(address);
        self.memory_bytes(sink, memory);
        sink.local_get(WIDE_LENGTH).i64_sub().i64_le_u();
        sink.i32_and();
    }

    fn memory_bytes(&self, sink: &mut InstructionSink<'_>, memory: u32) {
        let ty = &self.memories[memory as usize];
        sink.memory_size(memory);
        if !ty.memory64 {
            sink.i64_extend_i32_u();
        }
        // A page is 64 KiB unless the memory says otherwise.
        let page_size_log2 = ty.page_size_log2.unwrap_or(16);
        sink.i64_const(i64::from(page_size_log2)).i64_shl();
    }

    /// Copies from the end that an overlap allows, and leaves the last chunk to the caller.
    fn copy_chunks(&self, sink: &mut InstructionSink<'_>) {
        sink.local_get(WIDE_DESTINATION)
            .local_get(WIDE_SOURCE)
            .i64_gt_u()
            .if_(BlockType::Empty);
        self.chunks_downwards(sink);
        sink.else_();
        self.chunks_upwards(sink);
        sink.end();
    }

    fn chunks_downwards(&self, sink: &mut InstructionSink<'_>) {
        sink.loop_(BlockType::Empty);
        self.check.emit_instructions(sink);
        self.shorten(sink);
        for (wide, narrow) in [(WIDE_DESTINATION, DESTINATION), (WIDE_SOURCE, SECOND)] {
            sink.local_get(wide).local_get(WIDE_LENGTH).i64_add();
            if self.parameters[narrow as usize] == ValType::I32 {
                sink.i32_wrap_i64();
            }
        }
        self.chunk_length(sink);
        self.operator(sink);
        self.repeat(sink);
    }

    fn chunks_upwards(&self, sink: &mut InstructionSink<'_>) {
        sink.loop_(BlockType::Empty);
        self.check.emit_instructions(sink);
        self.shorten(sink);
        sink.local_get(DESTINATION).local_get(SECOND);
        self.chunk_length(sink);
        self.operator(sink);
        self.advance(sink, WIDE_DESTINATION, DESTINATION);
        if matches!(self.bulk, Bulk::Copy { .. }) {
            self.advance(sink, WIDE_SOURCE, SECOND);
        }
        self.repeat(sink);
    }

    fn shorten(&self, sink: &mut InstructionSink<'_>) {
        sink.local_get(WIDE_LENGTH)
            .i64_const(i64::from(BULK_CHUNK_BYTES))
            .i64_sub()
            .local_set(WIDE_LENGTH);
    }

    fn advance(&self, sink: &mut InstructionSink<'_>, wide: u32, narrow: u32) {
        sink.local_get(wide)
            .i64_const(i64::from(BULK_CHUNK_BYTES))
            .i64_add()
            .local_set(wide);
        self.narrow(sink, wide, narrow);
        sink.local_set(narrow);
    }

    /// Ends the loop: again while more than a chunk is left.
    fn repeat(&self, sink: &mut InstructionSink<'_>) {
        sink.local_get(WIDE_LENGTH)
            .i64_const(i64::from(BULK_CHUNK_BYTES))
            .i64_gt_u()
            .br_if(0)
            .end();
    }

    fn chunk_length(&self, sink: &mut InstructionSink<'_>) {
        if self.parameters[LENGTH as usize] == ValType::I32 {
            sink.i32_const(BULK_CHUNK_BYTES.cast_signed());
        } else {
            sink.i64_const(i64::from(BULK_CHUNK_BYTES));
        }
    }

    fn operator(&self, sink: &mut InstructionSink<'_>) {
        match self.bulk {
            Bulk::Fill { memory } => sink.memory_fill(memory),
            Bulk::Copy {
                destination,
                source,
            } => sink.memory_copy(destination, source),
        };
    }
}
