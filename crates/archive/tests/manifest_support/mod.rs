//! Manifests and status caches of real archives, for the tests of their decoders.

#![allow(dead_code, reason = "each test binary uses another part")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The members of an archive.
pub(crate) struct Members {
    pub(crate) manifest: Vec<u8>,
    pub(crate) status_cache: Vec<u8>,
    /// Storages by file name.
    pub(crate) storages: BTreeMap<String, Vec<u8>>,
}

/// The folder of shared data, `None` (and a line on standard error) when it is not there.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let shared = env::var_os("ICECORE_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| workspace().join("../shared"));
    let data = shared.join("data");
    if data.is_dir() {
        return Some(data);
    }
    eprintln!("skipped: no shared data at {}", data.display());
    None
}

/// The data that comes with the project.
pub(crate) fn bundled_tiny() -> PathBuf {
    workspace().join("testdata/tiny")
}

/// The bundled full archive at slot 46.
pub(crate) fn tiny_full() -> Members {
    let archive = archives(&bundled_tiny())
        .into_iter()
        .find(|path| path.to_string_lossy().contains("/snapshot-46-"))
        .expect("the full archive is bundled");
    members(&archive)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every archive below `folder`, in the order of their paths.
pub(crate) fn archives(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            found.extend(archives(&path));
        } else if path.to_str().is_some_and(|name| {
            [".tar", ".tar.zst", ".tar.lz4"].iter().any(|end| name.ends_with(end))
        }) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Unpacks an archive.
pub(crate) fn members(archive: &Path) -> Members {
    try_members(archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()))
}

/// Unpacks an archive that may be damaged; a missing member is an error, too.
pub(crate) fn try_members(archive: &Path) -> Result<Members, String> {
    let packed = fs::read(archive).map_err(|error| error.to_string())?;
    let bytes = match archive.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => zstd(&packed)?,
        Some("lz4") => {
            let mut bytes = Vec::new();
            lz4_flex::frame::FrameDecoder::new(&packed[..])
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?;
            bytes
        }
        _ => packed,
    };
    let mut manifest = None;
    let mut status_cache = None;
    let mut storages = BTreeMap::new();
    let mut archive = tar::Archive::new(&bytes[..]);
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
        let parts: Vec<&str> = path.trim_start_matches("./").split('/').collect();
        match parts[..] {
            ["snapshots", "status_cache"] => status_cache = Some(content),
            ["snapshots", slot, file] if slot == file => manifest = Some(content),
            ["accounts", file] if !file.is_empty() => {
                storages.insert(file.to_owned(), content);
            }
            _ => {}
        }
    }
    Ok(Members {
        manifest: manifest.ok_or("no manifest")?,
        status_cache: status_cache.ok_or("no status cache")?,
        storages,
    })
}

/// Decompresses all frames.
pub(crate) fn zstd(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(packed);
    let mut bytes = Vec::new();
    let mut chunk = vec![0u8; 1 << 17];
    loop {
        let mut output = zstd_safe::OutBuffer::around(&mut chunk[..]);
        let hint = context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| zstd_safe::get_error_name(code).to_owned())?;
        let full = output.pos() == output.capacity();
        bytes.extend_from_slice(output.as_slice());
        if input.pos == packed.len() && !full {
            return if hint == 0 {
                Ok(bytes)
            } else {
                Err("the last frame is incomplete".to_owned())
            };
        }
    }
}

/// Decompresses a gzip file.
pub(crate) fn gzip(path: &Path) -> Vec<u8> {
    let packed = fs::File::open(path).expect("the file is readable");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("the file is undamaged");
    bytes
}

/// A JSON file, plain or `.zst`.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    let mut bytes = fs::read(path).expect("the file is readable");
    if path.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd(&bytes).expect("the file is undamaged");
    }
    serde_json::from_slice(&bytes).expect("the file is JSON")
}
