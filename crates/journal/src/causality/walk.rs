//! Walks over all ancestors or all descendants of an event, one event at a time.
//!
//! Parents have lower sequences than their children. So of the events that are known and not yet
//! given out, the newest can have no further way to it among ancestors, nor the oldest among
//! descendants: taking them in that order meets each event once, and no list of events seen is
//! needed.
//!
//! A walk ends after its first error.

use std::collections::BTreeSet;

use super::{Causality, CausalityError, Graph};

/// Children asked for at a time.
const CHILDREN_PAGE: usize = 256;

/// The ancestors of an event, newest first; made by [`Causality::ancestors`].
#[derive(Debug)]
pub struct Ancestors<'g, G> {
    causality: Causality<'g, G>,
    /// The event itself, until its parents are known.
    start: Option<u64>,
    frontier: BTreeSet<u64>,
    looked_at: usize,
}

impl<'g, G: Graph> Ancestors<'g, G> {
    pub(super) fn new(causality: Causality<'g, G>, of: u64) -> Self {
        Self { causality, start: Some(of), frontier: BTreeSet::new(), looked_at: 0 }
    }

    /// Puts the parents of an event on the frontier.
    fn look_at(&mut self, sequence: u64) -> Result<(), CausalityError<G::Error>> {
        self.looked_at += 1;
        self.frontier.extend(self.causality.node(sequence)?.parents);
        self.causality.check_bound(self.looked_at + self.frontier.len())
    }

    fn step(&mut self) -> Result<Option<u64>, CausalityError<G::Error>> {
        if let Some(start) = self.start.take() {
            self.look_at(start)?;
        }
        let Some(sequence) = self.frontier.pop_last() else { return Ok(None) };
        self.look_at(sequence)?;
        Ok(Some(sequence))
    }
}

impl<G: Graph> Iterator for Ancestors<'_, G> {
    type Item = Result<u64, CausalityError<G::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.frontier.clear();
        }
        step.transpose()
    }
}

/// The descendants of an event, oldest first; made by [`Causality::descendants`].
#[derive(Debug)]
pub struct Descendants<'g, G> {
    causality: Causality<'g, G>,
    /// The event itself, until its children are known.
    start: Option<u64>,
    frontier: BTreeSet<u64>,
    looked_at: usize,
    /// Events that have no children, of those looked at; ascending.
    childless: Vec<u64>,
}

impl<'g, G: Graph> Descendants<'g, G> {
    pub(super) fn new(causality: Causality<'g, G>, of: u64) -> Self {
        Self {
            causality,
            start: Some(of),
            frontier: BTreeSet::new(),
            looked_at: 0,
            childless: Vec::new(),
        }
    }

    /// The events without children, of those walked over.
    pub(super) fn into_childless(self) -> Vec<u64> {
        self.childless
    }

    /// Puts the children of an event on the frontier.
    fn look_at(&mut self, sequence: u64) -> Result<(), CausalityError<G::Error>> {
        self.looked_at += 1;
        let mut newest = None;
        loop {
            let page = self
                .causality
                .graph
                .children(sequence, newest, CHILDREN_PAGE)
                .map_err(CausalityError::Graph)?;
            if page.first().is_some_and(|&child| child <= newest.unwrap_or(sequence))
                || !page.is_sorted_by(|one, next| one < next)
            {
                return Err(CausalityError::Contradiction(sequence));
            }
            newest = page.last().copied().or(newest);
            self.frontier.extend(&page);
            self.causality.check_bound(self.looked_at + self.frontier.len())?;
            if page.len() < CHILDREN_PAGE {
                break;
            }
        }
        if newest.is_none() {
            self.childless.push(sequence);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<u64>, CausalityError<G::Error>> {
        if let Some(start) = self.start.take() {
            self.causality.node(start)?;
            self.look_at(start)?;
        }
        let Some(sequence) = self.frontier.pop_first() else { return Ok(None) };
        self.look_at(sequence)?;
        Ok(Some(sequence))
    }
}

impl<G: Graph> Iterator for Descendants<'_, G> {
    type Item = Result<u64, CausalityError<G::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.frontier.clear();
        }
        step.transpose()
    }
}
