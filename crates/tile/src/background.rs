//! Work that gives way to all other work of the machine.

/// The weakest claim on a core that a thread can have (`setpriority`).
const NICE_MOST: i32 = 19;

/// From now on the calling thread, and those and the processes that it starts later, get a core when
/// others want none, or a small share. Without privileges that cannot be undone. Where the system
/// refuses, nothing changes.
pub fn give_way() {
    // On Linux a priority is the thread's own.
    let _ = rustix::process::setpriority_process(None, NICE_MOST);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn a_thread_that_gives_way_takes_along_whom_it_starts_and_nobody_else() {
        let priority = || getpriority_process(None).expect("a priority");
        let before = priority();
        let (own, child) = thread::spawn(move || {
            give_way();
            (priority(), thread::spawn(priority).join().expect("ends"))
        })
        .join()
        .expect("ends");
        assert_eq!((own, child), (NICE_MOST, NICE_MOST));
        assert_eq!(priority(), before);
    }
}
