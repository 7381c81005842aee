//! The summary for a person.

use std::{fmt::Display, io};

use super::{Bank, Container, Members, StatusCache, Storages, Summary};
use crate::{
    dates::date,
    output::Answer,
    size::{counted, human},
};

/// Epochs whose stakes get a line; a good archive has six.
const EPOCHS_MAX: usize = 16;

/// Hard forks that are shown; mainnet has had fewer than ten.
const HARD_FORKS_MAX: usize = 16;

/// Width of a line's title.
const TITLE: usize = 20;

pub(super) fn show(summary: &Summary, answer: &mut Answer) -> io::Result<()> {
    answer.line(summary.file.escape_debug().to_string())?;
    let mut lines = Lines { answer };
    match &summary.name {
        Some(name) => {
            let base = name.base_slot.map(|base| format!(" on {base}")).unwrap_or_default();
            let text = format!("{} at slot {}{base}, .{}", name.kind, name.slot, name.extension);
            lines.line("name", text)?;
            lines.line("snapshot hash", name.snapshot_hash)?;
        }
        None => lines.line("name", "none: the file has no archive's name")?,
    }
    container(&summary.container, &mut lines)?;
    lines.some("version", summary.version.as_ref())?;
    members(&summary.members, &mut lines)?;
    if summary.members.manifests > 0 {
        lines.answer.line("")?;
        bank(&summary.bank, &mut lines)?;
    }
    lines.answer.line("")?;
    storages(&summary.storages, &mut lines)?;
    if summary.members.status_caches > 0 {
        status_cache(&summary.status_cache, &mut lines)?;
    }
    Ok(())
}

struct Lines<'a> {
    answer: &'a mut Answer,
}

impl Lines<'_> {
    fn line(&mut self, title: &str, value: impl Display) -> io::Result<()> {
        self.answer.line(format!("  {title:TITLE$} {value}"))
    }

    fn some(&mut self, title: &str, value: Option<impl Display>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.line(title, value))
    }
}

fn container(container: &Container, lines: &mut Lines<'_>) -> io::Result<()> {
    let Container { bytes, unpacked_bytes, .. } = *container;
    let mut text = format!(
        "{}, {}, {} unpacked",
        container.kind.unwrap_or("of no known kind"),
        human(bytes),
        human(unpacked_bytes)
    );
    if let Some(frames) = container.frames {
        text += &format!(", {}", counted(frames, "frame"));
    }
    if let Some(skippable) = container.skippable_frames.filter(|count| *count > 0) {
        text += &format!(" and {skippable} skippable");
    }
    if let Some(window_bytes) = container.window_bytes {
        text += &format!(", window {}", human(window_bytes));
    }
    if let Some(checksum) = container.checksum {
        text += if checksum { ", with checksum" } else { ", no checksum" };
    }
    lines.line("container", text)?;
    if let Some(bytes) = container.trailing_bytes.filter(|bytes| *bytes > 0) {
        lines.line("", format!("{bytes} bytes behind the last frame"))?;
    }
    let behind = container.tar_trailing_bytes.filter(|bytes| *bytes > 0);
    match (container.tar_end_blocks, behind) {
        (Some("present"), None) | (None, _) => Ok(()),
        (Some(blocks), behind) => {
            let behind = behind.map(|bytes| format!(", {bytes} bytes behind the end"));
            lines.line("tar", format!("end blocks {blocks}{}", behind.unwrap_or_default()))
        }
    }
}

fn members(members: &Members, lines: &mut Lines<'_>) -> io::Result<()> {
    let kinds = [
        (members.versions, "version"),
        (members.folders, "folder"),
        (members.manifests, "manifest"),
        (members.status_caches, "status cache"),
        (members.storages, "storage"),
        (members.foreign, "foreign"),
    ];
    let kinds: Vec<_> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    lines.line("members", format!("{}: {}", members.count, kinds.join(", ")))
}

fn bank(bank: &Bank, lines: &mut Lines<'_>) -> io::Result<()> {
    lines.some("slot", bank.slot)?;
    lines.some("parent slot", bank.parent_slot)?;
    lines.some("epoch", bank.epoch)?;
    lines.some("block height", bank.block_height)?;
    lines.some("bank hash", bank.bank_hash)?;
    lines.some("parent bank hash", bank.parent_hash)?;
    lines.some("last blockhash", bank.last_blockhash)?;
    lines.some("block id", bank.block_id)?;
    lines.some("lattice checksum", bank.accounts_lt_hash_checksum)?;
    lines.some("accounts hash", bank.accounts_hash)?;
    lines.some("epoch accounts hash", bank.epoch_accounts_hash)?;
    if let Some(persistence) = &bank.incremental_snapshot_persistence {
        lines.line(
            "incremental of",
            format!(
                "slot {}, accounts hash {}, capitalization {}",
                persistence.full_slot, persistence.full_hash, persistence.full_capitalization
            ),
        )?;
        lines.line(
            "",
            format!(
                "what changed: accounts hash {}, capitalization {}",
                persistence.incremental_hash, persistence.incremental_capitalization
            ),
        )?;
    }
    lines.some("capitalization", bank.capitalization)?;
    lines.some("transactions", bank.transaction_count)?;
    lines.some("signatures", bank.signature_count)?;
    lines.some("accounts data len", bank.accounts_data_len)?;
    lines.some("fee per signature", bank.lamports_per_signature)?;
    lines.some("leader", bank.leader)?;
    if let (Some(height), Some(height_max), Some(per_slot)) =
        (bank.tick_height, bank.max_tick_height, bank.ticks_per_slot)
    {
        let hashes = bank.hashes_per_tick.map(|hashes| format!(", {hashes} hashes per tick"));
        let hashes = hashes.unwrap_or_default();
        let text = format!("{height} of {height_max}, {per_slot} per slot{hashes}");
        lines.line("ticks", text)?;
    }
    lines.some("ns per slot", bank.ns_per_slot)?;
    lines.some(
        "genesis time",
        bank.genesis_creation_time.map(|seconds| match date(seconds) {
            Some(date) => format!("{seconds} ({date})"),
            None => seconds.to_string(),
        }),
    )?;
    if !bank.hard_forks.is_empty() {
        let forks = bank.hard_forks.iter().take(HARD_FORKS_MAX);
        let mut text: Vec<_> =
            forks.map(|fork| format!("slot {} (count {})", fork.slot, fork.count)).collect();
        if bank.hard_forks.len() > HARD_FORKS_MAX {
            text.push(format!("and {} more", bank.hard_forks.len() - HARD_FORKS_MAX));
        }
        lines.line("hard forks", text.join(", "))?;
    }
    if let Some(schedule) = &bank.epoch_schedule {
        let warmup = match schedule.warmup {
            true => format!(
                ", after a warm-up until epoch {} at slot {}",
                schedule.first_normal_epoch, schedule.first_normal_slot
            ),
            false => String::new(),
        };
        lines.line("epoch schedule", format!("{} slots{warmup}", schedule.slots_per_epoch))?;
    }
    lines.some("blockhashes", bank.blockhashes)?;
    if let Some(epoch) = bank.stakes.epoch {
        let stakes = &bank.stakes;
        lines.line(
            "stakes",
            format!(
                "epoch {epoch}: {}, {}, {} of history",
                counted(stakes.vote_accounts, "vote account"),
                counted(stakes.stake_delegations, "delegation"),
                counted(stakes.stake_history, "epoch"),
            ),
        )?;
    }
    for (number, stakes) in bank.epoch_stakes.iter().take(EPOCHS_MAX).enumerate() {
        lines.line(
            if number == 0 { "epoch stakes" } else { "" },
            format!(
                "epoch {}: {}, {}, {} lamports",
                stakes.epoch,
                counted(stakes.vote_accounts, "vote account"),
                counted(stakes.nodes, "node"),
                stakes.total_stake
            ),
        )?;
    }
    if bank.epoch_stakes.len() > EPOCHS_MAX {
        lines.line("", format!("and {} more epochs", bank.epoch_stakes.len() - EPOCHS_MAX))?;
    }
    let extent = &bank.manifest;
    if let (Some(bytes), Some(last)) = (extent.bytes, extent.last_field) {
        let behind = match extent.trailing_bytes {
            Some(0) | None => String::new(),
            Some(bytes) => format!(", then {bytes} bytes that are of no field"),
        };
        // The field's name as in JSON.
        let last = serde_json::to_string(&last).map_err(io::Error::from)?;
        let last = last.trim_matches('"');
        lines.line("manifest", format!("{bytes} bytes, ends with {last}{behind}"))?;
    } else {
        lines.line("manifest", "not read to its end")?;
    }
    Ok(())
}

fn storages(storages: &Storages, lines: &mut Lines<'_>) -> io::Result<()> {
    let mut text = format!("{}, {}", storages.count, human(storages.bytes));
    if let (Some(first), Some(last)) = (storages.slot_first, storages.slot_last) {
        text += &format!(", slots {first} to {last}");
    }
    text += &match (storages.listed_not_there, storages.there_not_listed) {
        (Some(0), Some(0)) => ", as the manifest lists them".to_string(),
        (Some(missing), Some(extra)) => format!(
            "; the manifest lists {}: {missing} of these are not there, {extra} there are not listed",
            storages.listed
        ),
        _ => format!("; the manifest lists {}", storages.listed),
    };
    lines.line("storages", text)
}

fn status_cache(cache: &StatusCache, lines: &mut Lines<'_>) -> io::Result<()> {
    let mut text = counted(cache.slots, "slot");
    if let (Some(first), Some(last)) = (cache.slot_first, cache.slot_last) {
        text += &format!(" ({first} to {last})");
    }
    if cache.not_rooted > 0 {
        text += &format!(", {} of them not rooted", cache.not_rooted);
    }
    text += &format!(
        ", {}, {}",
        counted(cache.blockhashes, "blockhash"),
        counted(cache.entries, "transaction")
    );
    if !cache.is_whole {
        text += ", not read to its end";
    }
    lines.line("status cache", text)
}
