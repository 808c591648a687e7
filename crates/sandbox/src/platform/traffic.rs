//! How much went through the host's sockets. A process has one container, so one counter is enough.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of payload, counted beside the system call that moves them.
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

/// This container's traffic.
pub static TRAFFIC: Traffic = Traffic {
    received: AtomicU64::new(0),
    sent: AtomicU64::new(0),
};

impl Traffic {
    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns what guests received.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns what guests sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
