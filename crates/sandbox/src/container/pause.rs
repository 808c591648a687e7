//! A pause of all of a container's processes, for commands: it is recorded by the sandbox, so what becomes of the command changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use minke_abi::linux::Signal;

use super::LiveObserver;
use crate::executor::Spawner;

/// What pauses a container.
pub(super) struct PauseService {
    spawner: Spawner,
    stop_signal: Option<Signal>,
    observer: Arc<dyn LiveObserver>,
    is_paused: Mutex<bool>,
}

impl PauseService {
    /// `stop_signal` is as typed.
    pub(super) fn new(
        spawner: Spawner,
        stop_signal: &str,
        observer: Arc<dyn LiveObserver>,
    ) -> PauseService {
        PauseService {
            spawner,
            stop_signal: Signal::parse(stop_signal),
            observer,
            is_paused: Mutex::new(false),
        }
    }

    /// Pauses the container, if it is not; an error is a message for the client.
    pub(super) fn pause(&self) -> Result<(), String> {
        let mut is_paused = self.lock();
        if *is_paused {
            return Ok(());
        }
        self.spawner.pause().map_err(|error| error.to_string())?;
        if let Err(error) = self.observer.paused() {
            self.spawner.resume();
            return Err(format!("the pause cannot be recorded: {error}"));
        }
        *is_paused = true;
        Ok(())
    }

    /// Lets the container go on, if it is paused.
    pub(super) fn resume(&self) {
        let mut is_paused = self.lock();
        if std::mem::take(&mut *is_paused) {
            // First the record: what ends next writes its last after it.
            self.observer.resumed();
            self.spawner.resume();
        }
    }

    /// Lets the container go on after the signal that stops it; others wait for the end of the pause.
    /// Docker: `daemon/kill.go`, `killWithSignal()`.
    pub(super) fn resume_for(&self, signal: Signal) {
        if signal == Signal::KILL || Some(signal) == self.stop_signal {
            self.resume();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
