//! What build scripts look for in their environment.

use std::path::Path;

use crate::{SdkError, System, Tools};

/// Returns names and values; `minke` is the program that is run as `minke cc`.
///
/// # Errors
/// [`SdkError::NoTool`] and [`SdkError::OldTool`].
pub fn variables(
    system: &System,
    tools: &Tools,
    minke: &Path,
) -> Result<Vec<(String, String)>, SdkError> {
    let clang = tools.clang()?;
    let kin = |name| tools.kin(&clang, name).display().to_string();
    let below = |name: &str| system.directory.join(name).display().to_string();
    let minke = minke.display();
    let variables = [
        ("CC", format!("{minke} cc")),
        ("CXX", format!("{minke} c++")),
        ("AR", kin("llvm-ar")),
        ("RANLIB", kin("llvm-ranlib")),
        ("NM", kin("llvm-nm")),
        ("STRIP", kin("llvm-strip")),
        // Libraries of the machine are of no use to programs for containers.
        ("PKG_CONFIG_LIBDIR", below("lib/pkgconfig")),
        ("CMAKE_TOOLCHAIN_FILE", below("minke.cmake")),
        ("MINKE", minke.to_string()),
    ];
    Ok(variables
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec())
}

/// Writes assignments that a shell of POSIX's reads.
pub fn shell(variables: &[(String, String)]) -> String {
    let quote = |value: &str| value.replace('\'', r"'\''");
    let lines = variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", quote(value)));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_values_as_they_are() {
        let variables = [("CC".to_owned(), "/it's here/minke cc".to_owned())];
        assert_eq!(shell(&variables), "export CC='/it'\\''s here/minke cc'\n");
    }
}
