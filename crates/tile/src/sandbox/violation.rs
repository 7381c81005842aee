//! Forbidden system calls of threads: counted where the run loop can see them.
//!
//! The kernel does not run a forbidden call; it sends SIGSYS to the thread instead. One handler
//! for the process
//! 1. finds the calling thread's [`Violation`] through a thread-local pointer,
//! 2. notes the first number and counts,
//! 3. makes the call return `EPERM` to the code that made it.
//!
//! Invariants:
//! - The handler makes no system call, takes no lock and allocates nothing.
//! - The pointer is null or points into an `Arc` that the same thread keeps; it is made null
//!   before the `Arc` is let go, when the thread ends.
//! - A SIGSYS of a thread that is not in the sandbox goes to the handler that was there before.
//!
//! What it does *not* do: see calls in mode `log` (the kernel's audit log has them); count refused
//! starts of threads and processes; save a thread that makes a forbidden call while it blocks
//! SIGSYS: the kernel then kills the process.

use std::{
    cell::{Cell, RefCell},
    fmt, mem, ptr,
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::names;
use crate::Error;

/// `si_code` of a SIGSYS that a filter caused (uapi `asm-generic/siginfo.h`).
const SYS_SECCOMP: libc::c_int = 1;

/// What a tile did that it may not; shared by its thread and who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Violation {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the first call since the last report, plus one; 0 is none.
    first_plus_one: AtomicI64,
    count: AtomicU64,
}

/// Forbidden calls since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ViolationReport {
    /// The number of the first one, as this architecture numbers system calls.
    pub number: i64,
    /// Its name, if known.
    pub name: Option<&'static str>,
    /// How many there were, the first included.
    pub count: u64,
}

impl fmt::Display for ViolationReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(formatter, "forbidden system call {name}")?,
            None => write!(formatter, "forbidden system call number {}", self.number)?,
        }
        match self.count {
            0 | 1 => Ok(()),
            count => write!(formatter, " and {} more", count - 1),
        }
    }
}

impl Violation {
    /// Nothing happened yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What happened since the last time this was asked; cheap when nothing did.
    pub(crate) fn taken(&self) -> Option<ViolationReport> {
        // Two loads in the common case: this is asked after every turn of a tile.
        if self.state.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let number = self.state.first_plus_one.swap(0, Ordering::AcqRel) - 1;
        let count = self.state.count.swap(0, Ordering::AcqRel);
        Some(ViolationReport { number, name: names::name_of(number), count })
    }
}

impl State {
    fn note(&self, number: i64) {
        let _kept = self.first_plus_one.compare_exchange(
            0,
            number + 1,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.count.fetch_add(1, Ordering::Release);
    }
}

thread_local! {
    /// For the handler: what it may touch. Constant and without destructor, so that reading it
    /// inside a signal handler is a plain load.
    static CURRENT: Cell<*const State> = const { Cell::new(ptr::null()) };
    /// For the handler: whether this thread ever entered; stays when `CURRENT` is gone.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    /// Keeps what `CURRENT` points to for the thread's life.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

struct Kept {
    _state: Arc<State>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        CURRENT.set(ptr::null());
    }
}

/// Makes forbidden calls of the calling thread go to `violation`. Panics the second time on a
/// thread: filters cannot be taken off, so a thread has one policy.
pub(super) fn watch_this_thread(violation: &Violation) -> Result<(), Error> {
    assert!(!ENTERED.get(), "a thread enters the sandbox once; merge the policies of its tiles");
    install_handler()?;
    let state = Arc::clone(&violation.state);
    let pointer = Arc::as_ptr(&state);
    KEPT.with_borrow_mut(|kept| *kept = Some(Kept { _state: state }));
    CURRENT.set(pointer);
    ENTERED.set(true);
    Ok(())
}

/// What was to be done with SIGSYS before the handler came.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

fn install_handler() -> Result<(), Error> {
    static INSTALLED: Once = Once::new();
    let mut result = Ok(());
    INSTALLED.call_once_force(|_| result = exchange_handler());
    result.map_err(|error| Error::system("handle SIGSYS", error))
}

fn exchange_handler() -> std::io::Result<()> {
    // SAFETY: all bits zero is a valid `sigaction`: default action, no flags, empty mask.
    let mut previous: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: asks only; `previous` is valid to be written.
    if unsafe { libc::sigaction(libc::SIGSYS, ptr::null(), &raw mut previous) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // Known before the handler can run for the first time.
    PREVIOUS.get_or_init(|| previous);
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigsys;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `on_sigsys` has the signature that SA_SIGINFO asks for and does only what a signal
    // handler may do.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

extern "C" fn on_sigsys(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the kernel hands over a valid `siginfo_t`.
    let code = unsafe { (*information).si_code };
    if code != SYS_SECCOMP || !ENTERED.get() {
        return forward(signal, information, context);
    }
    let state = CURRENT.get();
    if !state.is_null() {
        // SAFETY: not null, so `KEPT` of this very thread holds the `Arc` it points into.
        let state = unsafe { &*state };
        // SAFETY: the code says that the fields of a SIGSYS are filled in.
        state.note(i64::from(unsafe { system_call_of(information) }));
    }
    // SAFETY: the third argument of a SA_SIGINFO handler is the interrupted `ucontext_t`.
    unsafe { answer(context.cast(), -libc::EPERM) };
}

/// The number of the call that was refused.
///
/// # Safety
/// `information` must be that of a SIGSYS that a filter caused.
unsafe fn system_call_of(information: *const libc::siginfo_t) -> libc::c_int {
    /// `siginfo_t` of a SIGSYS on 64-bit systems (uapi `asm-generic/siginfo.h`).
    #[repr(C)]
    struct Refused {
        _signal_error_code_padding: [libc::c_int; 4],
        _call_address: *const libc::c_void,
        system_call: libc::c_int,
    }
    const _: () = assert!(size_of::<Refused>() <= size_of::<libc::siginfo_t>());
    // SAFETY: the caller's promise; the layout is the kernel's.
    unsafe { (*information.cast::<Refused>()).system_call }
}

/// Sets what the interrupted system call returns.
///
/// # Safety
/// `context` must be the context that a signal handler was given.
#[cfg(target_arch = "x86_64")]
unsafe fn answer(context: *mut libc::ucontext_t, value: libc::c_int) {
    // SAFETY: the caller's promise; RAX holds a call's answer on x86-64.
    unsafe { (*context).uc_mcontext.gregs[libc::REG_RAX as usize] = i64::from(value) };
}

/// Sets what the interrupted system call returns.
///
/// # Safety
/// `context` must be the context that a signal handler was given.
#[cfg(target_arch = "aarch64")]
unsafe fn answer(context: *mut libc::ucontext_t, value: libc::c_int) {
    // SAFETY: the caller's promise; x0 holds a call's answer on aarch64.
    unsafe { (*context).uc_mcontext.regs[0] = i64::from(value).cast_unsigned() };
}

/// Does what would have been done without this handler.
fn forward(signal: libc::c_int, information: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Plain = extern "C" fn(libc::c_int);
    type Informed = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let previous = PREVIOUS.get().expect("set before the handler is installed");
    match previous.sa_sigaction {
        libc::SIG_IGN => {}
        libc::SIG_DFL => {
            // SAFETY: both may be called in a handler; the signal, blocked while the handler
            // runs, ends the process when it returns.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: SA_SIGINFO says that the address is a handler of this signature.
            let handler: Informed = unsafe { mem::transmute::<usize, Informed>(handler) };
            handler(signal, information, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO the address is a handler of this signature.
            let handler: Plain = unsafe { mem::transmute::<usize, Plain>(handler) };
            handler(signal);
        }
    }
}
