//! How the parts of a document are spelled.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter};

use crate::options::Format;

/// Bytes of a text that a person is given; keys and hashes in base58 are 44 long.
const TEXT_BYTES_MAX: usize = 96;

/// Begins a part of an object or list at `depth`: commas and a line of its own where it needs one.
pub(super) fn begin(
    out: &mut (impl Write + ?Sized),
    format: Format,
    depth: usize,
    is_first: bool,
) -> io::Result<()> {
    let comma = if is_first { "" } else { "," };
    match format {
        // The first line of all has none before it.
        Format::Display if depth == 1 && is_first => Ok(()),
        Format::Display => write!(out, "\n{:indent$}", "", indent = 2 * (depth - 1)),
        Format::Json => write!(out, "{comma}\n{:indent$}", "", indent = 2 * depth),
        Format::JsonCompact => write!(out, "{comma}"),
    }
}

/// Spells a value on one line, or the fields of a struct as fields of the object around them.
pub(super) struct Parts {
    format: Format,
    /// The object whose fields are given, its depth and whether it is empty so far.
    fields_of: Option<(usize, bool)>,
    /// Objects (true) and lists around what comes next, within the value.
    around: Vec<bool>,
    /// Bytes of the text being spelled, which comes in fragments.
    text_bytes: usize,
}

impl Parts {
    /// For a whole value.
    pub(super) fn value(format: Format) -> Self {
        Self { format, fields_of: None, around: Vec::new(), text_bytes: 0 }
    }

    /// For the fields of a struct in an object at `depth`.
    pub(super) fn fields(format: Format, depth: usize, is_first: bool) -> Self {
        Self { format, fields_of: Some((depth, is_first)), around: Vec::new(), text_bytes: 0 }
    }

    fn is_display(&self) -> bool {
        self.format == Format::Display
    }

    /// Whether the struct itself is being spelled, not one of its fields' values.
    fn is_outermost(&self) -> bool {
        self.fields_of.is_some() && self.around.len() == 1
    }

    /// Whether an object begins or ends that a person sees in parentheses.
    fn is_in_object(&self) -> bool {
        let outermost = usize::from(self.fields_of.is_some());
        self.around.len() > outermost + 1 && self.around[self.around.len() - 2]
            || self.fields_of.is_some() && self.around.len() == 2
    }
}

impl Formatter for Parts {
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.around.push(true);
        match self.is_display() {
            _ if self.is_outermost() => Ok(()),
            true if self.is_in_object() => out.write_all(b"("),
            true => Ok(()),
            false => out.write_all(b"{"),
        }
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        let written = match self.is_display() {
            _ if self.is_outermost() => Ok(()),
            true if self.is_in_object() => out.write_all(b")"),
            true => Ok(()),
            false => out.write_all(b"}"),
        };
        self.around.pop();
        written
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if let Some((depth, is_first)) = self.fields_of
            && self.is_outermost()
        {
            return begin(out, self.format, depth, first && is_first);
        }
        match (first, self.is_display()) {
            (true, _) => Ok(()),
            (false, true) => out.write_all(b", "),
            (false, false) => out.write_all(b","),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(match (self.format, self.is_outermost()) {
            (Format::Display | Format::Json, true) => b": ",
            (Format::Display, false) => b" ",
            (Format::Json | Format::JsonCompact, _) => b":",
        })
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.around.push(false);
        if self.is_display() { Ok(()) } else { out.write_all(b"[") }
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.around.pop();
        if self.is_display() { Ok(()) } else { out.write_all(b"]") }
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match (first, self.is_display()) {
            (true, _) => Ok(()),
            (false, true) => out.write_all(b"  "),
            (false, false) => out.write_all(b","),
        }
    }

    fn begin_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.text_bytes = 0;
        if self.is_display() { Ok(()) } else { out.write_all(b"\"") }
    }

    fn end_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        match self.is_display() {
            true if self.text_bytes > TEXT_BYTES_MAX => {
                write!(out, "... ({} characters)", self.text_bytes)
            }
            true => Ok(()),
            false => out.write_all(b"\""),
        }
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let room = match self.is_display() {
            true => TEXT_BYTES_MAX.saturating_sub(self.text_bytes).min(fragment.len()),
            false => fragment.len(),
        };
        self.text_bytes += fragment.len();
        out.write_all(&fragment.as_bytes()[..fragment.floor_char_boundary(room)])
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(out, escape)
    }

    fn write_null<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.is_display() { b"none" } else { b"null" })
    }
}
