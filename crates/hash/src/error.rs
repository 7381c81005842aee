//! What can go wrong while hashing: little, since bytes are bytes.

use crate::{BankHashScheme, Kernel};

/// An operating error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no kernel.
    #[error("'{text}' is not a SIMD kernel; portable, avx2 and avx512 are")]
    KernelUnknown {
        /// The text as given, cut to 64 characters.
        text: String,
    },
    /// This CPU lacks the instructions.
    #[error("this CPU cannot run the SIMD kernel {kernel}")]
    KernelUnavailable {
        /// The kernel asked for.
        kernel: Kernel,
    },
    /// A bank hash needs something that the bank does not have.
    #[error("the bank hash of the scheme {scheme} needs the {part}, which is absent")]
    BankHashPartMissing {
        /// The scheme asked for.
        scheme: BankHashScheme,
        /// What is absent.
        part: &'static str,
    },
}
