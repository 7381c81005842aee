//! What the tests share: a store in memory to compare with, slot feeds to give it, and the truth that
//! comes with the shared data.

#![allow(dead_code, unreachable_pub, reason = "every test program uses its part of this")]

pub mod data;
pub mod messages;
pub mod model;
pub mod story;
pub mod truth;
