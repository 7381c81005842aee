//! Processes of this machine, told apart by number and start time.
//!
//! What it does *not* do: see into other process namespaces. Processes that share a store must see
//! each other; in containers, share the namespace.

use std::{fs, process};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::ProcessIdentity;

/// Place of the start time in `/proc/<id>/stat`, counted from the state, which follows the name
/// (fields 22 and 3 of the manual page `proc_pid_stat(5)`).
const START_TIME_FIELD: usize = 22 - 3;

/// This process.
pub(super) fn this() -> ProcessIdentity {
    let start_time = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(start_time);
    ProcessIdentity { id: process::id(), start_time: start_time.unwrap_or(0) }
}

/// Whether it runs; yes where the kernel does not tell.
pub(super) fn is_alive(process: ProcessIdentity) -> bool {
    let Some(id) = i32::try_from(process.id).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // The signal 0 is never sent, only tried; not being allowed to send it means that there is one.
    if test_kill_process(id) == Err(Errno::SRCH) {
        return false;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", process.id)) else {
        return true;
    };
    match (start_time(&stat), process.start_time) {
        (None, _) => false,
        (Some(_), 0) => true,
        (Some(found), expected) => found == expected,
    }
}

/// The start time in a line of `/proc/<id>/stat`; `None` for a process that has ended and is only
/// waited for.
fn start_time(stat: &str) -> Option<u64> {
    // The name stands in parentheses and can hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.clone().next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(START_TIME_FIELD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn this_process_is_alive_and_one_that_started_at_another_time_is_not() {
        let this = this();
        assert!(this.start_time > 0, "/proc is there on Linux");
        assert!(is_alive(this));
        assert!(!is_alive(ProcessIdentity { start_time: this.start_time + 1, ..this }));
        assert!(is_alive(ProcessIdentity { start_time: 0, ..this }));
        assert!(!is_alive(ProcessIdentity { id: 0, start_time: 0 }));
        assert!(!is_alive(ProcessIdentity { id: u32::MAX, start_time: 0 }));
    }

    #[test]
    fn a_child_that_ended_is_dead_before_and_after_it_is_waited_for() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat is there on Linux");
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
        let identity = ProcessIdentity {
            id: child.id(),
            start_time: start_time(&stat).expect("a line of the kernel"),
        };
        assert!(is_alive(identity));
        drop(child.stdin.take());
        // It ends with its input, and stays a number that is waited for.
        while is_alive(identity) {
            std::thread::yield_now();
        }
        assert!(fs::exists(format!("/proc/{}/stat", child.id())).expect("readable"));
        child.wait().expect("it has ended");
        assert!(!is_alive(identity));
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let fields: Vec<_> = (4..40).map(|field| field.to_string()).collect();
        let line = |state: &str| format!("7 (a) b (c) {state} {}", fields.join(" "));
        assert_eq!(start_time(&line("S")), Some(22));
        assert_eq!(start_time(&line("Z")), None);
        assert_eq!(start_time("7 (a) S 4"), None);
        assert_eq!(start_time(""), None);
    }
}
