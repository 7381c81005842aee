//! Archive names: what parses is shown as it was read.

#![no_main]

use icecore_archive::{
    choose::{Candidate, best_pair},
    names::ArchiveName,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut candidates = Vec::new();
    for file in text.lines() {
        if let Ok(name) = ArchiveName::parse(file) {
            let shown = name.to_string();
            assert_eq!(ArchiveName::parse(&shown).as_ref(), Ok(&name));
            candidates.push(Candidate {
                name,
                file: file.to_string(),
                remote: file.len() % 2 == 0,
            });
        }
    }
    if let Some((full, incremental)) = best_pair(&candidates) {
        assert!(!full.name.is_incremental());
        if let Some(incremental) = incremental {
            assert_eq!(incremental.name.base(), Some(full.name.slot()));
        }
        let effective = incremental.unwrap_or(full).name.slot();
        for other in candidates.iter().filter(|candidate| !candidate.name.is_incremental()) {
            assert!(other.name.slot() <= effective, "a better full archive was there");
        }
    }
});
