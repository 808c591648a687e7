//! Runs a program as a process, from its first instruction to its exit status.

use std::sync::Arc;

use minke_abi::linux::PollEvents;
use minke_kernel::{ExitStatus, Fd, Task};
use wasmtime::{Engine, Extern, Instance, Memory, PoolConcurrencyLimitError, Store};

use super::guest::{Guest, Started};
use super::interrupt::Armed;
use super::link::{KnownExports, Linked};
use super::process_memory::ProcessMemory;
use super::program::Program;
use super::shared_calls;
use super::threads::{self, EndsOthers, ThreadGroup, ThreadMain};
use super::trap::{self, Ending};
use crate::executor::Spawner;
use crate::personality::{self, Entry};
use crate::processes::Launcher;

impl Program {
    /// Runs the program as the process of `task`, records how it ended, and returns that. Further threads run on `spawner`.
    ///
    /// The process's standard error is told of a trap. Dropping the future ends the guest at once, without a record.
    pub async fn run(self: &Arc<Self>, task: Arc<Task>, spawner: &Spawner) -> ExitStatus {
        let ending = self.run_image(&task, spawner, None).await;
        finish(ending, &task, spawner, None).await
    }

    /// As [`Program::run`], for a process that may start others.
    pub async fn run_among_others(
        self: &Arc<Self>,
        task: Arc<Task>,
        launcher: &Arc<Launcher>,
    ) -> ExitStatus {
        let spawner = launcher.spawner();
        let ending = self.run_image(&task, spawner, Some(launcher)).await;
        finish(ending, &task, spawner, Some(launcher)).await
    }

    /// Runs what [`fork`](super::fork) has made, as [`Program::run_among_others`] does from the start.
    pub(super) async fn run_forked(
        self: &Arc<Self>,
        mut store: Store<Guest>,
        instance: Instance,
        launcher: &Arc<Launcher>,
    ) -> ExitStatus {
        let task = Arc::clone(&store.data().task);
        let spawner = launcher.spawner();
        let ending = match self.linked_in(&store) {
            Ok(linked) => {
                let entering = Entering {
                    linked,
                    entry: Entry::Resume,
                };
                let hidden = hidden_memory(&mut store, &instance, linked);
                let armed = Armed::new(&mut store, &linked.code, hidden, &task, spawner);
                let result = armed
                    .run(self.enter(&mut store, &instance, &entering))
                    .await;
                trap::ending(result, &store, armed.is_raised(), self)
            }
            Err(error) => trap::failed_instantiation(&error, &store.data().limits, self),
        };
        drop(store);
        finish(ending, &task, spawner, Some(launcher)).await
    }

    /// Runs the program until its code is left: the process has ended, or becomes another program.
    async fn run_image(
        self: &Arc<Self>,
        task: &Arc<Task>,
        spawner: &Spawner,
        launcher: Option<&Arc<Launcher>>,
    ) -> Ending {
        let started = launcher.map(|launcher| Started {
            program: Arc::clone(self),
            launcher: Arc::clone(launcher),
        });
        let make_guest = || {
            let mut guest = Guest::new(Arc::clone(task));
            guest.started = started.clone();
            guest
        };
        match ThreadGroup::new(self, spawner, &task.process) {
            Ok(None) => self.run_first(task, spawner, make_guest).await,
            Ok(Some(group)) => {
                let _others = EndsOthers(&task.process);
                let make_guest = || {
                    let mut guest = make_guest();
                    group.join(&mut guest);
                    guest
                };
                let ending = self.run_first(task, spawner, make_guest).await;
                group.finish(&task.process, ending).await
            }
            Err(error) => threads::no_memory(&error, &task.process, &self.context.path),
        }
    }

    /// Runs the first thread; its store is gone on return.
    async fn run_first(
        &self,
        task: &Arc<Task>,
        spawner: &Spawner,
        make_guest: impl Fn() -> Guest,
    ) -> Ending {
        let (mut store, instance, linked) = match self.instantiate(make_guest).await {
            Ok(instance) => instance,
            Err(error) => return error,
        };
        let entering = Entering {
            linked,
            entry: Entry::Start,
        };
        let hidden = hidden_memory(&mut store, &instance, linked);
        // Declared after the store, hence dropped before it.
        let armed = Armed::new(&mut store, &linked.code, hidden, task, spawner);
        let result = armed
            .run(self.enter(&mut store, &instance, &entering))
            .await;
        trap::ending(result, &store, armed.is_raised(), self)
    }

    /// Runs another thread; its store is gone on return. Returns how it ended the process, if it did.
    pub(super) async fn run_thread(
        &self,
        mut store: Store<Guest>,
        instance: Instance,
        main: ThreadMain,
        spawner: &Spawner,
    ) -> Option<Ending> {
        let linked = &self.linked;
        let hidden = hidden_memory(&mut store, &instance, linked);
        let task = Arc::clone(&store.data().task);
        let armed = Armed::new(&mut store, &linked.code, hidden, &task, spawner);
        let result = armed
            .run(self.enter_thread(&mut store, &instance, &linked.exports, main))
            .await;
        if result.is_ok() {
            return None;
        }
        Some(trap::ending(result, &store, armed.is_raised(), self))
    }

    /// Returns which form of the program a store was made for.
    fn linked_in(&self, store: &Store<Guest>) -> wasmtime::Result<&Linked> {
        if Engine::same(store.engine(), self.linked.module().engine()) {
            return Ok(&self.linked);
        }
        self.overflow()
    }

    /// Makes an instance, in the pool if there is room.
    pub(super) async fn instantiate(
        &self,
        make_guest: impl Fn() -> Guest,
    ) -> Result<(Store<Guest>, Instance, &Linked), Ending> {
        let mut linked = &self.linked;
        loop {
            let mut store = new_store(linked, make_guest());
            let error = match linked.instantiate(&mut store).await {
                Ok(instance) => return Ok((store, instance, linked)),
                Err(error) => error,
            };
            let is_exhausted = error.is::<PoolConcurrencyLimitError>();
            linked = match self.overflow() {
                Ok(overflow) if is_exhausted && !std::ptr::eq(linked, overflow) => overflow,
                _ => {
                    let limits = &store.data().limits;
                    return Err(trap::failed_instantiation(&error, limits, self));
                }
            };
        }
    }

    /// Makes the instance of another thread. Such programs never come from the pool.
    pub(super) async fn instantiate_thread(
        &self,
        guest: Guest,
    ) -> wasmtime::Result<(Store<Guest>, Instance)> {
        let mut store = new_store(&self.linked, guest);
        let instance = self.linked.instantiate(&mut store).await?;
        Ok((store, instance))
    }

    async fn enter(
        &self,
        store: &mut Store<Guest>,
        instance: &Instance,
        entering: &Entering<'_>,
    ) -> wasmtime::Result<()> {
        match entering.entry {
            Entry::Start => prepare(store, instance, &entering.linked.exports).await?,
            Entry::Resume => {}
        }
        personality::enter(store, instance, &self.context, entering.entry).await
    }

    async fn enter_thread(
        &self,
        store: &mut Store<Guest>,
        instance: &Instance,
        exports: &KnownExports,
        main: ThreadMain,
    ) -> wasmtime::Result<()> {
        prepare(store, instance, exports).await?;
        personality::prepare(store, instance, &self.context).await?;
        main(store, instance).await
    }
}

/// Where an instance's code begins.
struct Entering<'a> {
    linked: &'a Linked,
    entry: Entry,
}

/// Runs what the process becomes, until it has ended, and records how.
async fn finish(
    mut ending: Ending,
    task: &Arc<Task>,
    spawner: &Spawner,
    launcher: Option<&Arc<Launcher>>,
) -> ExitStatus {
    while let Some(program) = ending.next_program.take() {
        ending = program.run_image(task, spawner, launcher).await;
    }
    if let Some(report) = &ending.report {
        write_report(task, report.as_bytes()).await;
    }
    task.process.exit(ending.status.clone());
    ending.status
}

fn new_store(linked: &Linked, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(linked.module().engine(), guest);
    store.limiter(|guest| &mut guest.limits);
    store
}

/// Finds an instance's memories, and runs its start function.
async fn prepare(
    store: &mut Store<Guest>,
    instance: &Instance,
    exports: &KnownExports,
) -> wasmtime::Result<()> {
    find_memory(store, instance, exports);
    find_shared_memory(store, instance, exports)?;
    if let Some(export) = &exports.start
        && let Some(Extern::Func(start)) = instance.get_module_export(&mut *store, export)
    {
        let start = start.typed::<(), ()>(&*store)?;
        start.call_async(&mut *store, ()).await?;
    }
    Ok(())
}

/// Notes the memory that the guest's pointers mean.
pub(super) fn find_memory(store: &mut Store<Guest>, instance: &Instance, exports: &KnownExports) {
    let Some(export) = &exports.own_memory else {
        return;
    };
    match instance.get_module_export(&mut *store, export) {
        Some(Extern::Memory(memory)) => store.data_mut().memory = Some(memory.into()),
        Some(Extern::SharedMemory(memory)) => store.data_mut().memory = Some(memory.into()),
        _ => {}
    }
}

/// Notes the shared memory, unless it was imported, and provides what it needs of the host.
fn find_shared_memory(
    store: &mut Store<Guest>,
    instance: &Instance,
    exports: &KnownExports,
) -> wasmtime::Result<()> {
    let Some(export) = &exports.shared_memory else {
        return Ok(());
    };
    let memory = match (
        store.data().shared.clone(),
        instance.get_module_export(&mut *store, export),
    ) {
        (Some(memory), _) => memory,
        (None, Some(Extern::SharedMemory(memory))) => {
            let budget = &store.data().task.process.kernel.memory;
            Arc::new(ProcessMemory::defined(memory, budget))
        }
        (None, _) => return Ok(()),
    };
    store.data_mut().shared = Some(Arc::clone(&memory));
    let table = exports.host_table.as_ref();
    match table.and_then(|export| instance.get_module_export(&mut *store, export)) {
        Some(Extern::Table(table)) => shared_calls::provide(store, table, &memory),
        _ => Ok(()),
    }
}

fn hidden_memory(store: &mut Store<Guest>, instance: &Instance, linked: &Linked) -> Option<Memory> {
    let export = linked.exports.hidden_memory.as_ref()?;
    instance.get_module_export(store, export)?.into_memory()
}

/// Tells the process's standard error, waiting as a write of its own would. It may be closed.
async fn write_report(task: &Task, report: &[u8]) {
    const STDERR: Fd = Fd(2);
    let Ok(stderr) = task.process.fds.get(STDERR) else {
        return;
    };
    let mut rest = report;
    while !rest.is_empty() {
        let written = task
            .block_on(&stderr, PollEvents::OUT, || stderr.write(rest))
            .await;
        match written {
            Ok(count) if count > 0 => rest = &rest[count.min(rest.len())..],
            _ => return,
        }
    }
}
