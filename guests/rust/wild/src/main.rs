//! Calls every host function of preview 1 with wild pointers, lengths and descriptors.
//!
//! Whatever is asked, the answer must be an errno: a trap or a lost process is a defect of the
//! host. Prints `wild: FUNCTIONS functions, CALLS calls, REFUSED refused` at the end, or the first
//! answer that is no errno. `wild NAME` calls one function only.
//!
//! Left out: `proc_exit` and `proc_raise`, which are meant to end us.

use std::process::ExitCode;

/// Calls of each function. Enough for each wild value to meet each argument a few times.
const CALLS: u32 = 400;
/// The highest errno: preview 1 ends with 76, WasmEdge's look-ups with 87.
const ERRNO_MAX: i32 = 87;

/// Where wild values come from: a fixed seed, so that a failure can be seen again.
struct Wild(u64);

impl Wild {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[(self.next() % values.len() as u64) as usize]
    }

    /// Addresses at the edges of memory and beyond; those inside lie where nothing of ours is:
    /// below our stack, or in the page that we added at the end.
    fn pointer(&mut self) -> i32 {
        let end = (core::arch::wasm32::memory_size(0) as u64) << 16;
        let at_end = [end - 1, end - 2, end - 4, end - 8, end - 4096, end, end + 1];
        let fixed = [
            0,
            1,
            3,
            8,
            4096,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fff0,
            0xffff_fffc,
            0xffff_ffff,
        ];
        let value = if self.next() & 1 == 0 {
            self.pick(&at_end)
        } else {
            self.pick(&fixed)
        };
        value as u32 as i32
    }

    fn length(&mut self) -> i32 {
        self.pick(&[
            0,
            1,
            2,
            8,
            255,
            4096,
            4097,
            65536,
            0x7fff_ffff,
            i32::MIN,
            -1,
            -8,
        ])
    }

    /// Never 1 or 2, by which we speak, and never 0, which might wait.
    fn descriptor(&mut self) -> i32 {
        self.pick(&[
            3,
            3,
            3,
            4,
            5,
            100,
            1023,
            1024,
            65536,
            0x7fff_ffff,
            i32::MIN,
            -1,
        ])
    }

    fn flags(&mut self) -> i32 {
        self.pick(&[0, 0, 1, 2, 4, 8, 15, 31, 255, 65535, i32::MIN, -1])
    }

    fn wide(&mut self) -> i64 {
        self.pick(&[0, 1, 8, 4096, 1 << 32, i64::MAX, i64::MIN, -1])
    }

    /// A time that has passed, or is no time: nothing waits for it.
    fn time(&mut self) -> i64 {
        self.pick(&[0, 1, 1_000_000_000, -1, i64::MIN, i64::MAX])
    }
}

/// Declares the imports, and a table of calls with wild arguments of each kind.
macro_rules! host_functions {
    ($($name:ident($($kind:ident: $type:ty),*);)*) => {
        #[link(wasm_import_module = "wasi_snapshot_preview1")]
        unsafe extern "C" {
            $(fn $name($($kind: $type),*) -> i32;)*
        }

        const FUNCTIONS: &[(&str, fn(&mut Wild) -> i32)] = &[
            $((stringify!($name), |wild| {
                let _ = &wild;
                // SAFETY: what the host writes goes where nothing of ours is; the rest is the test.
                unsafe { $name($(host_functions!(@value wild $kind)),*) }
            }),)*
        ];
    };
    (@value $wild:ident $kind:ident) => { host_functions!(@kind $wild $kind) };
    (@kind $wild:ident fd) => { $wild.descriptor() };
    (@kind $wild:ident fd2) => { $wild.descriptor() };
    (@kind $wild:ident p) => { $wild.pointer() };
    (@kind $wild:ident p2) => { $wild.pointer() };
    (@kind $wild:ident p3) => { $wild.pointer() };
    (@kind $wild:ident p4) => { $wild.pointer() };
    (@kind $wild:ident n) => { $wild.length() };
    (@kind $wild:ident n2) => { $wild.length() };
    (@kind $wild:ident n3) => { $wild.length() };
    (@kind $wild:ident f) => { $wild.flags() };
    (@kind $wild:ident f2) => { $wild.flags() };
    (@kind $wild:ident f3) => { $wild.flags() };
    (@kind $wild:ident w) => { $wild.wide() };
    (@kind $wild:ident w2) => { $wild.wide() };
    (@kind $wild:ident t) => { $wild.time() };
    (@kind $wild:ident t2) => { $wild.time() };
}

// The order of arguments is preview 1's; the kinds say what is tried: `fd` a descriptor, `p` a
// pointer, `n` a length or count, `f` flags or an enumeration, `w` a 64-bit number, `t` a time.
host_functions! {
    args_get(p: i32, p2: i32);
    args_sizes_get(p: i32, p2: i32);
    environ_get(p: i32, p2: i32);
    environ_sizes_get(p: i32, p2: i32);
    clock_res_get(f: i32, p: i32);
    clock_time_get(f: i32, w: i64, p: i32);
    fd_advise(fd: i32, w: i64, w2: i64, f: i32);
    fd_allocate(fd: i32, w: i64, w2: i64);
    fd_datasync(fd: i32);
    fd_fdstat_get(fd: i32, p: i32);
    fd_fdstat_set_flags(fd: i32, f: i32);
    fd_fdstat_set_rights(fd: i32, w: i64, w2: i64);
    fd_filestat_get(fd: i32, p: i32);
    fd_filestat_set_size(fd: i32, w: i64);
    fd_filestat_set_times(fd: i32, t: i64, t2: i64, f: i32);
    fd_pread(fd: i32, p: i32, n: i32, w: i64, p2: i32);
    fd_prestat_get(fd: i32, p: i32);
    fd_prestat_dir_name(fd: i32, p: i32, n: i32);
    fd_pwrite(fd: i32, p: i32, n: i32, w: i64, p2: i32);
    fd_read(fd: i32, p: i32, n: i32, p2: i32);
    fd_readdir(fd: i32, p: i32, n: i32, w: i64, p2: i32);
    fd_seek(fd: i32, w: i64, f: i32, p: i32);
    fd_sync(fd: i32);
    fd_tell(fd: i32, p: i32);
    fd_write(fd: i32, p: i32, n: i32, p2: i32);
    path_create_directory(fd: i32, p: i32, n: i32);
    path_filestat_get(fd: i32, f: i32, p: i32, n: i32, p2: i32);
    path_filestat_set_times(fd: i32, f: i32, p: i32, n: i32, t: i64, t2: i64, f2: i32);
    path_link(fd: i32, f: i32, p: i32, n: i32, fd2: i32, p2: i32, n2: i32);
    path_open(fd: i32, f: i32, p: i32, n: i32, f2: i32, w: i64, w2: i64, f3: i32, p2: i32);
    path_readlink(fd: i32, p: i32, n: i32, p2: i32, n2: i32, p3: i32);
    path_remove_directory(fd: i32, p: i32, n: i32);
    path_rename(fd: i32, p: i32, n: i32, fd2: i32, p2: i32, n2: i32);
    path_symlink(p: i32, n: i32, fd: i32, p2: i32, n2: i32);
    path_unlink_file(fd: i32, p: i32, n: i32);
    poll_oneoff(p: i32, p2: i32, n: i32, p3: i32);
    random_get(p: i32, n: i32);
    sched_yield();
    sock_accept(fd: i32, f: i32, p: i32);
    sock_recv(fd: i32, p: i32, n: i32, f: i32, p2: i32, p3: i32);
    sock_send(fd: i32, p: i32, n: i32, f: i32, p2: i32);
    sock_shutdown(fd: i32, f: i32);
    sock_open(f: i32, f2: i32, p: i32);
    sock_bind(fd: i32, p: i32, n: i32);
    sock_listen(fd: i32, n: i32);
    sock_connect(fd: i32, p: i32, n: i32);
    sock_recv_from(fd: i32, p: i32, n: i32, p2: i32, f: i32, p3: i32, p4: i32, n2: i32);
    sock_send_to(fd: i32, p: i32, n: i32, p2: i32, n2: i32, f: i32, p3: i32);
    sock_getpeeraddr(fd: i32, p: i32, p2: i32, p3: i32);
    sock_getlocaladdr(fd: i32, p: i32, p2: i32, p3: i32);
    sock_getsockopt(fd: i32, f: i32, f2: i32, p: i32, p2: i32);
    sock_setsockopt(fd: i32, f: i32, f2: i32, p: i32, n: i32);
    sock_getaddrinfo(p: i32, n: i32, p2: i32, n2: i32, p3: i32, p4: i32, n3: i32, f: i32);
    fd_renumber(fd: i32, fd2: i32);
    // Last, since it takes away what the others are called with.
    fd_close(fd: i32);
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    println!("wild: calling");
    core::arch::wasm32::memory_grow(0, 1);
    let mut wild = Wild(0x9e37_79b9_7f4a_7c15);
    let (mut functions, mut calls, mut refused) = (0, 0, 0);
    for (name, call) in FUNCTIONS {
        if wanted.as_ref().is_some_and(|it| it != name) {
            continue;
        }
        functions += 1;
        for turn in 0..CALLS {
            let answer = call(&mut wild);
            calls += 1;
            refused += u32::from(answer != 0);
            if !(0..=ERRNO_MAX).contains(&answer) {
                println!("wild: {name} answered {answer} in call {turn}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("wild: {functions} functions, {calls} calls, {refused} refused");
    ExitCode::SUCCESS
}
