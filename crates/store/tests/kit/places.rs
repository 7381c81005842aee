//! What a view says of the places of its records, read as an archive reads them.

use std::{collections::BTreeMap, ops::ControlFlow};

use icecore_store::{Error, KeyPart, Locator, View};
use icecore_types::{Account, Pubkey, Slot};

/// Accounts with the slots in which they were last written; closed ones, too.
pub(crate) type Written = BTreeMap<Pubkey, (Slot, Account)>;

/// What is told of a place.
type Visit<'a> = &'a mut dyn FnMut(Locator) -> ControlFlow<()>;

/// Places of records, in the order in which they lie: of all keys at once, and the same by parts.
fn places(walk: impl Fn(KeyPart, Visit<'_>) -> Result<(), Error>) -> Result<Vec<Locator>, Error> {
    let of = |parts: &[KeyPart]| {
        let mut places = Vec::new();
        for part in parts {
            walk(*part, &mut |place| {
                places.push(place);
                ControlFlow::Continue(())
            })?;
        }
        places.sort_unstable();
        Ok::<_, Error>(places)
    };
    let places = of(&[KeyPart::ALL])?;
    for count in [3, KeyPart::COUNT_MAX] {
        assert_eq!(of(&KeyPart::parts(count))?, places, "{count} parts");
    }
    Ok(places)
}

/// What lies there. Heads say what records do.
fn read(view: &View, places: &[Locator]) -> Result<Written, Error> {
    view.fetch(places)?;
    let mut heads = Vec::new();
    view.record_heads(places, |place, head| {
        heads.push((head.written, head.lamports, head.data_bytes));
        assert_eq!(place.class().is_live(), head.lamports > 0);
    })?;
    let mut found = Written::new();
    let mut heads = heads.into_iter();
    view.read_records(places, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        let head = (visited.written, account.lamports, account.data.len() as u64);
        assert_eq!(heads.next(), Some(head));
        let before = found.insert(pubkey, (visited.written, account));
        assert!(before.is_none(), "each account comes once");
    })?;
    assert!(heads.next().is_none());
    Ok(found)
}

/// All live accounts.
pub(crate) fn live(view: &View) -> Result<Written, Error> {
    read(view, &places(|part, visit| view.for_each_live(part, visit))?)
}

/// What was written after a slot; `None`: that is not known.
pub(crate) fn written_after(view: &View, base: Slot) -> Result<Option<Written>, Error> {
    match places(|part, visit| view.for_each_written_after(base, part, visit)) {
        Ok(places) => {
            assert!(view.knows_since(base));
            read(view, &places).map(Some)
        }
        Err(Error::NotSince { base: told, slot, first }) => {
            assert!(!view.knows_since(base));
            assert_eq!((told, slot), (base, view.slot().number));
            assert!(base < first && view.knows_since(first), "{base} {first}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
