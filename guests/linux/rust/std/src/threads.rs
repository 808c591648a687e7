//! Threads, and what they share.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use crate::Outcome;

/// Counts what is dropped when threads end.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static OWN: Cell<u32> = const { Cell::new(1) };
    static COUNTED: Counted = const { Counted };
}

pub fn check() -> Outcome {
    sums()?;
    waiting()?;
    let values: Vec<_> = (0..4)
        .map(|it| {
            thread::spawn(move || {
                OWN.with(|own| {
                    COUNTED.with(|_| ());
                    own.set(own.get() + it);
                    own.get()
                })
            })
        })
        .map(|it| it.join().unwrap_or(0))
        .collect();
    println!(
        "own: {values:?} {} dropped {}",
        OWN.get(),
        DROPPED.load(Ordering::SeqCst)
    );
    let named = thread::Builder::new()
        .name("worker".to_owned())
        .stack_size(1 << 20);
    let name = named.spawn(|| thread::current().name().map(str::to_owned))?;
    println!("name: {:?}", name.join().map_err(|_| "it panicked")?);
    println!("several: {}", thread::available_parallelism()?.get() > 0);
    Ok(())
}

fn sums() -> Outcome {
    let sum = Arc::new(Mutex::new(0_u64));
    let shared = RwLock::new(Vec::new());
    let barrier = Barrier::new(4);
    let once = OnceLock::new();
    let leaders = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let (sum, shared, barrier, once, leaders) = (&sum, &shared, &barrier, &once, &leaders);
            scope.spawn(move || {
                for _ in 0..10_000 {
                    *sum.lock().expect("no thread panics") += 1;
                }
                shared.write().expect("no thread panics").push(number);
                if barrier.wait().is_leader() {
                    leaders.fetch_add(1, Ordering::Relaxed);
                }
                once.get_or_init(|| shared.read().expect("no thread panics").len());
            });
        }
    });
    let total = *sum.lock().map_err(|_| "poisoned")?;
    println!(
        "sum: {total} leaders {} once {:?}",
        leaders.into_inner(),
        once.get()
    );
    Ok(())
}

fn waiting() -> Outcome {
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let other = Arc::clone(&pair);
    let thread = thread::spawn(move || {
        for _ in 0..3 {
            *other.0.lock().expect("no thread panics") += 1;
            other.1.notify_one();
        }
        thread::park();
        "unparked"
    });
    let mut count = pair.0.lock().map_err(|_| "poisoned")?;
    while *count < 3 {
        count = pair.1.wait(count).map_err(|_| "poisoned")?;
    }
    let (_count, late) = pair
        .1
        .wait_timeout(count, Duration::from_millis(10))
        .map_err(|_| "poisoned")?;
    thread.thread().unpark();
    println!(
        "counted: {} {:?}",
        late.timed_out(),
        thread.join().map_err(|_| "it panicked")?
    );
    let (sender, receiver) = mpsc::sync_channel(2);
    let producer = thread::spawn(move || (1..=100).try_for_each(|it| sender.send(it)));
    println!("received: {}", receiver.iter().sum::<u32>());
    producer.join().map_err(|_| "it panicked")??;
    let (_sender, receiver) = mpsc::channel::<()>();
    println!(
        "late: {:?}",
        receiver.recv_timeout(Duration::from_millis(10))
    );
    Ok(())
}
