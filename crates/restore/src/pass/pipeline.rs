//! Runs passes: the topology with its tiles, and what goes through them.

use std::{
    ops::ControlFlow,
    os::fd::RawFd,
    sync::{Arc, Mutex},
};

use icecore_tile::{
    Cause, Controller, Frame, HostSandbox, Maker, Policy, RunOptions, Tile, Topology, run,
};

use super::{
    ContainerReport, Feed,
    batch::Batch,
    borders::Selection,
    decompress::{self, DecompressTile},
    parse::ParseTile,
    read::ReadTile,
    shape::Shape,
    slots::{Hand, Slots, Worker},
    split::SplitTile,
    walk::{ArchiveWalk, Records, Visitor, Walk, WalkEnd},
    work::WorkTile,
};
use crate::{
    Error, Options,
    damage::Damage,
    progress::Progress,
    spill::SpillFile,
    tiles::{Placement, TilePlan},
};

/// What a pipeline is made of.
pub(crate) struct Setup<'a> {
    pub(crate) name: &'static str,
    pub(crate) worker_kind: &'static str,
    /// 0 when nobody wants batches.
    pub(crate) workers: usize,
    pub(crate) decompressors: usize,
    pub(crate) plan: &'a TilePlan,
    pub(crate) placement: &'a Placement,
    /// Files that workers, by number, may write, and that the parser may read.
    pub(crate) spills: &'a [Arc<SpillFile>],
    /// What parser and workers may write to besides.
    pub(crate) writes: Writes,
    /// Who runs code of the caller, and so cannot be closed in: `parse` or the workers' kind.
    pub(crate) unconfined: Option<&'static str>,
}

/// Descriptors that tiles may write to.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) parser: Vec<RawFd>,
    /// Of each worker; none has any beyond the end.
    pub(crate) workers: Vec<Vec<RawFd>>,
}

/// The policy, and writing to these.
fn writing(policy: &Policy, descriptors: &[RawFd]) -> Policy {
    descriptors.iter().fold(policy.clone(), |policy, descriptor| policy.write_at(*descriptor))
}

impl<'a> Setup<'a> {
    /// For a verification.
    pub(crate) fn restore(
        options: &'a Options,
        decompressors: usize,
        workers: usize,
        spills: &'a [Arc<SpillFile>],
    ) -> Self {
        Self {
            name: "restore",
            worker_kind: "hash",
            workers,
            decompressors,
            plan: &options.tiles,
            placement: &options.placement,
            spills,
            writes: Writes::default(),
            unconfined: None,
        }
    }

    /// The topology.
    pub(crate) fn topology(&self) -> Result<Topology, Error> {
        let host = |kind: &'static str| self.plan.host_of(kind).map(|host| (kind, host));
        let shape = Shape {
            name: self.name,
            decompressors: self.decompressors,
            workers: self.workers,
            worker_kind: self.worker_kind,
            has_processes: self.placement.isolation.executable().is_some(),
            unconfined: self.unconfined,
            cores: self.placement.cores.clone(),
            hosts: ["read", "split", "parse"].into_iter().filter_map(host).collect(),
        };
        shape.build()
    }
}

/// A running topology, ready for passes.
pub(crate) struct Pipeline<'c, 'run, 'env> {
    controller: &'c mut Controller<'run>,
    slots: Arc<Slots<'env>>,
    feeds: Vec<Option<Feed>>,
    passes: u64,
}

/// Starts the tiles, lets `body` drive passes over the feeds, and ends the tiles.
pub(crate) fn with_pipeline<'env, R>(
    setup: &Setup<'_>,
    feeds: Vec<Feed>,
    progress: &'env Progress,
    body: impl FnOnce(&mut Pipeline<'_, '_, 'env>) -> Result<R, Error>,
) -> Result<R, Error> {
    let topology = setup.topology()?;
    let slots = Arc::new(Slots::new(setup.workers));
    let mut reading = Policy::none();
    for feed in &feeds {
        reading = reading.merge(&feed.policy());
    }
    let mut spilling = Policy::none();
    for spill in setup.spills {
        if let Some(file) = spill.raw_fd() {
            spilling = spilling.read_at(file).write_at(file);
        }
    }
    let mut makers: Vec<(String, Maker<'env>)> = Vec::new();
    makers.push(("read:0".to_string(), {
        let slots = Arc::clone(&slots);
        maker(move || ReadTile::new(slots, progress, reading))
    }));
    makers.push(("split:0".to_string(), {
        let (slots, decompressors) = (Arc::clone(&slots), setup.decompressors);
        maker(move || SplitTile::new(slots, decompressors))
    }));
    for number in 0..setup.decompressors {
        makers.push((format!("{}:{number}", decompress::KIND), maker(DecompressTile::new)));
    }
    makers.push(("parse:0".to_string(), {
        let (slots, workers) = (Arc::clone(&slots), setup.workers);
        let policy = writing(&spilling, &setup.writes.parser);
        maker(move || ParseTile::new(slots, progress, workers, policy))
    }));
    for number in 0..setup.workers {
        let slots = Arc::clone(&slots);
        let own = setup.writes.workers.get(number).map_or(&[][..], Vec::as_slice);
        let policy = writing(&spilling, own);
        let name = format!("{}:{number}", setup.worker_kind);
        makers.push((name, maker(move || WorkTile::new(slots, number, policy))));
    }
    let options = RunOptions {
        sandbox: setup.placement.sandbox,
        executable: setup.placement.isolation.executable().unwrap_or_default(),
        interrupt: &|| progress.is_interrupted(),
    };
    run(&topology, makers, &options, |controller| {
        progress.set_metrics(Arc::clone(controller.metrics()));
        let feeds = feeds.into_iter().map(Some).collect();
        body(&mut Pipeline { controller, slots, feeds, passes: 0 })
    })
}

fn maker<'env, T: Tile + 'env>(make: impl FnOnce() -> T + Send + 'env) -> Maker<'env> {
    Box::new(move || -> Result<Box<dyn Tile + 'env>, Cause> { Ok(Box::new(make())) })
}

impl<'env> Pipeline<'_, '_, 'env> {
    /// How hosts were closed in.
    pub(crate) fn sandbox(&self) -> Vec<HostSandbox> {
        self.controller.sandbox()
    }

    /// How a feed is read.
    pub(crate) fn reading(&self, feed: usize) -> String {
        self.feeds[feed].as_ref().map(Feed::method).unwrap_or_default()
    }

    /// One pass over an archive with a visitor and workers, which come back in the order given;
    /// `reason` says why, should the archive not be readable again.
    pub(crate) fn pass<V: Visitor + 'env, W: Worker + 'env>(
        &mut self,
        feed: usize,
        reason: &str,
        incremental: bool,
        visitor: V,
        workers: Vec<W>,
    ) -> Result<(V, Vec<W>, WalkEnd), Error> {
        self.pass_over(feed, reason, incremental, visitor, workers, None)
    }

    /// The same over some frames only. The tar stream's end is not told then.
    pub(crate) fn pass_over<V: Visitor + 'env, W: Worker + 'env>(
        &mut self,
        feed: usize,
        reason: &str,
        incremental: bool,
        visitor: V,
        workers: Vec<W>,
        selection: Option<Selection>,
    ) -> Result<(V, Vec<W>, WalkEnd), Error> {
        let home = Arc::new(Mutex::new(None));
        *self.slots.frames.lock().expect("no holder of this lock panics") =
            selection.as_ref().map(|selection| Arc::clone(&selection.frames));
        let walk = VisitorWalk {
            walk: ArchiveWalk::new(incremental, visitor, selection),
            home: Arc::clone(&home),
        };
        let workers = self.run(feed, reason, Box::new(walk), workers)?;
        let walk: ArchiveWalk<V> = Slots::take(&home).expect("a finished walk has come home");
        Ok((walk.visitor, workers, walk.end))
    }

    /// One pass with a walk of one's own.
    pub(crate) fn run<W: Worker + 'env>(
        &mut self,
        feed: usize,
        reason: &str,
        walk: Box<dyn Walk + 'env>,
        workers: Vec<W>,
    ) -> Result<Vec<W>, Error> {
        let count = workers.len();
        assert!(count == self.slots.hands.len(), "a worker for every tile");
        let home = Arc::new(Mutex::new(Vec::with_capacity(count)));
        for (number, worker) in workers.into_iter().enumerate() {
            let hand = Carried { number, worker, home: Arc::clone(&home) };
            Slots::lay(&self.slots.hands[number], Box::new(hand) as Box<dyn Hand + 'env>);
        }
        let mut open = self.feeds[feed].take().expect("it was laid back after the pass before");
        if let Err(error) = open.begin(reason) {
            self.feeds[feed] = Some(open);
            return Err(error);
        }
        Slots::lay(&self.slots.feed, open);
        Slots::lay(&self.slots.walk, walk);
        self.slots.begin();
        let passed = self.drive();
        self.feeds[feed] = Slots::take(&self.slots.feed);
        passed?;
        let mut workers = std::mem::take(&mut *home.lock().expect("no holder of this lock panics"));
        assert!(workers.len() == count, "finished workers have come home");
        workers.sort_by_key(|(number, _)| *number);
        Ok(workers.into_iter().map(|(_, worker)| worker).collect())
    }

    fn drive(&mut self) -> Result<(), icecore_tile::Error> {
        self.passes += 1;
        self.controller.start(self.passes)?;
        self.controller.finish()?;
        self.controller.next()
    }
}

/// For passes without workers: there is none.
pub(crate) enum NoWorker {}

impl Worker for NoWorker {
    fn batch(&mut self, _: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        match *self {}
    }
}

/// A worker on its way.
struct Carried<W> {
    number: usize,
    worker: W,
    home: Arc<Mutex<Vec<(usize, W)>>>,
}

impl<W: Worker> Hand for Carried<W> {
    fn batch(&mut self, batch: &Batch<'_>, frame: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        self.worker.batch(batch, frame)
    }

    fn retire(self: Box<Self>) {
        let Self { number, worker, home } = *self;
        home.lock().expect("no holder of this lock panics").push((number, worker));
    }
}

/// A walk with a visitor on its way.
struct VisitorWalk<V> {
    walk: ArchiveWalk<V>,
    home: Arc<Mutex<Option<ArchiveWalk<V>>>>,
}

impl<V: Visitor> Walk for VisitorWalk<V> {
    fn frame(&mut self, frame: usize, passed_over: bool) {
        self.walk.frame(frame, passed_over);
    }

    fn joined_bytes(&self, next: &[u8], next_bytes: usize) -> usize {
        self.walk.joined_bytes(next, next_bytes)
    }

    fn block(&mut self, block: &[u8], records: &mut Records) -> Result<ControlFlow<()>, Error> {
        self.walk.block(block, records)
    }

    fn fault(&mut self, damage: Damage) {
        self.walk.visitor.fault(damage);
    }

    fn end(&mut self, report: ContainerReport) {
        self.walk.end(report);
    }

    fn retire(self: Box<Self>) {
        let Self { walk, home } = *self;
        Slots::lay(&home, walk);
    }
}
