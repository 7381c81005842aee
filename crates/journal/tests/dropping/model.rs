//! Random drops between appends, scans and reopens, against plain lists.

use super::*;

/// A small generator: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

fn run(seed: u64) {
    let disk = SimulatedDisk::new(seed);
    let mut random = Random(seed);
    let mut journal = create(&disk);
    let mut model: Vec<Option<Event>> = Vec::new();
    for _ in 0..12 {
        match random.below(4) {
            0 | 1 => {
                fill(&journal, journal.end() + 50 + random.below(700));
                let end = journal.end();
                for sequence in model.len() as u64..end {
                    model.push(Some(journal.read(sequence).expect("just appended")));
                }
            }
            2 => {
                let start = random.below(journal.end() + 1);
                let sequences = start..start + random.below(1500);
                let (modulus, rest) = (1 + random.below(6), random.below(3));
                let may_drop = |event: &Event| event.sequence() % modulus >= rest;
                let reason = ["one", "two", "three"][random.below(3) as usize];
                let rule = DropRule {
                    sequences: sequences.clone(),
                    later_in_stream: 1 + random.below(4),
                    bytes_max: 1 + random.below(300_000),
                    ..rule(&may_drop, reason)
                };
                let end = journal.end();
                let report = journal.drop_events(&rule).expect("dropped");
                let mut gone = 0;
                for (sequence, event) in model.iter_mut().enumerate() {
                    let now = journal.read(sequence as u64).ok();
                    if let (None, Some(was)) = (&now, &*event) {
                        assert!(
                            sequences.contains(&was.sequence()) && may_drop(was),
                            "seed {seed}"
                        );
                        assert!(was.sequence() + 20 < end, "in the window, seed {seed}");
                        gone += 1;
                        *event = None;
                    }
                    assert_eq!(now.is_some(), event.is_some(), "seed {seed}");
                }
                assert_eq!(report.events, gone, "seed {seed}");
                for sequence in model.len() as u64..journal.end() {
                    model.push(Some(journal.read(sequence).expect("the journal's own")));
                }
            }
            _ => {
                if random.below(2) == 0 {
                    journal.close().expect("closed");
                } else {
                    drop(journal);
                }
                journal = open(&disk);
            }
        }
        if model.len() < 600 {
            continue;
        }
        let gone: Vec<bool> = model.iter().map(Option::is_none).collect();
        check(journal.history(), &model, &|sequence| gone[sequence as usize]);
    }
    let verified =
        journal.verify(&Default::default(), &mut |_| std::ops::ControlFlow::Continue(()));
    verified.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

#[test]
fn random_drops_agree_with_a_model() {
    for seed in 1..25 {
        run(seed);
    }
}
