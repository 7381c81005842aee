//! Searching in sorted entries from a guess.
//!
//! 1. The guess is where the target would be if keys were uniform.
//! 2. A few entries are walked from there: with uniform keys the answer is near, and its bytes lie in
//!    the same cache lines.
//! 3. If that does not suffice, the rest is halved. So it takes O(log n) steps whatever the keys are.

/// Entries that are walked: more than two standard deviations of the guess within a page.
const WALKED_MAX: usize = 20;

/// The first of `count` indexes for which `is_before` does not hold; it holds for all before that.
pub(crate) fn first_not_before(
    guess: usize,
    count: usize,
    is_before: impl Fn(usize) -> bool,
) -> usize {
    let guess = guess.min(count);
    let (mut low, mut high) = (0, count);
    if guess < count && is_before(guess) {
        low = guess + 1;
        for _ in 0..WALKED_MAX {
            if low == count || !is_before(low) {
                return low;
            }
            low += 1;
        }
    } else {
        high = guess;
        for _ in 0..WALKED_MAX {
            if high == 0 || is_before(high - 1) {
                return high;
            }
            high -= 1;
        }
    }
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Where `target` would be among `count` numbers that are spread evenly from `first` to `last`.
pub(crate) fn interpolated(target: u64, first: u64, last: u64, count: usize) -> usize {
    if target <= first || last <= first {
        return 0;
    }
    if target >= last {
        return count - 1;
    }
    let share = (target - first) as f64 / (last - first) as f64;
    (share * (count - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_guess_leads_to_the_answer_in_few_steps(
            mut numbers in prop::collection::vec(any::<u64>(), 1..2000), target: u64, guess: usize,
        ) {
            numbers.sort_unstable();
            let expected = numbers.partition_point(|number| *number < target);
            let near = interpolated(target, numbers[0], *numbers.last().expect("one"), numbers.len());
            for guess in [guess, guess % numbers.len(), near] {
                let steps = std::cell::Cell::new(0);
                let found = first_not_before(guess, numbers.len(), |index| {
                    steps.set(steps.get() + 1);
                    numbers[index] < target
                });
                prop_assert_eq!(found, expected);
                prop_assert!(steps.get() <= WALKED_MAX + 14, "{} steps", steps.get());
            }
        }
    }
}
