//! Which file systems lie on another machine, or in another process.
//!
//! There a page of a mapped file can be stale, and can be gone when the other side is: nothing is
//! mapped on them.

use std::{fs, io};

use rustix::fs::fstatfs;

/// Numbers of such file systems (`linux/magic.h` and the manual page `statfs(2)`).
const NETWORK_MAGICS: [u64; 14] = [
    0x6969,      // NFS
    0x517B,      // SMB
    0xFF53_4D42, // CIFS
    0xFE53_4D42, // SMB2
    0x6573_5546, // FUSE, with virtiofs, sshfs and most object stores
    0x0102_1997, // 9P
    0x00C3_6400, // Ceph
    0x5346_414F, // AFS
    0x6B41_4653, // kAFS
    0x7375_7245, // Coda
    0x564C,      // NCP
    0x0BD0_0BD0, // Lustre
    0x7461_636F, // OCFS2
    0x4750_4653, // GPFS
];

/// Whether an open file lies on one of them.
pub(crate) fn is_on_network(file: &fs::File) -> io::Result<bool> {
    // The field is signed on some machines; the numbers have 32 bits.
    let magic = fstatfs(file)?.f_type as u64 & 0xFFFF_FFFF;
    Ok(NETWORK_MAGICS.contains(&magic))
}
