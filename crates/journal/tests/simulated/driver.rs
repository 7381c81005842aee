//! Does random things to a journal and keeps the model of what it should hold.
//!
//! Errors are taken for what they promise: what is taken back is not there, what was acknowledged
//! is, and of what a crash or a failed sync left open both is right, batch by batch in order.

use std::sync::Arc;

use icecore_disk::{Disk, SimulatedDisk};
use icecore_journal::{
    AppendOptions, By, Durability, Error, EventRef, Expectation, Journal, Options, Query, Ticket,
};

use crate::{
    create_options, folder,
    model::{Model, Wish, batch_of, scope_key, stream_key},
    options,
    random::Random,
};

/// What the generator chooses from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) streams: u64,
    pub(crate) payload_bytes_max: u64,
    /// Closing and opening again is part of it.
    pub(crate) with_reopening: bool,
}

pub(crate) struct Driver {
    pub(crate) disk: SimulatedDisk,
    pub(crate) journal: Option<Journal>,
    pub(crate) model: Model,
    pub(crate) random: Random,
    style: Style,
    options: Options,
    /// Of batches that may be taken back, in order.
    tickets: Vec<Ticket>,
    requests: u64,
    /// Errors that were met, beside refusals that were asked for.
    pub(crate) errors: Vec<String>,
}

pub(crate) fn create(disk: &SimulatedDisk) -> Result<Journal, Error> {
    disk.create_folder(folder().parent().expect("not the root"))?;
    disk.sync_folder(std::path::Path::new("/"))?;
    Journal::create_on(Arc::new(disk.clone()), folder(), create_options(), options())
}

pub(crate) fn open(disk: &SimulatedDisk) -> Result<Journal, Error> {
    Journal::open_on(Arc::new(disk.clone()), folder(), options())
}

impl Driver {
    pub(crate) fn new(disk: SimulatedDisk, seed: u64, style: Style) -> Self {
        Self {
            disk,
            journal: None,
            model: Model::default(),
            random: Random::new(seed),
            style,
            options: options(),
            tickets: Vec::new(),
            requests: 0,
            errors: Vec::new(),
        }
    }

    /// Goes on with the model of another machine's past.
    pub(crate) fn go_on(&self, disk: SimulatedDisk, seed: u64) -> Self {
        let model = self.model.clone();
        Self { model, requests: self.requests, ..Self::new(disk, seed, self.style) }
    }

    /// Opens the journal, or creates it if none was ever there, and compares everything.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        self.journal = None;
        self.tickets.clear();
        let opened = Journal::open_on(Arc::new(self.disk.clone()), folder(), self.options.clone());
        let journal = match opened {
            Err(Error::NoJournal { .. }) if self.model.durable_end == 0 => {
                self.model.cut(0);
                create(&self.disk)?
            }
            opened => opened?,
        };
        self.model.cut(journal.end());
        assert_eq!(journal.durable_end(), journal.end());
        // What was found is made durable before anybody sees it.
        self.model.durable_end = journal.end();
        for expected in &mut self.model.events {
            let event = journal.read(expected.sequence)?;
            expected.compare(&event);
            expected.time = Some(event.time());
        }
        self.journal = Some(journal);
        self.check_keys()
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("it was started")
    }

    /// Does something. An error ends the journal if it does not go on after it.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        let result = match self.random.below(40) {
            0 if self.style.with_reopening => self.close(),
            1 if self.style.with_reopening => self.forget(),
            2..=4 => self.journal().tend().map(|()| self.has_synced()),
            5..=6 => self.journal().sync().map(|()| self.has_synced()),
            7..=9 => self.wait(),
            10..=11 => self.repeat(),
            12 => self.refuse(),
            13..=15 => self.read(),
            _ => self.append(),
        };
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.settle(error),
        }
    }

    /// After an error: learns which of the batches are still in the journal.
    fn settle(&mut self, error: Error) -> Result<(), Error> {
        self.errors.push(error.to_string());
        if self.journal.is_none() || self.disk.is_simulated_crash() {
            return Err(error);
        }
        if matches!(error, Error::Poisoned { .. } | Error::Fenced { .. }) {
            self.assert_poisoned();
            return Err(error);
        }
        while let Some(ticket) = self.tickets.last() {
            match ticket.has(Durability::Buffered) {
                Ok(_) => break,
                Err(Error::TakenBack { .. }) => {
                    let first = ticket.receipt().first_sequence;
                    self.tickets.pop();
                    self.model.cut(first);
                }
                Err(other) => panic!("a ticket says {other} after {error}"),
            }
        }
        for ticket in &self.tickets {
            assert!(ticket.has(Durability::Buffered).is_ok(), "what is taken back is a tail");
        }
        assert_eq!(self.journal().progress().accepted, self.model.end(), "after {error}");
        Ok(())
    }

    /// Nothing is acknowledged any more.
    fn assert_poisoned(&mut self) {
        let journal = self.journal();
        let durable_end = journal.durable_end();
        let wishes = [self.plain_wish(0)];
        let batch = batch_of(&wishes);
        for durability in [Durability::Buffered, Durability::Written, Durability::Durable] {
            let options = AppendOptions { durability, ..AppendOptions::default() };
            let refused = journal.append(&batch, &options);
            assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
        }
        assert!(matches!(journal.sync(), Err(Error::Poisoned { .. }) | Ok(())));
        for ticket in &self.tickets {
            let end = ticket.receipt().end_sequence();
            assert_eq!(ticket.wait(Durability::Durable).is_ok(), end <= durable_end);
        }
        assert_eq!(journal.durable_end(), durable_end);
    }

    fn has_synced(&mut self) {
        self.model.durable_end = self.model.end();
        self.tickets.clear();
        assert_eq!(self.journal().durable_end(), self.model.durable_end);
    }

    fn close(&mut self) -> Result<(), Error> {
        self.tickets.clear();
        let journal = self.journal.take().expect("it was started");
        journal.close()?;
        self.model.durable_end = self.model.end();
        self.start()?;
        assert!(self.journal().recovery().was_clean);
        Ok(())
    }

    /// Ends without closing.
    fn forget(&mut self) -> Result<(), Error> {
        self.tickets.clear();
        self.journal = None;
        self.start()?;
        let recovery = self.journal().recovery();
        assert!(!recovery.was_clean);
        assert_eq!(recovery.cut_bytes, 0, "{recovery:?}");
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        if self.tickets.is_empty() {
            return Ok(());
        }
        let chosen = self.random.below(self.tickets.len() as u64) as usize;
        let durability = self.durability();
        let ticket = &self.tickets[chosen];
        ticket.wait(durability)?;
        assert!(ticket.has(durability)?);
        let end = ticket.receipt().end_sequence();
        if durability == Durability::Durable {
            self.model.durable_end = self.model.durable_end.max(end);
            assert!(self.journal().durable_end() >= end);
        }
        Ok(())
    }

    fn durability(&mut self) -> Durability {
        match self.random.below(4) {
            0 => Durability::Durable,
            1 => Durability::Written,
            _ => Durability::Buffered,
        }
    }

    pub(crate) fn plain_wish(&self, stream: u64) -> Wish {
        Wish {
            stream,
            scope: 0,
            kind: 1,
            number: self.requests,
            payload_bytes: 8,
            causation: None,
            correlation: None,
            parents: Vec::new(),
        }
    }

    fn reference(&mut self, index: u64) -> Option<EventRef> {
        let end = self.model.end();
        if index > 0 && self.random.once_in(3) {
            return Some(EventRef::InBatch(self.random.below(index) as u32));
        }
        (end > 0).then(|| EventRef::Sequence(self.random.below(end)))
    }

    fn wishes(&mut self) -> Vec<Wish> {
        let count = if self.random.once_in(3) { 1 + self.random.below(6) } else { 1 };
        let wishes = (0..count).map(|index| {
            let causation = if self.random.once_in(4) { self.reference(index) } else { None };
            let parents = match self.random.below(5) {
                0 => 1,
                1 => 2,
                _ => 0,
            };
            Wish {
                stream: self.random.below(self.style.streams),
                scope: self.random.below(4),
                kind: self.random.below(5) as u16,
                payload_bytes: self.random.below(self.style.payload_bytes_max) as usize,
                correlation: self.random.once_in(4).then(|| u128::from(self.random.below(9))),
                causation,
                parents: (0..parents).filter_map(|_| self.reference(index)).collect(),
                ..self.plain_wish(0)
            }
        });
        wishes.collect()
    }

    fn append(&mut self) -> Result<(), Error> {
        self.requests += 1;
        let wishes = self.wishes();
        let key = self.random.once_in(2).then(|| format!("key-{}", self.requests).into_bytes());
        let durability = self.durability();
        let stream = self.random.below(self.style.streams);
        let expectation = match (self.random.once_in(2), self.model.next_version(stream)) {
            (false, _) => Expectation::Any,
            (true, 0) => Expectation::NoStream,
            (true, next) if self.random.once_in(2) => Expectation::Exact(next - 1),
            (true, _) => Expectation::StreamExists,
        };
        let stream = stream_key(stream);
        let options = AppendOptions {
            durability,
            idempotency_key: key.as_deref(),
            expectations: &[(&stream, expectation)],
            ..AppendOptions::default()
        };
        let batch = batch_of(&wishes);
        let submitted = self.journal().submit(&batch, &options);
        let ticket = match submitted {
            Ok(ticket) => ticket,
            Err(error) => {
                assert!(!is_refusal(&error), "{error}");
                return Err(error);
            }
        };
        self.model.add(key, wishes, Some(ticket.receipt().clone()));
        self.tickets.push(ticket);
        let ticket = self.tickets.last().expect("pushed just now");
        ticket.wait(durability)?;
        if durability == Durability::Durable {
            self.has_synced();
        }
        Ok(())
    }

    /// The same request again gets its receipt, whatever was expected; another one a conflict.
    fn repeat(&mut self) -> Result<(), Error> {
        let keyed: Vec<_> =
            self.model.requests.iter().filter(|request| request.key.is_some()).collect();
        if keyed.is_empty() {
            return Ok(());
        }
        let request = keyed[self.random.below(keyed.len() as u64) as usize].clone();
        let durability = self.durability();
        let mut wishes = request.wishes.clone();
        let is_same = !self.random.once_in(3);
        if !is_same {
            wishes[0].kind += 1;
        }
        let stream = stream_key(0);
        let options = AppendOptions {
            durability,
            idempotency_key: request.key.as_deref(),
            expectations: &[(&stream, Expectation::Exact(u64::MAX))],
            ..AppendOptions::default()
        };
        match self.journal().append(&batch_of(&wishes), &options) {
            Ok(receipt) => {
                assert!(is_same, "another request was taken for this one");
                if let Some(known) = &request.receipt {
                    assert_eq!(receipt, *known);
                }
                if durability == Durability::Durable {
                    self.model.durable_end = self.model.durable_end.max(receipt.end_sequence());
                }
            }
            Err(Error::IdempotencyConflict { first_sequence }) => {
                assert!(!is_same);
                assert_eq!(first_sequence, request.first_sequence);
            }
            Err(error) => {
                assert!(!is_refusal(&error), "{error}");
                return Err(error);
            }
        }
        Ok(())
    }

    /// What cannot be accepted is refused, and nothing of it is there.
    fn refuse(&mut self) -> Result<(), Error> {
        let stream = self.random.below(self.style.streams);
        let next = self.model.next_version(stream);
        let end = self.model.end();
        let mut wish = self.plain_wish(stream);
        let wrong = match self.random.below(3) {
            0 if next == 0 => Expectation::StreamExists,
            0 => Expectation::NoStream,
            1 => Expectation::Exact(next),
            _ => {
                wish.causation = Some(EventRef::Sequence(end));
                Expectation::Any
            }
        };
        let key = stream_key(stream);
        let options = AppendOptions { expectations: &[(&key, wrong)], ..AppendOptions::default() };
        match self.journal().append(&batch_of(&[wish]), &options) {
            Err(Error::Unexpected { last, .. }) => assert_eq!(last, next.checked_sub(1)),
            Err(Error::NoSuchEvent { sequence, .. }) => assert_eq!(sequence, end),
            Err(error) => return Err(error),
            Ok(receipt) => panic!("accepted against {wrong:?}: {receipt:?}"),
        }
        assert_eq!(self.journal().progress().accepted, end);
        Ok(())
    }

    fn query(&mut self) -> Query {
        let end = self.model.end();
        let by = match self.random.below(7) {
            0 => By::Sequence,
            1 => By::Stream(stream_key(self.random.below(self.style.streams))),
            2 => By::Kind(self.random.below(6) as u16),
            3 => By::Scope(scope_key(1 + self.random.below(3))),
            4 => By::Correlation(u128::from(self.random.below(9))),
            5 => By::Parent(self.random.below(end + 1)),
            _ => By::Causation(self.random.below(end + 1)),
        };
        let mut query = Query::new(by);
        if self.random.once_in(2) && end > 0 {
            let first = self.random.below(end);
            query = query.sequences(first..first + self.random.below(end));
        }
        if self.random.once_in(3) && end > 0 {
            let mut time = || {
                let event = self.random.below(end) as usize;
                self.model.events[event].time.expect("known while it is open")
            };
            let (one, other) = (time(), time());
            query = query.times(one.min(other)..one.max(other));
        }
        if self.random.once_in(2) { query.backward() } else { query }
    }

    fn read(&mut self) -> Result<(), Error> {
        for _ in 0..4 {
            let query = self.query();
            let written = self.journal().end();
            let mut expected = self.model.find(&query);
            expected.retain(|sequence| *sequence < written);
            let mut found = Vec::new();
            for event in self.journal().history().scan(query.clone())? {
                let event = event?;
                self.model.events[event.sequence() as usize].compare(&event);
                found.push(event.sequence());
            }
            assert_eq!(found, expected, "{query:?}");
        }
        Ok(())
    }

    /// Every keyed request is known, with its receipt; those that are not there are not.
    pub(crate) fn check_keys(&mut self) -> Result<(), Error> {
        let end = self.model.end();
        let mut requests = std::mem::take(&mut self.model.requests);
        let journal = self.journal();
        for request in requests.iter_mut().filter(|request| request.key.is_some()) {
            let options =
                AppendOptions { idempotency_key: request.key.as_deref(), ..Default::default() };
            let receipt = journal.append(&batch_of(&request.wishes), &options)?;
            assert_eq!(receipt.first_sequence, request.first_sequence);
            let known = request.receipt.get_or_insert_with(|| receipt.clone());
            assert_eq!(*known, receipt);
        }
        assert_eq!(journal.progress().accepted, end, "nothing was appended by asking again");
        self.model.requests = requests;
        Ok(())
    }

    /// Everything that was written, by number and by every index.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        for expected in &self.model.events[..self.journal().end() as usize] {
            expected.compare(&self.journal().read(expected.sequence)?);
        }
        for _ in 0..8 {
            self.read()?;
        }
        Ok(())
    }
}

/// Errors that say that the request was wrong, and not the machine.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::Unexpected { .. }
            | Error::IdempotencyConflict { .. }
            | Error::NoSuchEvent { .. }
            | Error::Unfit { .. }
    )
}
