//! Building the registry of kinds: everything that can be wrong with it is found at start.
//!
//! Nothing is checked while types are added, so that the order does not matter;
//! [`KindsBuilder::build`] checks names and versions, then clashes, then that the upcasts of each
//! kind are complete.

use std::collections::BTreeMap;

use super::{KIND_NAME_BYTES_MAX, Kinds, Payload, Registered, Upcast, reserved};

/// Why registered kinds do not go together. All of them are mistakes of the program, to be mended
/// in its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KindsError {
    /// The kind is one of the journal's own.
    #[error("kind {kind} of {name:?} is reserved for the journal; use one below {}", reserved::RANGE.start())]
    Reserved {
        /// The kind.
        kind: u16,
        /// Its name.
        name: &'static str,
    },
    /// The name is empty or too long.
    #[error("the name of kind {kind} has {bytes} bytes; use 1 to {KIND_NAME_BYTES_MAX}")]
    NameLength {
        /// The kind.
        kind: u16,
        /// Length of its name, in bytes.
        bytes: usize,
    },
    /// The version is 0.
    #[error("kind {kind} ({name:?}) has version 0; versions count from 1")]
    VersionZero {
        /// The kind.
        kind: u16,
        /// Its name.
        name: &'static str,
    },
    /// Two types share a kind, and differ in name or version.
    #[error(
        "kind {kind} is registered as {first:?} version {first_version} and as {second:?} version {second_version}; give one of them another kind, or keep the newest version only"
    )]
    KindTwice {
        /// The kind.
        kind: u16,
        /// Name of the type registered first.
        first: &'static str,
        /// Its version.
        first_version: u16,
        /// Name of the other.
        second: &'static str,
        /// Its version.
        second_version: u16,
    },
    /// Two kinds share a name.
    #[error(
        "the name {name:?} is registered for kind {first} and for kind {second}; give one of them another name"
    )]
    NameTwice {
        /// The name.
        name: &'static str,
        /// The one kind.
        first: u16,
        /// The other.
        second: u16,
    },
    /// An upcast that nothing can lead to, or that leads nowhere.
    #[error(
        "the upcast of kind {kind} from version {from_version} leads nowhere: the kind is not registered, or not with a version above that, or the version is 0"
    )]
    UpcastWithoutUse {
        /// The kind.
        kind: u16,
        /// The version it starts from.
        from_version: u16,
    },
    /// Two upcasts start from the same version.
    #[error("kind {kind} has two upcasts from version {from_version}; leave one out")]
    UpcastTwice {
        /// The kind.
        kind: u16,
        /// The version they start from.
        from_version: u16,
    },
    /// A version below the newest has no upcast.
    #[error(
        "kind {kind} ({name:?}) has no upcast from version {from_version}; add one, if only to refuse such payloads"
    )]
    UpcastMissing {
        /// The kind.
        kind: u16,
        /// Its name.
        name: &'static str,
        /// The version that cannot be read.
        from_version: u16,
    },
    /// The journal knows the kind under another name, or the name under another kind.
    #[error(
        "kind {kind} is registered as {name:?}, but the journal has kind {stored_kind} as {stored_name:?}; a kind keeps its name for ever, so take a kind and a name that the journal does not have"
    )]
    StoredOtherwise {
        /// The kind as registered.
        kind: u16,
        /// Its name as registered.
        name: &'static str,
        /// The kind as stored.
        stored_kind: u16,
        /// Its name as stored.
        stored_name: String,
    },
}

/// Types and upcasts, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct KindsBuilder {
    types: Vec<(u16, &'static str, u16)>,
    upcasts: Vec<(u16, u16, Upcast)>,
}

impl KindsBuilder {
    /// Adds the type of a kind. Adding the same one again changes nothing.
    #[must_use]
    pub fn register<P: Payload>(mut self) -> Self {
        self.types.push((P::KIND, P::NAME, P::VERSION));
        self
    }

    /// Adds the step from `from_version` of a kind to the version after it.
    #[must_use]
    pub fn upcast(mut self, kind: u16, from_version: u16, upcast: Upcast) -> Self {
        self.upcasts.push((kind, from_version, upcast));
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// If kinds or names clash, if one of them is not allowed, or if upcasts are missing or too
    /// many.
    pub fn build(self) -> Result<Kinds, KindsError> {
        let mut by_kind = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for (kind, name, version) in self.types {
            check_type(kind, name, version)?;
            let registered =
                by_kind.entry(kind).or_insert(Registered { name, version, upcasts: Vec::new() });
            if (registered.name, registered.version) != (name, version) {
                return Err(KindsError::KindTwice {
                    kind,
                    first: registered.name,
                    first_version: registered.version,
                    second: name,
                    second_version: version,
                });
            }
            let first = *by_name.entry(name).or_insert(kind);
            if first != kind {
                return Err(KindsError::NameTwice { name, first, second: kind });
            }
        }
        add_upcasts(&mut by_kind, self.upcasts)?;
        Ok(Kinds { by_kind })
    }
}

fn check_type(kind: u16, name: &'static str, version: u16) -> Result<(), KindsError> {
    if reserved::RANGE.contains(&kind) {
        return Err(KindsError::Reserved { kind, name });
    }
    if !(1..=KIND_NAME_BYTES_MAX).contains(&name.len()) {
        return Err(KindsError::NameLength { kind, bytes: name.len() });
    }
    if version == 0 {
        return Err(KindsError::VersionZero { kind, name });
    }
    Ok(())
}

fn add_upcasts(
    by_kind: &mut BTreeMap<u16, Registered>,
    mut upcasts: Vec<(u16, u16, Upcast)>,
) -> Result<(), KindsError> {
    // By version, so that each upcast finds the ones before it in place.
    upcasts.sort_by_key(|&(kind, from_version, _)| (kind, from_version));
    for (kind, from_version, upcast) in upcasts {
        let registered = by_kind
            .get_mut(&kind)
            .filter(|registered| (1..registered.version).contains(&from_version))
            .ok_or(KindsError::UpcastWithoutUse { kind, from_version })?;
        let place = usize::from(from_version) - 1;
        if place < registered.upcasts.len() {
            return Err(KindsError::UpcastTwice { kind, from_version });
        }
        if place > registered.upcasts.len() {
            break; // A gap, which the check below names.
        }
        registered.upcasts.push(upcast);
    }
    for (&kind, registered) in &*by_kind {
        if registered.upcasts.len() + 1 < usize::from(registered.version) {
            let from_version = u16::try_from(registered.upcasts.len() + 1)
                .expect("it is below the version, which is a u16");
            return Err(KindsError::UpcastMissing { kind, name: registered.name, from_version });
        }
    }
    Ok(())
}
