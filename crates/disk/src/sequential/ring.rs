//! Reading by a ring (`io_uring`) that can do nothing but read this one file.
//!
//! The ring is made disabled, told of the file and the memory, restricted to reads of registered
//! files, and enabled. From then on the kernel refuses every other request on it and every change
//! of it: who has the ring has no more than the bytes of this file.
//!
//! Each slot holds one chunk; chunk `k` goes to slot `k % slots`, and there is one slot more than
//! reads in flight, for the chunk that the caller works on.
//!
//! 1. Completions are taken from the ring: each makes its chunk whole, or asks for the rest of it.
//! 2. Every chunk of the window that starts at the next one and is not asked for yet is asked for.
//! 3. If the next chunk is whole, it is handed out. If not, the ring is waited for, and again.
//!
//! Invariants:
//! - A slot that is in flight belongs to the kernel: no reference into it exists.
//! - The memory is unmapped only when nothing is in flight; if that cannot be reached, it is left.
//!
//! The loops end: each round takes a completion or hands requests over, and how often a chunk may
//! be asked for again is bounded in `piece.rs`.

use std::{
    fs, io,
    mem::{self, ManuallyDrop},
    os::fd::{AsRawFd, RawFd},
};

use io_uring::{IoUring, opcode, register::Restriction, squeue, types::Fixed};

use super::{
    memory::Memory,
    piece::{Failure, INTERRUPTIONS_MAX, Piece, Pieces, Read, Step, is_passing},
};

/// A restricted ring, its slots, and their memory.
pub(super) struct Ring {
    ring: IoUring,
    memory: ManuallyDrop<Memory>,
    /// The memory is registered: the kernel need not look up its pages for each read.
    registered: bool,
    pieces: Pieces,
    slots: Vec<Slot>,
    /// The chunk to be handed out next.
    next: u64,
}

#[derive(Debug)]
enum Slot {
    /// Nothing asked for.
    Idle,
    /// A part is there; the rest is to be asked for.
    Partial(Piece),
    /// The kernel's.
    Flying(Piece),
    /// Whole, of so many bytes.
    Whole(usize),
    /// Refused; told when it is this chunk's turn.
    Failed(Failure),
}

impl Ring {
    /// Makes the ring; an error is the kernel's refusal. The file may be closed afterwards.
    pub(super) fn new(file: &fs::File, pieces: Pieces, depth: usize) -> io::Result<Self> {
        Self::build(file, pieces, depth, true)
    }

    /// The same; says whether to try to register the memory.
    fn build(file: &fs::File, pieces: Pieces, depth: usize, register: bool) -> io::Result<Self> {
        let slots = (depth as u64 + 1).min(pieces.count());
        let slots = usize::try_from(slots).expect("at most the depth and one");
        let memory = Memory::map(slots * pieces.chunk_bytes())?;
        let entries = u32::try_from(slots).expect("at most the depth and one");
        let ring = IoUring::builder().setup_r_disabled().build(entries)?;
        let submitter = ring.submitter();
        submitter.register_files(&[file.as_raw_fd()])?;
        let buffers: Vec<_> = (0..slots)
            .map(|slot| libc::iovec {
                iov_base: memory.address(slot * pieces.chunk_bytes(), pieces.chunk_bytes()).cast(),
                iov_len: pieces.chunk_bytes(),
            })
            .collect();
        // SAFETY: the buffers are mapped and stay so until nothing is in flight (`drop`).
        // A low limit on locked memory refuses this; plain reads do the same a little slower.
        let registered = register && unsafe { submitter.register_buffers(&buffers) }.is_ok();
        let read = if registered { opcode::ReadFixed::CODE } else { opcode::Read::CODE };
        submitter.register_restrictions(&mut [
            Restriction::sqe_op(read),
            Restriction::sqe_flags_required(squeue::Flags::FIXED_FILE.bits()),
        ])?;
        submitter.register_enable_rings()?;
        // Entered once with nothing to do: a policy may allow to make rings but not to enter them.
        submitter.submit()?;
        Ok(Self {
            ring,
            memory: ManuallyDrop::new(memory),
            registered,
            pieces,
            slots: (0..slots).map(|_| Slot::Idle).collect(),
            next: 0,
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Reads in flight while the caller works on a chunk; at least one is there to be worked on.
    pub(super) fn depth(&self) -> usize {
        (self.slots.len() - 1).max(1)
    }

    /// The next chunk; empty at the end.
    pub(super) fn next(&mut self) -> Result<&[u8], Failure> {
        if self.next == self.pieces.count() {
            return Ok(&[]);
        }
        let slot = self.slot_of(self.next);
        loop {
            self.take_completions();
            let pushed = self.ask();
            let ready = !matches!(self.slots[slot], Slot::Flying(_));
            if pushed || !ready {
                self.enter(usize::from(!ready)).map_err(|source| Failure {
                    offset: self.next * self.pieces.chunk_bytes() as u64,
                    source,
                })?;
            }
            if ready {
                break;
            }
        }
        match mem::replace(&mut self.slots[slot], Slot::Idle) {
            Slot::Whole(bytes) => {
                self.next += 1;
                // SAFETY: the slot is idle: the kernel writes to it again only after the next call
                // of `next` has asked for it, which the borrow of `self` rules out till then.
                Ok(unsafe { self.memory.part(slot * self.pieces.chunk_bytes(), bytes) })
            }
            Slot::Failed(failure) => Err(failure),
            other => unreachable!("the loop ends with a chunk or an error, not {other:?}"),
        }
    }

    /// Waits for what is in flight and starts from the first chunk.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.drain()?;
        self.slots.fill_with(|| Slot::Idle);
        self.next = 0;
        Ok(())
    }

    fn slot_of(&self, chunk: u64) -> usize {
        usize::try_from(chunk % self.slots.len() as u64).expect("less than the slots")
    }

    /// Asks for every chunk of the window that is not asked for; says whether there was one.
    fn ask(&mut self) -> bool {
        let end = (self.next + self.slots.len() as u64).min(self.pieces.count());
        let mut pushed = false;
        for chunk in self.next..end {
            let slot = self.slot_of(chunk);
            let piece = match mem::replace(&mut self.slots[slot], Slot::Idle) {
                Slot::Idle => self.pieces.piece(chunk),
                Slot::Partial(piece) => piece,
                settled => {
                    self.slots[slot] = settled;
                    continue;
                }
            };
            let entry = self.entry(slot, piece.read());
            self.slots[slot] = Slot::Flying(piece);
            // SAFETY: the entry names memory of this slot only, which is mapped until the
            // completion was taken, and which nobody looks at while it is `Flying`.
            unsafe { self.ring.submission().push(&entry) }
                .expect("the queue has an entry for every slot");
            pushed = true;
        }
        pushed
    }

    fn entry(&self, slot: usize, read: Read) -> squeue::Entry {
        let address =
            self.memory.address(slot * self.pieces.chunk_bytes() + read.start, read.bytes);
        let bytes = u32::try_from(read.bytes).expect("chunks are bounded");
        let entry = if self.registered {
            let buffer = u16::try_from(slot).expect("slots are bounded");
            opcode::ReadFixed::new(Fixed(0), address, bytes, buffer).offset(read.offset).build()
        } else {
            opcode::Read::new(Fixed(0), address, bytes).offset(read.offset).build()
        };
        entry.user_data(slot as u64)
    }

    /// Takes what the kernel has finished.
    fn take_completions(&mut self) {
        for completion in self.ring.completion() {
            let slot = usize::try_from(completion.user_data()).expect("the number of a slot");
            let Slot::Flying(mut piece) = mem::replace(&mut self.slots[slot], Slot::Idle) else {
                unreachable!("a completion for a slot that is not in flight");
            };
            let answer = usize::try_from(completion.result())
                .map_err(|_| io::Error::from_raw_os_error(-completion.result()));
            self.slots[slot] = match piece.answer(answer) {
                Ok(Step::Done) => Slot::Whole(piece.wanted()),
                Ok(Step::Again) => Slot::Partial(piece),
                Err(failure) => Slot::Failed(failure),
            };
        }
    }

    /// Hands requests over and waits for `wanted` completions.
    fn enter(&self, wanted: usize) -> io::Result<()> {
        let mut interruptions = 0;
        loop {
            match self.ring.submit_and_wait(wanted) {
                Ok(_) => return Ok(()),
                Err(error) if is_passing(&error) && interruptions < INTERRUPTIONS_MAX => {
                    interruptions += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        loop {
            self.take_completions();
            if !self.slots.iter().any(|slot| matches!(slot, Slot::Flying(_))) {
                return Ok(());
            }
            self.enter(1)?;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.drain().is_ok() {
            // SAFETY: nothing is in flight, and the memory is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("descriptor", &self.descriptor())
            .field("registered", &self.registered)
            .field("next", &self.next)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use io_uring::types::Fd;

    use super::{
        super::tests::{assert_ring_as_expected, forbid},
        *,
    };

    /// A ring over a writable file of two chunks, or nothing if the kernel has no rings.
    fn ring() -> Option<(fs::File, Ring)> {
        let file = tempfile::tempfile().expect("temporary file");
        file.set_len(10_000).expect("grown");
        let ring = Ring::new(&file, Pieces::new(10_000, 8192), 4);
        assert_ring_as_expected(ring.is_ok());
        Some((file, ring.ok()?))
    }

    /// The answer to a request made past the reader.
    fn answer(ring: &mut Ring, entry: &squeue::Entry) -> io::Result<u32> {
        // SAFETY: the requests of these tests name memory of the ring that nobody looks at.
        unsafe { ring.ring.submission().push(entry) }.expect("the queue is empty");
        ring.enter(1).expect("entered");
        let result = ring.ring.completion().next().expect("an answer").result();
        u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }

    #[test]
    fn nothing_but_reads_of_the_one_file_is_granted() {
        let Some((file, mut ring)) = ring() else { return };
        let address = ring.memory.address(0, 4096);
        let descriptor = Fd(file.as_raw_fd());
        let granted = ring.entry(0, Read { offset: 0, start: 0, bytes: 4096 });
        assert_eq!(answer(&mut ring, &granted).expect("a read"), 4096);
        let refused = [
            ("write", opcode::Write::new(Fixed(0), address, 4096).build()),
            ("registered write", opcode::WriteFixed::new(Fixed(0), address, 4096, 0).build()),
            ("read by descriptor", opcode::Read::new(descriptor, address, 4096).build()),
            ("read by descriptor", opcode::ReadFixed::new(descriptor, address, 4096, 0).build()),
            ("sync", opcode::Fsync::new(Fixed(0)).build()),
            ("nothing", opcode::Nop::new().build()),
            ("open", opcode::OpenAt::new(descriptor, c"/".as_ptr()).build()),
        ];
        for (name, entry) in refused {
            let error = answer(&mut ring, &entry).expect_err(name);
            assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{name}");
        }
        assert_eq!(file.metadata().expect("size").len(), 10_000);
    }

    #[test]
    fn an_enabled_ring_takes_no_other_file_and_no_other_memory() {
        let Some((file, ring)) = ring() else { return };
        let submitter = ring.ring.submitter();
        let refused = [
            submitter.register_files_update(0, &[file.as_raw_fd()]).map(drop),
            submitter.unregister_files(),
            submitter.unregister_buffers(),
            submitter.register_restrictions(&mut [Restriction::sqe_op(opcode::Write::CODE)]),
            submitter.register_enable_rings(),
        ];
        for answer in refused {
            assert!(answer.is_err(), "{answer:?}");
        }
    }

    #[test]
    fn reads_into_memory_that_is_not_registered_give_the_same() {
        let Some((file, mut ring)) = ring() else { return };
        let bytes = ring.next().expect("read").to_vec();
        let Ok(mut plain) = Ring::build(&file, Pieces::new(10_000, 8192), 4, false) else {
            return assert_ring_as_expected(false);
        };
        assert!(!plain.registered);
        assert_eq!(plain.next().expect("read"), bytes);
    }

    #[test]
    fn memory_that_the_kernel_may_still_write_to_is_left_in_place() {
        let Some((_file, mut ring)) = ring() else { return };
        std::thread::spawn(move || {
            forbid(&[libc::SYS_io_uring_enter]);
            let failure = ring.next().expect_err("refused");
            assert_eq!(failure.source.raw_os_error(), Some(libc::EPERM));
            let address = ring.memory.address(0, 4096);
            drop(ring);
            // SAFETY: nothing is written; unmapped memory is an error.
            let answer =
                unsafe { rustix::mm::msync(address.cast(), 4096, rustix::mm::MsyncFlags::ASYNC) };
            assert!(answer.is_ok(), "{answer:?}");
        })
        .join()
        .expect("the thread asserted");
    }
}
