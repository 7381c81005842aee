//! Runs against maps, with hostile keys and damaged files.
