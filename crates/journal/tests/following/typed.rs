//! Typed payloads through a journal: older versions are brought up to date when they are read.

use icecore_journal::{KindError, Kinds, Payload, PayloadError};

use super::*;

/// A text of any size.
#[derive(Debug, PartialEq)]
struct Note(Vec<u8>);

impl Payload for Note {
    const KIND: u16 = 9;
    const VERSION: u16 = 1;
    const NAME: &'static str = "note";

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(&self.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        Ok(Self(bytes.to_vec()))
    }
}

/// An account was opened; version 1 had no limit.
#[derive(Debug, PartialEq)]
struct OpenedOld(u64);

#[derive(Debug, PartialEq)]
struct Opened {
    account: u64,
    limit: u64,
}

fn number(bytes: &[u8]) -> Result<u64, PayloadError> {
    let bytes = bytes.try_into().map_err(|_| PayloadError::new("eight bytes are a number"))?;
    Ok(u64::from_le_bytes(bytes))
}

impl Payload for OpenedOld {
    const KIND: u16 = 7;
    const VERSION: u16 = 1;
    const NAME: &'static str = "opened";

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        Ok(Self(number(bytes)?))
    }
}

impl Payload for Opened {
    const KIND: u16 = 7;
    const VERSION: u16 = 2;
    const NAME: &'static str = "opened";

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.account.to_le_bytes());
        out.extend(self.limit.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let (account, limit) = bytes.split_at_checked(8).ok_or(PayloadError::new("too short"))?;
        Ok(Self { account: number(account)?, limit: number(limit)? })
    }
}

fn old_kinds() -> Kinds {
    Kinds::builder().register::<OpenedOld>().build().expect("sound")
}

fn new_kinds() -> Kinds {
    let with_limit = |bytes: &[u8]| Ok([bytes, &100u64.to_le_bytes()].concat());
    Kinds::builder().register::<Opened>().upcast(7, 1, with_limit).build().expect("sound")
}

#[test]
fn a_payload_of_an_older_version_is_read_as_the_newest_one() {
    let disk = SimulatedDisk::new(1);
    let create = CreateOptions::default();
    let old = Options { kinds: old_kinds(), ..options() };
    let journal = Journal::create_on(shared(&disk), FOLDER, create, old).expect("created");
    let mut batch = Batch::new();
    batch.push_typed(b"accounts", &OpenedOld(5)).expect("fits");
    journal.append(&batch, &AppendOptions::default()).expect("appended");
    journal.close().expect("closed");

    let new = Options { kinds: new_kinds(), ..options() };
    let journal = Journal::open_on(shared(&disk), FOLDER, new).expect("opened");
    let mut buffer = b"left over".to_vec();
    let opened = Opened { account: 6, limit: 9 };
    let event = NewEvent::typed(b"accounts", &opened, &mut buffer);
    append(&journal, &event, Durability::Durable);
    let read =
        |sequence, kinds: &Kinds| journal.read(sequence).expect("read").decode::<Opened>(kinds);
    assert_eq!(read(0, &new_kinds()).expect("brought up"), Opened { account: 5, limit: 100 });
    assert_eq!(read(1, &new_kinds()).expect("decoded"), opened);

    let event = journal.read(1).expect("read");
    let newer = event.decode::<OpenedOld>(&old_kinds());
    assert!(matches!(newer, Err(Error::Kind(KindError::Newer { found: 2, known: 1, .. }))));
    append(&journal, &NewEvent::new(b"accounts", 8, b""), Durability::Durable);
    let other = read(2, &new_kinds());
    assert!(matches!(other, Err(Error::Kind(KindError::OtherKind { found: 8, .. }))));
}

#[test]
fn a_large_payload_is_decoded_where_it_lies() {
    let disk = SimulatedDisk::new(1);
    let kinds = Kinds::builder().register::<Note>().build().expect("sound");
    let create = CreateOptions::default();
    let journal = Journal::create_on(shared(&disk), FOLDER, create, options()).expect("created");
    let notes = [Note(vec![1; 100]), Note(vec![2; 300_000])];
    let mut batch = Batch::new();
    for note in &notes {
        batch.push_typed(b"notes", note).expect("fits");
    }
    journal.append(&batch, &AppendOptions::default()).expect("appended");
    for (sequence, note) in (0..).zip(&notes) {
        let event = journal.read(sequence).expect("read");
        assert_eq!(journal.decode::<Note>(&event, &kinds).expect("decoded"), *note);
    }
    let refused = journal.read(1).expect("read").decode::<Note>(&kinds);
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
}
