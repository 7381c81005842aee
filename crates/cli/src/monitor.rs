//! What tiles do with their time, for people.
//!
//! A tile's time since a reading before is split in three: busy, waiting for input, held back by
//! who comes behind it. The tile that holds back the rest bears a mark; links are shown with the
//! fragments that lie in them, of as many as there may be.
//!
//! What it does *not* do: read counters, or write anywhere.

use icecore_tile::{Metrics, TileMetrics};

use crate::{output::Table, size::human};

/// Links on one line.
const LINKS_PER_LINE: usize = 6;

/// A table of all that was counted since an earlier reading of the same pipeline, or since its
/// start.
pub(crate) fn lines(now: &Metrics, before: Option<&Metrics>) -> Vec<String> {
    let seconds = now.seconds - before.map_or(0.0, |before| before.seconds);
    let mut table =
        Table::new(&["tile", ">busy", ">waiting", ">held back", ">fragments", ">rate", ""]);
    for (number, tile) in now.tiles.iter().enumerate() {
        let earlier = before.and_then(|before| before.tiles.get(number));
        let mark = match now.bottleneck.as_deref() == Some(tile.tile.as_str()) {
            true => "< holds back the rest",
            false => "",
        };
        table.row(cells(tile, earlier, seconds).into_iter().chain([mark.to_string()]));
    }
    let mut lines = table.lines();
    let links: Vec<_> = now
        .links
        .iter()
        .map(|link| format!("{} {}/{}", link.link, link.occupied, link.depth))
        .collect();
    for links in links.chunks(LINKS_PER_LINE) {
        lines.push(format!("links  {}", links.join("  ")));
    }
    lines
}

fn cells(tile: &TileMetrics, before: Option<&TileMetrics>, seconds: f64) -> [String; 6] {
    let time = |value: fn(&TileMetrics) -> f64| value(tile) - before.map_or(0.0, value);
    let count =
        |value: fn(&TileMetrics) -> u64| value(tile).saturating_sub(before.map_or(0, value));
    let times = [
        time(|tile| tile.busy_seconds),
        time(|tile| tile.waiting_seconds),
        time(|tile| tile.held_back_seconds),
    ];
    let all: f64 = times.iter().sum();
    let [busy, waiting, held_back] = times.map(|time| match all > 0.0 {
        true => format!("{:.0} %", time * 100.0 / all),
        false => "-".to_string(),
    });
    // A tile without inputs is known by what it gives.
    let (fragments, bytes) = match tile.fragments_in {
        0 => (count(|tile| tile.fragments_out), count(|tile| tile.bytes_out)),
        _ => (count(|tile| tile.fragments_in), count(|tile| tile.bytes_in)),
    };
    let per_second = |amount: u64| amount as f64 / seconds.max(1e-3);
    let rate = match records(tile) {
        Some(now) => {
            let before = before.and_then(records).unwrap_or(0);
            format!("{:.0} records/s", per_second(now.saturating_sub(before)))
        }
        None => format!("{}/s", human(per_second(bytes) as u64)),
    };
    [tile.tile.clone(), busy, waiting, held_back, fragments.to_string(), rate]
}

/// The records that a tile has worked on, if it counts them.
fn records(tile: &TileMetrics) -> Option<u64> {
    tile.own.iter().find(|(name, _)| *name == "records").map(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use icecore_tile::LinkMetrics;

    use super::*;

    fn tile(name: &str, times: [f64; 3], counts: [u64; 4]) -> TileMetrics {
        TileMetrics {
            tile: name.to_string(),
            host: name.to_string(),
            busy_seconds: times[0],
            waiting_seconds: times[1],
            held_back_seconds: times[2],
            fragments_in: counts[0],
            bytes_in: counts[1],
            fragments_out: counts[2],
            bytes_out: counts[3],
            sleeps: 0,
            arena_bytes_high: 0,
            own: Vec::new(),
        }
    }

    fn metrics(seconds: f64, busy: f64, records: u64) -> Metrics {
        let mut hash = tile("hash:0", [busy, seconds - busy, 0.0], [7, 900, 0, 0]);
        hash.own = vec![("records", records)];
        Metrics {
            topology: "restore".to_string(),
            seconds,
            tiles: vec![tile("read:0", [0.0; 3], [0, 0, 5, 2_000_000_000]), hash],
            links: vec![LinkMetrics {
                link: "chunks".into(),
                fragments: 9,
                occupied: 3,
                depth: 16,
            }],
            bottleneck: Some("hash:0".to_string()),
        }
    }

    #[test]
    fn tiles_are_shown_with_their_time_since_the_start() {
        assert_eq!(
            lines(&metrics(2.0, 1.5, 3000), None),
            [
                "tile    busy  waiting  held back  fragments            rate",
                "read:0     -        -          -          5       1.00 GB/s",
                "hash:0  75 %     25 %        0 %          7  1500 records/s  < holds back the rest",
                "links  chunks 3/16",
            ]
        );
    }

    #[test]
    fn time_since_an_earlier_reading_leaves_out_what_was_before() {
        let before = metrics(2.0, 0.0, 3000);
        let now = lines(&metrics(4.0, 1.0, 3500), Some(&before));
        assert!(now[2].contains("50 %     50 %"), "{now:?}");
        assert!(now[2].contains(" 250 records/s"), "{now:?}");
    }
}
