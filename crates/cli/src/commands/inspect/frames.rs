//! `--frames`: a row for each frame of the container.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{container::ContainerKind, lz4_stream::Lz4Frame, zstd_frames::FrameKind};
use icecore_restore::{Frame, read_frames};
use serde::Serialize;

use super::outcome;
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

/// One frame. What a frame of its kind does not have is left out.
#[derive(Debug, Default, Serialize)]
struct Row {
    frame: u64,
    /// In the file.
    offset: u64,
    /// In the file.
    bytes: u64,
    kind: &'static str,
    /// As a zstd frame's header states them, or as an lz4 frame was decompressed.
    content_bytes: Option<u64>,
    /// Whether a checksum of the content follows it.
    checksum: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dictionary_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_bytes_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linked_blocks: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_checksums: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    states_content_bytes: Option<bool>,
}

impl Row {
    fn new(frame: u64, found: &Frame) -> Self {
        match *found {
            Frame::Zstd { offset, bytes, kind: FrameKind::Skippable { .. } } => {
                Self { frame, offset, bytes, kind: "skippable", ..Self::default() }
            }
            Frame::Zstd { offset, bytes, kind } => {
                let FrameKind::Data { window_bytes, content_bytes, has_checksum, dictionary_id } =
                    kind
                else {
                    unreachable!("skippable frames were met above")
                };
                Self {
                    frame,
                    offset,
                    bytes,
                    kind: "zstd",
                    content_bytes,
                    checksum: has_checksum,
                    window_bytes: Some(window_bytes),
                    dictionary_id,
                    ..Self::default()
                }
            }
            Frame::Lz4(Lz4Frame {
                offset,
                bytes,
                content_bytes,
                blocks,
                block_bytes_max,
                is_linked,
                has_block_checksums,
                has_content_checksum,
                states_content_bytes,
            }) => Self {
                frame,
                offset,
                bytes,
                kind: "lz4",
                content_bytes: Some(content_bytes),
                checksum: has_content_checksum,
                blocks: Some(blocks),
                block_bytes_max: Some(block_bytes_max as u64),
                linked_blocks: Some(is_linked),
                block_checksums: Some(has_block_checksums),
                states_content_bytes: Some(states_content_bytes),
                ..Self::default()
            },
        }
    }

    fn line(&self) -> String {
        let content = self.content_bytes.map_or("-".into(), |bytes| bytes.to_string());
        let checksum = if self.checksum { "yes" } else { "no" };
        let (content, checksum) = match self.kind {
            "skippable" => ("", ""),
            _ => (content.as_str(), checksum),
        };
        let rest = match (self.window_bytes, self.blocks, self.block_bytes_max) {
            (Some(window), ..) => format!("window {window}"),
            (_, Some(blocks), Some(most)) => format!("{blocks} blocks of at most {most}"),
            _ => String::new(),
        };
        let Self { frame, offset, bytes, kind, .. } = self;
        let line = format!(
            "{frame:>7}  {offset:>15}  {bytes:>15}  {kind:9}  {content:>15}  {checksum:8}  {rest}"
        );
        line.trim_end().to_string()
    }
}

pub(super) fn run(common: &CommonOptions, file: &Path) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let is_display = answer.is_display();
    let watch = common.watch_stream()?;
    let mut written = Ok(());
    let mut frames = 0;
    let end = read_frames(file, &watch.progress, |frame| {
        let row = Row::new(frames, &frame);
        written = match is_display {
            true if frames == 0 => answer.line(format!(
                "{:>7}  {:>15}  {:>15}  {:9}  {:>15}  {:8}",
                "frame", "offset", "bytes", "kind", "content bytes", "checksum"
            )),
            _ => Ok(()),
        }
        .and_then(|()| if is_display { answer.line(row.line()) } else { answer.row(&row) });
        frames += 1;
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    watch.finish()?;
    if is_display && end.kind == Some(ContainerKind::Tar) {
        answer.line("plain tar: there are no frames")?;
    }
    if is_display
        && let Some(end) = end.end
        && end.trailing_bytes > 0
    {
        answer.line(format!("{} bytes behind the last frame", end.trailing_bytes))?;
    }
    answer.finish()?;
    outcome(file, end.damage.map(|damage| damage.to_string()))
}
