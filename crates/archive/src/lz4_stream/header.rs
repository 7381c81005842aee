//! The descriptor of an lz4 frame (LZ4 frame format 1.6.4, "Frame Descriptor").

use twox_hash::XxHash32;

use super::Lz4Fault;

/// What a frame's descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) block_bytes_max: usize,
    pub(super) is_linked: bool,
    pub(super) has_block_checksums: bool,
    pub(super) has_content_checksum: bool,
    pub(super) content_bytes: Option<u64>,
}

/// The two bytes every descriptor begins with: FLG and BD.
pub(super) const FLAGS_BYTES: usize = 2;

/// Bytes that follow the flags: the content size if it is stated, and the descriptor's checksum.
pub(super) fn fields_bytes(flags: [u8; FLAGS_BYTES]) -> usize {
    if flags[0] & 0x08 != 0 { 8 + 1 } else { 1 }
}

/// Whether the flags can be read at all.
pub(super) fn check_flags(flags: [u8; FLAGS_BYTES]) -> Result<(), Lz4Fault> {
    let [flags, block] = flags;
    if flags >> 6 != 1 {
        return Err(Lz4Fault::FormatVersion { version: flags >> 6 });
    }
    if flags & 0x02 != 0 || block & 0x8f != 0 {
        return Err(Lz4Fault::ReservedBit);
    }
    if flags & 0x01 != 0 {
        return Err(Lz4Fault::Dictionary);
    }
    if block >> 4 < 4 {
        return Err(Lz4Fault::BlockSizeCode { code: block >> 4 });
    }
    Ok(())
}

/// Reads the descriptor: flags that were checked, and the fields behind them.
pub(super) fn parse(flags: [u8; FLAGS_BYTES], fields: &[u8]) -> Result<Descriptor, Lz4Fault> {
    let (&checksum, content_size) = fields.split_last().expect("the checksum is always there");
    let mut bytes = [0; FLAGS_BYTES + 8];
    bytes[..FLAGS_BYTES].copy_from_slice(&flags);
    bytes[FLAGS_BYTES..][..content_size.len()].copy_from_slice(content_size);
    let digest = XxHash32::oneshot(0, &bytes[..FLAGS_BYTES + content_size.len()]);
    if (digest >> 8) as u8 != checksum {
        return Err(Lz4Fault::DescriptorChecksum);
    }
    Ok(Descriptor {
        // Codes 4 to 7 are 64 KiB, 256 KiB, 1 MiB and 4 MiB.
        block_bytes_max: 1 << (8 + 2 * (flags[1] >> 4)),
        is_linked: flags[0] & 0x20 == 0,
        has_block_checksums: flags[0] & 0x10 != 0,
        has_content_checksum: flags[0] & 0x04 != 0,
        content_bytes: content_size.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
    })
}
