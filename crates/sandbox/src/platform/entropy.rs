//! Random bytes of the host.

use minke_kernel::platform::Entropy;
use rustix::rand::{GetRandomFlags, getrandom};

/// The host's generator. Linux: `getrandom(2)`.
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut filled = 0;
        while filled < buffer.len() {
            match getrandom(&mut buffer[filled..], GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                // Guessable keys would be worse than an end: the container stops here.
                Err(error) => panic!("the host gives no random bytes: {error}"),
            }
        }
    }
}
