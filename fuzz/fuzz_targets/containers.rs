//! Containers of every kind: no panic, no endless loop, the same content however the bytes are cut.

#![no_main]

use icecore_archive::{
    container::{ContainerKind, Detection, detect},
    stream::ContainerDecoder,
};
use libfuzzer_sys::fuzz_target;

/// Bytes of content that are looked at: a few bytes may state a great many.
const CONTENT_MAX: usize = 1 << 18;

fn content(kind: ContainerKind, bytes: &[u8], chunk: usize) -> (Vec<u8>, bool) {
    let mut decoder = ContainerDecoder::new(kind);
    let mut all = Vec::new();
    let mut output = vec![0; 4096];
    for chunk in bytes.chunks(chunk.max(1)) {
        let mut input = chunk;
        loop {
            match decoder.decode(&mut input, &mut output) {
                Ok(step) => {
                    all.extend_from_slice(&output[..step.written]);
                    if all.len() > CONTENT_MAX {
                        all.truncate(CONTENT_MAX);
                        return (all, false);
                    }
                    if input.is_empty() && step.written < output.len() {
                        break;
                    }
                }
                Err(_) => return (all, true),
            }
        }
    }
    (all, decoder.finish().is_err())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    let Detection::Known(kind) = detect(bytes) else { return };
    let (whole, damaged) = content(kind, bytes, usize::MAX);
    let (cut, damaged_cut) = content(kind, bytes, usize::from(chunk));
    // What libzstd says of damage, and how much it gives before, depends on the chunking; sound
    // content does not.
    if !damaged && !damaged_cut {
        assert!(whole == cut);
    }
});
