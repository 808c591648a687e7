//! Operators on a shared memory that the host has to serve: waiting and waking, which wasmtime would do by blocking the
//! host's thread, and growing, which it would not charge to the container.
//!
//! Each becomes an indirect call through a hidden table, which the host fills in every instance. An
//! imported function would shift the numbers of all others; a table stands last.

use wasm_encoder::{InstructionSink, RefType, TableType, ValType};
use wasmparser::{MemArg, MemoryType, Operator};

/// A function of the host that stands for an operator; its number is its place in the hidden table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedCall {
    /// `memory.atomic.wait32`: address, expected number, time-out, offset.
    Wait32 = 0,
    /// `memory.atomic.wait64`, with the same parameters.
    Wait64 = 1,
    /// `memory.atomic.notify`: address, count, offset.
    Notify = 2,
    /// `memory.grow`: pages.
    Grow = 3,
}

/// All of them, in the order of the table.
pub const SHARED_CALLS: [SharedCall; 4] = [
    SharedCall::Wait32,
    SharedCall::Wait64,
    SharedCall::Notify,
    SharedCall::Grow,
];

/// An operator that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedOperator {
    call: SharedCall,
    /// What is added to the address.
    offset: u64,
}

/// A type of parameters and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    I32,
    I64,
}

impl SharedCall {
    /// Returns the types of parameters and result, for a memory with such addresses.
    pub fn signature(self, address: Number) -> (Vec<Number>, Number) {
        use Number::{I32, I64};
        match self {
            Self::Wait32 => (vec![address, I32, I64, I64], I32),
            Self::Wait64 => (vec![address, I64, I64, I64], I32),
            Self::Notify => (vec![address, I32, I64], I32),
            Self::Grow => (vec![address], address),
        }
    }
}

impl SharedOperator {
    /// Recognises an operator on a shared memory.
    pub(super) fn of(operator: &Operator<'_>, memories: &[MemoryType]) -> Option<Self> {
        let at = |call, memarg: &MemArg| (call, memarg.memory, memarg.offset);
        let (call, memory, offset) = match operator {
            Operator::MemoryAtomicWait32 { memarg } => at(SharedCall::Wait32, memarg),
            Operator::MemoryAtomicWait64 { memarg } => at(SharedCall::Wait64, memarg),
            Operator::MemoryAtomicNotify { memarg } => at(SharedCall::Notify, memarg),
            Operator::MemoryGrow { mem } => (SharedCall::Grow, *mem, 0),
            _ => return None,
        };
        memories[memory as usize]
            .shared
            .then_some(Self { call, offset })
    }

    /// Appends what stands in the operator's place.
    pub(super) fn emit(self, out: &mut Vec<u8>, table: u32, first_type: u32) {
        let mut sink = InstructionSink::new(out);
        if self.call != SharedCall::Grow {
            sink.i64_const(self.offset.cast_signed());
        }
        let number = self.call as u32;
        sink.i32_const(number.cast_signed())
            .call_indirect(table, first_type + number);
    }
}

/// Returns the wasm types of a signature.
pub(super) fn wasm_types(call: SharedCall, memory: &MemoryType) -> (Vec<ValType>, ValType) {
    let wasm = |number| match number {
        Number::I32 => ValType::I32,
        Number::I64 => ValType::I64,
    };
    let address = if memory.memory64 {
        Number::I64
    } else {
        Number::I32
    };
    let (parameters, result) = call.signature(address);
    (parameters.into_iter().map(wasm).collect(), wasm(result))
}

/// Returns the type of the hidden table.
pub(super) fn table_type() -> TableType {
    let length = SHARED_CALLS.len() as u64;
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: length,
        maximum: Some(length),
        shared: false,
    }
}
