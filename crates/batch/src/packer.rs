//! Packs a tar stream on many threads, and writes the frames in order (decision 0033).
//!
//! ```text
//! caller ──> pack ×N ──> write
//!   └── sheets, which come back ──┘
//! ```
//!
//! Steps:
//! 1. The caller fills a sheet with the content of a frame; where it ends says the [`FramePlan`].
//! 2. Frame `k` goes to thread `k mod N`, which packs it.
//! 3. The writer takes from the threads in the same turn, so frames come in order without a list of
//!    those that wait; then the sheet is free again.
//!
//! Invariants:
//! - There are N + [`SHEETS_BESIDE`] sheets, so that memory is fixed; who is slower holds back who
//!   is faster. The frame whose turn it is has a sheet already, so nobody waits forever.
//! - A frame is a function of its content alone: any number of threads gives the same bytes.
//!
//! What it does *not* do: know what is in the stream, or end what the caller does when writing
//! fails: the caller is told to stop, and the writer's error is the outcome.

use std::{
    io::Write,
    ops::ControlFlow,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use icecore_archive::{
    seek_table::{PackedFrame, SeekTable},
    writing::{frame_encoder::FrameEncoder, frame_plan::FramePlan},
};
use icecore_disk::AlignedBuffer;
use icecore_restore::TILES_OF_A_KIND_MAX;

use crate::{Error, WriteOptions};

/// Sheets besides one for each thread: one is filled, one is written.
const SHEETS_BESIDE: usize = 2;

/// Sheets that wait for a thread, or for the writer.
const WAITING_MAX: usize = 1;

/// A frame on its way. Its memory is in huge pages where the kernel has them: all of it is touched.
struct Sheet {
    content: AlignedBuffer,
    content_bytes: usize,
    /// With room for the frame.
    packed: AlignedBuffer,
    /// Set once it is packed.
    frame: Option<PackedFrame>,
}

impl Sheet {
    fn new(options: &WriteOptions) -> Result<Self, icecore_disk::Error> {
        let bytes = options.frame_bytes as usize;
        let content = AlignedBuffer::new(bytes)?;
        let packed = AlignedBuffer::new(options.packing.frame_bytes_max(bytes))?;
        Ok(Self { content, content_bytes: 0, packed, frame: None })
    }

    /// Takes more content, for which there is room.
    fn extend(&mut self, bytes: &[u8]) {
        self.content[self.content_bytes..][..bytes.len()].copy_from_slice(bytes);
        self.content_bytes += bytes.len();
    }

    fn pack(&mut self, encoder: &mut FrameEncoder) {
        let content = &self.content[..self.content_bytes];
        self.frame = Some(encoder.encode(content, &mut self.packed));
    }

    /// The packed frame. From then on there is room for another.
    fn take(&mut self) -> (PackedFrame, &[u8]) {
        let frame = self.frame.take().expect("it was packed");
        self.content_bytes = 0;
        (frame, &self.packed[..frame.frame_bytes as usize])
    }
}

/// Takes the tar stream.
pub(crate) struct Packer {
    plan: FramePlan,
    /// The one that is being filled.
    sheet: Option<Sheet>,
    free: Receiver<Sheet>,
    threads: Vec<SyncSender<Sheet>>,
    /// Whose turn it is.
    turn: usize,
}

impl Packer {
    /// Says that the next byte begins a member of so many bytes, header and padding included.
    /// `Break`: writing has failed.
    pub(crate) fn member(&mut self, member_bytes: u64) -> ControlFlow<()> {
        match self.plan.member(member_bytes) {
            true => self.end_frame(),
            false => ControlFlow::Continue(()),
        }
    }

    /// Takes the next bytes. `Break`: writing has failed.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> ControlFlow<()> {
        while !bytes.is_empty() {
            let room = usize::try_from(self.plan.room()).expect("a frame fits into memory");
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let sheet = match &mut self.sheet {
                Some(sheet) => sheet,
                // Without a writer no sheet comes back.
                None => match self.free.recv() {
                    Ok(sheet) => self.sheet.insert(sheet),
                    Err(_) => return ControlFlow::Break(()),
                },
            };
            sheet.extend(now);
            if self.plan.advance(now.len() as u64) {
                self.end_frame()?;
            }
            bytes = later;
        }
        ControlFlow::Continue(())
    }

    fn end_frame(&mut self) -> ControlFlow<()> {
        let sheet = self.sheet.take().expect("a frame that ends has content");
        let thread = &self.threads[self.turn];
        self.turn = (self.turn + 1) % self.threads.len();
        match thread.send(sheet) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Writes what `body` gives as an archive, packed on so many threads; says what `body` came to and
/// which frames there are.
pub(crate) fn pack<R>(
    output: &mut (impl Write + Send),
    options: &WriteOptions,
    threads: usize,
    body: impl FnOnce(&mut Packer) -> Result<R, Error>,
) -> Result<(R, SeekTable), Error> {
    let count = threads.clamp(1, TILES_OF_A_KIND_MAX);
    let sheets = count + SHEETS_BESIDE;
    let (to_free, free) = sync_channel(sheets);
    for _ in 0..sheets {
        to_free.send(Sheet::new(options)?).expect("there is room for all");
    }
    output.write_all(&options.packing.head())?;
    let (made, frames) = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(count);
        let mut packed = Vec::with_capacity(count);
        for _ in 0..count {
            let (to_thread, from_caller) = sync_channel::<Sheet>(WAITING_MAX);
            let (to_writer, from_thread) = sync_channel(WAITING_MAX);
            threads.push(to_thread);
            packed.push(from_thread);
            let mut encoder = FrameEncoder::new(options.packing);
            scope.spawn(move || {
                for mut sheet in from_caller {
                    sheet.pack(&mut encoder);
                    if to_writer.send(sheet).is_err() {
                        break;
                    }
                }
            });
        }
        let writer = scope.spawn(|| write_frames(output, packed, to_free));
        let plan = FramePlan::new(options.frame_bytes);
        let mut packer = Packer { plan, sheet: None, free, threads, turn: 0 };
        let made = body(&mut packer);
        if made.is_ok() && packer.sheet.is_some() {
            // If that is refused the writer says why.
            let _ = packer.end_frame();
        }
        drop(packer);
        let frames = writer.join().expect("the writer does not panic");
        frames.map(|frames| (made, frames))
    })?;
    let made = made?;
    output.write_all(&options.packing.tail(&frames))?;
    // What was written may be looked at now.
    output.flush()?;
    Ok((made, frames))
}

/// Writes frames in turn until the thread whose turn it is has no more.
fn write_frames(
    output: &mut impl Write,
    packed: Vec<Receiver<Sheet>>,
    free: SyncSender<Sheet>,
) -> Result<SeekTable, Error> {
    let mut frames = SeekTable::new();
    for turn in (0..packed.len()).cycle() {
        let Ok(mut sheet) = packed[turn].recv() else { break };
        let (frame, bytes) = sheet.take();
        output.write_all(bytes)?;
        frames.push(frame)?;
        // The caller may have ended already.
        let _ = free.send(sheet);
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use std::io;

    use icecore_archive::writing::frame_encoder::Packing;

    use super::*;

    /// Takes so many bytes and no more.
    struct Full {
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            match count {
                0 => Err(io::ErrorKind::StorageFull.into()),
                count => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const FRAME_BYTES: u32 = 4 << 10;

    /// Packs twenty frames and a bit; whether the caller was told to stop.
    fn packed(room: usize, threads: usize) -> (Result<(), Error>, bool) {
        let options = WriteOptions {
            packing: Packing::Lz4,
            frame_bytes: FRAME_BYTES,
            ..WriteOptions::default()
        };
        // Hashes, which do not shrink.
        let mut content = vec![0; 20 * FRAME_BYTES as usize + 5];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        let mut was_stopped = false;
        let made = pack(&mut Full { room }, &options, threads, |packer| {
            was_stopped = content.chunks(1000).any(|bytes| packer.write(bytes).is_break());
            Ok(())
        });
        (made.map(|_| ()), was_stopped)
    }

    #[test]
    fn wherever_writing_fails_the_caller_is_stopped_and_hears_why() {
        let enough = 100_000;
        for threads in [1, 2, 5] {
            assert!(matches!(packed(enough, threads), (Ok(()), false)));
            let mut stopped = 0;
            for room in (0..60_000).step_by(1777) {
                let (made, was_stopped) = packed(room, threads);
                let error = made.expect_err("there is no room");
                assert!(
                    matches!(&error, Error::Write(error) if error.kind() == io::ErrorKind::StorageFull),
                    "{error}"
                );
                stopped += u32::from(was_stopped);
            }
            assert!(stopped > 0);
        }
    }

    #[test]
    fn a_caller_who_gives_up_ends_the_threads() {
        let options = WriteOptions { frame_bytes: FRAME_BYTES, ..WriteOptions::default() };
        let mut output = Full { room: 100_000 };
        let given_up = pack(&mut output, &options, 2, |packer| {
            assert!(packer.write(&[7; 50_000]).is_continue());
            Err::<(), _>(icecore_restore::Error::Interrupted.into())
        });
        let error = given_up.map(|_| ()).expect_err("it gave up");
        assert!(matches!(error, Error::Restore(icecore_restore::Error::Interrupted)), "{error}");
    }
}
