//! Whole archives: a verdict or an error on anything, never a panic, whatever is in the members.
//!
//! The input is a list of edits to the bundled archive's tar stream, so that the deep checks are
//! reached; an input without edits is taken as the archive itself.

#![no_main]

use std::{fs, path::PathBuf, sync::OnceLock};

use icecore_archive::{container::ContainerKind, stream::ContainerDecoder};
use icecore_restore::{Options, Pair, Progress, verify};
use libfuzzer_sys::fuzz_target;

const NAME: &str = "snapshot-46-2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";

struct Bench {
    tar: Vec<u8>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/tiny/");
        let bytes = fs::read(format!("{file}{NAME}.tar.zst")).expect("bundled");
        let mut decoder = ContainerDecoder::new(ContainerKind::Zstd);
        let (mut tar, mut output, mut input) = (Vec::new(), vec![0; 1 << 16], &bytes[..]);
        loop {
            let step = decoder.decode(&mut input, &mut output).expect("sound");
            tar.extend_from_slice(&output[..step.written]);
            if input.is_empty() && step.written < output.len() {
                break;
            }
        }
        let shared = PathBuf::from("/dev/shm");
        let parent = if shared.is_dir() { shared } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(parent).expect("a folder");
        let path = folder.path().join(format!("{NAME}.tar"));
        Bench { tar, path, _folder: folder }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((&kind, edits)) = input.split_first() else { return };
    let bench = bench();
    let mut tar = Vec::new();
    if kind % 4 == 0 {
        tar.extend_from_slice(edits);
    } else {
        tar.extend_from_slice(&bench.tar);
        // An edit is a 3-byte place and up to 8 bytes written there.
        for edit in edits.chunks(4 + usize::from(kind % 8)).take(8) {
            let [a, b, c, new @ ..] = edit else { break };
            let place = u32::from_le_bytes([*a, *b, *c, 0]) as usize % tar.len();
            let end = (place + new.len()).min(tar.len());
            tar[place..end].copy_from_slice(&new[..end - place]);
        }
        if kind & 0x40 != 0 {
            mend_checksums(&mut tar);
        }
        if kind & 0x80 != 0 {
            let cut = edits
                .iter()
                .fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
            tar.truncate(cut % tar.len());
        }
    }
    fs::write(&bench.path, &tar).expect("written");
    let mut options = Options::for_cores(1);
    options.memory_bytes_max = 256 << 20;
    let mut pair = Pair::files(&bench.path, None).expect("a right name");
    let report = verify(&mut pair, &options, &Progress::default()).expect("a verdict");
    assert_eq!(report.archives.len(), 1);
});

/// Sets the checksum of every header that the members' sizes lead to, so that edits of headers get
/// through.
fn mend_checksums(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = header[124..136]
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .fold(0usize, |size, byte| {
                size.saturating_mul(8).saturating_add(usize::from(byte - b'0') & 7)
            });
        at = at.saturating_add(512).saturating_add(size.saturating_add(511) / 512 * 512);
    }
}
