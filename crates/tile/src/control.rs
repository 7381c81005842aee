//! Commands to tiles and their answers, in lock-step.
//!
//! Each tile has a few words of its own. The coordinator writes a command with a number of its own
//! and rings the tile's bell; the tile does what it says and answers with the same number, so that
//! an answer can never be taken for that to another command. One command is under way at a time for
//! each tile; only the command to fail may overtake another one.
//!
//! | command | what the tile does |
//! |---|---|
//! | start | begins an attempt; consumers are started before producers |
//! | finish | works off what is in its inputs, flushes; producers are finished before consumers |
//! | next | the attempt is committed, another one will follow |
//! | done | the attempt is committed, none will follow |
//! | fail | drops everything of the attempt |
//! | shut down | ends |
//!
//! Lines: words 0 to 7 are written by the coordinator, words 8 to 15 by the tile. Where a tile is a
//! process, its words are hostile: each is read once, and judged.

use std::sync::atomic::Ordering;

use crate::layer::Words;

/// Words of a tile's control block.
pub(crate) const CONTROL_WORDS: usize = 16;

/// Words of the text of an error: 1 KiB.
pub(crate) const TEXT_WORDS: usize = 129;

const COMMAND: usize = 0;
const ARGUMENT: usize = 1;
const ANSWER: usize = 8;
const STATE: usize = 9;

/// What a tile is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Begin an attempt. The number is the caller's own.
    Start(u64),
    /// All input has come: work it off and flush.
    Finish,
    /// The attempt is committed; another one will follow.
    Next,
    /// The attempt is committed; none will follow.
    Done,
    /// The attempt has failed: drop everything of it.
    Fail,
    /// End.
    Shutdown,
}

impl Control {
    fn code(self) -> u64 {
        match self {
            Self::Start(_) => 1,
            Self::Finish => 2,
            Self::Next => 3,
            Self::Done => 4,
            Self::Fail => 5,
            Self::Shutdown => 6,
        }
    }

    /// Its word, for messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Finish => "finish",
            Self::Next => "next",
            Self::Done => "done",
            Self::Fail => "fail",
            Self::Shutdown => "shut down",
        }
    }

    fn of(code: u64, argument: u64) -> Option<Self> {
        Some(match code {
            1 => Self::Start(argument),
            2 => Self::Finish,
            3 => Self::Next,
            4 => Self::Done,
            5 => Self::Fail,
            6 => Self::Shutdown,
            _ => return None,
        })
    }
}

/// A command with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    number: u64,
    pub(crate) control: Control,
}

/// What a tile says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TileState {
    /// Not there yet.
    Starting,
    /// Waits for a start.
    Idle,
    /// Works on an attempt.
    Running,
    /// Has failed, waits to be told so.
    Failed,
    /// Has ended.
    Ended,
    /// Has ended by a panic; the topology cannot go on.
    Broken,
}

impl TileState {
    fn code(self) -> u64 {
        match self {
            Self::Starting => 0,
            Self::Idle => 1,
            Self::Running => 2,
            Self::Failed => 3,
            Self::Ended => 4,
            Self::Broken => 5,
        }
    }

    /// Whether an attempt cannot go on.
    pub(crate) fn is_trouble(self) -> bool {
        self == Self::Failed || self.has_left()
    }

    /// Whether there is no one any more who would answer.
    pub(crate) fn has_left(self) -> bool {
        matches!(self, Self::Ended | Self::Broken)
    }

    /// What is none of these was written by a tile that has gone mad.
    fn of(code: u64) -> Self {
        match code {
            0 => Self::Starting,
            1 => Self::Idle,
            2 => Self::Running,
            3 => Self::Failed,
            4 => Self::Ended,
            _ => Self::Broken,
        }
    }
}

/// The coordinator's side of one tile's block.
#[derive(Clone)]
pub(crate) struct Commander {
    words: Words,
    sequence: u64,
}

impl Commander {
    pub(crate) fn new(words: Words) -> Self {
        Self { words, sequence: 0 }
    }

    /// Gives a command. The bell has to be rung after that.
    pub(crate) fn command(&mut self, control: Control) {
        self.sequence += 1;
        if let Control::Start(argument) = control {
            self.words.store(ARGUMENT, argument, Ordering::Relaxed);
        }
        self.words.store(COMMAND, self.sequence << 8 | control.code(), Ordering::Release);
    }

    /// Whether the last command was carried out.
    pub(crate) fn is_answered(&self) -> bool {
        self.words.load(ANSWER, Ordering::Acquire) == self.sequence
    }

    pub(crate) fn state(&self) -> TileState {
        TileState::of(self.words.load(STATE, Ordering::Acquire))
    }
}

/// The tile's side.
pub(crate) struct Listener {
    words: Words,
    answered: u64,
}

impl Listener {
    pub(crate) fn new(words: Words) -> Self {
        Self { words, answered: 0 }
    }

    /// The last command, while it is not answered.
    pub(crate) fn order(&self) -> Option<Order> {
        let word = self.words.load(COMMAND, Ordering::Acquire);
        let number = word >> 8;
        if number == self.answered {
            return None;
        }
        let control = Control::of(word & 0xff, self.words.load(ARGUMENT, Ordering::Relaxed))?;
        Some(Order { number, control })
    }

    /// Answers the command that was carried out, which is not always the last: while it was, the
    /// coordinator may have decided that the attempt fails. The coordinator's bell has to be rung
    /// after that.
    pub(crate) fn answer(&mut self, order: Order) {
        self.answered = order.number;
        self.words.store(ANSWER, self.answered, Ordering::Release);
    }

    pub(crate) fn tell(&self, state: TileState) {
        self.words.store(STATE, state.code(), Ordering::Release);
    }
}

/// Writes the text of an error: its length, then its bytes, cut to what there is room for.
pub(crate) fn write_text(words: &Words, text: &str) {
    let bytes_max = (TEXT_WORDS - 1) * 8;
    let bytes = &text.as_bytes()[..text.floor_char_boundary(bytes_max)];
    for (number, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        words.store(number + 1, u64::from_le_bytes(word), Ordering::Relaxed);
    }
    words.store(0, bytes.len() as u64, Ordering::Release);
}

/// Reads the text of an error. It may be hostile: what is no text or no sentence is replaced.
pub(crate) fn read_text(words: &Words) -> String {
    let bytes_max = (TEXT_WORDS - 1) * 8;
    let length = usize::try_from(words.load(0, Ordering::Acquire)).unwrap_or(0).min(bytes_max);
    let mut bytes: Vec<u8> = (1..TEXT_WORDS)
        .flat_map(|number| words.load(number, Ordering::Relaxed).to_le_bytes())
        .collect();
    bytes.truncate(length);
    String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use super::*;
    use crate::workspace::{Backing, Workspace};

    fn words(count: usize) -> Words {
        let memory = Workspace::create("control", count * 8, Backing::Private);
        memory.expect("memory").words(0, count)
    }

    #[test]
    fn a_command_is_answered_once_and_gives_its_argument() {
        let words = words(CONTROL_WORDS);
        let (mut commander, mut listener) = (Commander::new(words.clone()), Listener::new(words));
        assert_eq!((listener.order(), commander.is_answered()), (None, true));
        for control in [Control::Start(u64::MAX), Control::Finish, Control::Next, Control::Done] {
            commander.command(control);
            assert!(!commander.is_answered());
            let order = listener.order().expect("there is one");
            assert_eq!((order.control, listener.order()), (control, Some(order)));
            listener.answer(order);
            assert_eq!((listener.order(), commander.is_answered()), (None, true));
        }
    }

    #[test]
    fn the_answer_to_a_command_that_was_overtaken_is_not_one_to_the_command_to_fail() {
        let words = words(CONTROL_WORDS);
        let (mut commander, mut listener) = (Commander::new(words.clone()), Listener::new(words));
        commander.command(Control::Start(1));
        let start = listener.order().expect("there is one");
        commander.command(Control::Fail);
        listener.answer(start);
        assert!(!commander.is_answered());
        let fail = listener.order().expect("there is one");
        assert_eq!(fail.control, Control::Fail);
        listener.answer(fail);
        assert!(commander.is_answered());
    }

    #[test]
    fn states_are_read_as_told_and_nonsense_is_a_tile_that_is_broken() {
        let words = words(CONTROL_WORDS);
        let (commander, listener) = (Commander::new(words.clone()), Listener::new(words.clone()));
        assert_eq!(commander.state(), TileState::Starting);
        for state in [TileState::Idle, TileState::Running, TileState::Failed, TileState::Ended] {
            listener.tell(state);
            assert_eq!(commander.state(), state);
        }
        words.store(STATE, 77, Ordering::Relaxed);
        assert_eq!(commander.state(), TileState::Broken);
    }

    #[test]
    fn a_text_is_read_as_written_cut_to_its_room_and_never_trusted() {
        let words = words(TEXT_WORDS);
        for text in ["", "short", "seven b", "eight by", "nine byte"] {
            write_text(&words, text);
            assert_eq!(read_text(&words), text);
        }
        write_text(&words, &"\u{20ac}".repeat(1000));
        assert_eq!(read_text(&words), "\u{20ac}".repeat(1024 / 3));
        write_text(&words, "\u{1b}[2J\n");
        assert_eq!(read_text(&words), " [2J ");
        words.store(0, u64::MAX, Ordering::Relaxed);
        words.store(1, u64::MAX, Ordering::Relaxed);
        assert!(read_text(&words).starts_with("\u{fffd}"));
    }
}
