//! One archive's tar stream in order, for whoever looks into an archive without judging it.
//!
//! The file may have any name: its content says which container it is. Damage does not keep what
//! came before it from being seen: it is told in [`ReadEnd`], once everything before it was given.
//!
//! What it does *not* do: classify members, decode them, or compare anything.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
};

use icecore_archive::tar::{TarEnd, TarEvent, TarReader};
use icecore_disk::SequentialReader;

use crate::{
    Error, Options,
    damage::Damage,
    pass::{
        ContainerReport, Feed, NoWorker, Setup, Writes,
        slots::Slots,
        walk::{Records, Walk},
        with_pipeline,
    },
    progress::Progress,
    source::file_has_frames,
};

/// How the reading of an archive ended.
#[derive(Debug, Clone, Default)]
pub struct ReadEnd {
    /// Of the container, when its end was reached.
    pub container: Option<ContainerReport>,
    /// Of the tar stream, when its end was reached and it was read as one.
    pub tar: Option<TarEnd>,
    /// Bytes of the tar stream that were read.
    pub unpacked_bytes: u64,
    /// What is wrong in the bytes, if the end was not reached because of it.
    pub damage: Option<Damage>,
}

/// Reads an archive from front to back and gives `visit` what the tar reader comes across, until
/// it breaks. Of `options` cores, tiles and their placement are looked at.
///
/// # Errors
/// [`Error::Disk`] and [`Error::Interrupted`]; damage is no error but told in [`ReadEnd`].
pub fn read_archive(
    path: impl AsRef<Path>,
    options: &Options,
    progress: &Progress,
    mut visit: impl FnMut(TarEvent<'_>) -> ControlFlow<()> + Send,
) -> Result<ReadEnd, Error> {
    let mut tar = TarReader::new();
    let mut fault = None;
    let mut has_stopped = false;
    let mut end = read_unpacked(path, options, progress, |mut input| {
        loop {
            match tar.next(&mut input) {
                Ok(Some(event)) => match visit(event) {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(()) => has_stopped = true,
                },
                Ok(None) => return ControlFlow::Continue(()),
                Err(error) => fault = Some(error),
            }
            return ControlFlow::Break(());
        }
    })?;
    if fault.is_none() && end.container.is_some() && !has_stopped {
        match tar.finish() {
            Ok(tar) => end.tar = Some(tar),
            Err(error) => fault = Some(error),
        }
    }
    if let Some(fault) = fault {
        end.damage = Some(fault.into());
    }
    Ok(end)
}

/// The same with the bytes of the tar stream as they are, in pieces of any size.
///
/// # Errors
/// As those of [`read_archive`].
pub fn read_unpacked(
    path: impl AsRef<Path>,
    options: &Options,
    progress: &Progress,
    visit: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
) -> Result<ReadEnd, Error> {
    let path = path.as_ref();
    let reader = SequentialReader::open(path, options.tiles.read_options())?;
    progress.begin(format!("read {}", path.display()));
    progress.expect_bytes(reader.bytes());
    let (decompressors, _) = options.tiles.counts(options.cores, file_has_frames(path)?);
    let setup = Setup {
        name: "look",
        worker_kind: "visit",
        workers: 0,
        decompressors,
        plan: &options.tiles,
        placement: &options.placement,
        spills: &[],
        writes: Writes::default(),
        unconfined: Some("parse"),
    };
    let feed = Feed::File { reader: Box::new(reader), used: false };
    let home = Arc::new(Mutex::new(None));
    let walk =
        BytesWalk { end: ReadEnd::default(), visit, has_ended: false, home: Arc::clone(&home) };
    with_pipeline(&setup, vec![feed], progress, |pipeline| {
        pipeline.run(0, "it is looked into", Box::new(walk), Vec::<NoWorker>::new())
    })?;
    Ok(Slots::take(&home).expect("a finished walk has come home"))
}

/// Gives bytes to whoever asked for them.
struct BytesWalk<F> {
    end: ReadEnd,
    visit: F,
    /// No more is given: that is wished, or the bytes are damaged.
    has_ended: bool,
    home: Arc<Mutex<Option<ReadEnd>>>,
}

impl<F: FnMut(&[u8]) -> ControlFlow<()> + Send> Walk for BytesWalk<F> {
    fn frame(&mut self, _: usize, _: bool) {}

    fn joined_bytes(&self, _: &[u8], _: usize) -> usize {
        0
    }

    fn block(&mut self, block: &[u8], _: &mut Records) -> Result<ControlFlow<()>, Error> {
        if self.has_ended {
            return Ok(ControlFlow::Break(()));
        }
        self.end.unpacked_bytes += block.len() as u64;
        let flow = (self.visit)(block);
        self.has_ended = flow.is_break();
        Ok(flow)
    }

    fn fault(&mut self, damage: Damage) {
        self.has_ended = true;
        self.end.damage = Some(damage);
    }

    fn end(&mut self, report: ContainerReport) {
        self.end.container = Some(report);
    }

    fn retire(self: Box<Self>) {
        let Self { end, home, .. } = *self;
        Slots::lay(&home, end);
    }
}
