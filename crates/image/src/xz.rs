//! Unpacking xz: streams one after the other, with a bound on the memory that they may ask for.
//!
//! Spec: The .xz File Format 1.2, "Stream Padding" and "LZMA2".

use std::io::{self, BufRead, ErrorKind, Read};

use xz4rust::{XzDecoder, XzError};

/// Bounds the dictionary, which is as much memory: that of `xz -9`. The format has up to 4 GiB.
const DICTIONARY_BYTES_MAX: usize = 64 << 20;

/// A reader of what xz packed.
pub(crate) struct XzReader<R> {
    packed: R,
    decoder: Box<XzDecoder<'static>>,
    /// Whether a stream has ended, and another may follow.
    is_between: bool,
}

impl<R: BufRead> XzReader<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self {
            packed,
            decoder: XzDecoder::in_heap_with_alloc_dict_size(0, DICTIONARY_BYTES_MAX),
            is_between: false,
        }
    }
}

impl<R: BufRead> Read for XzReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let packed = self.packed.fill_buf()?;
            if self.is_between {
                let padding = packed.iter().take_while(|byte| **byte == 0).count();
                match (packed.len(), padding) {
                    (0, _) => return Ok(0),
                    (_, 0) => {
                        self.decoder.reset();
                        self.is_between = false;
                    }
                    _ => self.packed.consume(padding),
                }
                continue;
            }
            if packed.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // The decoder tells an error where it can neither take nor give anything twice.
            let decoded = self.decoder.decode(packed, buffer).map_err(failed)?;
            self.is_between = decoded.is_end_of_stream();
            self.packed.consume(decoded.input_consumed());
            if decoded.output_produced() > 0 {
                return Ok(decoded.output_produced());
            }
        }
    }
}

fn failed(error: XzError) -> io::Error {
    /// What stands for a dictionary of 4 GiB, less one byte, which the decoder does not know.
    const LARGEST: u32 = 40;
    match error {
        XzError::DictionaryTooLarge(bytes) => too_large(bytes),
        XzError::UnsupportedLzmaProperties(LARGEST) => too_large(u32::MAX.into()),
        error => io::Error::new(ErrorKind::InvalidData, format!("xz: {error}")),
    }
}

fn too_large(bytes: u64) -> io::Error {
    let text = format!(
        "xz packed it with a dictionary of {bytes} bytes, and {DICTIONARY_BYTES_MAX} are the most that is read"
    );
    io::Error::new(ErrorKind::Unsupported, text)
}
