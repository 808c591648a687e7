//! Standard streams: inherited descriptors are waited for, and left as they were.

use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use minke_abi::linux::OpenFlags;
use minke_kernel::net::NetworkMode;
use minke_kernel::{Fd, File, FileDescription, Task};
use minke_sandbox::platform::stdio::{Direction, LINE_BYTES_MAX, LineEnd};
use minke_sandbox::platform::{HostStream, LogSink, LogStream};
use rustix::fs::OFlags;

use crate::container::Container;

fn insert(task: &Task, file: Arc<dyn File>) -> Fd {
    let description = FileDescription::new(file, None, OpenFlags::RDWR);
    task.process.fds.insert(description, false).unwrap()
}

async fn read_all(task: &Task, fd: Fd) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        let count = task.read_with(fd, |read| read(&mut buffer)).await.unwrap();
        if count == 0 {
            return all;
        }
        all.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn reading_waits_for_each_kind_of_inherited_input() {
    let sockets = std::os::unix::net::UnixStream::pair().unwrap();
    let pipe = std::io::pipe().unwrap();
    let ends: [(OwnedFd, OwnedFd); 2] = [
        (pipe.0.into(), pipe.1.into()),
        (sockets.0.into(), sockets.1.into()),
    ];
    for (reader, writer) in ends {
        let container = Container::new(NetworkMode::None, &[]);
        let task = container.task();
        let shared = reader.try_clone().unwrap();
        let stream = HostStream::new(container.executor.reactor(), reader, Direction::In);
        let fd = insert(&task, stream);
        let writing = std::thread::spawn(move || {
            let mut writer = std::fs::File::from(writer);
            for _ in 0..1000 {
                writer.write_all(&[7; 999]).unwrap();
            }
        });
        let all = container.run(async move { read_all(&task, fd).await });
        writing.join().unwrap();
        assert_eq!(all.len(), 999_000);
        let flags = rustix::fs::fcntl_getfl(&shared).unwrap();
        assert!(
            !flags.contains(OFlags::NONBLOCK),
            "others share the description"
        );
    }
}

#[test]
fn writing_waits_for_a_reader_that_is_slow() {
    let sockets = std::os::unix::net::UnixStream::pair().unwrap();
    let pipe = std::io::pipe().unwrap();
    let ends: [(OwnedFd, OwnedFd); 2] = [
        (pipe.0.into(), pipe.1.into()),
        (sockets.0.into(), sockets.1.into()),
    ];
    for (reader, writer) in ends {
        let container = Container::new(NetworkMode::None, &[]);
        let task = container.task();
        let stream = HostStream::new(container.executor.reactor(), writer, Direction::Out);
        let fd = insert(&task, stream);
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut all).unwrap();
            all.len()
        });
        container.run(async move {
            let bytes = vec![1; 500_000];
            let mut written = 0;
            while written < bytes.len() {
                let rest = &bytes[written..];
                written += task.write_with(fd, |write| write(rest)).await.unwrap();
            }
            task.close(fd).unwrap();
        });
        assert_eq!(reading.join().unwrap(), 500_000);
    }
}

#[test]
fn a_regular_file_shares_its_position_with_who_gave_it() {
    let container = Container::new(NetworkMode::None, &[]);
    let task = container.task();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(std::io::SeekFrom::Start(4)).unwrap();
    let inherited = file.as_fd().try_clone_to_owned().unwrap();
    let stream = HostStream::new(container.executor.reactor(), inherited, Direction::In);
    let fd = insert(&task, stream);
    let all = container.run(async move { read_all(&task, fd).await });
    assert_eq!(all, b"456789");
}

/// Keeps what was logged.
#[derive(Default)]
struct Lines(Mutex<Vec<(Vec<u8>, LineEnd)>>);

impl LogSink for Lines {
    fn write_line(&self, line: &[u8], end: LineEnd) {
        self.0.lock().unwrap().push((line.to_vec(), end));
    }
}

fn logged(writes: &[&[u8]]) -> Vec<(Vec<u8>, LineEnd)> {
    let lines = Arc::new(Lines::default());
    let stream = LogStream::new(Arc::clone(&lines) as _);
    for bytes in writes {
        assert_eq!(stream.write(bytes), Ok(bytes.len()));
    }
    stream.close();
    std::mem::take(&mut *lines.0.lock().unwrap())
}

#[test]
fn a_log_gets_whole_lines_however_they_were_written() {
    let whole = |text: &[u8]| (text.to_vec(), LineEnd::Newline);
    let lines = logged(&[b"one\ntwo", b" more", b"\n\nlast"]);
    let expected = [
        whole(b"one"),
        whole(b"two more"),
        whole(b""),
        whole(b"last"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_line_without_an_end_is_cut() {
    let long = vec![b'x'; 2 * LINE_BYTES_MAX + 1];
    let cut = (vec![b'x'; LINE_BYTES_MAX], LineEnd::Cut);
    let rest = (vec![b'x'; 1], LineEnd::Newline);
    let expected = [cut.clone(), cut, rest];
    assert_eq!(logged(&[&long]), expected);
    let bytes: Vec<&[u8]> = long.chunks(1).collect();
    assert_eq!(logged(&bytes), expected);
    let full = [&long[..LINE_BYTES_MAX], b"\n"].concat();
    let whole = (vec![b'x'; LINE_BYTES_MAX], LineEnd::Newline);
    assert_eq!(logged(&[&full]), [whole]);
}
