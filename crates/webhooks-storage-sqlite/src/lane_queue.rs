use std::collections::VecDeque;

use crate::columns::long;
use crate::error::Result;
use crate::lane::{Allowance, Lane};
use crate::pace::Pace;
use crate::row::{Row, select_rows};
use crate::state::State;

/// The ready rows of a lane in the order of their turns, read in short ranges as they are needed,
/// however long the backlog is.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    pub(crate) lane: Lane,
    pub(crate) left: Allowance,
    /// Of an endpoint with a rate limit.
    pub(crate) pace: Option<Pace>,
    taken: usize,
    sound: Range,
    suspects: Range,
}

/// The rows of one of the two indexes that were read and not yet taken.
#[derive(Debug, Default)]
struct Range {
    rows: VecDeque<Row>,
    /// Behind which row the next ones are.
    after: (i64, i64),
    is_done: bool,
}

const SOUND: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_ready \
     WHERE q.endpoint = ?1 AND q.state = 1 AND q.crashes < 2 \
     AND (q.sort_key, q.place) > (?2, ?3) ORDER BY q.sort_key, q.place LIMIT ?4"
);
const SUSPECT: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_suspect \
     WHERE q.endpoint = ?1 AND q.state = 1 AND q.crashes >= 2 \
     AND (q.sort_key, q.place) > (?2, ?3) ORDER BY q.sort_key, q.place LIMIT ?4"
);

impl LaneQueue {
    pub(crate) fn new(lane: Lane, left: Allowance, pace: Option<Pace>) -> Self {
        let range = || Range {
            after: (i64::MIN, i64::MIN),
            ..Range::default()
        };
        Self {
            lane,
            left,
            pace,
            taken: 0,
            sound: range(),
            suspects: range(),
        }
    }

    /// The row whose turn it is, if suspects may go or not. Of the sound and the suspect ones, the
    /// one with the lesser key goes first: a suspect keeps its place among the others.
    pub(crate) fn next(
        &mut self,
        state: &State,
        with_suspects: bool,
        piece: usize,
    ) -> Result<Option<Row>> {
        if self.left.all == 0 {
            return Ok(None);
        }
        let piece = piece.min(self.left.all).max(1);
        let endpoint = self.lane.endpoint;
        let with_sound = self.left.sound > 0;
        if with_sound {
            self.sound.read(state, SOUND, endpoint, piece)?;
        }
        if with_suspects {
            self.suspects.read(state, SUSPECT, endpoint, 1)?;
        }
        let sound = self.sound.rows.front().filter(|_| with_sound).map(key);
        let suspect = self
            .suspects
            .rows
            .front()
            .filter(|_| with_suspects)
            .map(key);
        Ok(match (sound, suspect) {
            (Some(sound), Some(suspect)) if sound < suspect => self.sound.rows.pop_front(),
            (_, Some(_)) => self.suspects.rows.pop_front(),
            (Some(_), None) => self.sound.rows.pop_front(),
            (None, None) => None,
        })
    }

    /// Whether something is ready that was not taken.
    pub(crate) fn has_more(&self) -> bool {
        self.lane.ready > self.taken
    }

    /// Notes that a row was taken.
    pub(crate) fn took(&mut self, row: &Row) {
        self.taken += 1;
        self.left.all -= 1;
        self.left.sound = self
            .left
            .sound
            .saturating_sub(usize::from(!row.is_suspect()));
    }
}

impl Range {
    fn read(&mut self, state: &State, sql: &str, endpoint: i64, piece: usize) -> Result<()> {
        if !self.rows.is_empty() || self.is_done {
            return Ok(());
        }
        let (sort_key, place) = self.after;
        let rows = state.all(sql, (endpoint, sort_key, place, long(piece)), Row::of)?;
        self.is_done = rows.len() < piece;
        if let Some(last) = rows.last() {
            self.after = key(last);
        }
        self.rows = rows.into();
        Ok(())
    }
}

fn key(row: &Row) -> (i64, i64) {
    (row.priority.sort_key(row.sent_at), row.place)
}
