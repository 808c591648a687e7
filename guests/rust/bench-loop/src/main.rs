//! System calls in a loop: `bench-loop DIRECTORY [COUNT]` prints `NAME NS` per operation.
//!
//! The same source is compiled for the machine itself. The calls are libc's, so that no library of
//! Rust's stands between the measure and the kernel.

use std::ffi::{CStr, CString};
use std::time::Instant;

const BLOCK: usize = 4096;
/// The file that is read and written: small enough for every cache, large enough not to be one page.
const FILE_BLOCKS: usize = 256;

struct Bench {
    file: CString,
    fd: i32,
    block: Vec<u8>,
}

type Operation = fn(&mut Bench, usize);

const OPERATIONS: &[(&str, Operation)] = &[
    ("read", Bench::read),
    ("write", Bench::write),
    ("stat", Bench::stat),
    ("open_close", Bench::open_close),
    ("clock", Bench::clock),
];

fn main() {
    let mut args = std::env::args().skip(1);
    let directory = args.next().expect("a directory");
    let count: usize = args
        .next()
        .map_or(100_000, |it| it.parse().expect("a count"));
    let mut bench = Bench::new(&format!("{directory}/bench-loop.data"));
    for (name, operation) in OPERATIONS {
        // Once around to fill caches, then the best of five rounds: other work on the machine only slows.
        (0..FILE_BLOCKS).for_each(|turn| operation(&mut bench, turn));
        let rounds = (0..5).map(|_| {
            let start = Instant::now();
            (0..count).for_each(|turn| operation(&mut bench, turn));
            start.elapsed().as_nanos() as f64 / count as f64
        });
        println!("{name} {:.1}", rounds.fold(f64::INFINITY, f64::min));
    }
    bench.remove();
}

impl Bench {
    fn new(path: &str) -> Self {
        let file = CString::new(path).expect("a path has no NUL");
        let fd = open(&file, libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC);
        let mut bench = Bench {
            file,
            fd,
            block: vec![0x5a; BLOCK],
        };
        (0..FILE_BLOCKS).for_each(|turn| bench.write(turn));
        bench
    }

    fn read(&mut self, turn: usize) {
        // SAFETY: the block is as large as the size given.
        let count =
            unsafe { libc::pread(self.fd, self.block.as_mut_ptr().cast(), BLOCK, offset(turn)) };
        assert_eq!(count, BLOCK as isize);
    }

    fn write(&mut self, turn: usize) {
        // SAFETY: the block is as large as the size given.
        let count =
            unsafe { libc::pwrite(self.fd, self.block.as_ptr().cast(), BLOCK, offset(turn)) };
        assert_eq!(count, BLOCK as isize);
    }

    fn stat(&mut self, _: usize) {
        // SAFETY: all zeroes are a `stat`; the path ends with NUL.
        let result = unsafe { libc::stat(self.file.as_ptr(), &mut std::mem::zeroed()) };
        assert_eq!(result, 0);
    }

    fn open_close(&mut self, _: usize) {
        let fd = open(&self.file, libc::O_RDONLY);
        // SAFETY: the descriptor was just opened and is used nowhere else.
        unsafe { libc::close(fd) };
    }

    fn clock(&mut self, _: usize) {
        // SAFETY: all zeroes are a `timespec`.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut std::mem::zeroed()) };
        assert_eq!(result, 0);
    }

    fn remove(&self) {
        // SAFETY: the path ends with NUL.
        unsafe { libc::unlink(self.file.as_ptr()) };
    }
}

fn offset(turn: usize) -> libc::off_t {
    (turn % FILE_BLOCKS * BLOCK) as libc::off_t
}

fn open(path: &CStr, flags: i32) -> i32 {
    // SAFETY: the path ends with NUL.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
    assert!(
        fd >= 0,
        "cannot open {path:?}: {}",
        std::io::Error::last_os_error()
    );
    fd
}
