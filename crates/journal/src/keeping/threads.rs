//! The threads in the background, and the same work for callers who want none.
//!
//! - The *flusher* writes when enough was accepted, and syncs after a time or a number of bytes what
//!   nobody waits for; when nothing happens any more it writes a head mark (rule R6).
//! - The *keeper* seals full segments and merges indexes.
//!
//! An error ends nothing here: whoever appends or waits meets it as well, with a place to go to.

use std::{sync::Arc, thread};

use crate::{
    Error,
    format::{BLOCK_BYTES, mark::HeadMark, walk::align},
    journal::{Journal, Shared},
    keeping::Wake,
    writer::watermarks::Stage,
};

impl Shared {
    /// Syncs what is accepted, or, when all of it is durable, writes a head mark if one is missing.
    pub(crate) fn tend_writing(&self) -> Result<(), Error> {
        let progress = self.watermarks.progress();
        if progress.durable < progress.accepted {
            self.sync_all()?;
        } else {
            self.write_mark(false)?;
        }
        self.sign_if_due(false)
    }

    /// Seals and merges until there is nothing left to do.
    pub(crate) fn tend_segments(&self) -> Result<(), Error> {
        self.keep_reserve();
        while self.seal_oldest()? {}
        self.merge_indexes()?;
        self.remove_retired()
    }

    /// States on the medium how far it is durable, if nothing on it says so yet.
    pub(crate) fn write_mark(&self, is_clean_close: bool) -> Result<(), Error> {
        let mut writer = self.writer.lock().expect("a writer that panicked ends all writing");
        self.watermarks.check()?;
        let durable_end = self.watermarks.at(Stage::Durable);
        let end = writer.segment.table().end;
        let is_stated = writer.stated_durable_end >= durable_end && !is_clean_close;
        if is_stated || end.sequence != durable_end {
            return Ok(());
        }
        let mark = HeadMark {
            epoch: self.epoch,
            durable_end,
            frame_count: end.frame_number,
            last: end.last,
            time: end.time,
            is_clean_close,
            seal: [0; 16],
        };
        let offset = align(writer.offset, BLOCK_BYTES);
        let file = writer.segment.file();
        if let Err(error) = file.write_at(offset, &mark.encode(&self.identity.keys)) {
            if let Err(failed) = file.truncate(writer.offset) {
                return Err(self.watermarks.poison(&failed.into()));
            }
            self.sync_in_order(std::slice::from_ref(file), false)?;
            return Err(error.into());
        }
        self.sync_in_order(std::slice::from_ref(file), false)?;
        writer.offset = offset + BLOCK_BYTES;
        writer.stated_durable_end = durable_end;
        Ok(())
    }

    pub(crate) fn wake_keeper(&self) {
        self.keeper.want_sealing();
    }
}

/// Starts the threads.
pub(crate) fn start(shared: &Arc<Shared>) -> Vec<thread::JoinHandle<()>> {
    let spawn = |name: &str, work: fn(&Shared)| {
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .name(format!("journal-{name}"))
            .spawn(move || work(&shared))
            .expect("a thread can be started")
    };
    vec![spawn("flusher", flusher), spawn("keeper", keeper)]
}

fn flusher(shared: &Shared) {
    let interval = shared.options.sync_interval;
    let mut synced_at = icecore_disk::Stopwatch::start();
    loop {
        match shared.keeper.wait_for_writing(interval.saturating_sub(synced_at.elapsed())) {
            Wake::End => return,
            Wake::Work => {
                // Whoever waits for these events hears of the error, or the next who appends.
                let _ = shared.flush(false);
                if shared.sync_role.unsynced_bytes() < shared.options.sync_bytes {
                    continue;
                }
            }
            Wake::TimeOver => {}
        }
        let _ = shared.tend_writing();
        shared.control.heartbeat(shared.disk.now());
        synced_at = icecore_disk::Stopwatch::start();
    }
}

/// How long the keeper waits before it looks whether something was left undone.
const KEEPER_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

fn keeper(shared: &Shared) {
    while shared.keeper.wait_for_sealing(KEEPER_INTERVAL) != Wake::End {
        // A segment that could not be sealed stays readable; the next round tries again.
        let _ = shared.tend_segments();
    }
}

impl Journal {
    /// Does what the threads in the background would: writes, syncs, seals. For journals without
    /// such threads.
    ///
    /// # Errors
    /// What the disk said.
    pub fn tend(&self) -> Result<(), Error> {
        self.shared.tend_writing()?;
        self.shared.tend_segments()
    }

    /// Makes everything durable and closes the journal, so that it opens at once the next time.
    ///
    /// # Errors
    /// What the disk said; the journal is then as after a crash.
    pub fn close(mut self) -> Result<(), Error> {
        self.end_threads();
        self.shared.close()
    }

    pub(crate) fn end_threads(&mut self) {
        self.shared.keeper.end();
        for thread in self.threads.drain(..) {
            // A thread that panicked has left a lock that says so.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end_threads();
        // The caller did not ask to hear of errors: see `close`.
        let _ = self.shared.flush(false);
        self.shared.end_writing();
    }
}
