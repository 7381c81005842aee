//! Slots, forks, roots, views: what a store answers.

#[path = "../kit/mod.rs"]
mod kit;

mod basics;
mod named;
mod random;
mod spilling;
mod taking_back;
