//! Storages: no panic, the same records however the bytes are cut, in place or joined.

#![no_main]

use icecore_archive::storage::{StorageEvent, StorageReader};
use icecore_types::Record;
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], listed: Option<u64>, chunk: usize) -> String {
    let mut reader = StorageReader::new(bytes.len() as u64, listed);
    let mut said = String::new();
    let mut record = |offset: u64, number: u32, record: &[u8]| {
        let parsed = Record::parse(record).expect("a whole record");
        assert_eq!(136 + parsed.data.len(), record.len());
        let place = usize::try_from(offset).expect("within the input");
        assert_eq!(&bytes[place..place + record.len()], record);
        said.push_str(&format!("{number} at {offset}: {}\n", record.len()));
    };
    let mut faults = String::new();
    let chunks = bytes.chunks(chunk.max(1)).chain([&[][..]]);
    for chunk in chunks {
        let mut input = chunk;
        while let Some(event) = reader.next(&mut input).expect("no error is stated") {
            match event {
                StorageEvent::Record { offset, number, bytes } => record(offset, number, bytes),
                StorageEvent::Joined { offset, number, bytes } => record(offset, number, &bytes),
                event => faults.push_str(&format!("{event:?}\n")),
            }
        }
    }
    said + &faults
}

fuzz_target!(|bytes: &[u8]| {
    let [chunk, listed, bytes @ ..] = bytes else { return };
    let listed =
        (*listed != 0).then(|| u64::from(*listed) * 8).filter(|at| *at <= bytes.len() as u64);
    assert_eq!(read(bytes, listed, usize::from(*chunk)), read(bytes, listed, usize::MAX));
});
