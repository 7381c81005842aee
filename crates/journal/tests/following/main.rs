//! Following a journal: cursors, subscriptions, projections, questions about ancestry, typed
//! payloads.

mod cursors;
mod graphs;
mod projections;
mod subscriptions;
mod typed;

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, CreateOptions, Durability, Error, Followed, Indexes, Journal, NewEvent,
    Options, Receipt,
};

const FOLDER: &str = "/journal";

/// Small segments, and no threads.
fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        ..Options::default()
    }
}

fn shared(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn created(disk: &SimulatedDisk) -> Journal {
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    Journal::create_on(shared(disk), FOLDER, create, options()).expect("created")
}

fn opened(disk: &SimulatedDisk) -> Journal {
    Journal::open_on(shared(disk), Path::new(FOLDER), options()).expect("opened")
}

fn append(journal: &Journal, event: &NewEvent<'_>, durability: Durability) -> Receipt {
    let options = AppendOptions { durability, ..AppendOptions::default() };
    journal.append(&Batch::of(event).expect("fits"), &options).expect("appended")
}

/// Appends events of stream `s<n % 3>` and kind `n % 2` whose payloads are their numbers.
fn fill(journal: &Journal, numbers: std::ops::Range<u64>, durability: Durability) {
    for number in numbers {
        try_fill(journal, number, durability).expect("appended");
    }
}

fn try_fill(journal: &Journal, number: u64, durability: Durability) -> Result<Receipt, Error> {
    let stream = format!("s{}", number % 3);
    let payload = number.to_le_bytes();
    let event = NewEvent::new(stream.as_bytes(), (number % 2) as u16, &payload);
    let options = AppendOptions { durability, ..AppendOptions::default() };
    journal.append(&Batch::of(&event)?, &options)
}

fn number_of(event: &icecore_journal::Event) -> u64 {
    u64::from_le_bytes(event.payload().try_into().expect("eight bytes"))
}

fn numbers(batch: Vec<Followed>) -> Vec<u64> {
    batch.into_iter().map(|followed| number_of(&followed.into_event().expect("kept"))).collect()
}

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
