//! What the JavaScript file beside a module of Emscripten's says: the real names of minified imports and exports.
//!
//! `emcc -O3` and `-Os` shorten every name at the module's border; the object of imports and the
//! assignments of exports in the `.js` keep the pairs. Nothing of the text is run. It comes from
//! an image, so it is read in one pass, and what is kept of it is bounded.
//!
//! | says | old (`3.1.6`) | new (`6.0.5`) |
//! |---|---|---|
//! | imports | `asmLibraryArg={"a":_fd_write}` | `wasmImports={a:_fd_write}` |
//! | exports | `Module["_main"]=Module["asm"]["e"]` | `_main=wasmExports["e"]` |
//! | `struct stat` | offsets in `doStat` | offsets in `writeStat` |

use std::collections::BTreeMap;

use minke_abi::emscripten::StatLayout;

mod threads;

pub use threads::ThreadGlue;

/// Longest text that is read, in bytes; the glue of the largest known programs has a few megabytes.
const GLUE_BYTES_MAX: usize = 16 << 20;
/// Most names that are kept of one object; a module of 10,000 imports is beyond anything that emcc makes.
const NAMES_MAX: usize = 65_536;
/// Longest name that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Most places of a text that are tried as the object of imports: keeps a text of nothing but beginnings cheap.
const OBJECTS_MAX: usize = 64;
/// Longest comment that is skipped, in bytes; emcc writes `/** @export */`.
const COMMENT_BYTES_MAX: usize = 4096;
/// Most comments that are skipped in a row.
const COMMENTS_MAX: usize = 16;
/// How far after the name of the function that fills `struct stat` its offsets are looked for, in bytes.
const STAT_FUNCTION_BYTES: usize = 4096;

/// What was found in a glue text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlueNames {
    /// Minified name to real name.
    imports: BTreeMap<String, String>,
    /// Real name to minified name.
    exports: BTreeMap<String, String>,
    pub stat_layout: Option<StatLayout>,
    pub threads: ThreadGlue,
}

impl GlueNames {
    /// Reads a glue text; what it does not say is left out.
    pub fn parse(text: &str) -> GlueNames {
        if text.len() > GLUE_BYTES_MAX {
            return GlueNames::default();
        }
        GlueNames {
            imports: parse_imports(text),
            exports: parse_exports(text),
            stat_layout: parse_stat_layout(text),
            threads: ThreadGlue::parse(text),
        }
    }

    /// Returns the minified and the real names of imports.
    pub fn imports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports
            .iter()
            .map(|(name, real)| (name.as_str(), real.as_str()))
    }

    /// Returns the real and the minified names of exports.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exports
            .iter()
            .map(|(real, name)| (real.as_str(), name.as_str()))
    }

    /// Returns the real name of an import.
    pub fn import(&self, minified: &str) -> Option<&str> {
        self.imports.get(minified).map(String::as_str)
    }

    /// Returns the name that the module gives an export.
    pub fn export<'a>(&'a self, real: &'a str) -> &'a str {
        self.exports.get(real).map_or(real, String::as_str)
    }
}

/// Reads the object of imports: the first one with content.
fn parse_imports(text: &str) -> BTreeMap<String, String> {
    ["wasmImports", "asmLibraryArg"]
        .iter()
        .flat_map(|name| {
            text.match_indices(name)
                .take(OBJECTS_MAX)
                .map(|(at, name)| &text[at + name.len()..])
        })
        .filter_map(|rest| {
            rest.trim_start()
                .strip_prefix('=')?
                .trim_start()
                .strip_prefix('{')
        })
        .map(|body| Tokens { rest: body }.properties())
        .find(|names| !names.is_empty())
        .unwrap_or_default()
}

/// Reads the assignments of exports: `NAME = asm["x"]`, `Module["NAME"] = wasmExports["x"]`.
fn parse_exports(text: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for holder in ["Module[\"asm\"]", "wasmExports", "asm"] {
        for (at, _) in text.match_indices(holder) {
            if exports.len() >= NAMES_MAX {
                return exports;
            }
            let found = index_after(&text[at + holder.len()..]).zip(assigned_before(&text[..at]));
            if let Some((minified, real)) = found {
                exports.entry(real).or_insert_with(|| minified.to_owned());
            }
        }
    }
    exports
}

/// Returns `x` of a text that starts with `["x"]` or `['x']`.
fn index_after(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = bounded(&inner[1..]).split_once(quote)?;
    (rest.starts_with(']') && !name.is_empty()).then_some(name)
}

/// Returns the name that a text which ends in `NAME=` or `Module["NAME"]=` assigns, as C knows it.
fn assigned_before(text: &str) -> Option<String> {
    let target = text.trim_end().strip_suffix('=')?.trim_end();
    let target = target
        .strip_suffix("\"]")
        .or_else(|| target.strip_suffix("']"))
        .unwrap_or(target);
    let start = target
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_identifier(*c))
        .take(NAME_BYTES_MAX)
        .last()?
        .0;
    Some(match &target[start..] {
        "wasmMemory" => "memory".to_owned(),
        "wasmTable" => "__indirect_function_table".to_owned(),
        name => c_name(name).to_owned(),
    })
}

/// Tells which `struct stat` the glue fills by the offset of its last field.
fn parse_stat_layout(text: &str) -> Option<StatLayout> {
    let start = ["doStat:", "writeStat:", "writeStat(", "doStat("]
        .iter()
        .find_map(|name| text.find(name));
    let Some(start) = start else {
        // A program without files: the name of the imports' object tells old from new as well as it can.
        return text.contains("wasmImports").then_some(StatLayout::Time64);
    };
    let window: String = text[start..]
        .chars()
        .take(STAT_FUNCTION_BYTES)
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let layouts = [
        ("buf+104>>", StatLayout::Time64Padded),
        ("buf+88>>", StatLayout::Time64),
        ("buf+80>>", StatLayout::Time32),
    ];
    layouts
        .iter()
        .find(|(last_field, _)| window.contains(last_field))
        .map(|(_, layout)| *layout)
}

/// Removes the underscore that emcc puts before C's names; names of its own have none.
fn c_name(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Cuts a text where no name can be longer, at a character's border.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

/// Cuts a text where no comment can be longer, at a character's border.
fn comment(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMMENT_BYTES_MAX)]
}

/// The inside of an object literal whose values are identifiers.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// Reads `key: value` and `value` properties until something else comes.
    fn properties(mut self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        while names.len() < NAMES_MAX {
            let Some((key, value)) = self.property() else {
                break;
            };
            names.insert(key.to_owned(), c_name(value).to_owned());
            if !self.accept(',') {
                break;
            }
        }
        names
    }

    fn property(&mut self) -> Option<(&'a str, &'a str)> {
        let key = self.name()?;
        if !self.accept(':') {
            return Some((c_name(key), key));
        }
        let value = self.name()?;
        Some((key, value))
    }

    /// Reads an identifier, or a string that holds one.
    fn name(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let start = quote.map_or(self.rest, |_| &self.rest[1..]);
        let end = bounded(start).find(|c| !is_identifier(c))?;
        if end == 0 {
            return None;
        }
        let (name, rest) = start.split_at(end);
        self.rest = match quote {
            Some(quote) => rest.strip_prefix(quote)?,
            None => rest,
        };
        Some(name)
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) {
        for _ in 0..COMMENTS_MAX {
            self.rest = self.rest.trim_start();
            let end = match self.rest.get(..2) {
                Some("/*") => comment(self.rest).find("*/").map(|at| at + 2),
                Some("//") => comment(self.rest).find('\n'),
                _ => return,
            };
            self.rest = end.map_or("", |at| &self.rest[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of 3.1.6's glue at -O3.
    const OLD: &str = r#"doStat:function(func,path,buf){HEAP32[buf>>2]=stat.dev;HEAP32[buf+80>>2]=tempI64[0]}
        wasmMemory=Module["asm"]["c"];wasmTable=Module["asm"]["f"];addOnInit(Module["asm"]["d"]);
        var asmLibraryArg={"b":_emscripten_memcpy_big,"a":_fd_write,"kb":invoke_vii,"Z":___syscall_openat};var asm=createWasm();
        var ___wasm_call_ctors=Module["___wasm_call_ctors"]=function(){return(___wasm_call_ctors=Module["___wasm_call_ctors"]=Module["asm"]["d"]).apply(null,arguments)};
        var _main=Module["_main"]=function(){return(_main=Module["_main"]=Module["asm"]["e"]).apply(null,arguments)};
        var stackAlloc=Module["stackAlloc"]=function(){return(stackAlloc=Module["stackAlloc"]=Module["asm"]["g"]).apply(null,arguments)};"#;

    /// The shape of 6.0.5's glue at -O3.
    const NEW: &str = r#"var SYSCALLS={writeStat(buf,stat){HEAPU32[buf>>2]=stat.dev;HEAPU32[buf+4>>2]=stat.mode;HEAP64[buf+88>>3]=BigInt(stat.ino);return 0}};
        var wasmImports;function assignWasmExports(wasmExports){_main=Module["_main"]=wasmExports["x"];__emscripten_stack_alloc=wasmExports["y"];memory=wasmMemory=wasmExports["v"];__indirect_function_table=wasmTable=wasmExports["w"]}
        wasmImports={/** @export */f:___syscall_accept4,a:__abort_js, // why
        invoke_vi,z:_exit};"#;

    #[test]
    fn old_glue_names_imports_and_exports() {
        let names = GlueNames::parse(OLD);
        assert_eq!(names.import("b"), Some("emscripten_memcpy_big"));
        assert_eq!(names.import("a"), Some("fd_write"));
        assert_eq!(names.import("kb"), Some("invoke_vii"));
        assert_eq!(names.import("Z"), Some("__syscall_openat"));
        assert_eq!(names.export("main"), "e");
        assert_eq!(names.export("__wasm_call_ctors"), "d");
        assert_eq!(names.export("stackAlloc"), "g");
        assert_eq!(names.export("__indirect_function_table"), "f");
        assert_eq!(names.export("memory"), "c");
        assert_eq!(names.stat_layout, Some(StatLayout::Time32));
    }

    #[test]
    fn new_glue_names_imports_and_exports() {
        let names = GlueNames::parse(NEW);
        assert_eq!(names.import("f"), Some("__syscall_accept4"));
        assert_eq!(names.import("a"), Some("_abort_js"));
        assert_eq!(names.import("invoke_vi"), Some("invoke_vi"));
        assert_eq!(names.import("z"), Some("exit"));
        assert_eq!(names.export("main"), "x");
        assert_eq!(names.export("_emscripten_stack_alloc"), "y");
        assert_eq!(names.export("__indirect_function_table"), "w");
        assert_eq!(names.export("memory"), "v");
        assert_eq!(names.stat_layout, Some(StatLayout::Time64));
    }

    #[test]
    fn unminified_glue_maps_names_to_themselves() {
        let text = "var asmLibraryArg = {\n  \"fd_write\": _fd_write,\n  \"setTempRet0\": _setTempRet0\n};";
        let names = GlueNames::parse(text);
        assert_eq!(names.import("fd_write"), Some("fd_write"));
        assert_eq!(names.export("main"), "main");
    }

    #[test]
    fn texts_that_end_or_break_anywhere_are_read_without_a_fault() {
        for text in [OLD, NEW] {
            for end in 0..text.len() {
                GlueNames::parse(&text[..end]);
                GlueNames::parse(&format!("{}é{}", &text[..end], &text[end..]));
            }
        }
    }

    #[test]
    fn endless_beginnings_cost_no_more_than_their_length() {
        for beginning in [
            "wasmImports={/*",
            "/*wasmImports={/**/",
            "x=asm[",
            "wasmImports= ",
        ] {
            let text = beginning.repeat(1 << 18);
            assert!(GlueNames::parse(&text).imports.is_empty());
        }
    }

    #[test]
    fn hostile_texts_are_read_to_their_end_and_say_nothing() {
        for text in [
            "wasmImports={",
            "wasmImports={\"",
            "wasmImports={a:",
            "wasmImports={/*",
            "wasmImports={é:ü}",
            "=asm[\"",
            "asm[\"é",
            "x=asm[\"\"]",
            "=wasmExports[\"a\"]",
        ] {
            let names = GlueNames::parse(text);
            assert!(names.imports.is_empty(), "{text}");
            assert!(names.exports.is_empty(), "{text}");
        }
        let long = format!("wasmImports={{{}:_x}}", "a".repeat(100_000));
        assert!(GlueNames::parse(&long).imports.is_empty());
        assert_eq!(
            GlueNames::parse(&" ".repeat(GLUE_BYTES_MAX + 1)),
            GlueNames::default()
        );
    }
}
