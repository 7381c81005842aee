//! What the tests share: where data lies, chunking, decoding by the libraries that are the oracles.

#![allow(dead_code, unreachable_pub, reason = "every test program uses its part of this")]

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use icecore_archive::{
    Error,
    container::{ContainerKind, Detection, detect},
    stream::ContainerDecoder,
    tar::{TarEnd, TarEvent, TarMember, TarReader},
};

/// The archives bundled with the project.
pub fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A folder of the data shared by all checkouts, if this machine has it.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// All archives under a folder, by path.
pub fn archives_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let name = path.to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".tar.zst")
                || name.ends_with(".tar.lz4")
                || name.ends_with(".tar")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Gives `bytes` piece by piece to `step`, in pieces as long as `sizes` says, round and round; what
/// a step leaves is given again with the next piece. After the last piece there is an empty one.
pub fn in_chunks<'a>(
    bytes: &'a [u8],
    sizes: &[usize],
    mut step: impl FnMut(&mut &'a [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut begin = 0;
    let mut end = 0;
    for size in sizes.iter().map(|size| (*size).max(1)).cycle() {
        end = bytes.len().min(end + size);
        let mut input = &bytes[begin..end];
        step(&mut input)?;
        begin = end - input.len();
        if end == bytes.len() {
            break;
        }
    }
    let mut input = &bytes[begin..];
    step(&mut input)
}

/// Decodes a whole file with the container decoder, with the given sizes of input and output.
pub fn decode(bytes: &[u8], inputs: &[usize], output_bytes: usize) -> Result<Vec<u8>, Error> {
    let kind = match detect(&bytes[..bytes.len().min(512)]) {
        Detection::Known(kind) => kind,
        Detection::Unknown { what } => return Err(Error::NotAContainer { offset: 0, what }),
        other => panic!("the first bytes decide: {other:?}"),
    };
    decode_as(kind, bytes, inputs, output_bytes)
}

/// As [`decode`], for a kind that is known.
pub fn decode_as(
    kind: ContainerKind,
    bytes: &[u8],
    inputs: &[usize],
    output_bytes: usize,
) -> Result<Vec<u8>, Error> {
    let mut decoder = ContainerDecoder::new(kind);
    let mut decoded = Vec::new();
    let mut output = vec![0; output_bytes];
    in_chunks(bytes, inputs, |input| {
        loop {
            let progress = decoder.decode(input, &mut output)?;
            decoded.extend_from_slice(&output[..progress.written]);
            if progress.written < output.len() && !progress.frame_done {
                assert!(input.is_empty(), "it stops before the output is full");
                return Ok(());
            }
        }
    })?;
    decoder.finish()?;
    Ok(decoded)
}

/// Decodes a whole file with the libraries, no code of this crate.
pub fn decode_by_oracle(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("the file can be read");
    let name = path.to_string_lossy();
    let mut decoded = Vec::new();
    if name.ends_with(".zst") {
        let mut context = zstd_safe::DCtx::create();
        let mut input = zstd_safe::InBuffer::around(&bytes);
        let mut output = vec![0; 1 << 20];
        loop {
            let mut target = zstd_safe::OutBuffer::around(&mut output[..]);
            let hint = context.decompress_stream(&mut target, &mut input);
            decoded.extend_from_slice(target.as_slice());
            if hint.expect("it decodes") == 0 && input.pos() == bytes.len() {
                return decoded;
            }
        }
    }
    if name.ends_with(".lz4") {
        let mut decoder = lz4_flex::frame::FrameDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut decoded).expect("it decodes");
        return decoded;
    }
    bytes
}

/// A member with its content.
pub type Content = (TarMember, Vec<u8>);

/// A tar stream's members, the places of padding that is not zero, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    pub members: Vec<Content>,
    pub padding: Vec<u64>,
    pub end: TarEnd,
}

/// Reads a whole tar stream.
pub fn read_tar(bytes: &[u8], sizes: &[usize]) -> Result<Listing, Error> {
    let mut reader = TarReader::new();
    let mut members: Vec<Content> = Vec::new();
    let mut padding = Vec::new();
    let mut is_open = false;
    in_chunks(bytes, sizes, |input| {
        while let Some(event) = reader.next(input)? {
            match event {
                TarEvent::Member(member) => {
                    assert!(!is_open, "a member ends before the next begins");
                    assert_eq!(member.data_offset, reader.offset());
                    is_open = true;
                    members.push((member, Vec::new()));
                }
                TarEvent::Data(data) => {
                    assert!(is_open && !data.is_empty());
                    members.last_mut().expect("one is open").1.extend_from_slice(data);
                }
                TarEvent::MemberEnd => {
                    let (member, content) = members.last().expect("one is open");
                    assert!(is_open && content.len() as u64 == member.size);
                    is_open = false;
                }
                TarEvent::PaddingNotZero { offset } => padding.push(offset),
                TarEvent::EndBlocks => assert!(!is_open),
            }
        }
        assert!(input.is_empty(), "it asks for more with input left");
        Ok(())
    })?;
    assert_eq!(reader.offset(), bytes.len() as u64);
    let end = reader.finish()?;
    assert!(!is_open, "a stream that ends well has no open member");
    Ok(Listing { members, padding, end })
}
