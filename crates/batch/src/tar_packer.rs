//! Members of a new tar stream on their way to a packer.
//!
//! Once the packer has stopped nothing is done any more: writing has failed, and the packer says why.

use icecore_archive::{
    members::MemberKind,
    writing::tar::{TarEncoder, member_bytes},
};

use crate::packer::Packer;

/// Writes members to a packer.
pub(crate) struct TarPacker<'a> {
    tar: TarEncoder,
    out: Out<'a>,
}

/// Where bytes go.
struct Out<'a> {
    packer: &'a mut Packer,
    digest: Option<&'a mut blake3::Hasher>,
    has_stopped: bool,
}

impl Out<'_> {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.has_stopped |= self.packer.write(bytes).is_break();
    }
}

impl<'a> TarPacker<'a> {
    /// Starts before the first member.
    pub(crate) fn new(packer: &'a mut Packer) -> Self {
        Self { tar: TarEncoder::new(), out: Out { packer, digest: None, has_stopped: false } }
    }

    /// Digests the tar stream.
    pub(crate) fn digested(mut self, digest: Option<&'a mut blake3::Hasher>) -> Self {
        self.out.digest = digest;
        self
    }

    /// Whether the packer wants no more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.out.has_stopped
    }

    /// Begins a member.
    pub(crate) fn member(&mut self, member: MemberKind, bytes: u64) {
        if self.out.has_stopped {
            return;
        }
        self.out.has_stopped = self.out.packer.member(member_bytes(bytes)).is_break();
        let Self { tar, out } = self;
        tar.member(member, bytes, &mut |bytes| out.write(bytes));
    }

    /// Writes the next bytes of the member.
    pub(crate) fn content(&mut self, bytes: &[u8]) {
        if self.out.has_stopped {
            return;
        }
        let Self { tar, out } = self;
        tar.content(bytes, &mut |bytes| out.write(bytes));
    }

    /// Writes the end of the stream, of which so many bytes are there then.
    pub(crate) fn finish(self) -> u64 {
        let Self { tar, mut out } = self;
        let mut tar_bytes = tar.offset();
        if !out.has_stopped {
            tar.finish(&mut |bytes| {
                tar_bytes += bytes.len() as u64;
                out.write(bytes);
            });
        }
        tar_bytes
    }
}
