//! Views of account data against bytes built by hand, the reference client's decoder, real archives
//! and hostile data.

mod bytes;
mod hostile;
mod lists;
mod real_archives;
mod reference;
mod samples;
mod tokens;
mod votes;
