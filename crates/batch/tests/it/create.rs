//! Archives of a store's states. What is made is judged by the state that it was made of, by our own
//! verdict with warnings as failures, and by the reference client, where this machine has it.

mod full;
mod incremental;
mod meanwhile;
mod refusals;
