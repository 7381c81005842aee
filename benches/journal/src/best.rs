//! The best of several rounds.

/// The least seconds so far; infinite before the first round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best(f64);

impl Best {
    /// Before the first round.
    pub(crate) const NONE: Self = Self(f64::INFINITY);

    /// Seconds of a round.
    pub(crate) fn offer(&mut self, seconds: f64) {
        self.0 = self.0.min(seconds);
    }

    /// Seconds of the best round.
    pub(crate) fn seconds(self) -> f64 {
        self.0
    }

    /// Of so many things per second in the best round.
    pub(crate) fn per_second(self, count: u64) -> f64 {
        count as f64 / self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_round_counts() {
        let mut best = Best::NONE;
        for seconds in [2.0, 0.5, 1.0] {
            best.offer(seconds);
        }
        assert_eq!(best.seconds(), 0.5);
        assert_eq!(best.per_second(100), 200.0);
    }
}
