//! What this process uses of the machine, and what its children do.
//!
//! What it does *not* do: look at processes that children start.

use std::fs;

/// Memory of this process in bytes, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Anonymous and shared memory resident now; mapped files apart.
    pub resident: u64,
    /// The highest resident set so far, mapped files included.
    pub peak: u64,
}

/// Reads the kernel's account; `None` where `/proc` is not to be had.
pub fn memory_use() -> Option<MemoryUse> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(MemoryUse {
        resident: bytes_of(&status, "RssAnon:")? + bytes_of(&status, "RssShmem:")?,
        peak: bytes_of(&status, "VmHWM:")?,
    })
}

/// Bytes resident now of this process and of the processes that it started: anonymous memory of all
/// of them, and shared memory once, as this process has mapped it. Mapped files are apart.
///
/// `None` where `/proc` is not to be had, or does not name children (it does with the kernel's
/// `CONFIG_PROC_CHILDREN`).
pub fn memory_use_of_family() -> Option<u64> {
    Some(memory_use()?.resident + children_anonymous_bytes()?)
}

/// Anonymous memory of the children of all threads.
fn children_anonymous_bytes() -> Option<u64> {
    let mut bytes = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let path = thread.ok()?.path();
        let children = match fs::read_to_string(path.join("children")) {
            Ok(children) => children,
            // A thread that ended since has none; where threads that live have none either, it is
            // the kernel that does not tell.
            Err(_) if !path.exists() => continue,
            Err(_) => return None,
        };
        for child in children.split_whitespace() {
            // Who has ended holds nothing, and is not there or has no such line.
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            bytes += bytes_of(&status, "RssAnon:").unwrap_or(0);
        }
    }
    Some(bytes)
}

/// The value of a line of `/proc/*/status` that begins with this name.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn what_a_child_holds_is_counted_until_it_ends() {
        // Without a line's end, `tail` has to keep all that it is given.
        let mut child = Command::new("tail")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("tail is there on Linux");
        let mut input = child.stdin.take().expect("it is a pipe");
        // More than other tests of this process hold meanwhile.
        let given = vec![0u8; 1 << 20];
        (0..256).for_each(|_| input.write_all(&given).expect("tail reads"));
        let held = children_anonymous_bytes().expect("the kernel names children");
        assert!(held >= 250 << 20, "{held}");
        let family = memory_use_of_family().expect("the kernel names children");
        assert!(family >= 250 << 20, "{family}");
        drop(input);
        child.wait().expect("tail ends with its input");
        let held = children_anonymous_bytes().expect("the kernel names children");
        assert!(held < 250 << 20, "{held}");
    }

    #[test]
    fn a_status_that_lacks_a_line_or_has_another_unit_tells_nothing() {
        let status = "Name:\tx\nRssAnon:\t     152 kB\nThreads:\t1\n";
        assert_eq!(bytes_of(status, "RssAnon:"), Some(152 * 1024));
        assert_eq!(bytes_of(status, "RssShmem:"), None);
        assert_eq!(bytes_of(status, "Threads:"), None);
    }
}
