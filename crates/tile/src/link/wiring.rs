//! A link with its bells in workspaces of its own, for tests.

use super::{Consumer, LinkShape, Producer};
use crate::{
    bell::Bell,
    layer::{Region, Words},
    workspace::{Backing, Workspace},
};

/// Where everything of one link lies.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) shape: LinkShape,
    words: Workspace,
    memory: Region,
    region: Region,
}

impl Wiring {
    /// A link with a data workspace of its own.
    pub(super) fn new(depth: u32, data_bytes: usize, consumers: usize) -> Self {
        let data = Workspace::create("data", data_bytes.max(8), Backing::Private);
        let memory = data.expect("memory").region(0, data_bytes);
        Self::over(depth, memory.clone(), memory, consumers)
    }

    /// A link whose own data region is `region`, and whose fragments lie anywhere in `memory`.
    pub(super) fn over(depth: u32, region: Region, memory: Region, consumers: usize) -> Self {
        let shape = LinkShape { depth, data_bytes: region.len(), consumers };
        let count = shape.ring_words() + shape.progress_words() + (consumers + 1) * Bell::WORDS;
        let words = Workspace::create("words", count * size_of::<u64>(), Backing::Private);
        Self { shape, words: words.expect("memory"), memory, region }
    }

    pub(super) fn memory(&self) -> &Region {
        &self.memory
    }

    pub(super) fn ring(&self) -> Words {
        self.words.words(0, self.shape.ring_words())
    }

    pub(super) fn progress(&self) -> Words {
        self.words.words(self.shape.ring_words() * size_of::<u64>(), self.shape.progress_words())
    }

    pub(super) fn producer_bell(&self) -> Bell {
        self.bell(self.shape.consumers)
    }

    pub(super) fn consumer_bell(&self, index: usize) -> Bell {
        self.bell(index)
    }

    /// With a bell for each consumer.
    pub(super) fn producer(&self) -> Producer {
        let bells = (0..self.shape.consumers).map(|index| self.consumer_bell(index)).collect();
        self.producer_ringing(bells)
    }

    pub(super) fn producer_ringing(&self, bells: Vec<Bell>) -> Producer {
        Producer::new(self.shape, self.ring(), self.progress(), self.region.clone(), bells)
    }

    pub(super) fn consumer(&self, index: usize) -> Consumer {
        self.consumer_ringing(index, false, self.producer_bell())
    }

    pub(super) fn consumer_ringing(&self, index: usize, foreign: bool, bell: Bell) -> Consumer {
        let memory = self.memory.clone();
        Consumer::new(self.shape, self.ring(), self.progress(), index, memory, foreign, bell)
    }

    fn bell(&self, index: usize) -> Bell {
        let first = self.shape.ring_words() + self.shape.progress_words() + index * Bell::WORDS;
        Bell::new(self.words.words(first * size_of::<u64>(), Bell::WORDS))
    }
}

/// Byte `position` of every stream in the tests.
pub(super) fn stream_byte(position: u64) -> u8 {
    (position.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}
