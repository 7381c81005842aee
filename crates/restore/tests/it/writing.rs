//! Real archives taken to pieces and written anew by every encoder: they verify, and the reference
//! client loads them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use icecore_archive::{
    manifest::{BankScalars, ManifestItem, Storage},
    members::{MemberKind, VERSION},
    seek_table::{SeekFooter, SeekTable},
    status_cache::StatusCache,
    writing::{
        frame_encoder::Packing,
        frame_plan::FRAME_BYTES_DEFAULT,
        frame_writer::FrameWriter,
        manifest::{ManifestEdit, ManifestRewriter},
        storage::StorageEncoder,
        tar::{TarEncoder, member_bytes},
    },
};
use icecore_restore::{Answer, Genesis, Options};
use icecore_types::Record;

use crate::support::{
    Form, archives_in, failed, records, shared, strict, tiny, tiny_full, tiny_incremental, unpack,
    verify_files_with, warned,
};

/// The members of an archive, all their content encoded anew: storages by slot with ids from 1, a
/// true list of them in the manifest, and the slot's epoch.
fn encoded(form: &Form) -> Vec<(MemberKind, Vec<u8>)> {
    let slot = form.slot;
    let mut storages: Vec<_> = form
        .members
        .iter()
        .enumerate()
        .filter_map(|(index, member)| Some((member.storage()?.0, index)))
        .collect();
    storages.sort_unstable();
    let all = records(form);
    let mut members = Vec::new();
    let mut list = Vec::new();
    for (id, (slot, index)) in (1u64..).zip(storages) {
        let mut encoder = StorageEncoder::new();
        let mut content = Vec::new();
        for record in all.iter().filter(|record| record.member == index) {
            let record = Record::parse(record.bytes(form)).expect("it is whole");
            encoder.account(&record.account(), &mut |bytes| content.extend_from_slice(bytes));
        }
        let storage = Storage { id, accounts_current_len: encoder.bytes() };
        list.push((slot, storage));
        members.push((MemberKind::Storage { slot, id }, content));
    }

    let original = &form.members[form.index(&format!("snapshots/{slot}/{slot}"))].content;
    let edit = ManifestEdit {
        storages: Some(&list),
        scalars: Some(Box::new(with_epoch(original))),
        ..ManifestEdit::default()
    };
    let mut manifest = Vec::new();
    let mut rewriter = ManifestRewriter::new(edit);
    for chunk in original.chunks(1000) {
        rewriter.feed(chunk, &mut |bytes| manifest.extend_from_slice(bytes)).expect("sound");
    }
    rewriter.finish().expect("sound");

    let status_cache = &form.members[form.index("snapshots/status_cache")].content;
    let status_cache = StatusCache::decode(status_cache).expect("sound").encode();
    let mut head = vec![
        (MemberKind::Version, VERSION.as_bytes().to_vec()),
        (MemberKind::SnapshotsFolder, Vec::new()),
        (MemberKind::StatusCache, status_cache),
        (MemberKind::SlotFolder(slot), Vec::new()),
        (MemberKind::Manifest { folder: slot, file: slot }, manifest),
    ];
    head.append(&mut members);
    head
}

/// A manifest's bank fields of fixed size, with the epoch that belongs to the slot.
fn with_epoch(manifest: &[u8]) -> BankScalars {
    let mut found = None;
    let mut decoder = icecore_archive::manifest::ManifestDecoder::new();
    let mut visit = |_, item: ManifestItem<'_>| {
        if let ManifestItem::BankScalars(scalars) = item {
            found = Some(*scalars);
        }
    };
    decoder.feed(manifest, &mut visit).expect("sound");
    let mut scalars = found.expect("every manifest has them");
    scalars.epoch = scalars.epoch_schedule.epoch_of(scalars.slot);
    scalars
}

/// Writes an archive anew under its name.
fn rewrite(archive: &Path, folder: &Path, packing: Packing, frame_bytes: u32) -> PathBuf {
    let form = Form::read(archive);
    let mut file = Vec::new();
    let mut sink = |bytes: &[u8]| file.extend_from_slice(bytes);
    let mut writer = FrameWriter::new(packing, frame_bytes);
    let mut tar = TarEncoder::new();
    for (member, content) in encoded(&form) {
        let bytes = content.len() as u64;
        writer.member(member_bytes(bytes), &mut sink).expect("few frames");
        let mut write = |bytes: &[u8]| writer.write(bytes, &mut sink).expect("few frames");
        tar.member(member, bytes, &mut write);
        tar.content(&content, &mut write);
    }
    tar.finish(&mut |bytes| writer.write(bytes, &mut sink).expect("few frames"));
    writer.finish(&mut sink).expect("few frames");
    form.write_as(folder, packing.compression().extension(), &file)
}

/// Loads a pair with the reference client, if this machine has it, and compares with its truth.
fn load(full: &Path, incremental: Option<&Path>, set: &Path, truth: Option<&str>) {
    let Some(data) = shared("") else { return };
    let loader = data.join("../oracle/bin/agaveload");
    if !loader.exists() {
        eprintln!("skipped: {} is not there", loader.display());
        return;
    }
    let work = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(loader);
    command.arg("--full").arg(full).arg("--genesis").arg(set).arg("--work").arg(work.path());
    if let Some(incremental) = incremental {
        command.arg("--incremental").arg(incremental);
    }
    if let Some(truth) = truth {
        command.arg("--check").arg(set.join(truth));
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {said}", full.display());
}

/// Verifies, with warnings as failures.
fn verify(full: &Path, incremental: Option<&Path>, set: &Path) {
    let genesis = Genesis::read(set).ok();
    let options = Options { genesis, ..strict() };
    let report = verify_files_with(full, incremental, &options).expect("it can be read");
    for verdict in &report.archives {
        let name = full.display();
        assert_eq!(failed(verdict), [], "{name}");
        assert_eq!(warned(verdict), [], "{name}");
        assert_eq!(verdict.verdict, Answer::Consistent, "{name}");
    }
}

const PACKED: [(Packing, u32); 3] = [
    (Packing::Zstd { level: 1 }, FRAME_BYTES_DEFAULT),
    (Packing::Zstd { level: 7 }, 64 << 10),
    (Packing::Lz4, 64 << 10),
];

#[test]
fn what_is_written_is_consistent_and_the_reference_client_loads_it() {
    for (packing, frame_bytes) in PACKED {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let full = rewrite(&tiny_full(), folder.path(), packing, frame_bytes);
        verify(&full, None, &tiny());
        load(&full, None, &tiny(), Some("truth-full-46.json"));
        let incremental = rewrite(&tiny_incremental(), folder.path(), packing, frame_bytes);
        verify(&full, Some(&incremental), &tiny());
        load(&full, Some(&incremental), &tiny(), Some("truth-incremental-62.json"));
    }
    // The reference client does not read these any more.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let full = rewrite(&tiny_full(), folder.path(), Packing::Tar, FRAME_BYTES_DEFAULT);
    verify(&full, None, &tiny());
}

#[test]
fn ours_and_theirs_make_a_pair_either_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (packing, frame_bytes) = PACKED[1];
    let full = rewrite(&tiny_full(), folder.path(), packing, frame_bytes);
    let incremental = rewrite(&tiny_incremental(), folder.path(), packing, frame_bytes);
    for (full, incremental) in [(&full, &tiny_incremental()), (&tiny_full(), &incremental)] {
        verify(full, Some(incremental), &tiny());
        load(full, Some(incremental), &tiny(), Some("truth-incremental-62.json"));
    }
}

#[test]
fn archives_of_every_age_are_written_anew() {
    for (set, truth) in
        [("small", "truth-incremental-297.json"), ("old-2.3-lattice", "truth-incremental-56.json")]
    {
        let Some(set) = shared(set) else { return };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (full, incremental) = archives_in(&set);
        let incremental = incremental.expect("each set has one");
        let packing = Packing::Zstd { level: 1 };
        let full = rewrite(&full, folder.path(), packing, 1 << 20);
        let incremental = rewrite(&incremental, folder.path(), packing, 1 << 20);
        verify(&full, Some(&incremental), &set);
        load(&full, Some(&incremental), &set, Some(truth));
    }
}

#[test]
fn a_storage_is_found_through_the_seek_table_in_the_frames_that_hold_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let packing = Packing::Zstd { level: 3 };
    let full = rewrite(&tiny_full(), folder.path(), packing, 16 << 10);
    let file = fs::read(&full).expect("just written");
    let footer = SeekFooter::parse(file.last_chunk().expect("long enough")).expect("sound");
    let table_bytes = footer.expect("there is one").table_bytes();
    let table = &file[file.len() - table_bytes..];
    let table = SeekTable::parse(table, file.len() as u64).expect("sound");
    let frame = |frame: &icecore_archive::seek_table::SeekFrame| {
        let begin = frame.file_offset as usize;
        unpack(&file[begin..begin + frame.packed.frame_bytes as usize]).expect("a whole frame")
    };
    let tar: Vec<u8> = table.frames().iter().flat_map(frame).collect();
    assert_eq!(tar, unpack(&file).expect("sound"));

    // Most storages are smaller than a frame, and those lie in one but for few.
    let mut at = 0;
    let (mut whole, mut split) = (0, 0);
    for (_, content) in encoded(&Form::read(&tiny_full())) {
        let bytes = member_bytes(content.len() as u64);
        let first = table.frame_at(at).expect("within");
        let last = table.frame_at(at + bytes - 1).expect("within");
        let within = (at - first.content_offset) as usize;
        if first == last {
            whole += 1;
            let found = &frame(first)[within + 512..][..content.len()];
            assert!(found == content);
        } else if bytes < 4 << 10 {
            split += 1;
        }
        at += bytes;
    }
    assert!(whole > 35, "{whole}");
    assert_eq!(split, 0, "what takes a quarter of a frame never straddles");
}
