//! Payloads as values of their types: encoded when an event is made, decoded when it is read.
//!
//! An event states its kind and the version of its payload; [`Kinds`] brings older versions up to
//! the one that the program knows.

use crate::{Batch, Error, Event, Kinds, NewEvent, Payload, history::History};

impl<'a> NewEvent<'a> {
    /// An event of a payload's kind. `buffer` takes the payload's bytes; what it held is gone.
    pub fn typed<P: Payload>(stream: &'a [u8], payload: &P, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        payload.encode(buffer);
        Self { payload_version: P::VERSION, ..Self::new(stream, P::KIND, buffer) }
    }
}

impl Batch {
    /// Adds an event of a payload's kind, with no more than it must have.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_typed<P: Payload>(&mut self, stream: &[u8], payload: &P) -> Result<(), Error> {
        self.push(&NewEvent::typed(stream, payload, &mut Vec::new()))
    }
}

impl Event {
    /// The payload as a `P`.
    ///
    /// # Errors
    /// [`Error::Kind`] if it is of another kind, is newer than `P`, or does not decode;
    /// [`Error::Unfit`] if it lies in an extent: see [`History::decode`].
    pub fn decode<P: Payload>(&self, kinds: &Kinds) -> Result<P, Error> {
        if self.is_payload_in_extent() {
            return Err(Error::Unfit {
                what: "the payload lies in an extent: decode it through the journal",
            });
        }
        Ok(kinds.decode(self.kind(), self.payload_version(), self.payload())?)
    }
}

impl History {
    /// The payload of an event as a `P`, wherever it lies.
    ///
    /// # Errors
    /// As [`Event::decode`]; what reading an extent says.
    pub fn decode<P: Payload>(&self, event: &Event, kinds: &Kinds) -> Result<P, Error> {
        Ok(kinds.decode(event.kind(), event.payload_version(), &self.payload(event)?)?)
    }
}
