//! What this process uses of the machine.

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
    let kibibytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().split(' ').next()?.parse().ok()
    };
    Some(MemoryUse {
        resident: (kibibytes("RssAnon")? + kibibytes("RssShmem")?) * 1024,
        peak: kibibytes("VmHWM")? * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_memory_is_counted() {
        let before = memory_use().expect("/proc is there on Linux").resident;
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = memory_use().expect("/proc is there on Linux");
        assert!(after.resident >= before + (60 << 20), "{before} {after:?}");
        assert!(after.peak >= after.resident);
        drop(touched);
    }
}
