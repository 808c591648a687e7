//! Runs a program as a process, from its first instruction to its exit status.

use std::sync::Arc;

use minke_abi::linux::PollEvents;
use minke_kernel::{ExitStatus, Fd, Task};
use wasmtime::{Extern, Instance, Memory, ModuleExport, PoolConcurrencyLimitError, Store};

use super::guest::Guest;
use super::interrupt::Armed;
use super::link::KnownExports;
use super::program::Program;
use super::trap::{self, Ending};
use crate::personality;

impl Program {
    /// Runs the program as the process of `task`, records how it ended, and returns that.
    ///
    /// The process's standard error is told of a trap. Dropping the future ends the guest at once, without a record.
    pub async fn run(&self, task: Arc<Task>) -> ExitStatus {
        let ending = self.run_to_end(&task).await;
        if let Some(report) = &ending.report {
            write_report(&task, report.as_bytes()).await;
        }
        task.process.exit(ending.status.clone());
        ending.status
    }

    /// Runs the program; its store is gone on return.
    async fn run_to_end(&self, task: &Arc<Task>) -> Ending {
        let path = &self.context.path;
        let (mut store, instance, exports) = match self.instantiate(task).await {
            Ok(instance) => instance,
            Err(ending) => return ending,
        };
        let hidden = exports.hidden_memory.as_ref();
        let hidden = hidden.and_then(|export| memory_of(&mut store, &instance, export));
        // Declared after the store, hence dropped before it.
        let armed = Armed::new(&store, hidden, &task.process);
        let result = self.enter(&mut store, &instance, exports).await;
        trap::ending(result, &store, armed.is_raised(), path)
    }

    /// Makes an instance, in the pool if there is room.
    async fn instantiate(
        &self,
        task: &Arc<Task>,
    ) -> Result<(Store<Guest>, Instance, &KnownExports), Ending> {
        let mut linked = &self.linked;
        loop {
            let mut store = Store::new(linked.module().engine(), Guest::new(Arc::clone(task)));
            store.limiter(|guest| &mut guest.limits);
            let error = match linked.instantiate(&mut store).await {
                Ok(instance) => return Ok((store, instance, &linked.exports)),
                Err(error) => error,
            };
            let is_exhausted = error.is::<PoolConcurrencyLimitError>();
            linked = match self.overflow() {
                Ok(overflow) if is_exhausted && !std::ptr::eq(linked, overflow) => overflow,
                _ => {
                    let limits = &store.data().limits;
                    return Err(trap::failed_instantiation(
                        &error,
                        limits,
                        &self.context.path,
                    ));
                }
            };
        }
    }

    async fn enter(
        &self,
        store: &mut Store<Guest>,
        instance: &Instance,
        exports: &KnownExports,
    ) -> wasmtime::Result<()> {
        if let Some(export) = &exports.own_memory
            && let Some(memory) = memory_of(store, instance, export)
        {
            store.data_mut().memory = Some(memory.into());
        }
        if let Some(export) = &exports.start
            && let Some(Extern::Func(start)) = instance.get_module_export(&mut *store, export)
        {
            let start = start.typed::<(), ()>(&*store)?;
            start.call_async(&mut *store, ()).await?;
        }
        personality::enter(store, instance, &self.context).await
    }
}

fn memory_of(
    store: &mut Store<Guest>,
    instance: &Instance,
    export: &ModuleExport,
) -> Option<Memory> {
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
