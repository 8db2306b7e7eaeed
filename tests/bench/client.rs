//! The HTTP load: keep-alive connections on one thread, one request at a time each, written by hand so that
//! the client takes as little as it can of the processors it shares with what it measures.
//!
//! Every message has a number of its own, first in its text; [`Sent`] tells which numbers were accepted.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Fallible;

/// Characters of a text: one segment in the GSM 7-bit alphabet.
pub const TEXT_CHARS: usize = 96;
/// An answer head or body beyond this is not one of ours.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What became of a load.
#[derive(Debug)]
pub struct Sent {
    pub began: SystemTime,
    pub took: Duration,
    /// Numbers answered with 202, with the body of the answer.
    pub accepted: Vec<(u32, String)>,
    /// Everything else: the number, the status and the body.
    pub refused: Vec<(u32, u16, String)>,
    /// From the first octet written to the last one read, of the accepted ones.
    pub waits: Vec<Duration>,
}

/// Where a message goes and what one looks like.
pub trait Door {
    fn address(&self) -> SocketAddr;
    /// Appends the whole request for message `number`.
    fn request(&self, number: u32, out: &mut Vec<u8>);
}

pub fn text_of(number: u32) -> String {
    let text =
        format!("{number:08} Dear customer, your invoice is due on Friday. Please pay it in time. Thank you");
    format!("{text:.<TEXT_CHARS$}")
}

/// A recipient of its own for each message, without the plus sign.
pub fn recipient_of(number: u32) -> String {
    format!("49151{number:08}")
}

/// Sends all `numbers` over `connections` and waits for every answer.
pub fn load(door: &dyn Door, numbers: Range<u32>, connections: usize) -> Fallible<Sent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(load_all(door, numbers, connections))
}

async fn load_all(door: &dyn Door, numbers: Range<u32>, connections: usize) -> Fallible<Sent> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(door.address()).await?);
    }
    let (next, began, start) = (Cell::new(numbers.start), SystemTime::now(), Instant::now());
    let sent = RefCell::new(Sent {
        began,
        took: Duration::ZERO,
        accepted: Vec::with_capacity(numbers.len()),
        refused: Vec::new(),
        waits: Vec::with_capacity(numbers.len()),
    });
    let lines = opened.into_iter().map(|mut connection| {
        let (next, sent) = (&next, &sent);
        async move {
            while next.get() < numbers.end {
                let number = next.replace(next.get() + 1);
                let (status, body, wait) = connection.ask(|out| door.request(number, out)).await?;
                let mut sent = sent.borrow_mut();
                if status == 202 {
                    sent.accepted.push((number, body));
                    sent.waits.push(wait);
                } else {
                    sent.refused.push((number, status, body));
                }
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        }
    });
    for done in futures_util::future::join_all(lines).await {
        done?;
    }
    let mut sent = sent.into_inner();
    sent.took = start.elapsed();
    Ok(sent)
}

/// One request and its answer's status and body, on a connection of its own.
pub fn ask(address: SocketAddr, request: &str) -> Fallible<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (status, body, _) = runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        connection.ask(|out| out.extend_from_slice(request.as_bytes())).await
    })?;
    Ok((status, body))
}

pub struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Fallible<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, out: Vec::new(), input: Vec::new() })
    }

    /// Writes what `fill` makes in one write and reads one answer.
    pub async fn ask(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Fallible<(u16, String, Duration)> {
        self.out.clear();
        fill(&mut self.out);
        let began = Instant::now();
        self.stream.write_all(&self.out).await?;
        self.input.clear();
        loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some((status, body)) = parse(&self.input)? {
                return Ok((status, String::from_utf8_lossy(body).into_owned(), began.elapsed()));
            }
            if self.input.len() > LONGEST_ANSWER * 16 {
                return Err("an endless answer".into());
            }
        }
    }
}

/// Status and body of a whole answer; `None` while more has to come.
fn parse(input: &[u8]) -> Fallible<Option<(u16, &[u8])>> {
    let Some(head_end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&input[..head_end])?;
    let status = head.get(9..12).ok_or("no status line")?.parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length: usize = length.ok_or("no content-length")?.parse()?;
    Ok(input.get(head_end + 4..head_end + 4 + length).map(|body| (status, body)))
}
