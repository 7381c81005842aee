//! `--status-cache`: a row for each slot and blockhash. In JSON with the entries, written while
//! they stream by: a row may hold any number of them.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
};

use icecore_archive::{
    members::MemberKind,
    status_cache::{StatusCacheDecoder, StatusCacheItem, TransactionResult},
};
use icecore_types::{Hash, Slot};

use super::{
    manifest::Hex,
    one_member::{Found, read_member},
    outcome,
};
use crate::{
    document::Document,
    exit::{Exit, Failure},
    options::{CommonOptions, Format},
    output::Answer,
};

pub(super) fn run(common: &CommonOptions, file: &Path) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let mut rows = Rows::new(&mut answer, common.output == Format::Display);
    let mut decoder = StatusCacheDecoder::new();
    let mut damage = None;
    let is_status_cache = |kind: &MemberKind| matches!(kind, MemberKind::StatusCache);
    let found = read_member(common, file, is_status_cache, |bytes| {
        if let Err(error) = decoder.feed(bytes, &mut |_, item| rows.visit(&item)) {
            damage = Some(error.to_string());
        }
        match damage.is_some() || rows.failure.is_some() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    if damage.is_none() {
        damage = match found {
            Found::Whole => decoder.finish().err().map(|error| error.to_string()),
            // The answer could not be written; finishing tells.
            Found::Stopped => None,
            Found::Cut(problem) => Some(problem),
            Found::Missing => Some("there is no status cache in it".to_string()),
        };
    }
    rows.finish(damage.as_deref())?;
    answer.finish()?;
    outcome(file, damage)
}

/// A slot and a blockhash, as far as its entries have come.
#[derive(Default)]
struct Row {
    slot: Slot,
    is_root: bool,
    blockhash: Option<Hash>,
    key_index: Option<u64>,
    entries: u64,
    left: u64,
    failed: u64,
}

struct Rows<W> {
    /// Where rows go; with the document while one is being written in JSON.
    out: Option<W>,
    document: Option<Document<W>>,
    is_display: bool,
    row: Row,
    slots: u64,
    blockhashes: u64,
    entries: u64,
    failure: Option<io::Error>,
}

const OUT: &str = "it is there while no document is open";

impl<W: Write> Rows<W> {
    fn new(out: W, is_display: bool) -> Self {
        Self {
            out: Some(out),
            document: None,
            is_display,
            row: Row::default(),
            slots: 0,
            blockhashes: 0,
            entries: 0,
            failure: None,
        }
    }

    fn visit(&mut self, item: &StatusCacheItem) {
        if self.failure.is_some() {
            return;
        }
        match *item {
            StatusCacheItem::SlotCount(_) if self.is_display => self.line(format!(
                "{:>12}  {:6}  {:44}  {:>9}  {:>9}",
                "slot", "rooted", "blockhash", "entries", "failed"
            )),
            StatusCacheItem::SlotCount(_) => {}
            StatusCacheItem::Slot { slot, is_root, blockhashes } => {
                self.slots += 1;
                self.row = Row { slot, is_root, ..Row::default() };
                // A slot in which nothing was executed is a row, too.
                if blockhashes == 0 {
                    self.begin();
                    self.end();
                }
            }
            StatusCacheItem::Blockhash { blockhash, key_index, entries } => {
                self.blockhashes += 1;
                let Row { slot, is_root, .. } = self.row;
                let (blockhash, key_index) = (Some(blockhash), Some(key_index));
                self.row =
                    Row { slot, is_root, blockhash, key_index, entries, left: entries, failed: 0 };
                self.begin();
                if entries == 0 {
                    self.end();
                }
            }
            StatusCacheItem::Entry { key_slice, ref result } => {
                self.entries += 1;
                self.row.failed += u64::from(*result != TransactionResult::Ok);
                self.row.left -= 1;
                if let Some(document) = &mut self.document {
                    document.entry(&(Hex(&key_slice), result));
                }
                if self.row.left == 0 {
                    self.end();
                }
            }
        }
    }

    fn begin(&mut self) {
        if self.is_display {
            return;
        }
        let out = self.out.take().expect(OUT);
        let mut document = Document::new(out, Format::JsonCompact);
        document.field("slot", &self.row.slot);
        document.field("is_root", &self.row.is_root);
        document.field("blockhash", &self.row.blockhash);
        document.field("key_index", &self.row.key_index);
        document.field("count", &self.row.entries);
        document.list(Some("entries"), self.row.entries);
        self.document = Some(document);
    }

    fn end(&mut self) {
        match self.document.take() {
            None => {
                let Row { slot, is_root, blockhash, entries, failed, .. } = self.row;
                let rooted = if is_root { "yes" } else { "no" };
                let blockhash = blockhash.map_or("-".to_string(), |hash| hash.to_string());
                self.line(format!(
                    "{slot:>12}  {rooted:6}  {blockhash:44}  {entries:>9}  {failed:>9}"
                ));
            }
            Some(document) => self.close(document, None),
        }
    }

    fn close(&mut self, document: Document<W>, damage: Option<&str>) {
        match document.finish(damage) {
            Ok(out) => self.out = Some(out),
            Err(error) => self.failure = Some(error),
        }
    }

    fn line(&mut self, line: String) {
        if self.failure.is_none()
            && let Err(error) = writeln!(self.out.as_mut().expect(OUT), "{line}")
        {
            self.failure = Some(error);
        }
    }

    fn finish(mut self, damage: Option<&str>) -> io::Result<()> {
        if let Some(document) = self.document.take() {
            self.close(document, damage);
        }
        if self.is_display && self.slots > 0 {
            self.line(format!(
                "{} slots, {} blockhashes, {} entries",
                self.slots, self.blockhashes, self.entries
            ));
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}
