//! Stream connections: bytes, and what travels beside ranges of them. Linux: unix_stream_sendmsg(), unix_stream_read_generic().

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_abi::{Errno, Result};

use crate::kernel::MemoryBudget;
use crate::net::duplex::{Duplex, Manners};
use crate::net::unix::companions::Companions;
use crate::net::unix::rights::Rights;
use crate::net::{Received, UserCredentials};
use crate::stream::Consume;

/// Most ranges in one direction that something travels with, so that messages of one byte are bounded too.
const MARKS_MAX: usize = 1024;

/// Whether bytes of several senders are received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Senders {
    Mixed,
    /// The receiver is told who sends (`SO_PASSCRED`).
    Apart,
}

/// One end of a stream connection.
pub(super) struct Bytes {
    pub(super) duplex: Duplex,
    /// `lines[n]` goes with what side `n` reads, and is locked before it.
    lines: Arc<[Mutex<Line>; 2]>,
    side: usize,
}

/// Where in one direction's bytes something travels.
#[derive(Default)]
struct Line {
    sent: u64,
    received: u64,
    /// Ranges that do not overlap, in order.
    marks: VecDeque<Mark>,
}

struct Mark {
    start: u64,
    end: u64,
    companions: Companions,
}

impl Line {
    /// Notes what travels with the bytes that were sent last.
    fn mark(&mut self, count: usize, companions: &mut Companions) {
        let start = self.sent;
        self.sent += count as u64;
        if count == 0 || companions.is_empty() {
            return;
        }
        let (end, rights) = (self.sent, companions.rights.take());
        let last = self.marks.back_mut().filter(|last| {
            let is_plain = rights.is_none() && last.companions.rights.is_none();
            is_plain && last.end == start && last.companions.credentials == companions.credentials
        });
        match last {
            Some(last) => last.end = end,
            None => self.marks.push_back(Mark {
                start,
                end,
                companions: Companions {
                    credentials: companions.credentials,
                    rights,
                },
            }),
        }
    }

    /// Bytes that may be received at once: up to the end of the first message with descriptors, or of one sender's bytes.
    fn room(&self, length: usize, senders: Senders) -> usize {
        let mut end = self.received + length as u64;
        if senders == Senders::Apart {
            end = end.min(self.end_of_sender());
        }
        let has_rights = |mark: &&Mark| mark.companions.rights.is_some();
        if let Some(mark) = self.marks.iter().find(has_rights)
            && mark.start < end
        {
            end = end.min(mark.end);
        }
        usize::try_from(end - self.received).unwrap_or(length)
    }

    /// Where the bytes of the next one's sender end. What has no mark is of who made the connection.
    fn end_of_sender(&self) -> u64 {
        let sender = self.sender_at(self.received);
        let mut position = self.received;
        for mark in &self.marks {
            let is_gap_next = mark.start > position && sender.is_some();
            if is_gap_next || mark.companions.credentials != sender {
                return if is_gap_next { position } else { mark.start };
            }
            position = mark.end;
        }
        sender.map_or(u64::MAX, |_| position)
    }

    fn sender_at(&self, position: u64) -> Option<UserCredentials> {
        let first = self.marks.front()?;
        let covers = first.start <= position && position < first.end;
        covers.then_some(first.companions.credentials)?
    }

    /// Returns what travels with the next bytes.
    fn take(&mut self, count: usize, consume: Consume) -> Companions {
        let credentials = self.sender_at(self.received);
        let end = self.received + count as u64;
        let with_rights = |mark: &&mut Mark| mark.companions.rights.is_some();
        let first = self.marks.iter_mut().take_while(|mark| mark.start < end);
        let mark = first.into_iter().find(with_rights);
        let rights = mark.and_then(|mark| match consume {
            Consume::Take => mark.companions.rights.take(),
            Consume::Peek => mark.companions.rights.clone(),
        });
        if consume == Consume::Take {
            self.received = end;
            while self.marks.front().is_some_and(|mark| mark.end <= end) {
                self.marks.pop_front();
            }
        }
        Companions {
            credentials,
            rights,
        }
    }
}

impl Bytes {
    /// Makes the two ends of a connection; `ENOMEM` when the container has no memory left.
    pub(super) fn pair(memory: &Arc<MemoryBudget>) -> Result<(Bytes, Bytes)> {
        let (near, far) = Duplex::pair(Manners::Unix, memory)?;
        let lines = Arc::default();
        let first = Bytes {
            duplex: near,
            lines: Arc::clone(&lines),
            side: 0,
        };
        let second = Bytes {
            duplex: far,
            lines,
            side: 1,
        };
        Ok((first, second))
    }

    /// Sends bytes; may take fewer than given. Descriptors leave `companions` with the first of them.
    pub(super) fn send(&self, bytes: &[u8], companions: &mut Companions) -> Result<usize> {
        let mut line = self.line(1 - self.side);
        if !companions.is_empty() && line.marks.len() >= MARKS_MAX {
            return Err(Errno::EAGAIN);
        }
        let count = self.duplex.send(bytes)?;
        line.mark(count, companions);
        Ok(count)
    }

    /// Receives bytes and what travels with them; 0 at the end.
    pub(super) fn receive(
        &self,
        buffer: &mut [u8],
        consume: Consume,
        senders: Senders,
    ) -> Result<(Received, Companions)> {
        let mut line = self.line(self.side);
        let room = line.room(buffer.len(), senders);
        let count = self.duplex.receive(&mut buffer[..room], consume)?;
        let companions = line.take(count, consume);
        Ok((Received::of_stream(count), companions))
    }

    /// Returns the descriptors that wait to be received.
    pub(super) fn waiting_rights(&self) -> Vec<Arc<Rights>> {
        let line = self.line(self.side);
        let rights = line
            .marks
            .iter()
            .filter_map(|it| it.companions.rights.clone());
        rights.collect()
    }

    fn line(&self, side: usize) -> MutexGuard<'_, Line> {
        self.lines[side]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
