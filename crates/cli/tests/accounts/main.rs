//! The commands that give accounts, run as a user runs them, and held against what the makers of
//! the archives state and against models that are too simple to be wrong.

mod account;
mod every_command;
mod export;
mod support;
mod token_holders;
