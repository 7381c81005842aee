//! Commands on stores, as they are typed: restored, fed, read, asked while a node runs.

mod care;
mod guide;
mod ingesting;
mod node;
mod reading;
mod restoring;
mod snapshots;
mod support;
