//! Compiled modules and their instances.

pub mod guest;
pub mod instrument;
pub mod memory;
pub mod stop;

pub use guest::Guest;
pub use memory::{GuestAddr, GuestMemory, MemoryView};
pub use stop::Stop;
