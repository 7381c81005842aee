//! Statistics as a drawing: for each kind a panel of horizontal bars, accounts to the left and
//! bytes of their data to the right.

use std::fmt::Write as _;

use icecore_restore::Tally;

use super::{Json, size_label};
use crate::size::human;

/// Bars of a panel; more would be a poster.
const BARS_MAX: usize = 40;

const WIDTH: usize = 1120;
/// Where labels end.
const LABELS_END: usize = 330;
/// Where the two columns of bars begin, and how long a bar may be. Room for its value follows.
const COLUMNS: [usize; 2] = [345, 745];
const BAR_LENGTH: usize = 285;
const BAR_PITCH: usize = 20;
const BAR_HEIGHT: usize = 14;
/// Title, titles of the columns, and the axis below.
const PANEL_HEAD: usize = 62;
const PANEL_FOOT: usize = 64;
const TITLE_HEIGHT: usize = 50;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-size:18px;font-weight:bold}\
.panel{font-size:15px;font-weight:bold}.label{font:11px monospace;text-anchor:end}\
.value{font-size:11px}.tick{font-size:11px;text-anchor:middle;fill:#555}\
.axis{stroke:#888;stroke-width:1}.grid{stroke:#ddd;stroke-width:1}\
.count{fill:#3b6ea5}.data{fill:#c46a2b}";

/// The drawing, as the text of an SVG file.
pub(super) fn svg(json: &Json) -> String {
    let mut panels = Vec::new();
    if let (Some(owners), Some(others)) = (&json.by_owner, &json.other_owners) {
        let mut bars: Vec<_> = owners
            .iter()
            .map(|row| (row.name.map_or(row.owner.to_string(), str::to_string), row.tally))
            .collect();
        let shown = bars.len().min(BARS_MAX);
        let mut rest = others.tally;
        let mut rest_owners = others.owners;
        for (_, tally) in bars.drain(shown..) {
            rest += tally;
            rest_owners += 1;
        }
        if rest.count > 0 {
            bars.push((format!("{rest_owners} other owners"), rest));
        }
        panels.push(("By owner", "owner", bars));
    }
    if let Some(sizes) = &json.by_size {
        let bars = sizes.iter().map(|row| (size_label(row), row.tally)).collect();
        panels.push(("By size of data", "bytes of data", bars));
    }
    if let Some(slots) = &json.by_slot {
        let label = |first, last| format!("{first} to {last}");
        // Neighbours are put together until they are few enough.
        let together = slots.len().div_ceil(BARS_MAX).max(1);
        let bars = slots
            .chunks(together)
            .map(|ranges| {
                let mut sum = Tally::default();
                ranges.iter().for_each(|range| sum += range.tally);
                (label(ranges[0].slot_first, ranges[ranges.len() - 1].slot_last), sum)
            })
            .collect();
        panels.push(("By slot of the last change", "slots", bars));
    }

    let panel_height = |bars: usize| PANEL_HEAD + bars * BAR_PITCH + PANEL_FOOT;
    let height: usize = panels.iter().map(|(_, _, bars)| panel_height(bars.len())).sum();
    let mut svg = Svg(String::new());
    svg.add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{h}\" \
         viewBox=\"0 0 {WIDTH} {h}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        h = height + TITLE_HEIGHT
    ));
    svg.text(
        "title",
        20,
        32,
        format_args!(
            "Slot {}: {} live accounts, {} of data",
            json.slot,
            json.num_accounts,
            human(json.total_data_len)
        ),
    );
    let mut top = TITLE_HEIGHT;
    for (title, what, bars) in panels {
        svg.panel(top, title, what, &bars);
        top += panel_height(bars.len());
    }
    svg.0.push_str("</svg>\n");
    svg.0
}

struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes any text");
    }

    fn text(&mut self, class: &str, x: usize, y: usize, text: std::fmt::Arguments<'_>) {
        // What is drawn are numbers, base58 and names of this program's own: nothing to escape.
        self.add(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn panel(&mut self, top: usize, title: &str, what: &str, bars: &[(String, Tally)]) {
        self.text("panel", 20, top + 20, format_args!("{title}"));
        let first = top + PANEL_HEAD;
        let end = first + bars.len() * BAR_PITCH;
        self.text("label", LABELS_END, first - 12, format_args!("{what}"));
        for (number, (label, _)) in bars.iter().enumerate() {
            let middle = first + number * BAR_PITCH + BAR_HEIGHT - 3;
            self.text("label", LABELS_END, middle, format_args!("{label}"));
        }
        type Value = fn(&Tally) -> u64;
        type Text = fn(u64) -> String;
        let columns: [(&str, &str, Value, Text, Text); 2] = [
            ("count", "accounts", |tally| tally.count, |count| count.to_string(), short),
            ("data", "data", |tally| tally.data_len, human, human),
        ];
        for (left, (class, title, value, text, tick)) in COLUMNS.into_iter().zip(columns) {
            let most = bars.iter().map(|(_, tally)| value(tally)).max().unwrap_or(0);
            let step = tick_step(most);
            let scale = |value: u64| match most {
                0 => 0,
                _ => (value as f64 / most as f64 * BAR_LENGTH as f64).round() as usize,
            };
            for mark in (0..=most / step).map(|number| number * step) {
                let x = left + scale(mark);
                self.add(format_args!(
                    "<line class=\"grid\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"/>",
                    first - 4,
                    end + 4
                ));
                self.text("tick", x, end + 18, format_args!("{}", tick(mark)));
            }
            for (number, (_, tally)) in bars.iter().enumerate() {
                let y = first + number * BAR_PITCH;
                let length = scale(value(tally));
                self.add(format_args!(
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{length}\" \
                     height=\"{BAR_HEIGHT}\"/>"
                ));
                let text = text(value(tally));
                self.text("value", left + length + 5, y + BAR_HEIGHT - 3, format_args!("{text}"));
            }
            self.add(format_args!(
                "<line class=\"axis\" x1=\"{left}\" y1=\"{}\" x2=\"{left}\" y2=\"{}\"/>",
                first - 4,
                end + 4
            ));
            self.text("tick", left + BAR_LENGTH / 2, end + 36, format_args!("{title}"));
        }
    }
}

/// The distance of the axis' marks: 1, 2 or 5 times a power of ten, at most six marks.
fn tick_step(most: u64) -> u64 {
    let powers = (0..19).map(|exponent| 10u64.pow(exponent));
    let mut steps = powers.flat_map(|power| [1, 2, 5].map(|by| power.saturating_mul(by)));
    steps.find(|step| most / step <= 5).unwrap_or(u64::MAX)
}

/// A count with three digits and a unit.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count as f64 / 1e3),
        _ => format!("{}M", count as f64 / 1e6),
    }
}
