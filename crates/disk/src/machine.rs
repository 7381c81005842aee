//! What the machine offers: memory, pages, and whether a folder's file system takes direct reads.
//!
//! What the kernel does not tell is `None`, not an error: `/proc` and `/sys` need not be there.
//!
//! What it does *not* do: judge what it finds, or know of this process's limits.

use std::{fs, path::Path};

use crate::{Error, Scratch, sequential::set_direct};

/// Bytes of the block that is written and read back to try direct reads.
const TRIAL_BYTES: usize = 4096;

/// The machine, as its kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// The kernel's release.
    pub kernel_release: Option<String>,
    /// What the processor is called.
    pub processor: Option<String>,
    /// All memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that could be had without swapping, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Bytes of a page of memory.
    pub page_bytes: Option<u64>,
    /// Bytes of a huge page.
    pub huge_page_bytes: Option<u64>,
    /// Who gets huge pages without asking: `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// The same for shared memory: `always`, `advise`, `within_size`, `never`, `deny`, `force`.
    pub shared_huge_pages: Option<String>,
}

/// Reads the kernel's account of the machine.
pub fn machine() -> Machine {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let huge = |name: &str| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{name}");
        fs::read_to_string(path).ok().as_deref().and_then(chosen)
    };
    Machine {
        kernel_release: fs::read_to_string("/proc/sys/kernel/osrelease")
            .ok()
            .map(|text| text.trim().to_string()),
        processor: value(&processors, "model name").map(str::to_string),
        memory_bytes: kibibytes(&memory, "MemTotal"),
        memory_available_bytes: kibibytes(&memory, "MemAvailable"),
        page_bytes: kibibytes(&smaps, "KernelPageSize"),
        huge_page_bytes: kibibytes(&memory, "Hugepagesize"),
        transparent_huge_pages: huge("enabled"),
        shared_huge_pages: huge("shmem_enabled"),
    }
}

/// Tries a direct read in a folder, of a nameless file that is written for it.
///
/// # Errors
/// The folder takes no scratch file, or its file system no direct reads.
pub fn try_direct_reads(folder: impl AsRef<Path>) -> Result<(), Error> {
    let folder = folder.as_ref();
    let scratch = Scratch::create(folder)?;
    scratch.append(&[0; TRIAL_BYTES])?;
    set_direct(scratch.file(), true)
        .map_err(|source| Error::new(folder, "read past the page cache (O_DIRECT) in", source))
}

/// The value of the first line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (of, value) = line.split_once(':')?;
        (of.trim() == name).then(|| value.trim())
    })
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let number: u64 = value(text, name)?.strip_suffix(" kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The word in brackets: the setting that holds.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let text = "MemTotal:       24609128 kB\nmodel name\t: AMD EPYC\nodd: 1 MB\n";
        assert_eq!(kibibytes(text, "MemTotal"), Some(24_609_128 * 1024));
        assert_eq!(value(text, "model name"), Some("AMD EPYC"));
        assert_eq!(kibibytes(text, "odd"), None);
        assert_eq!(kibibytes(text, "Mem"), None);
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen("never"), None);
    }

    #[test]
    fn this_machine_has_memory_in_pages() {
        let machine = machine();
        let page = machine.page_bytes.expect("/proc is there on Linux");
        assert!(page.is_power_of_two() && page >= 4096, "{page}");
        assert!(machine.memory_available_bytes <= machine.memory_bytes);
        assert!(machine.memory_bytes > Some(1 << 20));
    }

    #[test]
    fn direct_reads_are_refused_by_path_where_they_cannot_be() {
        let error = try_direct_reads("/proc").expect_err("no files can be made there");
        assert!(error.to_string().starts_with("/proc: cannot make a scratch file in"), "{error}");
    }
}
