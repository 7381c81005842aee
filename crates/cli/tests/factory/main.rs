//! The snapshot factory as a user meets it: from archives, from a store, and the index beside archives.

mod create;
mod from_archives;
mod indexed;
mod support;
