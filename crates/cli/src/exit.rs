//! Exit codes, and what keeps a command from its answer.

use std::{io, process::ExitCode};

use icecore_restore::Error;
use icecore_store::ingest::IngestError;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes.
    Good,
    /// The answer is no: a bad verdict, archives that differ, an account that is absent, anything
    /// wrong in an archive's bytes.
    Bad,
    /// The command line is wrong, or a file name is no archive name.
    Usage,
    /// No answer can be given, or not all of it: outside of what is kept, or a limit is in the way.
    Incomplete,
    /// The operating system said no.
    System,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// All, with their codes.
    const CODES: [(Self, u8); 6] = [
        (Self::Good, 0),
        (Self::Bad, 1),
        (Self::Usage, 2),
        (Self::Incomplete, 3),
        (Self::System, 4),
        (Self::Interrupted, 130),
    ];

    /// As the process ends with it.
    pub(crate) fn code(self) -> u8 {
        let found = Self::CODES.iter().find(|(exit, _)| *exit == self);
        found.expect("all are listed").1
    }

    /// What another process says with its code.
    pub(crate) fn of_code(code: u8) -> Self {
        let found = Self::CODES.iter().find(|(_, listed)| *listed == code);
        found.map_or(Self::System, |(exit, _)| *exit)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Restore(#[from] Error),
    #[error(transparent)]
    Batch(#[from] icecore_batch::Error),
    #[error(transparent)]
    Journal(#[from] icecore_journal::Error),
    #[error(transparent)]
    Store(#[from] icecore_store::Error),
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Incomplete(String),
    #[error("{0}")]
    System(String),
    #[error(transparent)]
    Ingest(#[from] IngestError<icecore_store::Error>),
    #[error("the node is busy: {0}")]
    Busy(String),
    /// The node did what was asked for, and failed.
    #[error("{message}")]
    Node { message: String, exit: Exit },
    #[error("interrupted")]
    Interrupted,
}

fn restore_exit(error: &Error) -> Exit {
    match error {
        Error::Name { .. } | Error::Class { .. } | Error::NoArchive { .. } | Error::Hash(_) => {
            Exit::Usage
        }
        Error::NeedsScratch { .. }
        | Error::NeedsFull { .. }
        | Error::NotInFrames { .. }
        | Error::Index { .. } => Exit::Incomplete,
        Error::Damaged { .. } | Error::Bad { .. } => Exit::Bad,
        Error::Store(error) => store_exit(error),
        Error::Interrupted => Exit::Interrupted,
        _ => Exit::System,
    }
}

fn journal_exit(error: &icecore_journal::Error) -> Exit {
    use icecore_journal::Error;
    match error {
        Error::Corrupt { .. } | Error::Damaged { .. } | Error::Rewritten { .. } => Exit::Bad,
        Error::NoJournal { .. } | Error::NotEmpty { .. } | Error::Unfit { .. } => Exit::Usage,
        Error::NoSuchEvent { .. } | Error::Dropped { .. } | Error::NoIndex { .. } => {
            Exit::Incomplete
        }
        Error::Interrupted => Exit::Interrupted,
        // A file that the journal names is not there.
        Error::Disk(error) if error.is_absent() => Exit::Bad,
        _ => Exit::System,
    }
}

fn store_exit(error: &icecore_store::Error) -> Exit {
    use icecore_store::Error;
    match error {
        // A gate has refused a slot: it is not what it states.
        _ if error.denial().is_some() => Exit::Bad,
        Error::Journal(error) => journal_exit(error),
        Error::Corrupt { .. } | Error::Event { .. } | Error::StaleRuns { .. } => Exit::Bad,
        // What was given does not fit what is there.
        Error::SlotRefused { .. }
        | Error::WrittenTwice { .. }
        | Error::DataTooLong { .. }
        | Error::BaseRefused { .. } => Exit::Bad,
        Error::NoStore { .. } | Error::SeveralForks { .. } | Error::Hash(_) => Exit::Usage,
        Error::Empty
        | Error::NotCovered { .. }
        | Error::InGap { .. }
        | Error::Expired { .. }
        | Error::NoSuchSlot { .. }
        | Error::NoBase { .. }
        | Error::NotSince { .. }
        | Error::NoFork { .. } => Exit::Incomplete,
        // A file that the store names is not there.
        Error::Disk(error) if error.is_absent() => Exit::Bad,
        _ => Exit::System,
    }
}

/// How a command ends whose answer was given, or whose reader has simply gone: as the answer says.
pub(crate) fn ended(told: Result<(), Failure>, exit: Exit) -> Result<Exit, Failure> {
    match told {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit),
        told => told.map(|()| exit),
    }
}

impl Failure {
    /// What a command ends with for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Restore(error) => restore_exit(error),
            Self::Batch(error) => match error {
                icecore_batch::Error::Restore(error) => restore_exit(error),
                icecore_batch::Error::Store(error) => store_exit(error),
                icecore_batch::Error::NoMember { .. } | icecore_batch::Error::Unsound { .. } => {
                    Exit::Bad
                }
                icecore_batch::Error::NoLattice { .. }
                | icecore_batch::Error::NoBank { .. }
                | icecore_batch::Error::NotFinal { .. }
                | icecore_batch::Error::Filtered
                | icecore_batch::Error::Base { .. }
                | icecore_batch::Error::NoBase { .. }
                | icecore_batch::Error::NotOfLatticeAlone { .. } => Exit::Incomplete,
                _ => Exit::System,
            },
            Self::Journal(error) => journal_exit(error),
            Self::Store(error) => store_exit(error),
            Self::Disk(_) | Self::Output(_) | Self::System(_) => Exit::System,
            Self::Usage(_) => Exit::Usage,
            Self::Damaged(_) => Exit::Bad,
            Self::Incomplete(_) => Exit::Incomplete,
            Self::Ingest(error) => match error {
                IngestError::Store { source, .. } => store_exit(source),
                _ => Exit::Bad,
            },
            Self::Busy(_) => Exit::System,
            Self::Node { exit, .. } => *exit,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// Tells it on stderr, unless the reader of the answer has simply gone.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return Exit::Good.into();
        }
        eprintln!("icecore: {self}");
        self.exit().into()
    }
}
