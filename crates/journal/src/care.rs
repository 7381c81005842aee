//! Care for a journal: finding out what is wrong with it, and saving what is not.

pub(crate) mod walk;
