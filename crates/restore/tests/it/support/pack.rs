//! Containers: any to plain tar, plain tar to zstd and lz4 frames.

use std::io::Write;

use icecore_archive::{
    Error,
    container::{ContainerKind, Detection, detect},
    stream::ContainerDecoder,
};

/// The tar stream in a container.
pub(crate) fn unpack(container: &[u8]) -> Result<Vec<u8>, Error> {
    let kind = match detect(container) {
        Detection::Known(kind) => kind,
        other => {
            let what = match other {
                Detection::Unknown { what } => what,
                _ => "too short",
            };
            return Err(Error::NotAContainer { offset: 0, what });
        }
    };
    if kind == ContainerKind::Tar {
        return Ok(container.to_vec());
    }
    let mut decoder = ContainerDecoder::new(kind);
    let mut input = container;
    let mut tar = Vec::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let step = decoder.decode(&mut input, &mut buffer)?;
        tar.extend_from_slice(&buffer[..step.written]);
        if input.is_empty() && step.written < buffer.len() && !step.frame_done {
            decoder.finish()?;
            return Ok(tar);
        }
    }
}

/// One zstd frame at level 1, without checksum.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_frame(bytes, false)
}

/// One zstd frame at level 1.
pub(crate) fn zstd_frame(bytes: &[u8], with_checksum: bool) -> Vec<u8> {
    let mut context = zstd_safe::CCtx::create();
    for parameter in [
        zstd_safe::CParameter::CompressionLevel(1),
        zstd_safe::CParameter::ChecksumFlag(with_checksum),
    ] {
        context.set_parameter(parameter).expect("a known parameter");
    }
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    context.compress2(&mut frame, bytes).expect("there is room");
    frame
}

/// One lz4 frame.
pub(crate) fn lz4(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
