//! Gates: predicates of the caller over a batch that is proposed, evaluated before it is accepted.
//!
//! - Every gate is evaluated, in order, whatever the ones before it said: a refusal names all its
//!   reasons at once.
//! - A gate that panics has denied; the panic goes no further. (A program built to abort on panic
//!   ends all the same.)
//! - All that is kept of an evaluation is bounded: gates, names, codes, messages.
//!
//! A gate must be pure: it sees the proposal and the caller's context, and answers the same for the
//! same. It is called by the writer, so what it takes, all appends wait for.
//!
//! Refusing the batch, and recording that it was ([`DenialRecord`]), is for whoever appends.

mod denial_record;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    collections::BTreeSet,
    fmt, mem,
    panic::{self, AssertUnwindSafe},
};

pub use denial_record::DenialRecord;

/// Most gates for one batch, so that what they say fits an event.
pub const GATES_MAX: usize = 64;
/// Longest name of a gate, in bytes.
pub const GATE_NAME_BYTES_MAX: usize = 64;
/// Longest code of a denial, in bytes; what is longer is cut off.
pub const DENIAL_CODE_BYTES_MAX: usize = 64;
/// Longest message of a denial, in bytes; what is longer is cut off. With this, a record of
/// [`GATES_MAX`] denials stays below the 64 KiB at which payloads become extents.
pub const DENIAL_MESSAGE_BYTES_MAX: usize = 512;
/// Code of the denial by a gate that panicked.
pub const GATE_PANICKED: &str = "gate-panicked";

/// One event of a proposed batch, as a gate sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposedEvent<'a> {
    /// Key of the stream it goes to.
    pub stream: &'a [u8],
    /// Its scope; empty if it has none.
    pub scope: &'a [u8],
    /// Its kind.
    pub kind: u16,
    /// Version of its payload's encoding.
    pub payload_version: u16,
    /// Its payload as it stands in the frame; empty if that is an extent.
    pub payload: &'a [u8],
    /// Sequence of the event that caused it.
    pub causation: Option<u64>,
    /// What it belongs to.
    pub correlation: Option<u128>,
    /// Sequences of its parents; at or above `end_sequence` of the proposal they are in the batch
    /// itself.
    pub parents: &'a [u64],
}

/// A batch that waits for the gates.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Its events, in order.
    pub events: &'a [ProposedEvent<'a>],
    /// End of the accepted events: the sequence that the first of these would get.
    pub end_sequence: u64,
}

/// A predicate over a proposed batch.
pub trait Gate: Send + Sync {
    /// What it is called in receipts and denials: 1 to [`GATE_NAME_BYTES_MAX`] bytes.
    fn name(&self) -> &str;

    /// Whether the batch may be accepted. The context is what the caller of the append passed.
    ///
    /// # Errors
    /// If it may not, and why ([`Denial::new`]).
    fn evaluate(&self, proposal: &Proposal<'_>, context: &dyn Any) -> Result<(), Denial>;
}

/// Why a gate refused a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    gate: String,
    code: String,
    message: String,
}

impl Denial {
    /// With a code for programs (up to [`DENIAL_CODE_BYTES_MAX`] bytes) and a message for people
    /// (up to [`DENIAL_MESSAGE_BYTES_MAX`]); what is longer is cut off at a character. The gate's
    /// name is added by [`Gates::evaluate_all`].
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut denial = Self { gate: String::new(), code: code.into(), message: message.into() };
        cut(&mut denial.code, DENIAL_CODE_BYTES_MAX);
        cut(&mut denial.message, DENIAL_MESSAGE_BYTES_MAX);
        denial
    }

    /// Name of the gate; empty until [`Gates::evaluate_all`] has put it there.
    #[must_use]
    pub fn gate(&self) -> &str {
        &self.gate
    }

    /// What is wrong, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gate {:?} denied it: {} ({})", self.gate, self.message, self.code)
    }
}

/// Shortens a text to at most `bytes_max` bytes, at a character.
fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

/// Gates that cannot be evaluated together. The caller's code is to be mended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatesError {
    /// More than [`GATES_MAX`].
    #[error(
        "{count} gates for one batch; use {GATES_MAX} at most, or let one gate ask several things"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A name is empty or too long.
    #[error("the name of gate {place} has {bytes} bytes; use 1 to {GATE_NAME_BYTES_MAX}")]
    NameLength {
        /// Which of the gates, from 0.
        place: usize,
        /// Length of its name, in bytes.
        bytes: usize,
    },
    /// Two gates have the same name, and nobody could tell which of them denied.
    #[error("two gates are called {name:?}; give one of them another name")]
    NameTwice {
        /// The name.
        name: String,
    },
}

/// The gates of an append: few enough, and each with a name of its own.
pub struct Gates<'a> {
    named: Vec<(String, &'a dyn Gate)>,
}

impl fmt::Debug for Gates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.named.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a> Gates<'a> {
    /// Asks the gates for their names, once.
    ///
    /// # Errors
    /// If they are too many, or a name is not allowed or there twice.
    pub fn new(gates: &[&'a dyn Gate]) -> Result<Self, GatesError> {
        if gates.len() > GATES_MAX {
            return Err(GatesError::TooMany { count: gates.len() });
        }
        let mut names = BTreeSet::new();
        let mut named = Vec::with_capacity(gates.len());
        for (place, &gate) in gates.iter().enumerate() {
            let name = gate.name();
            if !(1..=GATE_NAME_BYTES_MAX).contains(&name.len()) {
                return Err(GatesError::NameLength { place, bytes: name.len() });
            }
            if !names.insert(name) {
                return Err(GatesError::NameTwice { name: name.to_owned() });
            }
            named.push((name.to_owned(), gate));
        }
        Ok(Self { named })
    }

    /// Asks every gate.
    #[must_use]
    pub fn evaluate_all(&self, proposal: &Proposal<'_>, context: &dyn Any) -> GateOutcomes {
        let mut outcomes = GateOutcomes::default();
        for (name, gate) in &self.named {
            match evaluate_contained(*gate, proposal, context) {
                Ok(()) => outcomes.passed.push(name.clone()),
                Err(denial) => outcomes.denied.push(Denial { gate: name.clone(), ..denial }),
            }
        }
        outcomes
    }
}

/// Asks a gate, and takes a panic for a denial.
///
/// The gate and the context may be left half changed by the panic. They are the caller's, who is
/// told; the proposal is only borrowed for reading.
fn evaluate_contained(
    gate: &dyn Gate,
    proposal: &Proposal<'_>,
    context: &dyn Any,
) -> Result<(), Denial> {
    panic::catch_unwind(AssertUnwindSafe(|| gate.evaluate(proposal, context))).unwrap_or_else(
        |panic| {
            let message = if let Some(message) = panic.downcast_ref::<&str>() {
                (*message).to_owned()
            } else if let Some(message) = panic.downcast_ref::<String>() {
                message.clone()
            } else {
                // Dropping a value of the gate's own could panic again, and here.
                mem::forget(panic);
                "it panicked without a message".to_owned()
            };
            Err(Denial::new(GATE_PANICKED, message))
        },
    )
}

/// What the gates said of a batch, in the order in which they were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateOutcomes {
    passed: Vec<String>,
    denied: Vec<Denial>,
}

impl GateOutcomes {
    /// Whether no gate denied.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.denied.is_empty()
    }

    /// Names of the gates that the batch passed.
    #[must_use]
    pub fn passed(&self) -> &[String] {
        &self.passed
    }

    /// The denials.
    #[must_use]
    pub fn denied(&self) -> &[Denial] {
        &self.denied
    }
}
