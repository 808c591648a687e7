//! Every call of the personality: name, signature, support, and the function that answers it.
//!
//! Linking, the choice between two forms of a call, and `docs/compat/wasi.md` come from here.

use wasmtime::Caller;

use super::{
    Call, clock, descriptor, directory, finish, io, lookup, path, poll, process, socket, thread,
    unstable, wasmedge, wasmedge_v2,
};
use crate::personality::{HostCall, Support};
use crate::runtime::Guest;
use crate::runtime::guest::view;

/// Names the wasm type of a parameter.
macro_rules! wasm_type {
    (u32) => {
        "i32"
    };
    (u64) => {
        "i64"
    };
    (i64) => {
        "i64"
    };
}

/// Writes a signature as `signature_of` does.
macro_rules! signature {
    () => { "() -> i32" };
    ($first:ident $(, $rest:ident)*) => {
        concat!("(", wasm_type!($first) $(, ", ", wasm_type!($rest))*, ") -> i32")
    };
}

/// A row whose function answers at once: `fn(&mut Call, …) -> Answer<()>`.
macro_rules! now {
    ($family:ident::$name:ident($($param:ident: $ty:ident),*)) => {
        now!($family::$name($($param: $ty),*), Support::Whole)
    };
    ($family:ident::$name:ident($($param:ident: $ty:ident),*), $support:expr) => {
        HostCall {
            name: stringify!($name),
            signature: signature!($($ty),*),
            support: $support,
            define: |linker, module, name| {
                linker
                    .func_wrap(module, name, |mut caller: Caller<'_, Guest>, $($param: $ty),*| {
                        let (memory, guest) = view(&mut caller);
                        let mut call = Call { memory, guest };
                        let answer = $family::$name(&mut call, $($param),*);
                        finish(call.guest, answer)
                    })
                    .map(drop)
            },
        }
    };
}

/// A row whose function tries first and waits only when it must: `fn(Caller, …) -> Pending`.
macro_rules! tries {
    ($family:ident::$name:ident($($param:ident: $ty:ident),*)) => {
        HostCall {
            name: stringify!($name),
            signature: signature!($($ty),*),
            support: Support::Whole,
            define: |linker, module, name| {
                linker
                    .func_wrap_async(module, name, |caller, ($($param,)*): ($($ty,)*)| {
                        $family::$name(caller, $($param),*)
                    })
                    .map(drop)
            },
        }
    };
}

/// A row whose function may wait: `async fn(&mut Caller, …) -> Answer<()>`.
macro_rules! waits {
    ($family:ident::$name:ident($($param:ident: $ty:ident),*)) => {
        waits!($family::$name($($param: $ty),*), Support::Whole)
    };
    ($family:ident::$name:ident($($param:ident: $ty:ident),*), $support:expr) => {
        HostCall {
            name: stringify!($name),
            signature: signature!($($ty),*),
            support: $support,
            define: |linker, module, name| {
                linker
                    .func_wrap_async(
                        module,
                        name,
                        |mut caller: Caller<'_, Guest>, ($($param,)*): ($($ty,)*)| {
                            Box::new(async move {
                                let answer = $family::$name(&mut caller, $($param),*).await;
                                finish(caller.data(), answer)
                            })
                        },
                    )
                    .map(drop)
            },
        }
    };
}

/// `proc_exit`, which does not return.
const PROC_EXIT: HostCall = HostCall {
    name: "proc_exit",
    signature: "(i32)",
    support: Support::Whole,
    define: |linker, module, name| linker.func_wrap(module, name, process::proc_exit).map(drop),
};

/// `sock_close` of the first WasmEdge releases, which returns nothing.
const SOCK_CLOSE: HostCall = HostCall {
    name: "sock_close",
    signature: "(i32)",
    support: Support::Whole,
    define: |linker, module, name| {
        linker
            .func_wrap(module, name, wasmedge::sock_close)
            .map(drop)
    },
};

/// The calls of `wasi_snapshot_preview1`, WasmEdge's at the end.
pub static PREVIEW1: &[HostCall] = &[
    now!(process::args_get(argv: u32, buffer: u32)),
    now!(process::args_sizes_get(count: u32, bytes: u32)),
    now!(process::environ_get(environ: u32, buffer: u32)),
    now!(process::environ_sizes_get(count: u32, bytes: u32)),
    now!(clock::clock_res_get(clock: u32, result: u32)),
    now!(clock::clock_time_get(clock: u32, precision: u64, result: u32)),
    now!(
        descriptor::fd_advise(fd: u32, offset: u64, length: u64, advice: u32),
        Support::Partial("checked, then ignored")
    ),
    now!(descriptor::fd_allocate(fd: u32, offset: u64, length: u64)),
    now!(descriptor::fd_close(fd: u32)),
    now!(descriptor::fd_datasync(fd: u32)),
    now!(descriptor::fd_fdstat_get(fd: u32, result: u32)),
    now!(descriptor::fd_fdstat_set_flags(fd: u32, flags: u32)),
    now!(descriptor::fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64)),
    now!(descriptor::fd_filestat_get(fd: u32, result: u32)),
    now!(descriptor::fd_filestat_set_size(fd: u32, size: u64)),
    now!(descriptor::fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32)),
    now!(io::fd_pread(fd: u32, iovecs: u32, count: u32, offset: u64, result: u32)),
    now!(descriptor::fd_prestat_get(fd: u32, result: u32)),
    now!(descriptor::fd_prestat_dir_name(fd: u32, name: u32, length: u32)),
    now!(io::fd_pwrite(fd: u32, iovecs: u32, count: u32, offset: u64, result: u32)),
    tries!(io::fd_read(fd: u32, iovecs: u32, count: u32, result: u32)),
    now!(directory::fd_readdir(fd: u32, buffer: u32, length: u32, cookie: u64, result: u32)),
    now!(descriptor::fd_renumber(from: u32, to: u32)),
    now!(descriptor::fd_seek(fd: u32, offset: i64, whence: u32, result: u32)),
    now!(descriptor::fd_sync(fd: u32)),
    now!(descriptor::fd_tell(fd: u32, result: u32)),
    tries!(io::fd_write(fd: u32, iovecs: u32, count: u32, result: u32)),
    now!(path::path_create_directory(fd: u32, path: u32, length: u32)),
    now!(path::path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, result: u32)),
    now!(path::path_filestat_set_times(
        fd: u32, flags: u32, path: u32, length: u32, accessed: u64, modified: u64, times: u32
    )),
    now!(path::path_link(
        old_fd: u32, flags: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32
    )),
    now!(path::path_open(
        fd: u32, lookup: u32, path: u32, length: u32, how: u32, base: u64, inheriting: u64,
        flags: u32, result: u32
    )),
    now!(path::path_readlink(
        fd: u32, path: u32, length: u32, buffer: u32, buffer_length: u32, result: u32
    )),
    now!(path::path_remove_directory(fd: u32, path: u32, length: u32)),
    now!(path::path_rename(
        old_fd: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32
    )),
    now!(path::path_symlink(target: u32, target_length: u32, fd: u32, path: u32, length: u32)),
    now!(path::path_unlink_file(fd: u32, path: u32, length: u32)),
    waits!(poll::poll_oneoff(subscriptions: u32, events: u32, count: u32, result: u32)),
    PROC_EXIT,
    now!(
        process::proc_raise(signal: u32),
        Support::Partial("signals that stop a process do nothing")
    ),
    now!(clock::random_get(buffer: u32, length: u32)),
    waits!(process::sched_yield()),
    waits!(socket::sock_accept(fd: u32, flags: u32, result: u32)),
    waits!(socket::sock_recv(
        fd: u32, iovecs: u32, count: u32, flags: u32, received: u32, out_flags: u32
    )),
    waits!(socket::sock_send(fd: u32, iovecs: u32, count: u32, flags: u32, sent: u32)),
    now!(socket::sock_shutdown(fd: u32, how: u32)),
    waits!(wasmedge::sock_accept(fd: u32, result: u32)),
    now!(wasmedge::sock_bind(fd: u32, address: u32, port: u32)),
    SOCK_CLOSE,
    waits!(wasmedge::sock_connect(fd: u32, address: u32, port: u32)),
    waits!(
        lookup::sock_getaddrinfo(
            node: u32, node_length: u32, service: u32, service_length: u32, hints: u32,
            answers: u32, answers_max: u32, answers_count: u32
        ),
        Support::Partial("no canonical names; services by number and a few names")
    ),
    now!(wasmedge::sock_getlocaladdr(fd: u32, address: u32, family: u32, port: u32)),
    now!(wasmedge_v2::sock_getlocaladdr(fd: u32, address: u32, port: u32)),
    now!(wasmedge::sock_getpeeraddr(fd: u32, address: u32, family: u32, port: u32)),
    now!(wasmedge_v2::sock_getpeeraddr(fd: u32, address: u32, port: u32)),
    now!(wasmedge::sock_getsockopt(fd: u32, level: u32, name: u32, value: u32, length: u32)),
    now!(wasmedge::sock_listen(fd: u32, backlog: u32)),
    now!(wasmedge::sock_open(family: u32, kind: u32, result: u32)),
    waits!(wasmedge::sock_recv_from(
        fd: u32, iovecs: u32, count: u32, address: u32, flags: u32, received: u32, out_flags: u32
    )),
    waits!(wasmedge_v2::sock_recv_from(
        fd: u32, iovecs: u32, count: u32, address: u32, flags: u32, port: u32, received: u32,
        out_flags: u32
    )),
    waits!(wasmedge::sock_send_to(
        fd: u32, iovecs: u32, count: u32, address: u32, port: u32, flags: u32, sent: u32
    )),
    now!(wasmedge::sock_setsockopt(fd: u32, level: u32, name: u32, value: u32, length: u32)),
    waits!(
        wasmedge::epoll_oneoff(subscriptions: u32, events: u32, count: u32, result: u32),
        Support::Partial("level-triggered, as `poll_oneoff`")
    ),
];

/// The calls of the module `wasi`: wasi-threads.
pub static THREADS: &[HostCall] = &[HostCall {
    name: "thread-spawn",
    signature: "(i32) -> i32",
    support: Support::Whole,
    define: |linker, module, name| {
        linker
            .func_wrap_async(module, name, |caller, (argument,): (u32,)| {
                thread::thread_spawn(caller, argument)
            })
            .map(drop)
    },
}];

/// The calls of `wasi_unstable` that differ from preview 1's of the same name; the others are the same.
pub static UNSTABLE: &[HostCall] = &[
    now!(unstable::fd_filestat_get(fd: u32, result: u32)),
    now!(unstable::fd_seek(fd: u32, offset: i64, whence: u32, result: u32)),
    now!(unstable::path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, result: u32)),
    waits!(unstable::poll_oneoff(subscriptions: u32, events: u32, count: u32, result: u32)),
];
