//! Slots, forks, roots, views: what a store answers.

#[path = "../kit/mod.rs"]
mod kit;

mod basics;
