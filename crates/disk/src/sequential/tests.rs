//! Both ways of reading, direct and cached, against what was written, and what the kernel refuses.

use std::{fs, thread};

use io_uring::IoUring;
use proptest::prelude::*;
use rustix::fs::{Advice, fadvise};

use super::*;

const CHUNK_BYTES: usize = 4 * BLOCK_BYTES;

struct Sample {
    folder: tempfile::TempDir,
    content: Vec<u8>,
}

impl Sample {
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        // 251 is prime: no two blocks are the same.
        let content: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
        fs::write(folder.path().join("file"), &content).expect("written");
        Self { folder, content }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn open(&self, options: ReadOptions) -> Result<SequentialReader, Error> {
        SequentialReader::open(self.path(), options)
    }

    /// Cuts the file or appends zeros to it.
    fn resize(&self, bytes: usize) {
        let file = fs::File::options().write(true).open(self.path()).expect("opened");
        file.set_len(bytes as u64).expect("resized");
    }
}

fn read_all(reader: &mut SequentialReader) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(bytes) = reader.next()? {
        all.extend_from_slice(bytes);
    }
    Ok(all)
}

/// Asserts that a ring was made if, and only if, the kernel makes one without the code under test.
///
/// Rings and their memory count as locked memory and are given back some time after their end:
/// under a low limit, tests that run at once take them from each other, and nothing can be said.
pub(super) fn assert_ring_as_expected(made: bool) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes into the one value given.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    assert_eq!(answer, 0);
    let locked_memory_is_scarce = limit.rlim_cur < 8 << 20;
    assert!(locked_memory_is_scarce || made == IoUring::new(1).is_ok(), "made: {made}");
}

/// Asked of the file system without the code under test.
fn direct_is_to_be_had(folder: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join("probe");
    fs::write(&path, [0]).expect("written");
    fs::File::options().read(true).custom_flags(libc::O_DIRECT).open(path).is_ok()
}

/// Every combination that this machine has; what it has not is shown to be refused.
fn combinations(sample: &Sample, chunk_bytes: usize, depth: usize) -> Vec<SequentialReader> {
    let direct_possible = direct_is_to_be_had(sample.folder.path());
    let mut readers = Vec::new();
    for method in [ReadMethod::Positioned, ReadMethod::Ring] {
        for direct in [DirectMode::Off, DirectMode::On] {
            match sample.open(ReadOptions { chunk_bytes, depth, method, direct }) {
                Ok(reader) => {
                    assert_eq!(reader.method_used().ring, method == ReadMethod::Ring);
                    assert_eq!(reader.method_used().direct, direct == DirectMode::On);
                    readers.push(reader);
                }
                Err(error) if direct == DirectMode::On && !direct_possible => {
                    assert!(error.to_string().contains("O_DIRECT"), "{error}");
                }
                Err(error) => {
                    assert_eq!(method, ReadMethod::Ring, "{error}");
                    assert!(error.to_string().contains("io_uring"), "{error}");
                    assert_ring_as_expected(false);
                }
            }
        }
    }
    readers
}

#[test]
fn every_way_gives_the_bytes_of_the_file_whatever_its_size() {
    let chunk = CHUNK_BYTES;
    for bytes in [0, 1, 4095, 4096, 4097, chunk - 1, chunk, chunk + 1, 9 * chunk, 9 * chunk + 5000]
    {
        let sample = Sample::new(bytes);
        for mut reader in combinations(&sample, chunk, 3) {
            let used = reader.method_used();
            assert_eq!(reader.bytes(), bytes as u64);
            assert_eq!(reader.path(), sample.path());
            assert!(read_all(&mut reader).expect("read") == sample.content, "{bytes} {used}");
            assert_eq!(reader.next().expect("still at the end"), None);
        }
    }
}

#[test]
fn chunks_are_whole_but_for_the_last() {
    let sample = Sample::new(2 * CHUNK_BYTES + 100);
    for mut reader in combinations(&sample, CHUNK_BYTES, 2) {
        for bytes in [CHUNK_BYTES, CHUNK_BYTES, 100] {
            assert_eq!(reader.next().expect("read").expect("a chunk").len(), bytes);
        }
    }
}

#[test]
fn a_restart_gives_the_file_from_its_first_byte() {
    let sample = Sample::new(20 * CHUNK_BYTES + 7);
    for mut reader in combinations(&sample, CHUNK_BYTES, 4) {
        for chunks_before in [0, 1, 7, 20, 21, 22] {
            for _ in 0..chunks_before {
                reader.next().expect("read");
            }
            reader.restart().expect("restarted");
            assert!(read_all(&mut reader).expect("read") == sample.content);
            reader.restart().expect("restarted");
        }
    }
}

#[test]
fn a_reader_goes_on_in_another_thread_when_the_first_has_ended() {
    let sample = Sample::new(300 * CHUNK_BYTES + 7);
    for mut reader in combinations(&sample, CHUNK_BYTES, 32) {
        let mut all = Vec::new();
        for _ in 0..10 {
            (reader, all) = thread::spawn(move || {
                for _ in 0..29 {
                    all.extend_from_slice(reader.next().expect("read").expect("a chunk"));
                }
                (reader, all)
            })
            .join()
            .expect("the thread read");
        }
        all.extend(read_all(&mut reader).expect("read"));
        assert!(all == sample.content, "{}", reader.method_used());
    }
}

#[test]
fn a_file_that_becomes_shorter_is_an_error_at_the_byte_where_it_ends() {
    for left in [0, 1, 4096, CHUNK_BYTES, 30 * CHUNK_BYTES, 30 * CHUNK_BYTES + 5000] {
        let sample = Sample::new(40 * CHUNK_BYTES);
        for mut reader in combinations(&sample, CHUNK_BYTES, 2) {
            reader.next().expect("read").expect("a chunk");
            sample.resize(left);
            let error = loop {
                match reader.next() {
                    Ok(bytes) => assert!(bytes.is_some(), "a short file was taken for whole"),
                    Err(error) => break error,
                }
            };
            let Error::Path { offset: Some(offset), .. } = error else { panic!("{error}") };
            // What was in flight before the cut may have been read whole.
            let at_most = left.max(3 * CHUNK_BYTES);
            assert!((left as u64..=at_most as u64).contains(&offset), "{error}");
            let error = error.to_string();
            assert!(error.contains(&format!("file: cannot read at byte {offset}: ")), "{error}");
            assert!(error.contains("has become shorter"), "{error}");
            sample.resize(40 * CHUNK_BYTES);
        }
    }
}

#[test]
fn a_file_that_grows_is_an_error_at_its_end() {
    for bytes in [0, 100, 2 * CHUNK_BYTES, 20 * CHUNK_BYTES, 20 * CHUNK_BYTES + 4096] {
        let sample = Sample::new(bytes);
        for mut reader in combinations(&sample, CHUNK_BYTES, 2) {
            sample.resize(bytes + 1);
            let error = read_all(&mut reader).expect_err("a longer file").to_string();
            let expected = format!("file: cannot read at byte {bytes}: the file has grown");
            assert!(error.contains(&expected), "{error}");
            sample.resize(bytes);
            // The same bytes are tried again.
            assert_eq!(
                reader.next().expect("as it was").map_or(0, <[u8]>::len),
                bytes % CHUNK_BYTES
            );
        }
    }
}

#[test]
fn a_folder_and_a_missing_file_are_refused_by_name() {
    let sample = Sample::new(1);
    let error = SequentialReader::open(sample.folder.path(), ReadOptions::default());
    let error = error.expect_err("a folder").to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let missing = sample.folder.path().join("none");
    let error = SequentialReader::open(missing, ReadOptions::default()).expect_err("missing");
    assert!(error.to_string().contains("none: cannot open"), "{error}");
}

#[test]
fn a_file_system_without_direct_reads_is_read_through_the_page_cache() {
    let path = "/proc/version";
    let reader = SequentialReader::open(path, ReadOptions::default()).expect("opened");
    assert!(!reader.method_used().direct);
    let options = ReadOptions { direct: DirectMode::On, ..ReadOptions::default() };
    let error = SequentialReader::open(path, options).expect_err("refused").to_string();
    assert!(error.contains("version: cannot read past the page cache (O_DIRECT)"), "{error}");
}

#[test]
fn a_file_of_which_the_system_does_not_know_the_size_is_an_error() {
    // The size is said to be 0, but there are bytes.
    let mut reader =
        SequentialReader::open("/proc/version", ReadOptions::default()).expect("opened");
    let error = reader.next().expect_err("bytes beyond the end").to_string();
    assert!(error.contains("has grown"), "{error}");
}

#[test]
fn only_a_file_in_the_page_cache_is_read_through_it() {
    let sample = Sample::new(8 << 20);
    let options = ReadOptions { method: ReadMethod::Positioned, ..ReadOptions::default() };
    let direct = || sample.open(options).expect("opened").method_used().direct;
    let file = fs::File::open(sample.path()).expect("opened");
    // There the kernel does not tell what is in memory: all is, and direct reads find it.
    let in_memory = rustix::fs::fstatfs(&file).expect("told").f_type == libc::TMPFS_MAGIC;
    let possible = direct_is_to_be_had(sample.folder.path());
    assert_eq!(direct(), possible && in_memory, "just written");
    file.sync_all().expect("synced");
    // The kernel leaves in the cache what it is busy with at this moment.
    let dropped = (0..100).any(|_| {
        fadvise(&file, 0, None, Advice::DontNeed).expect("dropped");
        direct()
    });
    assert_eq!(dropped, possible, "dropped from the cache");
}

/// Has the kernel refuse system calls to the calling thread from now on, as containers do.
pub(super) fn forbid(calls: &[libc::c_long]) {
    let statement = |code: u32, jump_true, jump_false, value| libc::sock_filter {
        code: u16::try_from(code).expect("codes are short"),
        jt: jump_true,
        jf: jump_false,
        k: value,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    // The number of the call is the first word of what a filter sees.
    let mut program = vec![statement(load, 0, 0, 0)];
    for call in calls {
        program.push(statement(equal, 0, 1, u32::try_from(*call).expect("a small number")));
        program.push(statement(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    }
    program.push(statement(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a short program"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives till after the call; both calls only take
    // rights away from this thread.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    assert_eq!(refused, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_refused_ring_gives_way_to_positioned_reads() {
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_register, libc::SYS_io_uring_enter];
    for call in calls {
        thread::spawn(move || {
            forbid(&[call]);
            let sample = Sample::new(3 * CHUNK_BYTES);
            let mut reader = sample.open(ReadOptions::default()).expect("opened");
            assert!(!reader.method_used().ring);
            assert!(read_all(&mut reader).expect("read") == sample.content);
            let options = ReadOptions { method: ReadMethod::Ring, ..ReadOptions::default() };
            let error = sample.open(options).expect_err("no ring").to_string();
            assert!(error.contains("file: cannot make a ring (io_uring) to read"), "{error}");
        })
        .join()
        .expect("the thread asserted");
    }
}

#[test]
fn reading_needs_only_the_system_calls_it_states() {
    let sample = Sample::new(30 * CHUNK_BYTES + 1);
    for mut reader in combinations(&sample, CHUNK_BYTES, 3) {
        let expected = sample.content.clone();
        thread::spawn(move || {
            let mut calls = vec![
                libc::SYS_openat,
                libc::SYS_close,
                libc::SYS_read,
                libc::SYS_lseek,
                libc::SYS_fcntl,
                libc::SYS_fadvise64,
                libc::SYS_statx,
                libc::SYS_preadv2,
                libc::SYS_io_uring_setup,
                libc::SYS_io_uring_register,
            ];
            let [descriptor] = reader.descriptors()[..] else { panic!("one descriptor") };
            calls.push(match descriptor {
                ReaderDescriptor::ReadAt(_) => libc::SYS_io_uring_enter,
                ReaderDescriptor::Ring(_) => libc::SYS_pread64,
            });
            forbid(&calls);
            assert!(read_all(&mut reader).expect("read") == expected);
            reader.restart().expect("restarted");
            assert!(read_all(&mut reader).expect("read again") == expected);
            // Given back to a thread that may close it.
            reader
        })
        .join()
        .expect("the thread asserted");
    }
}

#[test]
fn a_system_call_refused_while_reading_is_an_error_that_names_the_file() {
    let sample = Sample::new(30 * CHUNK_BYTES);
    let options = ReadOptions { chunk_bytes: CHUNK_BYTES, ..ReadOptions::default() };
    let mut reader = sample.open(options).expect("opened");
    assert_ring_as_expected(reader.method_used().ring);
    thread::spawn(move || {
        forbid(&[libc::SYS_io_uring_enter, libc::SYS_pread64]);
        let error = reader.next().expect_err("refused").to_string();
        assert!(error.contains("file: cannot read at byte 0"), "{error}");
        drop(reader);
    })
    .join()
    .expect("the thread asserted");
}

#[test]
fn the_way_of_reading_is_told_in_words() {
    let words = |direct, ring| ReadMethodUsed { direct, ring, depth: 4 }.to_string();
    assert_eq!(words(true, true), "direct reads by io_uring, 4 in flight");
    assert_eq!(words(false, true), "reads through the page cache by io_uring, 4 in flight");
    assert_eq!(words(true, false), "direct positioned reads");
    assert_eq!(words(false, false), "positioned reads through the page cache");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn all_ways_agree_on_random_sizes(
        bytes in 0usize..300_000,
        chunk_blocks in 1usize..12,
        depth in 1usize..9,
        chunks_before in 0usize..9,
    ) {
        let sample = Sample::new(bytes);
        for mut reader in combinations(&sample, chunk_blocks * BLOCK_BYTES, depth) {
            for _ in 0..chunks_before {
                reader.next().expect("read");
            }
            reader.restart().expect("restarted");
            prop_assert!(read_all(&mut reader).expect("read") == sample.content);
        }
    }
}
