//! Memory of one tile with a known footprint: allocated at start, handed out in frames.
//!
//! A frame begins where the last allocation ended and gives everything back when it is dropped.
//! Frames nest. The high-water mark tells how much was ever in use; what does not fit is an error
//! that names the size, never more memory.
//!
//! What it does *not* do: run destructors; only `Copy` values are kept.

use std::{
    cell::{Cell, UnsafeCell},
    marker::PhantomData,
    mem::MaybeUninit,
};

/// An allocation did not fit into the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the arena has {left} bytes left, {wanted} were wanted: the tile's footprint is too small")]
pub struct ArenaFull {
    /// Bytes that were wanted.
    pub wanted: usize,
    /// Bytes that were left.
    pub left: usize,
}

/// The memory.
pub struct Arena {
    memory: Box<[UnsafeCell<MaybeUninit<u8>>]>,
    used: Cell<usize>,
    high_water: Cell<usize>,
}

impl Arena {
    /// An arena of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let memory = (0..bytes).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
        Self { memory, used: Cell::new(0), high_water: Cell::new(0) }
    }

    /// A frame over everything.
    pub fn frame(&mut self) -> Frame<'_> {
        Frame { start: self.used.get(), arena: self, once: PhantomData }
    }

    /// Most bytes ever in use.
    pub fn high_water(&self) -> usize {
        self.high_water.get()
    }
}

/// Allocations that end together.
pub struct Frame<'a> {
    arena: &'a Arena,
    start: usize,
    once: PhantomData<&'a mut Arena>,
}

impl Frame<'_> {
    /// A frame within this one.
    pub fn frame(&mut self) -> Frame<'_> {
        Frame { start: self.arena.used.get(), arena: self.arena, once: PhantomData }
    }

    /// An empty list with room for so many.
    ///
    /// # Errors
    /// [`ArenaFull`].
    pub fn list<T: Copy>(&self, capacity: usize) -> Result<List<'_, T>, ArenaFull> {
        let arena = self.arena;
        let base = arena.memory.as_ptr() as usize;
        let used = arena.used.get();
        let begin = (base + used).next_multiple_of(align_of::<T>()) - base;
        let end = capacity.checked_mul(size_of::<T>()).and_then(|bytes| begin.checked_add(bytes));
        let end = match end {
            Some(end) if end <= arena.memory.len() => end,
            _ => {
                let wanted = capacity.saturating_mul(size_of::<T>());
                return Err(ArenaFull { wanted, left: arena.memory.len().saturating_sub(used) });
            }
        };
        arena.used.set(end);
        arena.high_water.set(arena.high_water.get().max(end));
        // SAFETY: `begin..end` lies within the arena's memory, is aligned for `T`, and was handed
        // out to nobody else: `used` only grows while a frame lives, a nested frame borrows its
        // outer one exclusively, and the arena is borrowed exclusively by the outermost. The bytes
        // are `UnsafeCell`s, so they may be written through a shared borrow.
        let slots = unsafe {
            let first = UnsafeCell::raw_get(arena.memory.as_ptr().add(begin));
            let first = first.cast::<MaybeUninit<T>>();
            std::slice::from_raw_parts_mut(first, capacity)
        };
        Ok(List { slots, length: 0 })
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        self.arena.used.set(self.start);
    }
}

/// A list in a frame: as a vector, but it never grows.
pub struct List<'a, T> {
    slots: &'a mut [MaybeUninit<T>],
    length: usize,
}

impl<T: Copy> List<'_, T> {
    /// Appends.
    ///
    /// # Panics
    /// Beyond the capacity asked for.
    pub fn push(&mut self, value: T) {
        self.slots[self.length].write(value);
        self.length += 1;
    }
}

impl<T: Copy> std::ops::Deref for List<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` slots were written by `push`.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr().cast::<T>(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_give_back_what_they_took_and_the_high_water_mark_stays() {
        let mut arena = Arena::new(1024);
        let mut outer = arena.frame();
        {
            let mut numbers = outer.list::<u64>(10).expect("80 bytes");
            (0..10).for_each(|number| numbers.push(number));
            assert_eq!(numbers.iter().sum::<u64>(), 45);
        }
        {
            let inner = outer.frame();
            let mut bytes = inner.list::<u8>(3).expect("3 bytes");
            bytes.push(7);
            let mut words = inner.list::<u64>(100).expect("aligned behind them");
            words.push(9);
            assert_eq!((&bytes[..], &words[..]), (&[7][..], &[9][..]));
        }
        drop(outer);
        assert!(arena.high_water() >= 883 && arena.high_water() <= 1024);
        assert_eq!(arena.used.get(), 0);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_takes_nothing() {
        let mut arena = Arena::new(64);
        let frame = arena.frame();
        let Err(error) = frame.list::<u64>(9) else { panic!("72 bytes of 64") };
        assert_eq!((error.wanted, error.left), (72, 64));
        assert!(frame.list::<u64>(usize::MAX).is_err());
        assert!(frame.list::<u8>(64).is_ok());
        assert!(frame.list::<u8>(1).is_err());
    }
}
