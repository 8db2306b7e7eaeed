//! The frame splitter: cuts a byte stream into SMPP PDUs, and nothing more (SMPP 3.4 section 3.2).
//!
//! ```text
//!  0        4        8        12       16
//!  | length |   id   | status |  seq   | body ...            four big-endian u32, length includes itself
//! ```
//! Invariants: `command_length` is checked (16 to [`MAX_FRAME`]) before a byte is reserved for it, so no
//! peer can make us allocate by a stated length; a frame holds exactly its own bytes, so whatever decodes
//! it can neither over-read nor leave the stream out of step. An absurd length is the one fatal error:
//! after it the stream has no frame boundary any more. Knows neither side: the ESME and the simulated
//! SMSC share it. What a body means is `pdu.rs`.

use bytes::{Buf, Bytes, BytesMut};

/// Octets of the header.
pub const HEADER: usize = 16;
/// Longest PDU taken: message_payload can hold 64 KiB in theory; nobody sends more, rusmpp stops at 8 KiB.
pub const MAX_FRAME: usize = 64 * 1024;

/// The four fields every PDU begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Octets of the whole PDU, header included.
    pub length: u32,
    pub id: u32,
    pub status: u32,
    pub sequence: u32,
}

/// One whole PDU.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    bytes: Bytes,
}

impl Frame {
    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// Header and body as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Without the body: it may hold a password or a text.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("header", &self.header).finish_non_exhaustive()
    }
}

/// The stated length can belong to no PDU: the stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command_length {0} is not between 16 and 65536")]
pub struct AbsurdLength(pub u32);

/// Collects bytes and gives out frames.
///
/// Holds what was pushed and not yet taken: at most one incomplete frame and the last push, when the
/// caller takes all frames between pushes.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
}

impl Splitter {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, AbsurdLength> {
        let Some(length) = self.buffer.first_chunk::<4>().map(|raw| u32::from_be_bytes(*raw)) else {
            return Ok(None);
        };
        if !(HEADER as u32..=MAX_FRAME as u32).contains(&length) {
            return Err(AbsurdLength(length));
        }
        if self.buffer.len() < length as usize {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(length as usize).freeze();
        let mut rest = &bytes[4..HEADER];
        let header = Header { length, id: rest.get_u32(), status: rest.get_u32(), sequence: rest.get_u32() };
        Ok(Some(Frame { header, bytes }))
    }

    /// A frame has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENQUIRE: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];

    #[test]
    fn frames_come_out_whole_wherever_the_stream_is_cut() {
        let mut stream = ENQUIRE.to_vec();
        stream.extend([0, 0, 0, 18, 0x80, 0, 0, 4, 0, 0, 0, 0x58, 0, 0, 0, 9, b'x', 0]);
        for cut in 0..=stream.len() {
            let mut splitter = Splitter::default();
            let mut frames = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                splitter.push(piece);
                while let Some(frame) = splitter.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0].header, Header { length: 16, id: 0x15, status: 0, sequence: 7 });
            assert_eq!(frames[1].body(), b"x\0");
            assert!(!splitter.is_partial());
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_anything_is_reserved() {
        for length in [0u32, 15, MAX_FRAME as u32 + 1, u32::MAX] {
            let mut splitter = Splitter::default();
            splitter.push(&length.to_be_bytes());
            assert_eq!(splitter.next_frame(), Err(AbsurdLength(length)));
            assert!(splitter.buffer.capacity() < 1024);
        }
    }

    #[test]
    fn an_incomplete_frame_waits() {
        let mut splitter = Splitter::default();
        for byte in &ENQUIRE[..15] {
            splitter.push(std::slice::from_ref(byte));
            assert_eq!(splitter.next_frame(), Ok(None));
            assert!(splitter.is_partial());
        }
    }
}
