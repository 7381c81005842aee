//! Registered kinds: which payload type a kind of event stands for, and how its older versions are
//! read.
//!
//! What holds of a built [`Kinds`]:
//! - a kind has one name and one version, and a name belongs to one kind;
//! - no kind is one of the journal's own ([`reserved`]);
//! - versions count from 1, and every version below the newest has its upcast to the next one.
//!
//! An event is decoded in steps:
//! 1. its kind must be the one of the type asked for, and that type must be registered;
//! 2. a version newer than the registered one is an error: this program is too old for it;
//! 3. an older payload is upcast, one version at a time;
//! 4. the type decodes what came out.
//!
//! Kinds that nobody registered can still be written and read as bytes; nothing here stands in
//! their way. Stored names are kept by the journal's manifest, not here.

mod builder;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap};

pub use builder::{KindsBuilder, KindsError};

/// Longest name of a kind, in bytes: names are identifiers, and all of them stand in the manifest.
pub const KIND_NAME_BYTES_MAX: usize = 64;

/// The kinds that the journal writes itself.
pub mod reserved {
    use std::ops::RangeInclusive;

    /// A batch that gates refused ([`DenialRecord`](crate::DenialRecord)).
    pub const DENIAL: u16 = 0xF001;
    /// A bulk session begins.
    pub const BULK_BEGUN: u16 = 0xF002;
    /// A bulk session ended without being adopted.
    pub const BULK_ABORTED: u16 = 0xF003;
    /// The extents of a bulk session are adopted.
    pub const BULK_ADOPTED: u16 = 0xF004;
    /// Data segments were rewritten.
    pub const COMPACTED: u16 = 0xF005;
    /// Old events were dropped.
    pub const GAP: u16 = 0xF006;
    /// All that are the journal's, given out or not.
    pub const RANGE: RangeInclusive<u16> = 0xF000..=0xFFFF;
}

/// A type whose values are payloads of one kind of event.
pub trait Payload: Sized {
    /// The kind of event; not one of [`reserved::RANGE`].
    const KIND: u16;
    /// Version of the encoding, from 1. It goes up when bytes written before mean something else.
    const VERSION: u16;
    /// Name of the kind, 1 to [`KIND_NAME_BYTES_MAX`] bytes. A journal remembers it, so that two
    /// programs never use one kind for two things.
    const NAME: &'static str;

    /// Appends the payload's bytes to `out`, in the encoding of [`VERSION`](Self::VERSION).
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads bytes of [`VERSION`](Self::VERSION).
    ///
    /// # Errors
    /// If the bytes are not such a payload.
    fn decode(bytes: &[u8]) -> Result<Self, PayloadError>;
}

/// What a [`Payload`] or an upcast found wrong with the bytes it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(Cow<'static, str>);

impl PayloadError {
    /// With a message that says what is wrong.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

/// Takes a payload of one version to the encoding of the next.
pub type Upcast = fn(&[u8]) -> Result<Vec<u8>, PayloadError>;

/// Why an event's payload cannot be had as the type asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KindError {
    /// The type is not registered, or another one is under its kind.
    #[error(
        "kind {kind} is not registered as {name:?} version {version}; register the type when the kinds are built"
    )]
    Unregistered {
        /// Kind of the type asked for.
        kind: u16,
        /// Its name.
        name: &'static str,
        /// Its version.
        version: u16,
    },
    /// The event is of another kind.
    #[error("the event is of kind {found}, not of kind {expected} ({name:?})")]
    OtherKind {
        /// Kind of the event.
        found: u16,
        /// Kind of the type asked for.
        expected: u16,
        /// Its name.
        name: &'static str,
    },
    /// The payload was written by a newer program.
    #[error(
        "the event's payload is version {found} of {name:?}, and this program knows it up to version {known}; read it with a newer program"
    )]
    Newer {
        /// Name of the kind.
        name: &'static str,
        /// Version of the payload.
        found: u16,
        /// The newest that is known.
        known: u16,
    },
    /// The payload's version is 0, which no registered type writes.
    #[error(
        "the event's payload is version 0 of {name:?}, and versions count from 1; it was not written as this type, so read it as bytes"
    )]
    VersionZero {
        /// Name of the kind.
        name: &'static str,
    },
    /// An upcast or the type itself refused the bytes.
    #[error("the payload does not decode as version {version} of {name:?}: {error}")]
    Payload {
        /// Name of the kind.
        name: &'static str,
        /// Version of the bytes that were refused, on their way up.
        version: u16,
        /// What was found wrong.
        #[source]
        error: PayloadError,
    },
}

/// The kinds of events that a program knows; built once ([`Kinds::builder`]), then only read.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    by_kind: BTreeMap<u16, Registered>,
}

#[derive(Debug, Clone)]
struct Registered {
    name: &'static str,
    version: u16,
    /// From version 1, from version 2, and so on up to `version`.
    upcasts: Vec<Upcast>,
}

impl Kinds {
    /// A registry to be filled.
    #[must_use]
    pub fn builder() -> KindsBuilder {
        KindsBuilder::default()
    }

    /// The payload of an event of `kind` and `version`, as a `P`.
    ///
    /// # Errors
    /// If the event is of another kind or newer than `P`, if `P` is not registered, or if an upcast
    /// or `P` refuses the bytes.
    pub fn decode<P: Payload>(
        &self,
        kind: u16,
        version: u16,
        bytes: &[u8],
    ) -> Result<P, KindError> {
        let registered = self.registered::<P>()?;
        if kind != P::KIND {
            return Err(KindError::OtherKind { found: kind, expected: P::KIND, name: P::NAME });
        }
        let current = registered.upcast(version, bytes)?;
        P::decode(&current).map_err(|error| registered.refused(P::VERSION, error))
    }

    /// Kind and name of all that are registered, by kind: what a journal's manifest keeps.
    pub fn names(&self) -> impl Iterator<Item = (u16, &'static str)> {
        self.by_kind.iter().map(|(&kind, registered)| (kind, registered.name))
    }

    /// Holds the registry against the kinds and names that a journal keeps. Kinds that only one of
    /// them has are fine.
    ///
    /// # Errors
    /// If a kind has another name there, or a name another kind.
    pub fn check_against(&self, stored: &[(u16, String)]) -> Result<(), KindsError> {
        for (kind, registered) in &self.by_kind {
            for (stored_kind, stored_name) in stored {
                if (stored_kind == kind) != (stored_name == registered.name) {
                    return Err(KindsError::StoredOtherwise {
                        kind: *kind,
                        name: registered.name,
                        stored_kind: *stored_kind,
                        stored_name: stored_name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn registered<P: Payload>(&self) -> Result<&Registered, KindError> {
        self.by_kind
            .get(&P::KIND)
            .filter(|registered| registered.name == P::NAME && registered.version == P::VERSION)
            .ok_or(KindError::Unregistered { kind: P::KIND, name: P::NAME, version: P::VERSION })
    }
}

impl Registered {
    /// The bytes in the encoding of the newest version.
    fn upcast<'a>(&self, version: u16, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, KindError> {
        if version > self.version {
            return Err(KindError::Newer { name: self.name, found: version, known: self.version });
        }
        if version == 0 {
            return Err(KindError::VersionZero { name: self.name });
        }
        let mut current = Cow::Borrowed(bytes);
        for from_version in version..self.version {
            let upcast = self.upcasts[usize::from(from_version) - 1];
            let next = upcast(&current).map_err(|error| self.refused(from_version, error))?;
            current = Cow::Owned(next);
        }
        Ok(current)
    }

    fn refused(&self, version: u16, error: PayloadError) -> KindError {
        KindError::Payload { name: self.name, version, error }
    }
}
