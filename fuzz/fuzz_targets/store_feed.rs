//! Slot feeds: no panic, the same items however the bytes are cut, and what was read is written as it
//! was.
//!
//! The first byte says how the rest is cut, and whether it stands behind a sound header.

#![no_main]

use icecore_store::feed::{FeedError, FeedItem, FeedReader, FeedWriter};
use libfuzzer_sys::fuzz_target;

/// What the items of a feed encode to, how many there are without pieces, and how the feed ends.
fn read(bytes: &[u8], chunk_bytes: usize) -> (Vec<u8>, usize, Result<(), FeedError>) {
    let mut written = Vec::new();
    let mut writer = FeedWriter::new(&mut written);
    let mut reader = FeedReader::new();
    let mut items = 0;
    for mut input in bytes.chunks(chunk_bytes.max(1)) {
        loop {
            match reader.next(&mut input) {
                Ok(Some((_, item))) => {
                    items +=
                        usize::from(!matches!(item, FeedItem::Bank(_) | FeedItem::StatusCache(_)));
                    writer.write(&item, &mut written);
                }
                Ok(None) => break,
                Err(error) => return (written, items, Err(error)),
            }
        }
        assert!(input.is_empty());
    }
    (written, items, reader.finish())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let mut feed = Vec::new();
    if choice & 0x80 != 0 {
        FeedWriter::new(&mut feed);
    }
    feed.extend_from_slice(bytes);
    let (written, items, end) = read(&feed, usize::MAX);
    assert_eq!((items, end), {
        let (_, items, end) = read(&feed, usize::from(choice & 0x7f));
        (items, end)
    });
    if items > 0 {
        assert!(feed.starts_with(&written), "what was read is what stands there");
    }
    if end.is_ok() {
        assert_eq!(written, feed);
    }
});
