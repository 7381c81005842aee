//! Large content beside the chain: extents, payloads that become one, bulk sessions, the reserve.

mod bulk;
mod faults;
mod segments;
mod threads;
mod values;
mod writers;

use std::sync::Arc;

use icecore_disk::SimulatedDisk;
use icecore_journal::{
    AppendOptions, Batch, CreateOptions, Error, Extent, Journal, NewEvent, Options, Receipt,
};

const FOLDER: &str = "/journal";

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        data_segment_bytes_max: 256 << 10,
        stream_heads_max: 1 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// Bytes that no other seed gives.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in &mut content {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    content
}

fn create(disk: &SimulatedDisk) -> Journal {
    let disk = Arc::new(disk.clone());
    Journal::create_on(disk, FOLDER, CreateOptions::default(), options()).expect("created")
}

fn open(disk: &SimulatedDisk) -> Journal {
    try_open(disk).expect("opened")
}

fn try_open(disk: &SimulatedDisk) -> Result<Journal, Error> {
    Journal::open_on(Arc::new(disk.clone()), FOLDER, options())
}

/// A batch of one event that adopts extents.
fn adopting(extents: &[Extent]) -> Batch {
    let event = NewEvent { extents, ..NewEvent::new(b"things", 7, b"small") };
    Batch::of(&event).expect("fits")
}

fn append(journal: &Journal, batch: &Batch) -> Result<Receipt, Error> {
    journal.append(batch, &AppendOptions::default())
}

/// Names of the data segments that are there.
fn data_files(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.file_names().into_iter().map(|path| path.display().to_string());
    names.filter(|name| name.contains("/data-")).collect()
}
