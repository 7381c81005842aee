//! What tiles of the tests do wrong, and when.

use std::hint::spin_loop;

use icecore_tile::Cause;

use crate::tiles::Random;

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Privileged,
    Init,
    Start,
    Fragment,
    Credit,
    Finish,
    Next,
    House,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Error,
    Panic,
    Spin,
    Scribble,
    Open,
    Socket,
    Kill,
    Write,
}

/// The forbidden calls, with the names that the kernel has for them.
pub(crate) const CALLS: [(How, &str); 4] =
    [(How::Open, "openat"), (How::Socket, "socket"), (How::Kill, "kill"), (How::Write, "write")];

const MOMENTS: [Moment; 8] = [
    Moment::Privileged,
    Moment::Init,
    Moment::Start,
    Moment::Fragment,
    Moment::Credit,
    Moment::Finish,
    Moment::Next,
    Moment::House,
];

const HOWS: [How; 8] = [
    How::Error,
    How::Panic,
    How::Spin,
    How::Scribble,
    How::Open,
    How::Socket,
    How::Kill,
    How::Write,
];

/// The error of a tile that was told to fail.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("struck at {0:?}")]
pub(crate) struct Struck(pub Moment);

/// One thing that goes wrong, once an attempt has this number (0: before the first).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub how: How,
    pub moment: Moment,
    pub attempt: u64,
}

impl Fault {
    /// For the kind of a tile in a process, which is told nothing else.
    pub(crate) fn suffix(self) -> String {
        format!(".{:?}.{:?}.{}", self.how, self.moment, self.attempt)
    }

    /// From the kind of a tile.
    pub(crate) fn of_kind(kind: &str) -> Option<Self> {
        let mut words = kind.split('.').skip(1);
        let (how, moment, attempt) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            how: HOWS.into_iter().find(|one| format!("{one:?}") == how)?,
            moment: MOMENTS.into_iter().find(|one| format!("{one:?}") == moment)?,
            attempt: attempt.parse().ok()?,
        })
    }
}

/// A tile's part of what goes wrong.
pub(crate) struct Trap {
    fault: Option<Fault>,
    attempt: u64,
    ranges: Vec<(usize, usize)>,
    random: Random,
}

impl Trap {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { fault, attempt: 0, ranges: Vec::new(), random: Random(7) }
    }

    pub(crate) fn begin(&mut self, attempt: u64) {
        self.attempt = attempt;
        self.random = Random(attempt);
    }

    /// Does it, if it is time.
    pub(crate) fn pass(&mut self, moment: Moment) -> Result<(), Cause> {
        let Some(fault) = self.fault else { return Ok(()) };
        if moment == Moment::Privileged && fault.how == How::Scribble {
            self.ranges = shared_memory();
            assert!(!self.ranges.is_empty(), "there is memory to scribble on");
        }
        if fault.moment != moment || fault.attempt != self.attempt {
            return Ok(());
        }
        match fault.how {
            How::Error => return Err(Box::new(Struck(moment))),
            How::Panic => panic!("struck at {moment:?}"),
            How::Spin => loop {
                spin_loop();
            },
            How::Scribble => self.scribble(),
            How::Open | How::Socket | How::Kill | How::Write => {
                let _made_or_refused = call(fault.how);
            }
        }
        Ok(())
    }

    /// Writes nonsense, and some sense, all over the memory shared with the parent.
    fn scribble(&mut self) {
        for _ in 0..20 {
            let range = self.random.below(self.ranges.len() as u64) as usize;
            let (start, words) = self.ranges[range];
            let word = start + self.random.below(words as u64) as usize * 8;
            let value = match self.random.below(4) {
                0 => self.random.below(64),
                1 => u64::MAX,
                2 => self.random.below(1 << 20) << 8 | self.random.below(8),
                _ => self.random.next(),
            };
            // SAFETY: nobody promises that this makes sense; the address is mapped and writable.
            unsafe { (word as *mut u64).write_volatile(value) };
        }
    }
}

/// Makes a call that is harmless where it is not forbidden.
fn call(how: How) -> isize {
    // SAFETY: no memory is involved but a name that ends with a zero; signal 0 only asks, and
    // 0 bytes are written.
    unsafe {
        match how {
            How::Open => libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) as isize,
            How::Socket => libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) as isize,
            How::Kill => libc::kill(libc::getpid(), 0) as isize,
            How::Write => libc::write(1, c"".as_ptr().cast(), 0),
            How::Error | How::Panic | How::Spin | How::Scribble => unreachable!("no calls"),
        }
    }
}

/// Where the writable workspaces lie in this process, in whole words.
fn shared_memory() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it tells");
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        (access == "rw-s" && line.contains("memfd:")).then_some((start, (end - start) / 8))
    };
    maps.lines().filter_map(range).collect()
}
