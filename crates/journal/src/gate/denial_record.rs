//! The payload of a denial event: what a refused batch was, and what the gates said of it.
//!
//! ```text
//! 0 event_count u32 >= 1 | 4 passed_count u8 | 5 denied_count u8 >= 1 | 6 zero u16
//! 8 BLAKE3 of the refused batch [32]
//! 40 passed: each a name u8 + bytes
//!    denied: each a name u8 + bytes, a code u8 + bytes, a message u16 + bytes
//! ```
//!
//! Integers are little-endian, texts are UTF-8 and as long as [`super`] allows, names are there
//! once. One record has one encoding: what decodes encodes to the same bytes.

use std::collections::BTreeSet;

use super::{
    DENIAL_CODE_BYTES_MAX, DENIAL_MESSAGE_BYTES_MAX, Denial, GATE_NAME_BYTES_MAX, GATES_MAX,
    GateOutcomes,
};
use crate::Malformed;

const DIGEST_AT: usize = 8;
const NAMES_AT: usize = DIGEST_AT + 32;

const _: () = {
    assert!(GATES_MAX <= u8::MAX as usize);
    assert!(GATE_NAME_BYTES_MAX <= u8::MAX as usize && DENIAL_CODE_BYTES_MAX <= u8::MAX as usize);
    assert!(DENIAL_MESSAGE_BYTES_MAX <= u16::MAX as usize);
    let denial_bytes = 4 + GATE_NAME_BYTES_MAX + DENIAL_CODE_BYTES_MAX + DENIAL_MESSAGE_BYTES_MAX;
    assert!(NAMES_AT + GATES_MAX * denial_bytes < 64 << 10, "a record is never an extent");
};

/// A batch that was refused, and by which gates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialRecord {
    event_count: u32,
    batch_digest: [u8; 32],
    outcomes: GateOutcomes,
}

impl DenialRecord {
    /// Version of this encoding: the payload version of denial events.
    pub const VERSION: u16 = 1;

    /// The record of a batch of `event_count` events with the bytes `batch`.
    ///
    /// # Panics
    /// If no gate denied, or the batch is empty.
    #[must_use]
    pub fn new(outcomes: GateOutcomes, event_count: u32, batch: &[u8]) -> Self {
        assert!(!outcomes.is_allowed(), "a batch is refused by some gate");
        assert!(event_count > 0, "a batch has events");
        Self { event_count, batch_digest: *blake3::hash(batch).as_bytes(), outcomes }
    }

    /// How many events the batch had.
    #[must_use]
    pub fn event_count(&self) -> u32 {
        self.event_count
    }

    /// BLAKE3 of the batch's bytes.
    #[must_use]
    pub fn batch_digest(&self) -> &[u8; 32] {
        &self.batch_digest
    }

    /// What the gates said; at least one of them denied.
    #[must_use]
    pub fn outcomes(&self) -> &GateOutcomes {
        &self.outcomes
    }

    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let GateOutcomes { passed, denied } = &self.outcomes;
        out.extend_from_slice(&self.event_count.to_le_bytes());
        out.extend_from_slice(&[length(passed.len()), length(denied.len()), 0, 0]);
        out.extend_from_slice(&self.batch_digest);
        for name in passed {
            put_short(out, name);
        }
        for denial in denied {
            put_short(out, &denial.gate);
            put_short(out, &denial.code);
            let message_bytes = u16::try_from(denial.message.len()).expect("a message is cut off");
            out.extend_from_slice(&message_bytes.to_le_bytes());
            out.extend_from_slice(denial.message.as_bytes());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let event_count = u32::from_le_bytes(reader.array()?);
        let [passed_count, denied_count] = reader.array()?;
        let zero: [u8; 2] = reader.array()?;
        let batch_digest = reader.array()?;
        if event_count == 0 || denied_count == 0 || zero != [0; 2] {
            return Err(Malformed::new(0, "not the header of a denial"));
        }
        if usize::from(passed_count) + usize::from(denied_count) > GATES_MAX {
            return Err(Malformed::new(4, "more gates than a batch can have"));
        }
        let mut outcomes = GateOutcomes::default();
        for _ in 0..passed_count {
            outcomes.passed.push(reader.name()?);
        }
        for _ in 0..denied_count {
            outcomes.denied.push(reader.denial()?);
        }
        let names = outcomes.passed.iter().chain(outcomes.denied.iter().map(|denial| &denial.gate));
        if names.collect::<BTreeSet<_>>().len() != outcomes.passed.len() + outcomes.denied.len() {
            return Err(Malformed::new(NAMES_AT as u64, "a gate is there twice"));
        }
        if reader.at != bytes.len() {
            return Err(reader.malformed("bytes after the end of a denial"));
        }
        Ok(Self { event_count, batch_digest, outcomes })
    }
}

fn length(bytes: usize) -> u8 {
    u8::try_from(bytes).expect("bounded by the constants of gates")
}

fn put_short(out: &mut Vec<u8>, text: &str) {
    out.push(length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

/// Takes fields off the bytes; no length is believed before it is checked.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed::new(self.at as u64, what)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| self.malformed("a denial is cut off"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N).map(|bytes| bytes.try_into().expect("N bytes were taken"))
    }

    fn text(&mut self, bytes: usize, bytes_max: usize) -> Result<String, Malformed> {
        if bytes > bytes_max {
            return Err(self.malformed("a text of a denial is too long"));
        }
        let start = self.at as u64;
        match str::from_utf8(self.take(bytes)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Malformed::new(start, "a text of a denial is not UTF-8")),
        }
    }

    fn name(&mut self) -> Result<String, Malformed> {
        let [bytes] = self.array()?;
        if bytes == 0 {
            return Err(self.malformed("a gate without a name"));
        }
        self.text(bytes.into(), GATE_NAME_BYTES_MAX)
    }

    fn denial(&mut self) -> Result<Denial, Malformed> {
        let gate = self.name()?;
        let [code_bytes] = self.array()?;
        let code = self.text(code_bytes.into(), DENIAL_CODE_BYTES_MAX)?;
        let message_bytes = u16::from_le_bytes(self.array()?);
        let message = self.text(message_bytes.into(), DENIAL_MESSAGE_BYTES_MAX)?;
        Ok(Denial { gate, code, message })
    }
}
