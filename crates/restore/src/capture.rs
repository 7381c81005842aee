//! Members of an archive that are kept as they are: the manifest and the status cache.
//!
//! They go to a store while they stream by, so that nothing is held of them: the manifest of a
//! large archive has 300 MB.
//!
//! What it does *not* do: judge them.

use icecore_store::ContentWriter;

use crate::Error;

/// Takes a manifest and a status cache.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) manifest: ContentWriter,
    pub(crate) status_cache: ContentWriter,
    /// What went wrong first; nothing more is taken then.
    failure: Option<icecore_store::Error>,
}

/// Which member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Manifest,
    StatusCache,
}

impl Capture {
    pub(crate) fn new(manifest: ContentWriter, status_cache: ContentWriter) -> Self {
        Self { manifest, status_cache, failure: None }
    }

    /// The next bytes of a member.
    pub(crate) fn take(&mut self, member: Member, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        let writer = match member {
            Member::Manifest => &mut self.manifest,
            Member::StatusCache => &mut self.status_cache,
        };
        self.failure = writer.write(bytes).err();
    }

    /// What went wrong, if anything did.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), |failure| Err(failure.into()))
    }
}
