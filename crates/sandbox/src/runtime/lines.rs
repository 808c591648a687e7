//! Which lines of which source files code of a guest comes from, where its module has debug information.
//!
//! Nothing of it is kept while a guest runs. When one has trapped, its module is read again, and so is the
//! DWARF in its custom sections. Positions in the compiled code are those of the instrumented module;
//! [`instrument::Origins`] leads back to the guest's own.
//!
//! Spec: WebAssembly tool conventions, "DWARF for WebAssembly"; DWARF 5.

use std::collections::HashMap;

use addr2line::Context;
use gimli::{Dwarf, EndianSlice, LittleEndian};
use wasmparser::{Parser, Payload};

use super::engine::wasm_features;
use super::instrument::{self, Origins};

/// Modules with more bytes are not read again.
pub(super) const MODULE_BYTES_MAX: u64 = 512 << 20;

/// Functions that were inlined into one another at one place; further ones are not shown.
const INLINED_MAX: usize = 16;

/// Characters of a name or a path that are shown.
const TEXT_CHARACTERS_MAX: usize = 500;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A place in source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceLine {
    /// As the linker knows it.
    pub(super) function: Option<String>,
    /// `path:line:column`.
    pub(super) place: Option<String>,
}

/// Finds the source lines of positions in the instrumented form of `wasm`: for each position the innermost inlined
/// function first. `None` without debug information.
pub(super) fn find(wasm: &[u8], positions: &[Option<usize>]) -> Option<Vec<Vec<SourceLine>>> {
    let sections = Sections::of(wasm)?;
    let context = Context::from_dwarf(sections.dwarf()).ok()?;
    let origins = instrument::origins(wasm, wasm_features()).ok()?;
    let lines = positions.iter().map(|position| {
        let address = position.and_then(|position| sections.address(&origins, position));
        address.map_or_else(Vec::new, |address| lines_at(&context, address))
    });
    Some(lines.collect())
}

/// The parts of a module that debug information is about.
struct Sections<'a> {
    debug: HashMap<&'a str, &'a [u8]>,
    /// Where the code section's contents begin: what addresses count from.
    code_start: usize,
}

impl<'a> Sections<'a> {
    fn of(wasm: &'a [u8]) -> Option<Sections<'a>> {
        let mut debug = HashMap::new();
        let mut code_start = None;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::CodeSectionStart { range, .. } => code_start = Some(range.start),
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    debug.insert(section.name(), section.data());
                }
                _ => {}
            }
        }
        let is_described = debug.contains_key(".debug_info");
        is_described.then_some(Sections {
            debug,
            code_start: code_start?,
        })
    }

    fn dwarf(&self) -> Dwarf<Bytes<'a>> {
        let section = |id: gimli::SectionId| {
            let bytes = self.debug.get(id.name()).copied().unwrap_or_default();
            Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        };
        Dwarf::load(section).expect("a missing section is empty")
    }

    fn address(&self, origins: &Origins, position: usize) -> Option<u64> {
        let original = origins.original(position)?;
        Some(original.checked_sub(self.code_start)? as u64)
    }
}

fn lines_at(context: &Context<Bytes<'_>>, address: u64) -> Vec<SourceLine> {
    let mut lines = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else {
        return lines;
    };
    while let (true, Ok(Some(frame))) = (lines.len() < INLINED_MAX, frames.next()) {
        let name = frame
            .function
            .as_ref()
            .and_then(|name| name.raw_name().ok());
        let line = SourceLine {
            function: name.map(|name| shortened(&name)),
            place: frame.location.as_ref().and_then(place),
        };
        if line.function.is_some() || line.place.is_some() {
            lines.push(line);
        }
    }
    lines
}

fn place(location: &addr2line::Location<'_>) -> Option<String> {
    let mut text = shortened(location.file?);
    for number in [location.line, location.column].into_iter().flatten() {
        text.push_str(&format!(":{number}"));
    }
    Some(text)
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}
