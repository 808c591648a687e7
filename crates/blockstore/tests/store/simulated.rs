//! A host's file with a cache that is lost when the power is cut.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use minke_blockstore::Storage;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A file in memory, of which only what was synced survives a cut.
#[derive(Default)]
pub(crate) struct Simulated {
    state: Mutex<State>,
    power: Arc<Power>,
}

/// What one or more files of a host live on.
#[derive(Default)]
pub(crate) struct Power(Mutex<PowerState>);

#[derive(Default)]
struct PowerState {
    /// Changes and syncs until the power is cut; none: it stays.
    cut_after: Option<usize>,
    is_off: bool,
}

#[derive(Default)]
struct State {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Since the last sync, in order.
    unsynced: Vec<Change>,
    counts: Counts,
    /// The file may have so many bytes.
    space: Option<u64>,
    fails_to_sync: bool,
    fails_to_read: bool,
    before_read: Option<Meanwhile>,
    before_sync: Option<Meanwhile>,
}

/// What another thread could do at this moment.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// What was asked of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) syncs: usize,
    pub(crate) punched_bytes: u64,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Punch(usize, usize),
}

impl Simulated {
    pub(crate) fn new(content: Vec<u8>) -> Simulated {
        Self::with_power(content, Arc::default())
    }

    /// Returns a file that loses power when others do.
    pub(crate) fn with_power(content: Vec<u8>, power: Arc<Power>) -> Simulated {
        Simulated {
            power,
            state: Mutex::new(State {
                cached: content.clone(),
                durable: content,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Cuts the power at the `count`th change or sync from now.
    pub(crate) fn cut_after(&self, count: usize) {
        self.power.cut_after(count);
    }

    /// Lets the file be no longer than this.
    pub(crate) fn limit_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.state().fails_to_sync = fails;
    }

    pub(crate) fn fail_reads(&self, fails: bool) {
        self.state().fails_to_read = fails;
    }

    /// Does something when a read has come to the host and has not begun.
    pub(crate) fn before_next_read(&self, meanwhile: impl FnOnce() + Send + 'static) {
        self.state().before_read = Some(Box::new(meanwhile));
    }

    /// Does something when a sync has come to the host and has not begun.
    pub(crate) fn before_next_sync(&self, meanwhile: impl FnOnce() + Send + 'static) {
        self.state().before_sync = Some(Box::new(meanwhile));
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Returns what the file holds while the power is on.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.state().cached.clone()
    }

    /// Returns what is left after a cut that loses the unsynced sectors whose place in the file `is_lost`.
    pub(crate) fn after_losing(&self, is_lost: impl Fn(usize) -> bool) -> Vec<u8> {
        let state = self.state();
        let mut content = state.durable.clone();
        for change in &state.unsynced {
            let Change::Write(offset, bytes) = change else {
                continue;
            };
            for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let offset = offset + index * SECTOR_BYTES;
                if !is_lost(offset) {
                    write(&mut content, offset, sector);
                }
            }
        }
        content
    }

    /// Returns what is left after a cut: all that was synced, and any sectors of what was not.
    pub(crate) fn after_cut(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let state = self.state();
        let mut content = state.durable.clone();
        let chance = [0.0, 0.1, 0.5, 0.9, 1.0][random.usize(..5)];
        for change in &state.unsynced {
            match change {
                Change::Write(offset, bytes) => {
                    for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if random.f64() < chance {
                            write(&mut content, offset + index * SECTOR_BYTES, sector);
                        }
                    }
                }
                other if random.f64() < chance => apply(&mut content, other),
                _ => {}
            }
        }
        content
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state();
        if let Some(space) = state.space
            && let Change::Write(offset, bytes) = &change
            && (offset + bytes.len()) as u64 > space
        {
            // A part may be written before the space ends.
            let part = space.saturating_sub(*offset as u64) as usize;
            let written = Change::Write(*offset, bytes[..part].to_vec());
            if part > 0 {
                apply(&mut state.cached, &written);
                state.unsynced.push(written);
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        let was_off = self.power.is_off();
        let result = self.power.step();
        // The change that the power was cut in may be there in part, later ones are not.
        if !was_off {
            apply(&mut state.cached, &change);
            state.unsynced.push(change);
        }
        result
    }
}

impl Power {
    /// Cuts the power at the `count`th change or sync from now.
    pub(crate) fn cut_after(&self, count: usize) {
        self.0.lock().unwrap().cut_after = Some(count);
    }

    fn is_off(&self) -> bool {
        self.0.lock().unwrap().is_off
    }

    /// Counts a change or sync; an error if the power is gone.
    fn step(&self) -> io::Result<()> {
        let state = &mut *self.0.lock().unwrap();
        match &mut state.cut_after {
            Some(0) => state.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        match state.is_off {
            true => Err(io::Error::other("the power was cut")),
            false => Ok(()),
        }
    }
}

impl Storage for Simulated {
    fn length(&self) -> io::Result<u64> {
        Ok(self.state().cached.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let meanwhile = self.state().before_read.take();
        meanwhile.into_iter().for_each(|it| it());
        let mut state = self.state();
        state.counts.reads += 1;
        if state.fails_to_read {
            return Err(io::Error::other("a bad sector"));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        let content = state.cached.get(start..end);
        bytes.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().counts.writes += 1;
        self.change(Change::Write(offset as usize, bytes.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let meanwhile = self.state().before_sync.take();
        meanwhile.into_iter().for_each(|it| it());
        let mut state = self.state();
        state.counts.syncs += 1;
        self.power.step()?;
        if state.fails_to_sync {
            return Err(io::Error::other("the disk is gone"));
        }
        let State {
            durable, unsynced, ..
        } = &mut *state;
        for change in unsynced.drain(..) {
            apply(durable, &change);
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(Change::Truncate(length as usize))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.state().counts.punched_bytes += length;
        self.change(Change::Punch(offset as usize, length as usize))
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => write(content, *offset, bytes),
        Change::Truncate(length) => content.resize(*length, 0),
        Change::Punch(offset, length) => {
            let end = (offset + length).min(content.len());
            content[(*offset).min(end)..end].fill(0);
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    content.resize(content.len().max(end), 0);
    content[offset..end].copy_from_slice(bytes);
}
