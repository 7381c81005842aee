//! Answers on stdout.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::options::Format;

/// Stdout, buffered. A closed pipe is an error like any other here; `exit` knows to keep quiet.
///
/// It is not locked, so that rows can be written by the thread that finds them.
pub(crate) struct Answer {
    out: BufWriter<Stdout>,
    format: Format,
}

impl Answer {
    pub(crate) fn new(format: Format) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout()), format }
    }

    /// Whether a person reads it.
    pub(crate) fn is_display(&self) -> bool {
        self.format == Format::Display
    }

    /// Writes an object as the format has it; display callers write lines instead.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Json => serde_json::to_writer_pretty(&mut self.out, value)?,
            Format::Display | Format::JsonCompact => serde_json::to_writer(&mut self.out, value)?,
        }
        self.out.write_all(b"\n")
    }

    /// Writes one of many objects: always one line.
    pub(crate) fn row(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// Writes a line for a person.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        self.out.write_all(line.as_ref().as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Ends the answer: everything has reached the reader, or it is an error.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A table for a person: columns as wide as their widest cell, numbers to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// With a header; a column whose title begins with '>' is set to the right.
    pub(crate) fn new(titles: &[&str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let titles = titles.iter().map(|title| title.trim_start_matches('>').to_string()).collect();
        Self { rows: vec![titles], right }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, without spaces at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.right.len();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows
            .iter()
            .map(|row| {
                let mut line = String::new();
                for (column, cell) in row.iter().enumerate() {
                    if column > 0 {
                        line.push_str("  ");
                    }
                    match self.right[column] {
                        true => line.push_str(&format!("{cell:>width$}", width = widths[column])),
                        false => line.push_str(&format!("{cell:<width$}", width = widths[column])),
                    }
                }
                line.trim_end().to_string()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut table = Table::new(&["name", ">count"]);
        table.row(["a".into(), "12345".into()]);
        table.row(["longer".into(), "1".into()]);
        assert_eq!(table.lines(), ["name    count", "a       12345", "longer      1"]);
    }
}
