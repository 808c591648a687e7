//! What the glue says of threads: numbers that the JavaScript border of a `-pthread` module knows and the module does not.

/// Most places of a text that are looked at.
const PLACES_MAX: usize = 64;
/// How far after a function's name its numbers are looked for, in bytes.
const FUNCTION_BYTES: usize = 512;

/// Where a thread's stack stands, and how large it is unless the program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadGlue {
    /// Offset in `struct pthread` of the stack's upper end.
    pub stack_offset: u32,
    /// Offset in `struct pthread` of the stack's size.
    pub stack_size_offset: u32,
    /// Bytes of a stack by default (`-sDEFAULT_PTHREAD_STACK_SIZE`).
    pub stack_bytes: u32,
}

impl Default for ThreadGlue {
    /// What Emscripten 3.1.6 has.
    fn default() -> Self {
        Self {
            stack_offset: 44,
            stack_size_offset: 48,
            stack_bytes: 2 << 20,
        }
    }
}

impl ThreadGlue {
    /// Reads a glue text; what it does not say is as in 3.1.6.
    pub(crate) fn parse(text: &str) -> ThreadGlue {
        let default = ThreadGlue::default();
        let offsets = windows(text, "establishStackSpace").find_map(|window| {
            let mut offsets = numbers_after(&window, "pthread_ptr+");
            Some((offsets.next()?, offsets.next()?))
        });
        let (stack_offset, stack_size_offset) =
            offsets.unwrap_or((default.stack_offset, default.stack_size_offset));
        let stack_bytes = windows(text, "default_pthread_stack_size")
            .find_map(|window| numbers_after(&window, "{return").next());
        ThreadGlue {
            stack_offset,
            stack_size_offset,
            stack_bytes: stack_bytes.unwrap_or(default.stack_bytes),
        }
    }
}

/// Returns what stands after each occurrence of a name, without blanks and parentheses.
fn windows<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let places = text.match_indices(name).take(PLACES_MAX);
    places.map(|(at, name)| {
        text[at + name.len()..]
            .chars()
            .take(FUNCTION_BYTES)
            .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
            .collect()
    })
}

/// Returns the numbers that stand directly after a text.
fn numbers_after<'a>(window: &'a str, before: &'a str) -> impl Iterator<Item = u32> + 'a {
    window
        .match_indices(before)
        .filter_map(move |(at, before)| {
            let rest = &window[at + before.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_sizes_are_found_in_pretty_and_in_minified_text() {
        let expected = ThreadGlue {
            stack_offset: 52,
            stack_size_offset: 56,
            stack_bytes: 65_536,
        };
        for text in [
            "PThread.x=establishStackSpace; function establishStackSpace() {\n var pthread_ptr = _pthread_self();
             var stackTop = HEAP32[(((pthread_ptr)+(52))>>2)];\n var stackSize = HEAP32[(((pthread_ptr)+(56))>>2)]; }
             function __emscripten_default_pthread_stack_size() {\n return 65536;\n }",
            "var establishStackSpace=pthread_ptr=>{var stackHigh=HEAPU32[pthread_ptr+52>>2];var stackSize=HEAPU32[pthread_ptr+56>>2]};
             function __emscripten_default_pthread_stack_size(){return 65536}",
        ] {
            assert_eq!(ThreadGlue::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_say_what_the_known_version_has() {
        for text in [
            "",
            "establishStackSpace",
            "establishStackSpace(){pthread_ptr+",
            "establishStackSpace(){pthread_ptr+99999999999,pthread_ptr+1}",
            "default_pthread_stack_size(){return é}",
        ] {
            assert_eq!(ThreadGlue::parse(text), ThreadGlue::default(), "{text}");
        }
    }
}
