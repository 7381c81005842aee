//! What threads share states with: the standard library's locks, or shuttle's, which try out
//! schedules (feature `shuttle`, for tests only).
//!
//! Whatever threads of one journal can wait for each other on comes from here; the rest is the
//! standard library's directly.

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
};
