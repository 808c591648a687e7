//! Threads as Rust programs use them: `threads ACTION [ARG...]`. Built for `wasm32-wasip1-threads`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{cell::Cell, hint, process, thread};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sum"] => sum(),
        ["turns"] => turns(),
        ["channel"] => channel(),
        ["scoped"] => scoped(),
        ["locals"] => locals(),
        ["timeout"] => timeout(),
        ["files", directory] => files(directory),
        ["panic"] => in_a_thread(|| panic!("on purpose")),
        ["exit", code] => {
            let code = code.parse().expect("a code is a number");
            in_a_thread(move || process::exit(code));
        }
        ["main-returns"] => main_returns(),
        ["many", count] => many(count.parse().expect("a count is a number")),
        ["without-end"] => without_end(),
        ["hold", kind, count] => hold(kind, count.parse().expect("a count is a number")),
        ["status"] => status(),
        _ => {
            eprintln!("threads: unknown action");
            process::exit(2);
        }
    }
}

/// Eight threads add under one lock.
fn sum() {
    let total = Arc::new(Mutex::new(0_u64));
    let threads: Vec<_> = (1..=8)
        .map(|number| {
            let total = Arc::clone(&total);
            thread::spawn(move || {
                for _ in 0..1000 {
                    *total.lock().expect("no thread panics") += number;
                }
                number
            })
        })
        .collect();
    let numbers: u64 = threads
        .into_iter()
        .map(|it| it.join().expect("joined"))
        .sum();
    println!("{numbers} {}", total.lock().expect("no thread panics"));
}

/// Two threads pass a turn to and fro by a condition variable.
fn turns() {
    let state = Arc::new((Mutex::new(0), Condvar::new()));
    let player = |mine: usize| {
        let state = Arc::clone(&state);
        thread::spawn(move || {
            for _ in 0..500 {
                let mut turn = state.0.lock().expect("no thread panics");
                while *turn % 2 != mine {
                    turn = state.1.wait(turn).expect("no thread panics");
                }
                *turn += 1;
                state.1.notify_all();
            }
        })
    };
    let players = [player(0), player(1)];
    for it in players {
        it.join().expect("joined");
    }
    println!("{}", state.0.lock().expect("no thread panics"));
}

/// Four threads send to one.
fn channel() {
    let (sender, receiver) = mpsc::sync_channel(3);
    for number in 0..4 {
        let sender = sender.clone();
        thread::spawn(move || {
            (0..250).for_each(|it| sender.send(number * 250 + it).expect("it listens"))
        });
    }
    drop(sender);
    let mut all: Vec<i32> = receiver.iter().collect();
    all.sort_unstable();
    println!("{} {}", all.len(), all.iter().sum::<i32>());
}

/// Threads borrow from the function that waits for them.
fn scoped() {
    let mut numbers = vec![1_u32; 1000];
    thread::scope(|scope| {
        for part in numbers.chunks_mut(300) {
            scope.spawn(|| part.iter_mut().for_each(|it| *it += 1));
        }
    });
    println!("{}", numbers.iter().sum::<u32>());
}

/// Each thread has its own copy of a thread-local variable, and its destructor runs.
fn locals() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counted(Cell<usize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(self.0.get(), Ordering::SeqCst);
        }
    }
    thread_local! {
        static MINE: Counted = const { Counted(Cell::new(1)) };
    }
    MINE.with(|it| it.0.set(100));
    let threads: Vec<_> = (0..3)
        .map(|number| {
            thread::spawn(move || {
                MINE.with(|it| {
                    it.0.set(it.0.get() + number);
                    it.0.get()
                })
            })
        })
        .collect();
    let seen: Vec<usize> = threads
        .into_iter()
        .map(|it| it.join().expect("joined"))
        .collect();
    println!(
        "{seen:?} {} {}",
        MINE.with(|it| it.0.get()),
        DROPPED.load(Ordering::SeqCst)
    );
}

/// Waits end in time, and not before.
fn timeout() {
    let pause = Duration::from_millis(30);
    let start = Instant::now();
    let (_sender, receiver) = mpsc::channel::<()>();
    let by_channel = receiver.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    let guard = lock.lock().expect("no thread panics");
    let waited = condition.wait_timeout_while(guard, pause, |()| true);
    let by_condition = waited.expect("no thread panics").1.timed_out();
    thread::spawn(move || thread::park_timeout(pause))
        .join()
        .expect("joined");
    println!(
        "{by_channel} {by_condition} {}",
        start.elapsed() >= 2 * pause
    );
}

/// Threads write records of their own into one file at the same time, read others' meanwhile, and read bytes
/// into the two halves of one buffer: nothing is torn or lost.
fn files(directory: &str) {
    const THREADS: usize = 6;
    const RECORDS: usize = 40;
    const BYTES: usize = 1000;
    let path = format!("{directory}/records");
    File::create(&path).expect("made");
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (path, barrier) = (&path, &barrier);
            scope.spawn(move || {
                let mut file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(path)
                    .expect("opened");
                barrier.wait();
                for record in 0..RECORDS {
                    let place = ((record * THREADS + number) * BYTES) as u64;
                    file.seek(SeekFrom::Start(place)).expect("sought");
                    file.write_all(&[b'a' + number as u8; BYTES])
                        .expect("written");
                    file.seek(SeekFrom::Start(place)).expect("sought");
                    let mut back = [0; BYTES];
                    file.read_exact(&mut back).expect("read");
                    assert!(back.iter().all(|byte| *byte == b'a' + number as u8));
                }
            });
        }
    });
    let all = fs::read(&path).expect("read");
    let is_whole = |(at, byte): (usize, &u8)| *byte == b'a' + (at / BYTES % THREADS) as u8;
    println!("{} {}", all.len(), all.iter().enumerate().all(is_whole));
    neighbours(&path);
}

/// One thread reads short pieces into the front of a buffer while another counts in the bytes right behind
/// what is read: a host call that wrote more than it had read would undo counts.
fn neighbours(path: &str) {
    const ROUNDS: usize = 2000;
    let mut buffer = vec![0_u8; 4096];
    let address = buffer.as_mut_ptr() as usize;
    let stop = AtomicUsize::new(0);
    let counted = thread::scope(|scope| {
        let counter = scope.spawn(|| {
            // Beyond the 16 bytes that a read at the end of the file gives.
            let cell = (address + 1024) as *const AtomicUsize;
            let mut count = 0;
            while stop.load(Ordering::SeqCst) == 0 {
                // SAFETY: the buffer lives longer than the scope, and only this thread uses these bytes.
                unsafe { (*cell).fetch_add(1, Ordering::SeqCst) };
                count += 1;
            }
            (count, unsafe { (*cell).load(Ordering::SeqCst) })
        });
        let mut file = File::open(path).expect("opened");
        for _ in 0..ROUNDS {
            file.seek(SeekFrom::End(-16)).expect("sought");
            // SAFETY: the reading thread is given the whole buffer, but only its first 16 bytes are written.
            let target = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, 4096) };
            assert_eq!(file.read(target).expect("read"), 16);
        }
        stop.store(1, Ordering::SeqCst);
        counter.join().expect("joined")
    });
    println!("{}", counted.0 == counted.1);
}

/// Runs something that ends the process in a thread, while the first waits.
fn in_a_thread(action: impl FnOnce() + Send + 'static) {
    println!("started");
    thread::spawn(action).join().expect("joined");
    println!("unreachable");
}

/// Returns while other threads spin and wait.
fn main_returns() {
    let barrier = Arc::new(Barrier::new(3));
    let (one, two) = (Arc::clone(&barrier), Arc::clone(&barrier));
    thread::spawn(move || {
        one.wait();
        spin()
    });
    thread::spawn(move || {
        two.wait();
        thread::park()
    });
    barrier.wait();
    println!("done");
}

fn spin() {
    loop {
        hint::spin_loop();
    }
}

/// Threads one after the other, a few at a time.
fn many(count: usize) {
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..count / 10 {
        let threads: Vec<_> = (0..10)
            .map(|_| {
                let done = Arc::clone(&done);
                thread::spawn(move || done.fetch_add(1, Ordering::SeqCst))
            })
            .collect();
        for it in threads {
            it.join().expect("joined");
        }
    }
    println!("{}", done.load(Ordering::SeqCst));
}

/// Starts threads that wait, until no more can be had.
fn without_end() {
    let mut count = 0;
    let error = loop {
        match thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(thread::park)
        {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    println!("{count} {:?}", error.kind());
}

/// Says that so many threads are there, which spin or wait until somebody ends them.
///
/// Those that spin begin together, and none waits for a lock: it would change hands no faster than they take turns.
fn hold(kind: &str, count: usize) {
    let action = if kind == "spin" { spin } else { thread::park };
    let threads: Vec<_> = (0..count)
        .map(|_| {
            thread::spawn(move || {
                thread::park();
                action();
            })
        })
        .collect();
    for it in &threads {
        it.thread().unpark();
    }
    println!("holding");
    action();
}

/// Shows how many threads `/proc` tells while there are four.
fn status() {
    let barrier = Arc::new(Barrier::new(4));
    for _ in 0..3 {
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            barrier.wait();
            thread::park();
        });
    }
    barrier.wait();
    let status = fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find(|line| line.starts_with("Threads:"));
    println!("{}", line.expect("it is told").replace('\t', " "));
}
