//! The Merkle accounts hash of archives that are named by one.

use icecore_hash::{merkle_accounts_hash, with_epoch_accounts_hash};

use super::{Examination, INCREMENTAL};
use crate::{
    Error, Source,
    checks::{Merkle, names_hash_by_merkle},
    destination::Destination,
    first_look::ArchiveFacts,
    pass::{Pipeline, batch::Place},
    second_look::{
        Excluded, Leaf, MerkleChoice, MerkleScope, MerkleWorker, OwnWrite, RULES, SecondLook,
        Storages,
    },
    spill::{SpillError, sorted::Sorted},
};

/// An archive: its feed, where it comes from, what the first look saw of it.
type Archive<'a> = (usize, &'a Source, &'a ArchiveFacts);

impl<'env, D: Destination> Examination<'env, D> {
    /// The Merkle accounts hash that the name of the last of `archives` should be, if it is not
    /// that of a lattice hash. Records of 2.x hold no account hash, and which fields one covers is
    /// not stated: the rule that gives the name holds.
    pub(super) fn merkle(
        &mut self,
        pipeline: &mut Pipeline<'_, '_, 'env>,
        archives: &[Archive<'_>],
        excluded: &Sorted<Place>,
        with_tombstones: bool,
    ) -> Result<Option<Merkle>, Error> {
        let (_, source, facts) = archives.last().expect("of one archive at least");
        let (named, slot) = (*source.name().hash(), source.name().slot());
        if !names_hash_by_merkle(facts, &named) {
            return Ok(None);
        }
        let epoch_accounts_hash =
            facts.manifest.as_ref().and_then(|manifest| manifest.epoch_accounts_hash.as_ref());
        let mut first = None;
        for rule in RULES {
            let scope = MerkleScope { with_tombstones, rule, slot };
            let (merkle, without_hash) = self.merkle_by(pipeline, archives, excluded, scope)?;
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
        pipeline: &mut Pipeline<'_, '_, 'env>,
        archives: &[Archive<'_>],
        excluded: &Sorted<Place>,
        scope: MerkleScope,
    ) -> Result<(Merkle, u64), Error> {
        let (mut leaves, mut delta) = (Vec::new(), Vec::new());
        let mut merkle = Merkle::default();
        let mut without_hash = 0;
        let bytes_max = self.plan.leaf_bytes(archives.len());
        for (feed, source, facts) in archives {
            self.progress.begin(format!("account hashes of {}", source.label()));
            self.progress.expect_bytes(source.bytes().unwrap_or(0));
            let excluded = Excluded::new(excluded, self.plan.reader_bytes())?;
            let choice = MerkleChoice { excluded, slot: scope.slot };
            let look = SecondLook::new(Storages::of(facts), choice);
            let worker = |spill| MerkleWorker::new(scope, bytes_max, spill);
            let workers = self.spills.iter().map(worker).collect();
            let reason = "it is named by a Merkle accounts hash";
            let is_incremental = *feed == INCREMENTAL;
            let (_, workers, _) = pipeline.pass(*feed, reason, is_incremental, look, workers)?;
            for mut worker in workers {
                leaves.push(worker.leaves.finish()?);
                delta.push(worker.delta.finish()?);
                merkle.wrong.append(&mut worker.wrong);
                merkle.wrong_count += worker.wrong_count;
                without_hash += worker.without_hash;
            }
        }
        merkle.root = self.root(leaves, |leaf: &Leaf| leaf.hash, |_, _| true)?;
        // The last write of a key in the slot is the one that counts; it comes first.
        let is_first = |before: &OwnWrite, write: &OwnWrite| before.key != write.key;
        merkle.delta = self.root(delta, |write: &OwnWrite| write.hash, is_first)?;
        merkle.wrong.sort_by_key(|wrong| (wrong.place, wrong.offset));
        Ok((merkle, without_hash))
    }

    /// The root over sorted lists, of those items that are wanted given the one before.
    fn root<T: crate::spill::item::Item>(
        &self,
        lists: Vec<Sorted<T>>,
        hash_of: fn(&T) -> icecore_types::Hash,
        is_wanted: impl Fn(&T, &T) -> bool,
    ) -> Result<icecore_types::Hash, Error> {
        let bytes_max = self.plan.reader_bytes();
        let list = Sorted::merged(lists, &self.found, bytes_max)?;
        let mut reader = list.reader(bytes_max)?;
        let mut before: Option<T> = None;
        let mut failure: Option<SpillError> = None;
        let hashes = std::iter::from_fn(|| {
            loop {
                let item = match reader.next() {
                    Ok(item) => item?,
                    Err(error) => {
                        failure = Some(error);
                        return None;
                    }
                };
                let wanted = before.as_ref().is_none_or(|before| is_wanted(before, &item));
                before = Some(item);
                if wanted {
                    return Some(hash_of(&item));
                }
            }
        });
        let root = merkle_accounts_hash(hashes);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(root),
        }
    }
}
