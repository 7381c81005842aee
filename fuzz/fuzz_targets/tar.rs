//! Tar streams: no panic, and the same events however the bytes are cut.

#![no_main]

use icecore_archive::tar::{TarEvent, TarReader};
use libfuzzer_sys::fuzz_target;

/// Everything that was said, pieces of content joined.
fn read(bytes: &[u8], chunk: usize) -> String {
    let mut reader = TarReader::new();
    let mut said = String::new();
    let mut content = 0u64;
    for chunk in bytes.chunks(chunk.max(1)) {
        let mut input = chunk;
        loop {
            match reader.next(&mut input) {
                Ok(Some(TarEvent::Data(data))) => {
                    assert!(!data.is_empty());
                    content = data.iter().fold(content, |sum, byte| {
                        sum.wrapping_mul(31).wrapping_add(u64::from(*byte) + 1)
                    });
                }
                Ok(Some(event)) => said.push_str(&format!("{content} {event:?}\n")),
                Ok(None) => break,
                Err(error) => return said + &format!("{content} {error:?}"),
            }
        }
        assert!(input.is_empty(), "what is not consumed must be an event or an error");
    }
    said + &format!("{content} {:?}", reader.finish())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    assert_eq!(read(bytes, usize::from(chunk)), read(bytes, usize::MAX));
});
