//! Exit codes, and what keeps a command from its answer.

use std::{io, process::ExitCode};

use icecore_restore::Error;

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
    /// No answer can be given: outside of what is there, or a limit is in the way.
    Incomplete,
    /// The operating system said no.
    System,
    /// Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Usage => 2,
            Exit::Incomplete => 3,
            Exit::System => 4,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Restore(#[from] Error),
    #[error(transparent)]
    Journal(#[from] icecore_journal::Error),
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Damaged(String),
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

/// How a command ends whose answer was given, or whose reader has simply gone: as the answer says.
pub(crate) fn ended(told: Result<(), Failure>, exit: Exit) -> Result<Exit, Failure> {
    match told {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit),
        told => told.map(|()| exit),
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Restore(error) => match error {
                Error::Name { .. }
                | Error::Class { .. }
                | Error::NoArchive { .. }
                | Error::Hash(_) => Exit::Usage,
                Error::NeedsScratch { .. } => Exit::Incomplete,
                Error::Damaged { .. } => Exit::Bad,
                Error::Interrupted => Exit::Interrupted,
                _ => Exit::System,
            },
            Self::Journal(error) => journal_exit(error),
            Self::Disk(_) | Self::Output(_) => Exit::System,
            Self::Usage(_) => Exit::Usage,
            Self::Damaged(_) => Exit::Bad,
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
