//! What is written into members, against real archives byte by byte and against the readers.

mod common;
mod manifest_support;

use common::{archives_under, bundled, decode_by_oracle, in_chunks, read_tar, shared};
use icecore_archive::{
    manifest::{Manifest, ManifestError, Storage},
    members::{MemberKind, classify},
    storage::{StorageEvent, StorageReader},
    tar::{TarEvent, TarKind, TarReader},
    writing::{
        manifest::{ManifestEdit, ManifestRewriter},
        storage::{StorageEncoder, StorageSize},
        tar::{END_BLOCKS, HEADER_BYTES, TarEncoder, member_bytes},
    },
};
use icecore_types::{Account, LATTICE_BYTES, Pubkey, Record};
use manifest_support::{gzip, members, tiny_full};
use proptest::prelude::*;

/// A member's header and padding around content that is not there.
fn header(member: MemberKind, content_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    TarEncoder::new().member(member, content_bytes, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// Sets times and owners of a header, which are the writer's, to zero.
fn without_writer(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    let is_storage = header[100] == 0;
    if !is_storage {
        header[108..124].copy_from_slice(b"0000000\x000000000\x00");
    }
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
    header
}

/// Whether all members of an archive are written as they were; the number of members.
fn assert_headers(tar: &[u8], name: &str) -> usize {
    let listing = read_tar(tar, &[usize::MAX]).expect("it is sound");
    for (member, _) in &listing.members {
        let kind = classify(&member.path, member.kind).expect("it belongs");
        let read = &tar[member.offset as usize..][..HEADER_BYTES];
        assert_eq!(header(kind, member.size), without_writer(read), "{name}: {}", member.path);
    }
    listing.members.len()
}

#[test]
fn headers_are_those_of_the_reference_client() {
    for archive in archives_under(&bundled()) {
        let name = archive.display().to_string();
        assert!(assert_headers(&decode_by_oracle(&archive), &name) > 10, "{name}");
    }
    let Some(small) = shared("small") else { return };
    for archive in archives_under(&small) {
        assert_headers(&decode_by_oracle(&archive), &archive.display().to_string());
    }
}

#[test]
fn sizes_of_any_length_are_read_by_ours_and_by_the_tar_crate() {
    let member = MemberKind::Storage { slot: u64::MAX, id: u64::MAX };
    for size in [0, 1, 511, 512, (8 << 30) - 1, 8 << 30, 16 << 30] {
        let header = header(member, size);
        let mut input = &header[..];
        let read = TarReader::new().next(&mut input).expect("sound");
        let Some(TarEvent::Member(read)) = read else { panic!("a member comes") };
        assert_eq!((read.size, read.path), (size, member.to_string()));
        let header = tar::Header::from_byte_slice(&header);
        assert_eq!(header.entry_size().expect("a size"), size);
        assert_eq!(header.cksum().expect("a checksum"), {
            let spaces = 8 * u32::from(b' ');
            let bytes = header.as_bytes();
            let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
            sum(&bytes[..148]) + spaces + sum(&bytes[156..])
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tar_stream_is_read_back_whatever_the_pieces(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 0..12),
        piece in 1usize..700,
    ) {
        let mut tar = Vec::new();
        let mut encoder = TarEncoder::new();
        let mut sum = 0;
        for (slot, content) in contents.iter().enumerate() {
            let member = MemberKind::Storage { slot: slot as u64, id: 7 };
            encoder.member(member, content.len() as u64, &mut |bytes| tar.extend_from_slice(bytes));
            for piece in content.chunks(piece) {
                encoder.content(piece, &mut |bytes| tar.extend_from_slice(bytes));
            }
            sum += member_bytes(content.len() as u64);
            prop_assert_eq!(encoder.offset(), sum);
        }
        encoder.finish(&mut |bytes| tar.extend_from_slice(bytes));
        prop_assert_eq!(tar.len(), sum as usize + END_BLOCKS.len());
        let listing = read_tar(&tar, &[usize::MAX]).expect("it is sound");
        prop_assert!(listing.padding.is_empty());
        prop_assert_eq!(listing.members.len(), contents.len());
        for ((member, read), content) in listing.members.iter().zip(&contents) {
            prop_assert_eq!(member.kind, TarKind::Regular);
            prop_assert_eq!(read, content);
        }
    }

    #[test]
    fn a_storage_is_read_back_and_has_the_size_that_was_computed(
        accounts in proptest::collection::vec(
            (
                any::<[u8; 32]>(),
                prop_oneof![Just(0u64), 1..u64::MAX],
                any::<[u8; 32]>(),
                any::<bool>(),
                any::<u64>(),
                proptest::collection::vec(any::<u8>(), 0..300),
            ),
            1..20,
        ),
    ) {
        let accounts: Vec<_> = accounts
            .into_iter()
            .map(|(pubkey, lamports, owner, executable, rent_epoch, data)| {
                let owner = Pubkey(owner);
                let account = Account { lamports, data, owner, executable, rent_epoch };
                (Pubkey(pubkey), account)
            })
            .collect();
        let mut size = StorageSize::new();
        let mut encoder = StorageEncoder::new();
        let mut storage = Vec::new();
        for (pubkey, account) in &accounts {
            size.add(account.lamports, account.data.len() as u64);
            let account = account.borrowed(pubkey);
            encoder.account(&account, &mut |bytes| storage.extend_from_slice(bytes));
            prop_assert_eq!(storage.len() as u64, size.bytes());
            prop_assert_eq!(encoder.bytes(), size.bytes());
        }
        let read = records(&storage);
        prop_assert_eq!(read.len(), accounts.len());
        for ((pubkey, account), record) in accounts.into_iter().zip(read) {
            let expected = match account.lamports {
                0 => Account::default(),
                _ => account,
            };
            prop_assert_eq!(record, (pubkey, expected));
        }
    }
}

/// The accounts of a storage in which nothing is wrong.
fn records(storage: &[u8]) -> Vec<(Pubkey, Account)> {
    let account = |offset| {
        let record = Record::parse(&storage[offset..]).expect("it is whole");
        record.account().to_owned()
    };
    record_offsets(storage).into_iter().map(account).collect()
}

/// Where the records of a storage begin in which nothing is wrong.
fn record_offsets(storage: &[u8]) -> Vec<usize> {
    let mut reader = StorageReader::new(storage.len() as u64, None);
    let mut found = Vec::new();
    in_chunks(storage, &[usize::MAX], |input| {
        while let Some(event) = reader.next(input)? {
            match event {
                StorageEvent::Record { offset, .. } => found.push(offset as usize),
                StorageEvent::End { .. } => return Ok(()),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    })
    .expect("storages have faults, not errors");
    found
}

#[test]
fn storages_of_the_reference_client_are_written_as_they_are() {
    let mut archives = archives_under(&bundled());
    archives.extend(shared("small").map_or(Vec::new(), |small| archives_under(&small)));
    for archive in archives {
        for (file, mut storage) in members(&archive).storages {
            // Behind the executable byte there are 7 that mean nothing; some are left from before.
            for offset in record_offsets(&storage) {
                storage[offset + 97..offset + 104].fill(0);
            }
            let mut encoder = StorageEncoder::new();
            let mut written = Vec::new();
            for (pubkey, account) in records(&storage) {
                let account = account.borrowed(&pubkey);
                encoder.account(&account, &mut |bytes| written.extend_from_slice(bytes));
            }
            // The padding of a record behind which another one was cut out while archiving.
            let padded = written.len().next_multiple_of(8);
            if storage.len() == padded {
                written.resize(padded, 0);
            }
            assert!(written == storage, "{}: {file}", archive.display());
        }
    }
}

/// Rewrites a manifest that comes in chunks.
fn rewrite(
    manifest: &[u8],
    edit: &ManifestEdit<'_>,
    chunk: usize,
) -> Result<Vec<u8>, ManifestError> {
    let mut written = Vec::new();
    let mut rewriter = ManifestRewriter::new(edit.clone());
    for chunk in manifest.chunks(chunk) {
        rewriter.feed(chunk, &mut |bytes| written.extend_from_slice(bytes))?;
    }
    let rewritten = rewriter.finish()?;
    assert_eq!(rewritten.bytes, written.len() as u64);
    Ok(written)
}

#[test]
fn a_manifest_that_is_not_changed_keeps_its_bytes() {
    let nothing = ManifestEdit::default();
    let tiny = tiny_full().manifest;
    for chunk in [1, 7, 4096, usize::MAX] {
        assert!(rewrite(&tiny, &nothing, chunk).expect("sound") == tiny, "{chunk}");
    }
    let Some(data) = shared("") else { return };
    let mut seen = 0;
    for archive in archives_under(&data) {
        if archive.starts_with(data.join("damaged")) {
            continue;
        }
        let manifest = members(&archive).manifest;
        let written = rewrite(&manifest, &nothing, 100_000).expect("sound");
        assert!(written == manifest, "{}", archive.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    let testnet = gzip(&data.join("testnet-manifest/manifest-417955321.bin.gz"));
    assert!(rewrite(&testnet, &nothing, 1 << 20).expect("sound") == testnet);
}

#[test]
fn a_manifest_changes_in_what_is_named_and_nowhere_else() {
    let bytes = tiny_full().manifest;
    let (mut expected, _) = Manifest::decode(&bytes).expect("sound");
    let storages: Vec<_> = (0..5000u64)
        .map(|slot| (slot, Storage { id: slot + 1, accounts_current_len: 8 * slot + 136 }))
        .collect();
    let lattice = Box::new([9u8; LATTICE_BYTES]);

    expected.accounts_db.storages =
        storages.iter().map(|(slot, storage)| (*slot, vec![*storage])).collect();
    let bank = &mut expected.bank;
    assert_eq!(bank.scalars.epoch, 0, "as 4.1 and later write it");
    bank.scalars.slot = 1_000_000;
    bank.scalars.epoch = bank.scalars.epoch_schedule.epoch_of(1_000_000);
    bank.scalars.capitalization += 1;
    bank.hashes.hash.0 = [3; 32];
    expected.accounts_db.scalars.slot = 1_000_000;
    expected.extra.epoch_accounts_hash = Some(bank.hashes.hash);
    expected.extra.accounts_lt_hash = Some(icecore_types::LatticeHash::from_bytes(&lattice));
    expected.extra.block_id = None;

    let edit = ManifestEdit {
        storages: Some(&storages),
        hashes: Some(expected.bank.hashes),
        scalars: Some(Box::new(expected.bank.scalars.clone())),
        accounts_db: Some(expected.accounts_db.scalars),
        incremental_snapshot_persistence: Some(None),
        epoch_accounts_hash: Some(expected.extra.epoch_accounts_hash),
        accounts_lattice_hash: Some(&lattice),
        block_id: Some(None),
    };
    for chunk in [13, 1 << 10, usize::MAX] {
        let written = rewrite(&bytes, &edit, chunk).expect("sound");
        assert!(written == expected.encode(), "{chunk}");
    }
}

#[test]
fn a_field_that_is_not_there_cannot_be_changed() {
    let bytes = tiny_full().manifest;
    let (mut manifest, _) = Manifest::decode(&bytes).expect("sound");
    manifest.last_field = icecore_archive::manifest::LastField::VersionedEpochStakes;
    let short = manifest.encode();
    let lattice = Box::new([9u8; LATTICE_BYTES]);
    let edit = ManifestEdit { accounts_lattice_hash: Some(&lattice), ..ManifestEdit::default() };
    let error = rewrite(&short, &edit, 4096).expect_err("it has no lattice hash");
    assert_eq!(
        error.to_string(),
        "the manifest ends with VersionedEpochStakes, so that its accounts_lt_hash cannot be changed"
    );
    let edit = ManifestEdit { block_id: Some(None), ..ManifestEdit::default() };
    assert!(rewrite(&short, &edit, 4096).is_err());
    assert!(rewrite(&short, &ManifestEdit::default(), 4096).expect("sound") == short);
    // Damage is what it is to every reader.
    let cut = &bytes[..bytes.len() - 1];
    assert!(rewrite(cut, &ManifestEdit::default(), 4096).is_err());
}

#[test]
fn a_manifest_of_any_age_gets_a_list_of_storages() {
    let Some(data) = shared("legacy") else { return };
    let storages = [(5, Storage { id: 0, accounts_current_len: 136 })];
    let edit = ManifestEdit { storages: Some(&storages), ..ManifestEdit::default() };
    for archive in archives_under(&data) {
        let written = rewrite(&members(&archive).manifest, &edit, 5000).expect("sound");
        let (manifest, _) = Manifest::decode(&written).expect("sound");
        assert_eq!(manifest.accounts_db.storages, [(5, vec![storages[0].1])]);
    }
}
