//! The data, the binary, and archives taken apart by the library.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use icecore_archive::{
    container::{Detection, detect},
    members::{MemberKind, classify},
    stream::ContainerDecoder,
    tar::{TarEvent, TarReader},
};
use serde_json::Value;
use zstd_safe::{CCtx, CParameter, CompressionLevel};

pub(crate) fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A set of the shared data, `None` where it is not there.
pub(crate) fn shared(set: &str) -> Option<PathBuf> {
    let root = env::var_os("ICECORE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), Into::into);
    let folder = root.join("data").join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

/// The one file of a folder whose name begins so.
pub(crate) fn only(folder: &Path, beginning: &str) -> PathBuf {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| name(path).starts_with(beginning))
        .collect::<Vec<_>>();
    assert_eq!(paths.len(), 1, "{beginning} in {}", folder.display());
    paths.remove(0)
}

pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a plain name")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

pub(crate) fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the truth can be read");
    serde_json::from_str(&text).expect("the truth is JSON")
}

/// A full and an incremental archive with their truth.
pub(crate) struct Set {
    pub(crate) full: PathBuf,
    pub(crate) incremental: PathBuf,
    pub(crate) truth_full: Value,
    pub(crate) truth_pair: Value,
}

impl Set {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            full: only(folder, "snapshot-"),
            incremental: only(folder, "incremental-snapshot-"),
            truth_full: read_json(&only(folder, "truth-full-")),
            truth_pair: read_json(&only(folder, "truth-incremental-")),
        }
    }

    /// The bundled set, and those of the shared data that have a truth.
    pub(crate) fn all() -> Vec<Self> {
        let names = ["tiny", "small", "old-2.3-lattice", "old-2.3-merkle"];
        let shared = names.into_iter().filter_map(shared);
        [bundled()].into_iter().chain(shared).map(|folder| Self::in_folder(&folder)).collect()
    }

    /// The archives with their truth.
    pub(crate) fn archives(&self) -> [(&Path, &Value); 2] {
        [(&self.full, &self.truth_full), (&self.incremental, &self.truth_pair)]
    }

    pub(crate) fn pair(&self) -> String {
        format!("{},{}", text(&self.full), text(&self.incremental))
    }
}

/// What a run left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    pub(crate) fn rows(&self) -> Vec<Value> {
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(row).collect()
    }

    /// What went wrong, progress left out.
    pub(crate) fn problem(&self) -> &str {
        assert!(!self.err.contains("panicked"), "{}", self.err);
        let at = self.err.find("icecore: ").unwrap_or_else(|| panic!("no problem: {}", self.err));
        &self.err[at..]
    }
}

pub(crate) fn icecore(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .arg("snapshot")
        .args(arguments)
        .output()
        .expect("the binary runs");
    Ran {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).expect("answers are text"),
        err: String::from_utf8(output.stderr).expect("problems are text"),
    }
}

/// The tar stream of an archive.
pub(crate) fn unpack(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("the archive can be read");
    let Detection::Known(kind) = detect(&bytes) else { panic!("no container") };
    let mut decoder = ContainerDecoder::new(kind);
    let (mut input, mut stream, mut piece) = (&bytes[..], Vec::new(), vec![0; 1 << 20]);
    loop {
        let progress = decoder.decode(&mut input, &mut piece).expect("a good archive");
        stream.extend_from_slice(&piece[..progress.written]);
        if input.is_empty() && progress.written == 0 && !progress.frame_done {
            decoder.finish().expect("a whole archive");
            return stream;
        }
    }
}

/// Every member's header offset, path, kind and content.
pub(crate) fn members(stream: &[u8]) -> Vec<(u64, String, MemberKind, Vec<u8>)> {
    let (mut reader, mut input, mut members) = (TarReader::new(), stream, Vec::new());
    while let Some(event) = reader.next(&mut input).expect("a good tar stream") {
        match event {
            TarEvent::Member(member) => {
                let kind = classify(&member.path, member.kind).expect("it belongs");
                members.push((member.offset, member.path, kind, Vec::new()));
            }
            TarEvent::Data(bytes) => {
                members.last_mut().expect("a member began").3.extend_from_slice(bytes);
            }
            _ => {}
        }
    }
    members
}

pub(crate) fn content(stream: &[u8], is_wanted: impl Fn(&MemberKind) -> bool) -> Vec<u8> {
    let mut found = members(stream).into_iter().filter(|(_, _, kind, _)| is_wanted(kind));
    found.next().expect("a good archive has it").3
}

/// A frame made by [`many_frames`].
pub(crate) struct MadeFrame {
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
    /// Bytes of its content, `None` for a skippable one.
    pub(crate) content: Option<usize>,
}

/// A tar stream as a zstd file of several frames: a skippable one, then pieces of 100,000 bytes
/// with a checksum.
pub(crate) fn many_frames(stream: &[u8]) -> (Vec<u8>, Vec<MadeFrame>) {
    let mut file = 0x184d_2a53_u32.to_le_bytes().to_vec();
    file.extend(5u32.to_le_bytes());
    file.extend(b"hello");
    let mut frames = vec![MadeFrame { offset: 0, bytes: file.len(), content: None }];
    let level: CompressionLevel = 1;
    for piece in stream.chunks(100_000) {
        let mut context = CCtx::create();
        for parameter in [CParameter::CompressionLevel(level), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).expect("a known parameter");
        }
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(piece.len()));
        context.compress2(&mut frame, piece).expect("there is room");
        let (offset, bytes) = (file.len(), frame.len());
        frames.push(MadeFrame { offset, bytes, content: Some(piece.len()) });
        file.extend(frame);
    }
    (file, frames)
}
