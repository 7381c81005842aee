//! The topology of a pass over an archive (design section 6).
//!
//! ```text
//! read ──> split ──> decompress ×N ──> parse ──> hash ×N
//!            └──────── order ────────────┘
//! ```
//!
//! Memory lies where who may write it says: what decompressors are given they can only read
//! (`feed`), what they give they can write (`work`), and everything behind the parser is out of
//! their reach (`local`). Sizes are fixed.

use icecore_tile::{
    LinkDeclaration, Place, TileDeclaration, Topology, TopologyBuilder, available_cores,
};

use super::{
    decompress::{self, BLOCK_BYTES},
    parse,
    read::CHUNK_BYTES,
};
use crate::{Error, tiles::Cores};

/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 8;

/// Frames whose order is told ahead.
const ORDERS_AHEAD: u32 = 64;

/// Pieces that wait for one decompressor.
const PIECES_AHEAD: u32 = 64;

/// Batches that wait for workers or are looked at.
const BATCHES_AHEAD: u32 = 128;

/// Blocks of a decompressor when it is the only one: few, so that they stay in the cache.
const BLOCKS_OF_ONE: usize = 16;

/// Blocks of a decompressor beside others: a whole frame of 32 MiB, as newer clients write them, so
/// that the next frames are ready when their turn comes.
const BLOCKS_OF_SEVERAL: usize = (32 << 20) / BLOCK_BYTES + 4;

/// Bytes of the arena of a hash tile: its lists of one batch.
const HASH_ARENA_BYTES: usize = 1 << 20;

/// What a topology is made for.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// `restore` for verdicts and rows, `look` for looking into one archive.
    pub(crate) name: &'static str,
    pub(crate) decompressors: usize,
    /// 0 when nobody wants batches.
    pub(crate) workers: usize,
    /// The kind that workers are called.
    pub(crate) worker_kind: &'static str,
    pub(crate) has_processes: bool,
    /// The kind that runs code of the caller.
    pub(crate) unconfined: Option<&'static str>,
    pub(crate) cores: Cores,
    /// The thread that a kind shares, if it does.
    pub(crate) hosts: Vec<(&'static str, String)>,
}

impl Shape {
    /// The topology.
    pub(crate) fn build(&self) -> Result<Topology, Error> {
        let link = |name: &str, workspace: &str, progress: &str, depth: u32, data_bytes: usize| {
            LinkDeclaration {
                name: name.to_string(),
                workspace: workspace.to_string(),
                progress_workspace: progress.to_string(),
                depth,
                data_bytes,
                is_feedback: false,
            }
        };
        let mut builder = TopologyBuilder::new(self.name).private("local");
        builder = match self.has_processes {
            true => builder.shared("feed", false).shared("work", true),
            false => builder.private("feed").private("work"),
        };
        let messages = super::messages::MESSAGE_BYTES_MAX;
        builder = builder
            .link(link("chunks", "feed", "local", 16, CHUNKS_AHEAD * CHUNK_BYTES))
            .link(link("order", "local", "local", ORDERS_AHEAD, ORDERS_AHEAD as usize * messages));
        let blocks = if self.decompressors == 1 { BLOCKS_OF_ONE } else { BLOCKS_OF_SEVERAL };
        let mut split = self.tile("split").consumes("chunks").produces("order");
        let mut parse = self.tile("parse").consumes("order");
        let mut middle = Vec::new();
        for number in 0..self.decompressors {
            let (pieces, made) = (format!("pieces:{number}"), format!("blocks:{number}"));
            builder = builder
                .link(link(&pieces, "feed", "work", PIECES_AHEAD, 16 * messages))
                .link(link(&made, "work", "work", 256, blocks * BLOCK_BYTES));
            split = split.produces(&pieces);
            parse = parse.consumes(&made);
            let place = if self.has_processes { Place::Process } else { Place::Thread };
            let tile = TileDeclaration::new(decompress::KIND, number).place(place);
            middle.push(tile.consumes(&pieces).produces(&made));
        }
        let mut workers = Vec::new();
        if self.workers > 0 {
            builder =
                builder.link(link("batches", "local", "local", BATCHES_AHEAD, parse::REGION_BYTES));
            parse = parse.produces("batches");
            for number in 0..self.workers {
                let tile = TileDeclaration::new(self.worker_kind, number)
                    .arena_bytes(HASH_ARENA_BYTES)
                    .counters(&["records"]);
                workers.push(tile.consumes("batches"));
            }
        }
        let mut tiles = vec![self.tile("read").produces("chunks"), split];
        tiles.append(&mut middle);
        tiles.push(parse);
        tiles.append(&mut workers);
        for tile in tiles.iter_mut().filter(|tile| Some(&tile.kind[..]) == self.unconfined) {
            tile.is_unconfined = true;
        }
        self.pin(&mut tiles);
        for tile in tiles {
            builder = builder.tile(tile);
        }
        Ok(builder.build()?)
    }

    fn tile(&self, kind: &'static str) -> TileDeclaration {
        let host = self.hosts.iter().find(|(of, _)| *of == kind).map(|(_, host)| host.clone());
        let place = host.map_or(Place::Thread, Place::Fused);
        TileDeclaration::new(kind, 0).place(place)
    }

    /// Hosts take cores in turn.
    fn pin(&self, tiles: &mut [TileDeclaration]) {
        let mut hosts: Vec<String> = tiles.iter().map(TileDeclaration::host).collect();
        hosts.dedup();
        let cores = match &self.cores {
            Cores::List(cores) => cores.clone(),
            Cores::Auto => available_cores(),
        };
        if cores.is_empty() || self.cores == Cores::Auto && cores.len() < hosts.len() {
            return;
        }
        for tile in tiles {
            let host = tile.host();
            let number = hosts.iter().position(|one| *one == host).expect("collected above");
            tile.core = Some(cores[number % cores.len()]);
        }
    }
}
