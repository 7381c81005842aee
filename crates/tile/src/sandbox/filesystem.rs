//! Landlock: nothing on the file system can be opened any more.
//!
//! Invariants:
//! - All that Landlock can handle is denied, but for names in folders that a policy grants: files may be
//!   made and removed there as far as a rename needs that. Nothing can be opened there.
//! - What is open stays usable: Landlock looks at opening only.
//! - An old kernel gives less, never an error.
//!
//! Signals stay possible: Landlock's scope for them would also stop the kernel from ending the
//! children of this thread with it (`PR_SET_PDEATHSIG` is checked like a signal of the dying
//! parent), and it would stop `kill` on them.
//!
//! What it does *not* do: take away system calls (the filters do), or report what would be denied
//! (Landlock has no such mode, so mode `log` does nothing here).

use std::{
    fmt, io,
    os::fd::{BorrowedFd, RawFd},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use serde::Serialize;

use super::{Policy, SandboxMode};
use crate::Error;

/// The last version that brought something this module promises: abstract sockets are scoped
/// since version 6 (Linux 6.12), TCP is since 4 (Linux 6.7), files are since 1 (Linux 5.13).
const ABI_FULL: u32 = 6;

/// The newest version whose denials are asked for.
const ABI_ASKED: ABI = ABI::V9;

/// `LANDLOCK_CREATE_RULESET_VERSION` (uapi `landlock.h`): asks for the version only.
const CREATE_RULESET_VERSION: libc::c_uint = 1;

/// How much of the promise the kernel keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LandlockStatus {
    /// No opening of files, no TCP, no abstract sockets.
    Full,
    /// Files are closed; the kernel is too old for some of the rest.
    Partial,
    /// The kernel has no Landlock, or has it switched off.
    Absent,
    /// It was not asked for.
    Off,
}

impl LandlockStatus {
    /// What asking for it would come to: for reports on processes, which cannot tell themselves.
    pub(crate) fn expected(mode: SandboxMode) -> Self {
        match (mode, landlock_abi()) {
            (SandboxMode::Off | SandboxMode::Log, _) => Self::Off,
            (SandboxMode::On, 0) => Self::Absent,
            (SandboxMode::On, abi) if abi >= ABI_FULL => Self::Full,
            (SandboxMode::On, _) => Self::Partial,
        }
    }
}

impl fmt::Display for LandlockStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Absent => "absent",
            Self::Off => "off",
        })
    }
}

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Landlock {
    /// The kernel's version of Landlock; 0 where there is none.
    pub abi: u32,
    /// How much is enforced.
    pub status: LandlockStatus,
}

/// Closes the file system, TCP and abstract sockets for the calling thread and the threads and
/// processes it starts later, but for what the policy grants. Cannot be undone. Modes `off` and `log`
/// do nothing.
pub(crate) fn restrict_filesystem(mode: SandboxMode, policy: &Policy) -> Result<Landlock, Error> {
    let abi = landlock_abi();
    let expected = LandlockStatus::expected(mode);
    if matches!(expected, LandlockStatus::Off | LandlockStatus::Absent) {
        return Ok(Landlock { abi, status: expected });
    }
    let enforced = deny_everything(policy.folders()).map_err(|error| {
        Error::system("close the file system by Landlock", io::Error::other(error))
    })?;
    let status = match enforced {
        RulesetStatus::NotEnforced => LandlockStatus::Absent,
        _ => expected,
    };
    Ok(Landlock { abi, status })
}

fn deny_everything(folders: impl Iterator<Item = RawFd>) -> Result<RulesetStatus, RulesetError> {
    let names = AccessFs::MakeReg | AccessFs::RemoveFile;
    let rules = folders.map(|folder| {
        // SAFETY: a policy names descriptors that are open for as long as its tile, which has just
        // given it; the rule is added before this function returns and keeps none.
        let folder = unsafe { BorrowedFd::borrow_raw(folder) };
        Ok::<_, RulesetError>(PathBeneath::new(folder, names))
    });
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_ASKED))?
        .handle_access(AccessNet::from_all(ABI_ASKED))?
        .scope(Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(rules)?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// The kernel's version of Landlock; 0 where there is none.
pub(super) fn landlock_abi() -> u32 {
    // SAFETY: with this flag the call reads no memory and makes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(answer).unwrap_or(0)
}
