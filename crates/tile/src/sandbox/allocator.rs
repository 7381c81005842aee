//! The C library's allocator asks the kernel one question late; here it is asked early.
//!
//! glibc opens `/proc/sys/vm/overcommit_memory` when it first gives the end of a thread's heap
//! back (`check_may_shrink_heap` in `malloc/arena.c`), and remembers the answer. In a sandbox an
//! innocent `drop` would so become a forbidden `openat`.
//!
//! Steps, once for the process: on a thread of its own (so in a heap of its own) take blocks
//! that are too small for a mapping of their own until they exceed every threshold that glibc
//! can have for giving back, and drop them.
//!
//! What it does *not* do: matter with another allocator; there it is some wasted work.

use std::{hint::black_box, sync::Once, thread};

use crate::Error;

/// Below glibc's smallest threshold for mapping a block by itself (`DEFAULT_MMAP_THRESHOLD_MIN`).
const BLOCK_BYTES: usize = 100 << 10;

/// glibc's thresholds grow with the blocks that a program drops, up to 64 MiB, which is also the
/// size of a thread's heap (`HEAP_MAX_SIZE`); just below it, all the heap can give is reached.
/// Only the blocks' heads are written, so nearly none of this is ever resident.
const TAKEN_BYTES: usize = 63 << 20;

/// Makes the allocator ask.
pub(super) fn settle() -> Result<(), Error> {
    static SETTLED: Once = Once::new();
    if SETTLED.is_completed() {
        return Ok(());
    }
    let asking = thread::Builder::new()
        .name("settle".to_owned())
        .spawn(|| SETTLED.call_once(take_and_drop))
        .map_err(|error| Error::system("start a thread before the sandbox", error))?;
    asking.join().expect("taking and dropping memory does not panic");
    Ok(())
}

fn take_and_drop() {
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(TAKEN_BYTES / BLOCK_BYTES);
    for _ in 0..TAKEN_BYTES / BLOCK_BYTES {
        let mut block = Vec::new();
        // A bound on memory (RLIMIT_AS) is no reason to fail here.
        if block.try_reserve_exact(BLOCK_BYTES).is_err() {
            break;
        }
        taken.push(black_box(block));
    }
    drop(black_box(taken));
}
