//! One large value, written while its parts are still being read: JSON, or indented lines of the
//! same for a person. Memory is that of one part.
//!
//! Objects are closed by who opened them; lists close by themselves after as many entries as were
//! announced, and count as an entry of the list around them. In JSON on several lines each field
//! and each entry has a line.
//!
//! The first failure to write is kept, and nothing is written after it: whoever visits items need
//! not look at each write. [`Document::finish`] closes what is open, so that the JSON of a value
//! that was cut off is still JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;

use self::formatter::Parts;
use crate::options::Format;

mod formatter;

/// A value being written.
pub(crate) struct Document<W> {
    out: W,
    format: Format,
    levels: Vec<Level>,
    failure: Option<io::Error>,
}

struct Level {
    is_empty: bool,
    /// Entries that a list still needs; `None` for an object.
    left: Option<u64>,
}

impl<W: Write> Document<W> {
    /// Opens the object around everything.
    pub(crate) fn new(out: W, format: Format) -> Self {
        let mut document = Self { out, format, levels: Vec::new(), failure: None };
        document.open(None);
        document
    }

    /// Whether writing has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Opens an object: a field's, or an entry's.
    pub(crate) fn object(&mut self, key: Option<&str>) {
        self.attempt(|document| {
            document.place(key)?;
            match (document.format, key) {
                (Format::Display, Some(key)) => write!(document.out, "{key}:"),
                _ => Ok(()),
            }
        });
        self.open(None);
    }

    fn open(&mut self, left: Option<u64>) {
        let bracket = if left.is_some() { "[" } else { "{" };
        self.bracket(bracket);
        self.levels.push(Level { is_empty: true, left });
    }

    fn bracket(&mut self, bracket: &str) {
        self.attempt(|document| match document.format {
            Format::Display => Ok(()),
            Format::Json | Format::JsonCompact => document.out.write_all(bracket.as_bytes()),
        });
    }

    /// Closes the object opened last.
    pub(crate) fn end(&mut self) {
        self.close();
        self.entry_done();
    }

    /// Opens a list of `count` entries: a field's, or an entry's. Says whether it is complete
    /// already.
    pub(crate) fn list(&mut self, key: Option<&str>, count: u64) -> bool {
        self.attempt(|document| {
            document.place(key)?;
            match (document.format, key) {
                (Format::Display, Some(key)) => write!(document.out, "{key} ({count}):"),
                _ => Ok(()),
            }
        });
        self.open(Some(count));
        if count == 0 {
            self.end();
        }
        count == 0
    }

    /// Writes an entry of the open list. Says whether the list is complete, and so closed.
    pub(crate) fn entry(&mut self, value: &impl Serialize) -> bool {
        self.attempt(|document| {
            document.place(None)?;
            document.inline(value)
        });
        self.entry_done()
    }

    /// Writes a field of the open object.
    pub(crate) fn field(&mut self, key: &str, value: &impl Serialize) {
        self.attempt(|document| {
            document.place(Some(key))?;
            if document.format == Format::Display {
                write!(document.out, "{key}: ")?;
            }
            document.inline(value)
        });
    }

    /// Writes the fields of a struct as fields of the open object.
    pub(crate) fn fields(&mut self, value: &impl Serialize) {
        self.attempt(|document| {
            let level = document.levels.last_mut().expect("fields belong to an open object");
            let is_first = std::mem::replace(&mut level.is_empty, false);
            let parts = Parts::fields(document.format, document.levels.len(), is_first);
            value.serialize(&mut Serializer::with_formatter(&mut document.out, parts))?;
            Ok(())
        });
    }

    /// Closes all but the object around everything.
    pub(crate) fn close_to_top(&mut self) {
        while self.levels.len() > 1 {
            self.close();
        }
    }

    /// Closes everything, with a last field that says why something is missing, if anything is.
    /// Gives back what it was written to.
    pub(crate) fn finish(mut self, damage: Option<&str>) -> io::Result<W> {
        self.close_to_top();
        if let Some(damage) = damage {
            self.field("damage", &damage);
        }
        self.close();
        self.attempt(|document| document.out.write_all(b"\n"));
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.out),
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.failure.is_none()
            && let Err(error) = write(self)
        {
            self.failure = Some(error);
        }
    }

    /// Counts an entry of the open list off, and closes it after the last one.
    fn entry_done(&mut self) -> bool {
        let Some(Level { left: Some(left), .. }) = self.levels.last_mut() else { return false };
        *left = left.saturating_sub(1);
        let is_complete = *left == 0;
        if is_complete {
            self.end();
        }
        is_complete
    }

    fn close(&mut self) {
        let level = self.levels.pop().expect("what is closed was opened");
        if self.format == Format::Json && !level.is_empty {
            let indent = 2 * self.levels.len();
            self.attempt(|document| write!(document.out, "\n{:indent$}", ""));
        }
        self.bracket(if level.left.is_some() { "]" } else { "}" });
    }

    /// Begins a field or an entry of what is open. For a person the key is the caller's.
    fn place(&mut self, key: Option<&str>) -> io::Result<()> {
        let depth = self.levels.len();
        let level = self.levels.last_mut().expect("the object around everything is open");
        let is_first = std::mem::replace(&mut level.is_empty, false);
        formatter::begin(&mut self.out, self.format, depth, is_first)?;
        match (self.format, key) {
            (Format::Display, Some(_)) => Ok(()),
            (Format::Display, None) => self.out.write_all(b"- "),
            (Format::Json, Some(key)) => write!(self.out, "\"{key}\": "),
            (Format::JsonCompact, Some(key)) => write!(self.out, "\"{key}\":"),
            (Format::Json | Format::JsonCompact, None) => Ok(()),
        }
    }

    fn inline(&mut self, value: &impl Serialize) -> io::Result<()> {
        let parts = Parts::value(self.format);
        value.serialize(&mut Serializer::with_formatter(&mut self.out, parts))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    struct Inner {
        first: u64,
        second: Option<&'static str>,
    }

    fn write(format: Format, cut: bool) -> String {
        let mut bytes = Vec::new();
        let mut document = Document::new(&mut bytes, format);
        document.object(Some("bank"));
        assert!(document.list(Some("none"), 0));
        document.list(Some("pairs"), 2);
        for number in 0..2 {
            document.list(None, 2);
            assert!(!document.entry(&number));
            document.object(None);
            document.fields(&Inner { first: number, second: None });
            document.list(Some("keys"), number);
            if number == 1 {
                assert!(document.entry(&("a\nb", Inner { first: 5, second: Some("c") })));
            }
            document.end();
        }
        document.fields(&Inner { first: 7, second: Some("x") });
        document.list(Some("cut"), 3);
        document.entry(&1);
        document.finish(cut.then_some("it ends")).expect("memory takes all");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_is_the_same_in_both_shapes_and_whole_even_when_cut() {
        let expected = json!({
            "bank": {
                "none": [],
                "pairs": [
                    [0, {"first": 0, "second": null, "keys": []}],
                    [1, {"first": 1, "second": null,
                         "keys": [["a\nb", {"first": 5, "second": "c"}]]}],
                ],
                "first": 7,
                "second": "x",
                "cut": [1],
            },
            "damage": "it ends",
        });
        for format in [Format::Json, Format::JsonCompact] {
            let text = write(format, true);
            let value: Value = serde_json::from_str(&text).expect(&text);
            assert_eq!(value, expected, "{text}");
        }
        assert_eq!(write(Format::JsonCompact, false).lines().count(), 1);
        assert!(write(Format::Json, false).starts_with("{\n  \"bank\": {\n    \"none\": [],\n"));
    }

    #[test]
    fn a_person_gets_indented_lines() {
        let expected = "\
bank:
  none (0):
  pairs (2):
    -
      - 0
      -
        first: 0
        second: none
        keys (0):
    -
      - 1
      -
        first: 1
        second: none
        keys (1):
          - a\\nb  first 5, second c
  first: 7
  second: x
  cut (3):
    - 1
";
        let text = write(Format::Display, false);
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_are_cut_for_a_person_only() {
        for (format, is_cut) in [(Format::Display, true), (Format::JsonCompact, false)] {
            let mut bytes = Vec::new();
            let mut document = Document::new(&mut bytes, format);
            document.field("hash", &"0123456789".repeat(100));
            document.finish(None).expect("memory takes all");
            assert_eq!(bytes.len() < 200, is_cut, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
