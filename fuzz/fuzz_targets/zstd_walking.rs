//! Walking zstd frames: no panic, the same borders however the bytes are cut, and each frame's bytes
//! are what decompresses as one frame.

#![no_main]

use icecore_archive::{
    zstd_frames::{FrameEvent, FrameWalker},
    zstd_stream::ZstdFrameDecoder,
};
use libfuzzer_sys::fuzz_target;

/// The walk in words, the frames' bytes, and whether the walk met damage: what was given of the
/// frame at hand before that depends on the chunking.
fn walk(bytes: &[u8], chunk: usize) -> (String, Vec<Vec<u8>>, bool) {
    let mut walker = FrameWalker::new();
    let mut said = String::new();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        let mut input = chunk;
        loop {
            match walker.next(&mut input) {
                Ok(Some(FrameEvent::FrameStart { header })) => {
                    said.push_str(&format!("{header:?}\n"));
                    frames.push(Vec::new());
                }
                Ok(Some(FrameEvent::Bytes(bytes))) => {
                    frames.last_mut().expect("bytes are a frame's").extend_from_slice(bytes);
                }
                Ok(Some(FrameEvent::FrameEnd { offset })) => said.push_str(&format!("{offset}\n")),
                Ok(Some(FrameEvent::Trailing { offset })) => {
                    said.push_str(&format!("t {offset}\n"))
                }
                Ok(None) => break,
                Err(error) => return (said + &format!("{error:?}"), frames, true),
            }
        }
    }
    (said + &format!("{:?}", walker.finish()), frames, false)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    let (said, frames, damaged) = walk(bytes, usize::MAX);
    let (again, frames_again, _) = walk(bytes, usize::from(chunk));
    assert_eq!(again, said);
    assert!(damaged || frames_again.concat() == frames.concat());
    let mut decoder = ZstdFrameDecoder::new();
    let mut output = vec![0; 1 << 12];
    for frame in frames.iter().filter(|frame| frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])) {
        decoder.reset();
        let mut input = &frame[..];
        // A few bytes may state a great many: only the first blocks are looked at.
        for _ in 0..64 {
            match decoder.decode(&mut input, &mut output) {
                Ok(step) if step.frame_done => {
                    assert!(input.is_empty(), "the walker's frame is longer than zstd's");
                    break;
                }
                Ok(step) if input.is_empty() && step.written < output.len() => break,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
});
