//! Which SIMD instructions hash, found out at run time.

use std::{env, fmt, str::FromStr};

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use super::{
    group::{ChainingValues, Chunks, GROUP, LaneSums, RootNodes},
    portable,
};
use crate::Error;

/// The environment variable that forces a kernel.
const VARIABLE: &str = "ICECORE_SIMD";

/// A set of SIMD instructions for the lattice hash. All give the same results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Safe code that any CPU runs.
    Portable,
    /// AVX2: 8 lanes of 32 bits.
    Avx2,
    /// AVX-512 F and BW: 16 lanes of 32 bits.
    Avx512,
}

impl Kernel {
    /// The kernels that this CPU can run, the fastest first; [`Kernel::Portable`] is always there.
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2");
            let avx512 =
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 {
                return &[Self::Avx512, Self::Avx2, Self::Portable];
            }
            if avx2 {
                return &[Self::Avx2, Self::Portable];
            }
        }
        &[Self::Portable]
    }

    /// The kernel that the environment variable `ICECORE_SIMD` names, or else the fastest.
    ///
    /// # Errors
    /// [`Error::KernelUnknown`] or [`Error::KernelUnavailable`] when the variable names nothing
    /// that this CPU can run.
    pub fn chosen() -> Result<Self, Error> {
        match env::var_os(VARIABLE) {
            Some(forced) => Self::forced(&forced.to_string_lossy()),
            None => Ok(Self::available()[0]),
        }
    }

    fn forced(text: &str) -> Result<Self, Error> {
        let kernel: Self = text.parse()?;
        if Self::available().contains(&kernel) {
            Ok(kernel)
        } else {
            Err(Error::KernelUnavailable { kernel })
        }
    }

    /// The name, as `ICECORE_SIMD` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Accounts that one instruction works on.
    pub fn lanes(self) -> usize {
        match self {
            Self::Portable => portable::LANES,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kernel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Portable, Self::Avx2, Self::Avx512]
            .into_iter()
            .find(|kernel| kernel.name() == text)
            .ok_or_else(|| Error::KernelUnknown { text: text.chars().take(64).collect() })
    }
}

/// A kernel that this CPU can run: the proof that the calls below are sound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Engine(Kernel);

impl Engine {
    /// # Panics
    /// When this CPU cannot run `kernel`.
    pub(super) fn new(kernel: Kernel) -> Self {
        assert!(
            Kernel::available().contains(&kernel),
            "a kernel is taken from Kernel::available or Kernel::chosen"
        );
        Self(kernel)
    }

    pub(super) fn kernel(self) -> Kernel {
        self.0
    }
}

macro_rules! dispatch {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Engine {
            $(
                $(#[$doc])*
                pub(super) fn $name(self, $($argument: $type),*) {
                    match self.0 {
                        Kernel::Portable => portable::$name($($argument),*),
                        #[cfg(target_arch = "x86_64")]
                        // SAFETY: Engine::new found the CPU's AVX2.
                        Kernel::Avx2 => unsafe { avx2::$name($($argument),*) },
                        #[cfg(target_arch = "x86_64")]
                        // SAFETY: Engine::new found the CPU's AVX-512 F and BW.
                        Kernel::Avx512 => unsafe { avx512::$name($($argument),*) },
                        #[cfg(not(target_arch = "x86_64"))]
                        Kernel::Avx2 | Kernel::Avx512 => {
                            unreachable!("Engine::new refuses what is not available")
                        }
                    }
                }
            )*
        }
    };
}

dispatch! {
    /// [`wide::chain`](super::wide::chain).
    chain(chunks: Chunks<'_>, blocks: usize, values: &mut ChainingValues);
    /// [`wide::chunk_values`](super::wide::chunk_values).
    chunk_values(chunks: Chunks<'_>, lengths: &[u32; GROUP], indices: &[u32; GROUP], values: &mut ChainingValues);
    /// [`wide::expand`](super::wide::expand).
    expand(nodes: RootNodes<'_>, sums: &mut LaneSums);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kernel in [Kernel::Portable, Kernel::Avx2, Kernel::Avx512] {
            assert_eq!(kernel.to_string().parse(), Ok(kernel));
        }
        let error = Kernel::forced("sse9").expect_err("no such kernel");
        assert_eq!(error.to_string(), "'sse9' is not a SIMD kernel; portable, avx2 and avx512 are");
    }

    #[test]
    fn forcing_is_possible_exactly_for_what_is_available() {
        for kernel in [Kernel::Portable, Kernel::Avx2, Kernel::Avx512] {
            let expected = if Kernel::available().contains(&kernel) {
                Ok(kernel)
            } else {
                Err(Error::KernelUnavailable { kernel })
            };
            assert_eq!(Kernel::forced(kernel.name()), expected);
        }
        assert!(Kernel::available().contains(&Kernel::Portable));
    }
}
