//! The real names of a program's minified imports, from the JavaScript beside it.

use std::sync::{Arc, OnceLock};

use minke_glue::GlueNames;
use wasmtime::ImportType;

use crate::personality::ProgramContext;
use crate::personality::emscripten::table;

/// The parsed glue of a program, made once.
pub type GlueCell = OnceLock<Arc<GlueNames>>;

/// Returns what the glue of a program says; nothing when there is none.
pub(super) fn names_of(program: &ProgramContext) -> Arc<GlueNames> {
    let parse = || {
        Arc::new(GlueNames::parse(
            program.glue.as_deref().unwrap_or_default(),
        ))
    };
    Arc::clone(program.glue_names.get_or_init(parse))
}

/// Returns the real name of an import that is minified; an error when nothing tells it.
pub fn restored_name(
    program: &ProgramContext,
    import: &ImportType<'_>,
) -> wasmtime::Result<Option<String>> {
    if let Some(name) = names_of(program).import(import.name()) {
        return Ok((name != import.name()).then(|| name.to_owned()));
    }
    if !looks_minified(import.module(), import.name()) {
        return Ok(None);
    }
    let script = script_beside(&program.path);
    let found = match &program.glue {
        None => format!("there is no `{script}` beside it to restore the name"),
        Some(_) => format!("`{script}` does not tell the name"),
    };
    Err(wasmtime::format_err!(
        "its import `{}` of `{}` looks like a name minified by emcc, and {found}\n\
         hint: ship the `.js` that emcc wrote together with the `.wasm`, or link with `-O1` or `--profiling-funcs`",
        import.name(),
        import.module(),
    ))
}

/// Whether an import has the look of emcc's short names: a module `a`, or a tiny name in `env` that no library has.
fn looks_minified(module: &str, name: &str) -> bool {
    const SHORT_NAME_BYTES: usize = 3;
    module == "a"
        || (module == table::MODULE && name.len() < SHORT_NAME_BYTES && !table::is_known(name))
}

/// Returns the path where emcc puts the glue of a module.
fn script_beside(path: &str) -> String {
    format!("{}.js", path.strip_suffix(".wasm").unwrap_or(path))
}
