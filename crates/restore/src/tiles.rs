//! Which tiles a pipeline has: how many of each, which are fused, where they run.

use std::{path::PathBuf, str::FromStr};

use icecore_disk::{ReadMethod, ReadOptions};
use icecore_tile::SandboxMode;

/// Tiles of one kind, at most.
pub const TILES_OF_A_KIND_MAX: usize = 32;

/// Which tiles are wanted; what is not said is chosen by cores and frames.
///
/// As text: `decompress=4,hash=4`, and `read+split+parse` for tiles that share a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TilePlan {
    /// Decompressors.
    pub decompress: Option<usize>,
    /// Tiles that hash and index records.
    pub hash: Option<usize>,
    /// Kinds that share a thread, in groups.
    pub fused: Vec<Vec<String>>,
}

/// Kinds that can be fused: those of which there is one, on a thread.
const FUSIBLE: [&str; 3] = ["read", "split", "parse"];

impl FromStr for TilePlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for part in text.split(',') {
            if let Some((kind, count)) = part.split_once('=') {
                let count: usize = count
                    .parse()
                    .ok()
                    .filter(|count| (1..=TILES_OF_A_KIND_MAX).contains(count))
                    .ok_or_else(|| {
                        format!("'{part}': give a number from 1 to {TILES_OF_A_KIND_MAX}")
                    })?;
                match kind {
                    "decompress" => plan.decompress = Some(count),
                    "hash" => plan.hash = Some(count),
                    _ => {
                        return Err(format!(
                            "'{part}': there can be several of 'decompress' and 'hash' only"
                        ));
                    }
                }
                continue;
            }
            let group: Vec<String> = part.split('+').map(str::to_string).collect();
            if group.len() < 2 {
                return Err(format!("'{part}': write KIND=N, or KIND+KIND to fuse"));
            }
            for kind in &group {
                let known = FUSIBLE.contains(&kind.as_str());
                let times = plan.fused.iter().chain([&group]).flatten().filter(|one| *one == kind);
                if !known || times.count() > 1 {
                    let kinds = FUSIBLE.join(", ");
                    return Err(format!("'{part}': each of {kinds} can be fused once"));
                }
            }
            plan.fused.push(group);
        }
        Ok(plan)
    }
}

impl TilePlan {
    /// How many decompressors and hash tiles there are on so many cores.
    ///
    /// Hashing costs several times what decompressing does, so every core gets a hash tile; several
    /// frames can be decompressed side by side, where one frame needs one decompressor.
    pub(crate) fn counts(&self, cores: usize, has_frames: bool) -> (usize, usize) {
        let cores = cores.clamp(1, TILES_OF_A_KIND_MAX);
        let decompress = if has_frames { cores.div_ceil(2) } else { 1 };
        (self.decompress.unwrap_or(decompress), self.hash.unwrap_or(cores))
    }

    /// How files are read: an io_uring, which no filter looks into, only where the thread that reads
    /// parses nothing.
    pub(crate) fn read_options(&self) -> ReadOptions {
        let method = match self.host_of("read") {
            Some(_) => ReadMethod::Positioned,
            None => ReadMethod::Auto,
        };
        ReadOptions { method, ..ReadOptions::default() }
    }

    /// The group that a kind is fused into.
    pub(crate) fn host_of(&self, kind: &str) -> Option<String> {
        let group = self.fused.iter().find(|group| group.iter().any(|one| one == kind))?;
        Some(group.join("+"))
    }
}

/// Which cores threads are pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cores {
    /// Each to one of its own, if there are enough; otherwise none is pinned.
    #[default]
    Auto,
    /// To these, in turn.
    List(Vec<usize>),
}

/// Cores of a list, at most.
const CORES_MAX: usize = 1024;

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let mut cores = Vec::new();
        for part in text.split(',') {
            let wrong = || format!("'{part}': give 'auto', or cores as in 0,2,4-7");
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.parse().map_err(|_| wrong())?;
            let last: usize = last.parse().map_err(|_| wrong())?;
            if first > last || last >= CORES_MAX {
                return Err(wrong());
            }
            cores.extend(first..=last);
        }
        Ok(Self::List(cores))
    }
}

/// Where decompressors run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Isolation {
    /// As processes, if the running binary said that it can be executed again to be a tile
    /// ([`enter_tile`](crate::enter_tile)); otherwise on threads.
    #[default]
    Auto,
    /// As processes that execute this binary.
    Processes(PathBuf),
    /// On threads.
    Threads,
}

/// Where tiles run and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Pinning.
    pub cores: Cores,
    /// Whether tiles are closed in.
    pub sandbox: SandboxMode,
    /// Where decompressors run.
    pub isolation: Isolation,
}

impl Isolation {
    /// The binary to execute, if decompressors are processes.
    pub(crate) fn executable(&self) -> Option<PathBuf> {
        match self {
            Self::Auto => icecore_tile::can_be_processes().then(|| "/proc/self/exe".into()),
            Self::Processes(executable) => Some(executable.clone()),
            Self::Threads => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_nonsense_is_named() {
        let plan: TilePlan = "decompress=4,hash=3,read+split".parse().expect("a plan");
        assert_eq!(plan.counts(2, true), (4, 3));
        assert_eq!(plan.host_of("split").as_deref(), Some("read+split"));
        assert_eq!(plan.host_of("parse"), None);
        assert_eq!(plan.read_options().method, ReadMethod::Positioned);
        assert_eq!(TilePlan::default().read_options().method, ReadMethod::Auto);
        assert_eq!(TilePlan::default().counts(2, false), (1, 2));
        assert_eq!(TilePlan::default().counts(8, true), (4, 8));
        for wrong in [
            "",
            "hash",
            "hash=0",
            "hash=33",
            "hash=x",
            "read=2",
            "read+hash",
            "read+read",
            "read+split,split+parse",
        ] {
            assert!(wrong.parse::<TilePlan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_are_lists_and_ranges() {
        assert_eq!("auto".parse(), Ok(Cores::Auto));
        assert_eq!("3,0-2".parse(), Ok(Cores::List(vec![3, 0, 1, 2])));
        for wrong in ["", "a", "3-1", "0-5000", "1-"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }
}
