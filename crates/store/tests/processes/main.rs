//! A store on a real disk: threads beside each other, processes beside each other, processes that are
//! killed.

#[path = "../kit/mod.rs"]
mod kit;

mod chain;
mod kills;
mod pins;
mod threads;
