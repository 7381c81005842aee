//! Status caches: no panic, the same however the bytes are cut, and what decodes encodes to itself.

#![no_main]

use icecore_archive::status_cache::{StatusCache, StatusCacheDecoder};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], chunk: usize) -> (Vec<u8>, String) {
    let mut decoder = StatusCacheDecoder::new();
    let mut encoded = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        if let Err(error) = decoder.feed(chunk, &mut |_, item| item.encode(&mut encoded)) {
            return (encoded, format!("{error:?}"));
        }
    }
    let end = decoder.finish();
    (encoded, format!("{end:?}"))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, usize::MAX);
    assert!(bytes.starts_with(&whole.0));
    assert!(decode(bytes, usize::from(chunk)) == whole);
    if let Ok(cache) = StatusCache::decode(bytes) {
        assert_eq!(cache.encode(), bytes);
    }
});
