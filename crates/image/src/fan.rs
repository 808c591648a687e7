//! Fans: what is written once is taken by several threads, each of which makes a file of it.
//!
//! A layer is hashed and kept as a tar, and packed and hashed as a blob; on threads of their own none of it waits for
//! the other, nor for whoever reads the files that go in. Chunks have one size, whatever the number of processors, and reach
//! every thread in their order, so equal bytes make equal files.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tempfile::NamedTempFile;

use crate::Digest;
use crate::digest::Hashing;
use crate::layer::encoder;

/// What is handed over at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Bounds the chunks that wait for a thread.
const CHUNKS_MAX: usize = 8;

/// How many bytes are left to the kernel before it has to write them to the disk: it does so while the next are hashed.
const SYNC_BYTES: u64 = 32 << 20;

/// A file that a thread has finished and flushed to the disk.
pub(crate) struct Written {
    pub(crate) file: NamedTempFile,
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
}

/// What a thread is sent. Without an end, what it writes is of no use.
enum Message {
    Chunk(Arc<Vec<u8>>),
    End,
}

/// A thread that takes chunks and makes a file.
struct Taker {
    /// None once the thread has been sent the end.
    messages: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<io::Result<Written>>>,
}

/// A writer whose chunks all takers get. Dropped unfinished, it leaves no file.
pub(crate) struct Fan {
    chunk: Vec<u8>,
    pub(crate) count_bytes: u64,
    takers: Vec<Taker>,
}

impl Fan {
    /// Makes the files of a layer: the tar as it is, and packed.
    pub(crate) fn of_layer(tar: NamedTempFile, blob: NamedTempFile) -> io::Result<Self> {
        let packed = Self::of(vec![Taker::spawn(move |chunks| keep(&chunks, blob))?]);
        Ok(Self::of(vec![
            Taker::spawn(move |chunks| keep(&chunks, tar))?,
            Taker::spawn(move |chunks| pack(&chunks, packed))?,
        ]))
    }

    fn of(takers: Vec<Taker>) -> Self {
        Self {
            chunk: Vec::with_capacity(CHUNK_BYTES),
            count_bytes: 0,
            takers,
        }
    }

    /// Waits for the threads, and returns what each made.
    pub(crate) fn finish(mut self) -> io::Result<Vec<Written>> {
        self.hand_over()?;
        self.takers.iter_mut().for_each(Taker::send_end);
        self.takers.iter_mut().map(Taker::join).collect()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        let chunk = Arc::new(chunk);
        self.takers
            .iter_mut()
            .try_for_each(|taker| taker.send(&chunk))
    }
}

impl Write for Fan {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        self.count_bytes += count as u64;
        if self.chunk.len() == CHUNK_BYTES {
            self.hand_over()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Taker {
    fn spawn(
        work: impl FnOnce(Receiver<Message>) -> io::Result<Written> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CHUNKS_MAX);
        let thread = std::thread::Builder::new().name("layer".to_owned());
        Ok(Self {
            messages: Some(sender),
            thread: Some(thread.spawn(move || work(receiver))?),
        })
    }

    fn send(&mut self, chunk: &Arc<Vec<u8>>) -> io::Result<()> {
        let message = Message::Chunk(Arc::clone(chunk));
        match self
            .messages
            .as_ref()
            .map(|messages| messages.send(message))
        {
            Some(Ok(())) => Ok(()),
            // A thread that takes no more has failed, and knows why.
            Some(Err(_)) | None => self.join().map(drop),
        }
    }

    fn send_end(&mut self) {
        // One that has failed says so when it is joined.
        let _ = self
            .messages
            .take()
            .map(|messages| messages.send(Message::End));
    }

    fn join(&mut self) -> io::Result<Written> {
        self.messages = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(abandoned()),
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.messages = None;
        // Its file is gone when it has ended, before the directory is removed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn abandoned() -> io::Error {
    io::Error::other("the layer was not finished")
}

/// Gives `take` each chunk, up to the end.
fn for_each_chunk(
    messages: &Receiver<Message>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match messages.recv() {
            Ok(Message::Chunk(chunk)) => take(&chunk)?,
            Ok(Message::End) => return Ok(()),
            Err(_) => return Err(abandoned()),
        }
    }
}

/// Writes and hashes what comes.
fn keep(messages: &Receiver<Message>, file: NamedTempFile) -> io::Result<Written> {
    let mut hashing = Hashing::new(file);
    let mut synced_bytes = 0;
    for_each_chunk(messages, |chunk| {
        hashing.write_all(chunk)?;
        if hashing.count_bytes - synced_bytes >= SYNC_BYTES {
            synced_bytes = hashing.count_bytes;
            hashing.inner.as_file().sync_data()?;
        }
        Ok(())
    })?;
    hashing.inner.as_file().sync_all()?;
    Ok(Written {
        file: hashing.inner,
        digest: hashing.hasher.finish(),
        size_bytes: hashing.count_bytes,
    })
}

/// Packs what comes, for a thread that keeps it.
fn pack(messages: &Receiver<Message>, fan: Fan) -> io::Result<Written> {
    let mut encoder = encoder(fan)?;
    for_each_chunk(messages, |chunk| encoder.write_all(chunk))?;
    let mut written = encoder.finish()?.finish()?;
    written.pop().ok_or_else(abandoned)
}
