//! `snapshot inspect`, `stats` and `diff`, as a user runs them: what they say is what the truth
//! files of the reference client and the library's own decoders say.

mod damage;
mod diff;
mod inspect;
mod memory;
mod stats;
mod support;
mod usage;
