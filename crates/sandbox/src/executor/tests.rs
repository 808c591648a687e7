//! Wake-ups are never lost, and nobody starves.

use std::future::{Future, pending, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

use minke_abi::linux::PollEvents;

use super::reactor::monotonic_now;
use super::{Executor, ExecutorConfig, PolledFd, Reactor, TaskError};

fn executor(workers: usize) -> Executor {
    Executor::new(ExecutorConfig { workers }).unwrap()
}

/// Gives the worker back once.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn sleep(reactor: &Reactor, duration: Duration) {
    let deadline = monotonic_now() + duration.as_nanos() as u64;
    poll_fn(|cx| {
        if monotonic_now() >= deadline {
            return Poll::Ready(());
        }
        reactor.wake_at(deadline, cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// A pipe that tasks read and write.
fn pipe(reactor: &Arc<Reactor>) -> (PolledFd, PolledFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    let polled = |fd: OwnedFd| PolledFd::new(reactor, Arc::new(fd)).unwrap();
    (polled(reader), polled(writer))
}

async fn read_byte(fd: &PolledFd) -> u8 {
    let mut byte = [0];
    poll_fn(|cx| {
        fd.poll(PollEvents::IN, Some(cx.waker()));
        match fd.attempt(PollEvents::IN, |fd| rustix::io::read(fd, &mut byte)) {
            Ok(_) => Poll::Ready(()),
            Err(rustix::io::Errno::AGAIN) => Poll::Pending,
            Err(error) => panic!("cannot read: {error}"),
        }
    })
    .await;
    byte[0]
}

fn write_byte(fd: &PolledFd, byte: u8) {
    let written = fd.attempt(PollEvents::OUT, |fd| rustix::io::write(fd, &[byte]));
    assert_eq!(written.unwrap(), 1);
}

#[test]
fn run_returns_the_result_of_its_future() {
    assert_eq!(executor(1).run(async { 7 }), Ok(7));
}

#[test]
fn tasks_that_yield_all_come_to_their_end() {
    for workers in [1, 2, 4] {
        let executor = executor(workers);
        let spawner = executor.spawner();
        let count = Arc::new(AtomicUsize::new(0));
        let total = Arc::clone(&count);
        let sum = async move {
            let tasks: Vec<_> = (0..200)
                .map(|_| {
                    let count = Arc::clone(&count);
                    spawner.spawn(async move {
                        for _ in 0..100 {
                            yield_now().await;
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        };
        executor.run(sum).unwrap();
        assert_eq!(total.load(Ordering::Relaxed), 20_000);
    }
}

#[test]
fn pairs_that_pass_bytes_through_pipes_lose_no_wake_up() {
    for workers in [1, 3] {
        let executor = executor(workers);
        let spawner = executor.spawner();
        let all = async move {
            let pairs: Vec<_> = (0..20)
                .map(|_| {
                    let (here, there) = (pipe(spawner.reactor()), pipe(spawner.reactor()));
                    let (from_there, to_here) = there;
                    let (from_here, to_there) = here;
                    let echo = spawner.spawn(async move {
                        for _ in 0..300 {
                            let byte = read_byte(&from_here).await;
                            write_byte(&to_here, byte);
                        }
                    });
                    let ask = spawner.spawn(async move {
                        for round in 0..300u32 {
                            write_byte(&to_there, round as u8);
                            assert_eq!(read_byte(&from_there).await, round as u8);
                        }
                    });
                    (echo, ask)
                })
                .collect();
            for (echo, ask) in pairs {
                echo.await.unwrap();
                ask.await.unwrap();
            }
        };
        executor.run(all).unwrap();
    }
}

#[test]
fn a_wake_up_from_a_foreign_thread_arrives() {
    let executor = executor(1);
    let is_set = Arc::new(AtomicBool::new(false));
    let (send, receive) = mpsc::channel::<Waker>();
    let flag = Arc::clone(&is_set);
    let other = std::thread::spawn(move || {
        let waker = receive.recv().unwrap();
        flag.store(true, Ordering::SeqCst);
        waker.wake();
    });
    let wait = poll_fn(move |cx| {
        if is_set.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        let _ = send.send(cx.waker().clone());
        Poll::Pending
    });
    executor.run(wait).unwrap();
    other.join().unwrap();
}

#[test]
fn compute_bound_tasks_starve_nobody() {
    let executor = executor(2);
    let spawner = executor.spawner();
    let stop = Arc::new(AtomicBool::new(false));
    let running = Arc::new(AtomicUsize::new(0));
    let spinners: Vec<_> = (0..40)
        .map(|_| {
            let (stop, running) = (Arc::clone(&stop), Arc::clone(&running));
            spawner.spawn(async move {
                running.fetch_add(1, Ordering::SeqCst);
                while !stop.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let watch = async move {
        // Each of them has a thread of its own in the end, and timers and pipes still work.
        while running.load(Ordering::SeqCst) < 40 {
            sleep(spawner.reactor(), Duration::from_millis(1)).await;
        }
        let (reader, writer) = pipe(spawner.reactor());
        write_byte(&writer, 3);
        assert_eq!(read_byte(&reader).await, 3);
        stop.store(true, Ordering::SeqCst);
        for spinner in spinners {
            spinner.await.unwrap();
        }
    };
    executor.run(watch).unwrap();
}

/// How often a thread computes until another waits for events in its place.
const ROUNDS: usize = 20;

#[test]
fn timers_of_a_caller_that_computes_go_off() {
    let executor = executor(1);
    let spawner = executor.spawner();
    let caller = std::thread::current().id();
    let computing_and_sleeping = async move {
        for _ in 0..ROUNDS {
            while std::thread::current().id() != caller {
                yield_now().await;
            }
            // The caller's thread is found stuck, and a worker waits for events in its place. When the caller is back, one of the
            // two is too many.
            while !spawner.shared.queue().has_poller {
                std::hint::spin_loop();
            }
            sleep(spawner.reactor(), Duration::from_millis(1)).await;
        }
    };
    // With nobody to see that the time has come, it would hang here for ever.
    executor.run(computing_and_sleeping).unwrap();
}

#[test]
fn a_panic_ends_its_task_only() {
    let executor = executor(1);
    let bad = executor.spawn(async { panic!("on purpose") });
    let good = executor.spawn(async { 1 });
    let both = async move { (bad.await, good.await) };
    let (bad, good): (Result<(), _>, _) = executor.run(both).unwrap();
    assert_eq!(bad, Err(TaskError::Panicked("on purpose".to_owned())));
    assert_eq!(good, Ok(1));
}

/// Counts how often it was dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_aborted_task_is_dropped_and_says_so() {
    let executor = executor(1);
    let drops = Arc::new(AtomicUsize::new(0));
    let guard = Dropped(Arc::clone(&drops));
    let task = executor.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    let result = executor.run(async move {
        yield_now().await;
        task.abort();
        task.await
    });
    assert_eq!(result, Ok(Err(TaskError::Aborted)));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn dropping_the_executor_drops_what_waits_and_what_is_queued() {
    let drops = Arc::new(AtomicUsize::new(0));
    let executor = executor(1);
    for _ in 0..3 {
        let guard = Dropped(Arc::clone(&drops));
        drop(executor.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
    }
    executor.run(yield_now()).unwrap();
    let guard = Dropped(Arc::clone(&drops));
    drop(executor.spawn(async move { drop(guard) }));
    drop(executor);
    assert_eq!(drops.load(Ordering::SeqCst), 4);
}

#[test]
fn a_cancelled_timer_wakes_nobody() {
    let executor = executor(1);
    let reactor = Arc::clone(executor.reactor());
    let polls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&polls);
    let spawner = executor.spawner();
    let test = async move {
        let watched = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&watched);
        drop(spawner.spawn(poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            *slot.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));
        let waker = loop {
            if let Some(waker) = watched.lock().unwrap().clone() {
                break waker;
            }
            yield_now().await;
        };
        let soon = monotonic_now() + 1_000_000;
        let timer = reactor.wake_at(soon, waker);
        reactor.cancel(timer);
        sleep(&reactor, Duration::from_millis(5)).await;
    };
    executor.run(test).unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn input_is_certain_from_its_event_until_some_is_taken() {
    let executor = executor(1);
    let (reader, writer) = pipe(executor.reactor());
    // The first look finds nothing, so it is an event that tells of the bytes.
    assert_eq!(reader.poll_own(PollEvents::IN), PollEvents::empty());
    let bytes = rustix::io::write(&writer, b"ab").unwrap();
    assert_eq!(bytes, 2);
    // Once an event of later has been told of, so has the one of these bytes.
    let (later_reader, later_writer) = pipe(executor.reactor());
    assert_eq!(later_reader.poll_own(PollEvents::IN), PollEvents::empty());
    write_byte(&later_writer, b'l');
    let later = executor.run(async move { read_byte(&later_reader).await });
    assert_eq!(later, Ok(b'l'));
    // Behind its back: where others take input, the answer would be wrong.
    let mut taken = [0];
    rustix::io::read(&reader, &mut taken).unwrap();
    assert_eq!(reader.poll_own(PollEvents::IN), PollEvents::IN);
    rustix::io::read(&reader, &mut taken).unwrap();
    assert_eq!(reader.poll_own(PollEvents::IN), PollEvents::IN);
    // An operation that may have taken some ends the certainty, and the host is asked again.
    rustix::io::write(&writer, b"c").unwrap();
    reader
        .attempt(PollEvents::IN, |fd| rustix::io::read(fd, &mut taken))
        .unwrap();
    assert_eq!(reader.poll_own(PollEvents::IN), PollEvents::empty());
}

#[test]
fn regular_files_cannot_be_registered() {
    let executor = executor(1);
    let file = tempfile::tempfile().unwrap();
    let error = PolledFd::new(executor.reactor(), Arc::new(file.into()))
        .err()
        .unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn a_handle_can_be_awaited_from_any_executor() {
    let (one, other) = (executor(1), executor(1));
    let task = one.spawn(async { 5 });
    one.run(yield_now()).unwrap();
    let mut waiting = Box::pin(async move { task.await.unwrap() });
    let result = other.run(poll_fn(move |cx| pin!(&mut waiting).poll(cx)));
    assert_eq!(result, Ok(5));
}

#[test]
fn tasks_that_are_woken_in_a_pause_run_when_it_has_ended() {
    let executor = executor(2);
    let spawner = executor.spawner();
    spawner.pause().unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..100 {
        let sender = sender.clone();
        drop(executor.spawn(async move {
            yield_now().await;
            sender.send(number).unwrap();
        }));
    }
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
    spawner.resume();
    let mut numbers: Vec<i32> = receiver.iter().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}
