//! What a call sees of its guest: what both ports of musl have, the layout of times, and variadic arguments.

use minke_abi::Result;
use minke_abi::emscripten::StatLayout;

pub(super) use crate::personality::musl::context::{ARGUMENTS_MAX, Arguments, Context, task_of};
use crate::runtime::GuestAddr;

impl Context<'_> {
    /// Returns the layout of times and `struct stat` that the guest knows.
    pub(super) fn layout(&self) -> StatLayout {
        self.guest.emscripten.layout
    }

    /// Reads the argument that a variadic call left in memory; 0 when it left none.
    pub(super) fn variadic(&self, area: Option<GuestAddr>) -> Result<u32> {
        area.map_or(Ok(0), |address| self.memory.read_u32(address))
    }
}
