//! Messages on the wire: a length and JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bounds a message; both sides refuse longer ones before they hold them. The arguments and the environment of an `exec` are the
/// longest. Linux: `ARG_MAX` is 2 MiB, and most programs get far less.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 4;

/// Lays out a message with its length. One that is too long is refused where it arrives.
pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(message).expect("requests and responses are JSON");
    let mut bytes = (json.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&json);
    bytes
}

/// Takes the first whole message out of `inbox`; `None` when more bytes are needed.
pub(crate) fn take<T: DeserializeOwned>(inbox: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some(length) = inbox.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = checked_length(*length)?;
    let Some(json) = inbox.get(LENGTH_BYTES..LENGTH_BYTES + length) else {
        return Ok(None);
    };
    let message = serde_json::from_slice(json)?;
    inbox.drain(..LENGTH_BYTES + length);
    Ok(Some(message))
}

/// Writes one message.
pub fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message))
}

/// Reads one message; an end before it is `UnexpectedEof`.
pub fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; LENGTH_BYTES];
    stream.read_exact(&mut length)?;
    let mut json = vec![0; checked_length(length)?];
    stream.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

fn checked_length(length: [u8; LENGTH_BYTES]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is longer than {MESSAGE_BYTES_MAX}"),
        ));
    }
    Ok(length)
}
