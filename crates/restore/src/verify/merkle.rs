//! The Merkle accounts hash of archives that are named by one.

use icecore_hash::{merkle_accounts_hash, with_epoch_accounts_hash};

use super::Examination;
use crate::{
    Error, Source,
    checks::{Merkle, names_hash_by_merkle},
    first_look::ArchiveFacts,
    pipeline::{batch::Place, run::pass},
    second_look::{MerkleScope, MerkleWorker, RULES, SecondLook},
};

impl Examination<'_> {
    /// The Merkle accounts hash that the name of the last of `sources` should be, if it is not
    /// that of a lattice hash. Records of 2.x hold no account hash, and which fields one covers is
    /// not stated: the rule that gives the name holds.
    pub(super) fn merkle(
        &mut self,
        sources: &mut [(&mut Source, &ArchiveFacts)],
        excluded: &[Place],
        with_tombstones: bool,
    ) -> Result<Option<Merkle>, Error> {
        let (source, facts) = sources.last().expect("of one archive at least");
        let (named, slot) = (*source.name().hash(), source.name().slot());
        if !names_hash_by_merkle(facts, &named) {
            return Ok(None);
        }
        let epoch_accounts_hash =
            facts.manifest.as_ref().and_then(|manifest| manifest.epoch_accounts_hash.as_ref());
        let mut first = None;
        for rule in RULES {
            let scope = MerkleScope { excluded, with_tombstones, rule, slot };
            let (merkle, without_hash) = self.merkle_by(sources, scope)?;
            let name = match epoch_accounts_hash {
                Some(epoch_accounts_hash) => {
                    with_epoch_accounts_hash(&merkle.root, epoch_accounts_hash)
                }
                None => merkle.root,
            };
            if name == named {
                return Ok(Some(merkle));
            }
            first.get_or_insert(merkle);
            if without_hash == 0 {
                break;
            }
        }
        Ok(first)
    }

    fn merkle_by(
        &mut self,
        sources: &mut [(&mut Source, &ArchiveFacts)],
        scope: MerkleScope<'_>,
    ) -> Result<(Merkle, u64), Error> {
        let (mut leaves, mut delta) = (Vec::new(), Vec::new());
        let mut merkle = Merkle::default();
        let mut without_hash = 0;
        for (source, facts) in sources {
            self.progress.begin(format!("account hashes of {}", source.label()));
            self.progress.expect_bytes(source.bytes().unwrap_or(0));
            let incremental = source.name().is_incremental();
            let threads = self.options.threads;
            let workers = (0..threads.workers).map(|_| MerkleWorker::new(scope)).collect();
            let (workers, _) = pass(
                source.read("it is named by a Merkle accounts hash")?,
                incremental,
                threads.decompressors,
                workers,
                &mut SecondLook::new(facts),
                self.progress,
            )?;
            for mut worker in workers {
                leaves.append(&mut worker.leaves);
                delta.append(&mut worker.delta);
                merkle.wrong.append(&mut worker.wrong);
                merkle.wrong_count += worker.wrong_count;
                without_hash += worker.without_hash;
            }
        }
        leaves.sort_unstable_by_key(|(key, _)| *key);
        merkle.root = merkle_accounts_hash(leaves.into_iter().map(|(_, hash)| hash));
        // The last write of a key in the slot is the one that counts.
        delta.sort_unstable_by_key(|(key, place, _)| (*key, std::cmp::Reverse(*place)));
        delta.dedup_by_key(|(key, ..)| *key);
        merkle.delta = merkle_accounts_hash(delta.into_iter().map(|(.., hash)| hash));
        merkle.wrong.sort_by_key(|wrong| (wrong.place, wrong.offset));
        Ok((merkle, without_hash))
    }
}
