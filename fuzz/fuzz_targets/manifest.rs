//! Manifests: no panic, the same items however the bytes are cut, and items encode to what was read.

#![no_main]

use icecore_archive::manifest::{Manifest, ManifestDecoder};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], chunk: usize) -> (Vec<u8>, String) {
    let mut decoder = ManifestDecoder::new();
    let mut encoded = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        let fed = decoder.feed(chunk, &mut |offset, item| {
            assert_eq!(offset, encoded.len() as u64);
            item.encode(&mut encoded);
        });
        if let Err(error) = fed {
            return (encoded, format!("{error:?}"));
        }
    }
    let end = decoder.finish();
    (encoded, format!("{end:?}"))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, usize::MAX);
    assert!(bytes.starts_with(&whole.0), "items encode to the bytes that were read");
    assert!(decode(bytes, usize::from(chunk)) == whole);
    if let Ok((manifest, end)) = Manifest::decode(bytes) {
        let read = bytes.len() - usize::try_from(end.trailing_bytes).expect("within the input");
        assert_eq!(manifest.encode(), &bytes[..read]);
    }
});
