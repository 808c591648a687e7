//! What a module needs of the engine that runs it, found before it is compiled.

use wasmparser::{MemoryType, Parser, Payload, RefType, TableType, TypeRef};

use super::engine::{
    Allocation, POOL_MEMORIES_PER_MODULE_MAX, POOL_TABLE_ELEMENTS_MAX, POOL_TABLES_PER_MODULE_MAX,
};
use crate::personality::linux;

/// Counts what a module defines. The code is not looked at.
#[derive(Default)]
struct Needs {
    memories_defined: u32,
    tables_defined: u32,
    has_special_memory: bool,
    has_large_table: bool,
    /// Each call from the host back into a guest takes another stack, and the pool has one an instance, and some for handlers.
    may_be_called_back: bool,
    may_start_others: bool,
}

/// Returns the engine that a module belongs to.
pub(super) fn allocation(wasm: &[u8]) -> wasmparser::Result<Allocation> {
    let mut needs = Needs::default();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    needs.import(import.module, &import.ty);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    needs.memories_defined += 1;
                    needs.memory(&memory?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    needs.tables_defined += 1;
                    needs.table(&table?.ty);
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(needs.allocation())
}

impl Needs {
    fn import(&mut self, module: &str, ty: &TypeRef) {
        match ty {
            TypeRef::Memory(memory) => self.memory(memory),
            _ if linux::MODULES.contains(&module) => self.may_start_others = true,
            // WASI's functions never call the guest; others (`invoke_*`) may.
            _ => self.may_be_called_back |= !module.starts_with("wasi_"),
        }
    }

    fn memory(&mut self, memory: &MemoryType) {
        self.has_special_memory |= memory.shared || memory.memory64;
    }

    fn table(&mut self, table: &TableType) {
        let is_plain = [RefType::FUNCREF, RefType::EXTERNREF].contains(&table.element_type);
        self.has_large_table |=
            table.table64 || table.initial > POOL_TABLE_ELEMENTS_MAX || !is_plain;
    }

    fn allocation(&self) -> Allocation {
        let fits = !self.has_special_memory
            && !self.has_large_table
            && !self.may_be_called_back
            && self.memories_defined < POOL_MEMORIES_PER_MODULE_MAX
            && self.tables_defined <= POOL_TABLES_PER_MODULE_MAX;
        match (fits, self.may_start_others) {
            (true, true) => Allocation::AmongOthers,
            (true, false) => Allocation::Pooled,
            (false, _) => Allocation::OnDemand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wat: &str, expected: Allocation) {
        let wasm = wat::parse_str(wat).unwrap();
        assert_eq!(allocation(&wasm).unwrap(), expected, "{wat}");
    }

    #[test]
    fn ordinary_modules_belong_to_the_pool_and_special_ones_do_not() {
        check("(module)", Allocation::Pooled);
        check("(module (memory 1) (table 9 funcref))", Allocation::Pooled);
        check(
            "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))",
            Allocation::Pooled,
        );
        check(
            "(module (import \"env\" \"invoke_v\" (func (param i32))))",
            Allocation::OnDemand,
        );
        check(
            "(module (import \"wali\" \"SYS_getpid\" (func (result i64))))",
            Allocation::AmongOthers,
        );
        check("(module (memory i64 1))", Allocation::OnDemand);
        check("(module (memory 1) (memory 1))", Allocation::OnDemand);
        check("(module (table 70000 funcref))", Allocation::OnDemand);
        check(
            "(module (import \"m\" \"m\" (memory 1 2 shared)))",
            Allocation::OnDemand,
        );
    }
}
