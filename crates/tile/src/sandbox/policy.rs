//! What a tile may ask of the kernel besides the base (memory, sleeping, ending).
//!
//! Invariant: every grant names one descriptor; there is no grant for "any descriptor".
//! A policy is a set: granting twice or in another order is the same policy.
//!
//! What it does *not* do: check that a descriptor is open or what it is. A tile that is granted
//! [`Right::Ring`] has whatever the ring can do: the ring's own restrictions
//! (`IORING_REGISTER_RESTRICTIONS`) bound that, because a filter does not see a ring's operations.

use std::{collections::BTreeSet, fmt, os::fd::RawFd};

/// What may be done with a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Read at a position.
    ReadAt,
    /// Write at a position.
    WriteAt,
    /// Read on from where the descriptor stands.
    Read,
    /// Write on from where the descriptor stands.
    Write,
    /// Submit to an `io_uring` and wait for it.
    Ring,
    /// Make durable what was written.
    Sync,
    /// Cut a file off.
    Truncate,
    /// Take a lease and give it back: `fcntl` with these commands and no others.
    Lease,
    /// Give files of a folder other names in the same folder. Landlock lets files of this folder be
    /// renamed, and removed, by name; nothing can be opened there.
    Rename,
}

impl Right {
    /// The system calls this right stands for; all take the descriptor as first argument.
    /// (`renameat2` also as the third.)
    pub fn system_calls(self) -> &'static [&'static str] {
        match self {
            Self::ReadAt => &["pread64", "preadv"],
            Self::WriteAt => &["pwrite64", "pwritev"],
            Self::Read => &["read"],
            Self::Write => &["write"],
            Self::Ring => &["io_uring_enter"],
            Self::Sync => &["fsync", "fdatasync"],
            Self::Truncate => &["ftruncate"],
            Self::Lease => &["fcntl"],
            Self::Rename => &["renameat2"],
        }
    }

    /// Their numbers, in the same order.
    pub(super) fn numbers(self) -> &'static [i64] {
        match self {
            Self::ReadAt => &[libc::SYS_pread64, libc::SYS_preadv],
            Self::WriteAt => &[libc::SYS_pwrite64, libc::SYS_pwritev],
            Self::Read => &[libc::SYS_read],
            Self::Write => &[libc::SYS_write],
            Self::Ring => &[libc::SYS_io_uring_enter],
            Self::Sync => &[libc::SYS_fsync, libc::SYS_fdatasync],
            Self::Truncate => &[libc::SYS_ftruncate],
            Self::Lease => &[libc::SYS_fcntl],
            Self::Rename => &[libc::SYS_renameat2],
        }
    }
}

/// One right on one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// What may be done.
    pub right: Right,
    /// With which descriptor.
    pub descriptor: RawFd,
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.right.system_calls().join(", ");
        write!(formatter, "{calls} on descriptor {}", self.descriptor)
    }
}

/// The grants of a tile, or of several tiles that share a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    grants: BTreeSet<Grant>,
}

impl Policy {
    /// Nothing besides the base.
    pub fn none() -> Self {
        Self::default()
    }

    /// Also `pread64` and `preadv` on exactly this descriptor.
    #[must_use]
    pub fn read_at(self, descriptor: RawFd) -> Self {
        self.grant(Right::ReadAt, descriptor)
    }

    /// Also `pwrite64` and `pwritev` on exactly this descriptor; its size cannot be cut.
    #[must_use]
    pub fn write_at(self, descriptor: RawFd) -> Self {
        self.grant(Right::WriteAt, descriptor)
    }

    /// Also `read` on exactly this descriptor.
    #[must_use]
    pub fn read(self, descriptor: RawFd) -> Self {
        self.grant(Right::Read, descriptor)
    }

    /// Also `write` on exactly this descriptor.
    #[must_use]
    pub fn write(self, descriptor: RawFd) -> Self {
        self.grant(Right::Write, descriptor)
    }

    /// Also `io_uring_enter` on exactly this ring.
    #[must_use]
    pub fn ring(self, descriptor: RawFd) -> Self {
        self.grant(Right::Ring, descriptor)
    }

    /// Also `fsync` and `fdatasync` on exactly this descriptor.
    #[must_use]
    pub fn sync(self, descriptor: RawFd) -> Self {
        self.grant(Right::Sync, descriptor)
    }

    /// Also `ftruncate` on exactly this descriptor.
    #[must_use]
    pub fn truncate(self, descriptor: RawFd) -> Self {
        self.grant(Right::Truncate, descriptor)
    }

    /// Also leases on exactly this descriptor.
    #[must_use]
    pub fn lease(self, descriptor: RawFd) -> Self {
        self.grant(Right::Lease, descriptor)
    }

    /// Also `renameat2` from this folder to itself.
    #[must_use]
    pub fn rename(self, folder: RawFd) -> Self {
        self.grant(Right::Rename, folder)
    }

    /// What either of the two allows: the policy of tiles that run on one host.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.grants.extend(&other.grants);
        self
    }

    /// All grants, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Grant> + '_ {
        self.grants.iter().copied()
    }

    /// The system calls that are allowed on some descriptor, each once.
    pub fn names(&self) -> Vec<String> {
        let rights: BTreeSet<Right> = self.iter().map(|grant| grant.right).collect();
        let calls = rights.into_iter().flat_map(|right| right.system_calls());
        calls.map(|call| (*call).to_string()).collect()
    }

    /// The folders in which names may change.
    pub(crate) fn folders(&self) -> impl Iterator<Item = RawFd> + '_ {
        let grants = self.iter().filter(|grant| grant.right == Right::Rename);
        grants.map(|grant| grant.descriptor)
    }

    fn grant(mut self, right: Right, descriptor: RawFd) -> Self {
        assert!(descriptor >= 0, "a grant names an open descriptor, not {descriptor}");
        self.grants.insert(Grant { right, descriptor });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names, *};

    #[test]
    fn names_and_numbers_of_a_right_agree() {
        for right in [
            Right::ReadAt,
            Right::WriteAt,
            Right::Read,
            Right::Write,
            Right::Ring,
            Right::Sync,
            Right::Truncate,
            Right::Lease,
            Right::Rename,
        ] {
            let named: Vec<_> =
                right.numbers().iter().map(|number| names::name_of(*number)).collect();
            let expected: Vec<_> = right.system_calls().iter().copied().map(Some).collect();
            assert_eq!(named, expected);
        }
    }

    #[test]
    fn a_merged_policy_has_what_either_has_once() {
        let merged = Policy::none().read_at(7).ring(9).merge(&Policy::none().read_at(7).write(2));
        let grants: Vec<_> = merged.iter().map(|grant| grant.to_string()).collect();
        assert_eq!(
            grants,
            [
                "pread64, preadv on descriptor 7",
                "write on descriptor 2",
                "io_uring_enter on descriptor 9"
            ]
        );
        assert_eq!(merged.names(), ["pread64", "preadv", "write", "io_uring_enter"]);
        assert_eq!(Policy::none().iter().count(), 0);
    }
}
