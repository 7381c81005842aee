//! The system call filters: a base for threads, a smaller one for processes, and a tile's grants.
//!
//! Invariants:
//! - What is not listed is a violation; there is no list of forbidden calls.
//! - No memory that can be executed can be made: new mappings are anonymous, and neither they nor
//!   old ones may be made executable.
//! - A grant allows its calls on its descriptor only.
//!
//! Steps: collect the rules by call number (a call without rules is allowed with any arguments),
//! add the grants, compile them with the action for everything else.
//!
//! What it does *not* do: look at memory that arguments point to (a filter cannot), or at what is
//! done through an `io_uring`.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::policy::{Policy, Right};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Memory, sleeping, and the end of a thread, which gives its signal stack back (the main thread
/// too, at the end of `main`): for threads and processes.
const BASE: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_futex,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
];

/// What the standard library and the C library need besides on a thread that unwinds and ends:
/// who it is, its signal mask, the keys of its hash maps. And waiting until a descriptor moves,
/// which reads nothing.
const THREAD: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_futex_waitv,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_set_robust_list,
];

/// A process may end itself, nothing else.
const PROCESS: &[i64] = &[libc::SYS_exit_group];

/// Starting a thread or a process. The C library blocks all signals around these, and a forbidden
/// call with SIGSYS blocked kills: so threads are refused them by an answer, not by a signal.
const CREATION: &[i64] = &[libc::SYS_clone, libc::SYS_clone3];

/// Where panic messages go.
const STANDARD_ERROR: u64 = 2;

/// `madvise` from 100 takes pages out of service (`MADV_HWPOISON`, `MADV_SOFT_OFFLINE`: uapi
/// `mman-common.h`); what comes after those two is harmless again.
const ADVICE_HARDWARE: u64 = 100;
const ADVICE_HARDWARE_LAST: u64 = 101;

/// What `fcntl` may do with a lease: ask for it, take it and give it back, and choose the signal that
/// tells of who waits (`F_SETSIG`, uapi `asm-generic/fcntl.h`).
const LEASE_COMMANDS: [libc::c_int; 3] = [libc::F_GETLEASE, libc::F_SETLEASE, 10];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses to start threads and processes, by `EPERM`; lets all else through to the next filter.
pub(super) fn without_creation() -> BpfProgram {
    let rules = CREATION.iter().map(|number| (*number, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    build(rules, SeccompAction::Allow, refuse)
}

/// The filter of a thread among others of its process. With the action `Trap` it relies on
/// [`without_creation`] being there already: of two filters the signal would win.
pub(super) fn for_thread(policy: &Policy, otherwise: SeccompAction) -> BpfProgram {
    let mut rules = memory_rules();
    if otherwise == SeccompAction::Trap {
        rules.extend(CREATION.iter().map(|number| (*number, Vec::new())));
    }
    rules.extend(BASE.iter().chain(THREAD).map(|number| (*number, Vec::new())));
    rules.insert(libc::SYS_write, vec![all([is(0, STANDARD_ERROR)])]);
    // An abort is this process's own signal to itself; it must stay one.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![all([is(0, own), is(2, libc::SIGABRT as u64)])]);
    compile(rules, policy, otherwise)
}

/// The filter of a whole process that has only its memory.
pub(super) fn for_process(policy: &Policy, otherwise: SeccompAction) -> BpfProgram {
    let mut rules = memory_rules();
    rules.extend(BASE.iter().chain(PROCESS).map(|number| (*number, Vec::new())));
    compile(rules, policy, otherwise)
}

/// Memory under conditions: anonymous, never executable, no page taken out of service.
fn memory_rules() -> Rules {
    let executable = libc::PROT_EXEC as u64;
    let anonymous = libc::MAP_ANONYMOUS as u64;
    let not_executable = || compare(2, SeccompCmpOp::MaskedEq(executable), 0);
    Rules::from([
        (
            libc::SYS_mmap,
            vec![all([not_executable(), compare(3, SeccompCmpOp::MaskedEq(anonymous), anonymous)])],
        ),
        (libc::SYS_mprotect, vec![all([not_executable()])]),
        (
            libc::SYS_madvise,
            vec![
                all([compare(2, SeccompCmpOp::Lt, ADVICE_HARDWARE)]),
                all([compare(2, SeccompCmpOp::Gt, ADVICE_HARDWARE_LAST)]),
            ],
        ),
    ])
}

fn compile(mut rules: Rules, policy: &Policy, otherwise: SeccompAction) -> BpfProgram {
    for grant in policy.iter() {
        let descriptor = u64::try_from(grant.descriptor).expect("a policy refuses negative ones");
        for number in grant.right.numbers() {
            rules.entry(*number).or_default().extend(rules_of(grant.right, descriptor));
        }
    }
    build(rules, otherwise, SeccompAction::Allow)
}

/// What the arguments of a right's calls must be; one of these is enough.
fn rules_of(right: Right, descriptor: u64) -> Vec<SeccompRule> {
    match right {
        Right::Lease => LEASE_COMMANDS
            .iter()
            .map(|command| all([is(0, descriptor), is(1, command.unsigned_abs().into())]))
            .collect(),
        Right::Rename => vec![all([is(0, descriptor), is(2, descriptor)])],
        _ => vec![all([is(0, descriptor)])],
    }
}

fn build(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> BpfProgram {
    SeccompFilter::new(rules, otherwise, listed, ARCHITECTURE)
        .and_then(BpfProgram::try_from)
        .expect("the rules are sound, and some dozens of descriptors at most: far below the limit")
}

fn all<const COUNT: usize>(conditions: [SeccompCondition; COUNT]) -> SeccompRule {
    SeccompRule::new(conditions.into()).expect("a rule has a condition")
}

fn is(argument: u8, value: u64) -> SeccompCondition {
    compare(argument, SeccompCmpOp::Eq, value)
}

/// All arguments looked at here are 32 bits wide for the kernel; what stands above does not count.
fn compare(argument: u8, operator: SeccompCmpOp, value: u64) -> SeccompCondition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
        .expect("a call has six arguments")
}
