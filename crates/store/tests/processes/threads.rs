//! Threads beside each other: one writes and roots, the store's own flushes, merges and compacts, and
//! others read all the while.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use icecore_store::At;

use crate::chain;

const LASTS: Duration = Duration::from_secs(3);

#[test]
fn readers_see_what_was_true_at_their_slot_while_everything_goes_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = chain::create(&folder.path().join("store"));
    let is_over = AtomicBool::new(false);
    let (slots, looks) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut chain = vec![chain::tip(&store)];
            while !is_over.load(Ordering::Relaxed) {
                let tip = *chain.last().expect("it begins with the base point");
                let pending = chain::extend(&store, tip).expect("committed");
                chain.push(pending.id());
                if chain.len().is_multiple_of(4) {
                    let rooted = store.root(chain[chain.len() - 3]).expect("rooted");
                    if chain.len().is_multiple_of(8) {
                        rooted.wait().expect("durable");
                    }
                }
                if chain.len().is_multiple_of(400) {
                    store.compact().expect("compacted");
                }
            }
            chain.len()
        });
        let readers: Vec<_> = (0..2u64)
            .map(|reader| {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    let (mut looks, mut last_root) = (0, 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let root = chain::check_some(store, looks * 7 + reader).expect("read");
                        assert!(root >= last_root, "the root goes on");
                        last_root = root;
                        looks += 1;
                        if looks % 10 == 0 {
                            held.push(store.view(At::Root).expect("view"));
                        }
                        if let Some(view) = held.get(looks as usize * 13 % 7) {
                            chain::check(view).expect("read");
                        }
                    }
                    held.iter().for_each(|view| chain::check(view).expect("read"));
                    looks
                })
            })
            .collect();
        std::thread::sleep(LASTS);
        is_over.store(true, Ordering::Relaxed);
        let looks: u64 = readers.into_iter().map(|reader| reader.join().expect("sound")).sum();
        (writer.join().expect("sound"), looks)
    });
    assert_eq!(store.keeping_error(), None);
    let windows = store.coverage().windows;
    assert!(slots > 50 && looks > 20, "{slots} slots, {looks} looks");
    assert!(windows.iter().any(|window| window.deltas > 0 || window.base.is_none()), "{windows:?}");
    store.close().expect("closed");
}
