//! What each tile did, counted by the tile itself in words that anyone may look at while it runs.
//!
//! A tile's time is split in three: *busy*, *waiting* for input, and *held back* by consumers that
//! have not released what it gave them. The tile that holds back the rest is the busiest one of
//! those that nobody holds back.
//!
//! Counters are written by one tile and read by others; a reader sees each move forward, not a
//! consistent cut. Those of a tile in a process are what that process says.

use std::{sync::atomic::Ordering, time::Duration};

use icecore_disk::Stopwatch;
use serde::Serialize;

use crate::layer::Words;

/// Words of a tile's counters.
pub(crate) const METRIC_WORDS: usize = 24;

/// Counters that a tile may give names of its own.
pub const OWN_COUNTERS_MAX: usize = 8;

const BUSY: usize = 0;
const WAITING: usize = 1;
const HELD_BACK: usize = 2;
const FRAGMENTS_IN: usize = 3;
const BYTES_IN: usize = 4;
const FRAGMENTS_OUT: usize = 5;
const BYTES_OUT: usize = 6;
const SLEEPS: usize = 7;
const ARENA_HIGH_WATER: usize = 8;
const OWN: usize = 16;

/// What a tile does with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    Busy,
    Waiting,
    HeldBack,
}

/// The tile's side.
pub struct Counters {
    words: Words,
}

impl Counters {
    pub(crate) fn new(words: Words) -> Self {
        Self { words }
    }

    /// One writer: a load and a store do.
    fn add(&self, number: usize, amount: u64) {
        let value = self.words.load(number, Ordering::Relaxed);
        self.words.store(number, value.wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn spend(&self, regime: Regime, time: Duration) {
        let number = match regime {
            Regime::Busy => BUSY,
            Regime::Waiting => WAITING,
            Regime::HeldBack => HELD_BACK,
        };
        self.add(number, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn took(&self, bytes: usize) {
        self.add(FRAGMENTS_IN, 1);
        self.add(BYTES_IN, bytes as u64);
    }

    pub(crate) fn gave(&self, fragments: u64, bytes: u64) {
        self.words.store(FRAGMENTS_OUT, fragments, Ordering::Relaxed);
        self.words.store(BYTES_OUT, bytes, Ordering::Relaxed);
    }

    pub(crate) fn slept(&self) {
        self.add(SLEEPS, 1);
    }

    pub(crate) fn arena(&self, high_water: usize) {
        self.words.store(ARENA_HIGH_WATER, high_water as u64, Ordering::Relaxed);
    }

    /// Adds to a counter of the tile's own; the tile's kind says what it counts.
    ///
    /// # Panics
    /// When there is no such counter.
    pub fn count(&self, own: usize, amount: u64) {
        assert!(own < OWN_COUNTERS_MAX, "a tile has {OWN_COUNTERS_MAX} counters of its own");
        self.add(OWN + own, amount);
    }
}

/// What a tile has counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TileMetrics {
    /// Its name.
    pub tile: String,
    /// The thread or process that runs it.
    pub host: String,
    /// Seconds of work.
    pub busy_seconds: f64,
    /// Seconds without input.
    pub waiting_seconds: f64,
    /// Seconds in which consumers gave no credit.
    pub held_back_seconds: f64,
    /// Fragments taken from all inputs.
    pub fragments_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Fragments given to all outputs.
    pub fragments_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// How often it went to sleep.
    pub sleeps: u64,
    /// Most bytes of its arena in use at once.
    pub arena_bytes_high: u64,
    /// Counters of its own, by name.
    pub own: Vec<(&'static str, u64)>,
}

/// What lies in a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkMetrics {
    /// Its name.
    pub link: String,
    /// Fragments published so far.
    pub fragments: u64,
    /// Fragments that its slowest consumer has not released.
    pub occupied: u64,
    /// How many there may be.
    pub depth: u64,
}

/// All counters of a topology.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// The topology.
    pub topology: String,
    /// Seconds since the start.
    pub seconds: f64,
    /// Of each tile, in the order in which data flows.
    pub tiles: Vec<TileMetrics>,
    /// Of each link.
    pub links: Vec<LinkMetrics>,
    /// The tile that holds back the rest, if any has worked.
    pub bottleneck: Option<String>,
}

/// Where the counters of a topology are read.
pub struct MetricsReader {
    pub(crate) topology: String,
    pub(crate) clock: Stopwatch,
    pub(crate) tiles: Vec<TileGauge>,
    pub(crate) links: Vec<LinkGauge>,
}

pub(crate) struct TileGauge {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) words: Words,
    pub(crate) counters: &'static [&'static str],
}

pub(crate) struct LinkGauge {
    pub(crate) name: String,
    pub(crate) depth: u64,
    pub(crate) ring: Words,
    pub(crate) progress: Words,
    pub(crate) consumers: usize,
}

impl MetricsReader {
    /// What has been counted so far.
    pub fn read(&self) -> Metrics {
        let tiles: Vec<_> = self.tiles.iter().map(TileGauge::read).collect();
        Metrics {
            topology: self.topology.clone(),
            seconds: self.clock.seconds(),
            bottleneck: bottleneck(&tiles),
            links: self.links.iter().map(LinkGauge::read).collect(),
            tiles,
        }
    }
}

impl LinkGauge {
    fn read(&self) -> LinkMetrics {
        let fragments = self.ring.load(0, Ordering::Relaxed);
        let consumed = |consumer| self.progress.load(consumer * 8, Ordering::Relaxed);
        let slowest = (0..self.consumers).map(consumed).min().unwrap_or(fragments);
        LinkMetrics {
            link: self.name.clone(),
            fragments,
            occupied: fragments.saturating_sub(slowest).min(self.depth),
            depth: self.depth,
        }
    }
}

impl TileGauge {
    fn read(&self) -> TileMetrics {
        read_tile(self.name.clone(), self.host.clone(), &self.words, self.counters)
    }
}

/// Reads one tile's counters.
fn read_tile(tile: String, host: String, words: &Words, names: &[&'static str]) -> TileMetrics {
    let at = |number| words.load(number, Ordering::Relaxed);
    let seconds = |number| at(number) as f64 / 1e9;
    TileMetrics {
        tile,
        host,
        busy_seconds: seconds(BUSY),
        waiting_seconds: seconds(WAITING),
        held_back_seconds: seconds(HELD_BACK),
        fragments_in: at(FRAGMENTS_IN),
        bytes_in: at(BYTES_IN),
        fragments_out: at(FRAGMENTS_OUT),
        bytes_out: at(BYTES_OUT),
        sleeps: at(SLEEPS),
        arena_bytes_high: at(ARENA_HIGH_WATER),
        own: names.iter().enumerate().map(|(own, name)| (*name, at(OWN + own))).collect(),
    }
}

/// The tile that holds back the rest: of those that are not held back themselves, the busiest.
fn bottleneck(tiles: &[TileMetrics]) -> Option<String> {
    tiles
        .iter()
        .filter(|tile| tile.busy_seconds > 0.0 && tile.held_back_seconds <= tile.busy_seconds)
        .max_by(|a, b| a.busy_seconds.total_cmp(&b.busy_seconds))
        .map(|tile| tile.tile.clone())
}
