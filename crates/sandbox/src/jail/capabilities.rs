//! Capabilities, when minke runs as root. Source: `capabilities(7)`.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What a root-run sandbox keeps: to act on bind-mounted files for any owner, and to bind low
/// ports in host networking. A subset of Docker's default set.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Drops every capability but [`KEPT`] from the thread's sets; none are gained.
pub(super) fn drop_unneeded() -> rustix::io::Result<()> {
    keep(KEPT)
}

/// Drops every capability from the thread's sets.
pub(super) fn drop_all() -> rustix::io::Result<()> {
    keep(CapabilitySet::empty())
}

fn keep(wanted: CapabilitySet) -> rustix::io::Result<()> {
    let held = capabilities(None)?;
    let kept = held.permitted & wanted;
    if held.permitted == kept && held.inheritable.is_empty() {
        return Ok(());
    }
    rustix::thread::clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
}
