//! What went through: a sample a minute of the totals, kept in memory for a day, drawn as bars.
//!
//! A new start of the daemon begins with an empty picture; the totals themselves are in the metrics.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Now, Timestamp};
use crate::engine::Snapshot;
use crate::http::App;
use crate::message::Status;

const MINUTE: Duration = Duration::from_secs(60);
/// A day, and the sample before it.
const SAMPLES: usize = 24 * 60 + 1;
/// Units of height of a picture; its width is one unit a bar.
const HEIGHT: u64 = 100;

/// What is counted, in the order it is drawn from the bottom.
pub const SERIES: [&str; 3] = ["sent", "replies", "failed"];

/// The samples of the last day, oldest first.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<VecDeque<Sample>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    totals: [u64; SERIES.len()],
}

/// A stretch of time and how it is cut into bars.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub id: &'static str,
    pub title: &'static str,
    pub began: &'static str,
    bars: u32,
    width: Duration,
}

pub const HOUR: Span =
    Span { id: "hour", title: "Last hour, by the minute", began: "60 min ago", bars: 60, width: MINUTE };
pub const DAY: Span = Span {
    id: "day",
    title: "Last day, by the half hour",
    began: "24 h ago",
    bars: 48,
    width: Duration::from_secs(30 * 60),
};

/// A picture, ready to be drawn.
#[derive(Debug)]
pub struct Graph {
    pub span: Span,
    /// What a full height means.
    pub top: u64,
    pub sums: [u64; SERIES.len()],
    pub bars: Vec<Bar>,
}

#[derive(Debug)]
pub struct Bar {
    /// Hours and minutes of its beginning, UTC.
    pub time: String,
    pub counts: [u64; SERIES.len()],
    /// One a series that is not zero.
    pub boxes: Vec<Piece>,
}

/// One rectangle, in units of the picture.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    pub series: &'static str,
    pub x: usize,
    pub y: u64,
    pub height: u64,
}

/// Samples for as long as it is polled.
pub async fn watch(app: App) {
    loop {
        app.traffic().note(&app.engine().snapshot(), app.now());
        app.clock().sleep(MINUTE).await;
    }
}

impl Traffic {
    fn note(&self, snapshot: &Snapshot, now: Now) {
        let Some(totals) = totals(snapshot) else { return };
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Sample { at: now.mono, totals });
    }

    /// What was counted up to `snapshot`.
    pub fn graph(&self, span: Span, snapshot: &Snapshot, now: Now) -> Graph {
        let mut samples: Vec<Sample> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        samples.extend(totals(snapshot).map(|totals| Sample { at: now.mono, totals }));
        let bars = span.bars as usize;
        let mut counts = vec![[0; SERIES.len()]; bars];
        for pair in samples.windows(2) {
            let [before, after] = pair else { continue };
            let age = now.mono.saturating_duration_since(after.at).as_secs() / span.width.as_secs();
            let place = usize::try_from(age).ok().and_then(|age| bars.checked_sub(age + 1));
            let Some(bar) = place.and_then(|place| counts.get_mut(place)) else { continue };
            for ((count, before), after) in bar.iter_mut().zip(before.totals).zip(after.totals) {
                *count += after.saturating_sub(before);
            }
        }
        Graph::of(span, &counts, now.wall)
    }
}

fn totals(snapshot: &Snapshot) -> Option<[u64; SERIES.len()]> {
    let known = snapshot.known()?;
    let sum = |wanted: &[Status]| {
        known.totals.iter().filter(|total| wanted.contains(&total.status)).map(|total| total.count).sum()
    };
    let failed = sum(&[Status::Failed, Status::Undelivered, Status::Expired]);
    Some([sum(&[Status::Sent]), known.inbound_total, failed])
}

impl Graph {
    fn of(span: Span, counts: &[[u64; SERIES.len()]], now: Timestamp) -> Graph {
        let top = round_up(counts.iter().map(|bar| bar.iter().sum()).max().unwrap_or_default());
        let began = |back: usize| {
            let back = span.width * u32::try_from(back).unwrap_or(u32::MAX);
            now.saturating_sub(back).to_rfc3339().get(11..16).unwrap_or_default().to_owned()
        };
        let bars = counts.iter().enumerate().map(|(x, bar)| Bar {
            time: began(counts.len() - x),
            counts: *bar,
            boxes: pieces(x, bar, top),
        });
        let sum = |n: usize| counts.iter().map(|bar| bar[n]).sum();
        Graph { span, top, sums: [sum(0), sum(1), sum(2)], bars: bars.collect() }
    }

    pub fn width(&self) -> usize {
        self.bars.len()
    }

    pub fn height(&self) -> u64 {
        HEIGHT
    }

    /// Rows of the table: those with something in them.
    pub fn rows(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(|bar| !bar.boxes.is_empty())
    }
}

/// One upon the other; what is there at all is seen.
fn pieces(x: usize, counts: &[u64; SERIES.len()], top: u64) -> Vec<Piece> {
    let mut below = 0;
    let mut pieces = Vec::new();
    for (series, count) in SERIES.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
        let height = (count.saturating_mul(HEIGHT) / top).clamp(1, HEIGHT);
        below = (below + height).min(HEIGHT);
        pieces.push(Piece { series, x, y: HEIGHT - below, height });
    }
    pieces
}

/// The next of 2, 4, 10, 20, 40, ...: halves of them are whole.
fn round_up(most: u64) -> u64 {
    let mut ten = 1u64;
    loop {
        for step in [2, 4, 10] {
            let top = ten.saturating_mul(step);
            if top >= most {
                return top;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::engine::StatusTotal;

    fn at(clock: &Clock, sent: u64) -> Snapshot {
        let totals = vec![StatusTotal { status: Status::Sent, link: None, count: sent }];
        Snapshot { totals, ..Snapshot::empty(clock.now().wall) }
    }

    #[test]
    fn what_came_between_two_samples_stands_in_the_minute_it_came() {
        let clock = Clock::manual(Timestamp::from_millis(1_795_269_900_000));
        let traffic = Traffic::default();
        for sent in [100, 100, 107] {
            traffic.note(&at(&clock, sent), clock.now());
            clock.advance(MINUTE);
        }
        let graph = traffic.graph(HOUR, &at(&clock, 108), clock.now());
        let counts: Vec<u64> = graph.bars.iter().map(|bar| bar.counts[0]).collect();
        assert_eq!(counts[57..], [0, 7, 1]);
        assert_eq!((graph.sums, graph.top), ([8, 0, 0], 10));
        assert_eq!(graph.bars[59].time, "14:07");
        assert_eq!(graph.bars[58].boxes, [Piece { series: "sent", x: 58, y: 30, height: 70 }]);
    }

    #[test]
    fn a_day_is_all_that_is_kept_and_what_was_before_the_start_is_no_traffic() {
        let clock = Clock::manual(Timestamp::MIN);
        let traffic = Traffic::default();
        for minute in 0..(2 * SAMPLES as u64) {
            traffic.note(&at(&clock, 1_000 + minute), clock.now());
            clock.advance(MINUTE);
        }
        assert_eq!(traffic.0.lock().unwrap().len(), SAMPLES);
        let now = clock.now();
        let graph = traffic.graph(DAY, &at(&clock, 1_000 + 2 * SAMPLES as u64), now);
        assert_eq!(graph.sums[0], 24 * 60);
        let empty = Traffic::default().graph(DAY, &at(&clock, 5_000), now);
        assert_eq!(empty.sums, [0; 3]);
    }

    #[test]
    fn the_top_of_a_picture_is_round_and_nothing_is_drawn_above_it() {
        for (most, top) in [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (41, 100), (u64::MAX, u64::MAX)] {
            assert_eq!(round_up(most), top, "{most}");
        }
        let pieces = pieces(0, &[1_000, 1, 1], 1_002);
        assert!(pieces.iter().all(|piece| piece.y + piece.height <= HEIGHT), "{pieces:?}");
        assert_eq!(pieces.len(), 3, "what is there is seen");
    }
}
