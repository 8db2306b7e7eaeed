//! A look at the bytes of a request head, for the one thing hyper hides: a request with both
//! Content-Length and Transfer-Encoding (RFC 9112 section 6.3, request smuggling). hyper drops the first
//! silently, so the bytes read since the request before are kept beside it and looked at when a request
//! has a Transfer-Encoding. It never changes what is read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than hyper buffers, so the head of the request it has just parsed is always within.
const KEPT: usize = 2 * super::serve::MAX_HEAD;

/// The last bytes read, shared by the stream and the request's guard.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<u8>>>);

impl Trace {
    /// Forgets what was read; to be called once a request, when its head is parsed.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Cheaper than [`Trace::take`] where nobody looks.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn note(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * KEPT {
            let surplus = kept.len() - KEPT;
            kept.drain(..surplus);
        }
    }
}

/// Whether a chunked request's framing is beyond doubt: its head is among the bytes, and no
/// Content-Length is. A head that came pipelined behind another is not, and is refused as well.
pub fn is_plainly_chunked(bytes: &[u8]) -> bool {
    has_line(bytes, b"transfer-encoding:") && !has_line(bytes, b"content-length:")
}

fn has_line(bytes: &[u8], name: &[u8]) -> bool {
    let mut lines = bytes.split(|&b| b == b'\n');
    lines.any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// A stream that notes what is read from it.
#[derive(Debug)]
pub struct Traced<S> {
    stream: S,
    trace: Trace,
}

impl<S> Traced<S> {
    pub fn new(stream: S) -> (Traced<S>, Trace) {
        let trace = Trace::default();
        (Traced { stream, trace: trace.clone() }, trace)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Traced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.trace.note(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Traced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_head_with_transfer_encoding_alone_is_plain() {
        assert!(is_plainly_chunked(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!is_plainly_chunked(
            b"POST / HTTP/1.1\r\ncontent-LENGTH: 4\r\ntransfer-encoding: chunked\r\n"
        ));
        assert!(!is_plainly_chunked(b"0\r\n\r\n"), "its head came with the request before");
    }

    #[tokio::test]
    async fn the_trace_keeps_the_last_bytes_and_no_more_than_its_bound() {
        use tokio::io::AsyncReadExt as _;
        let bytes: Vec<u8> = (0..10 * KEPT).map(|n| n as u8).collect();
        let (mut stream, trace) = Traced::new(bytes.as_slice());
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        let kept = trace.take();
        assert_eq!(read, bytes);
        assert!((KEPT..=2 * KEPT).contains(&kept.len()));
        assert!(bytes.ends_with(&kept));
    }
}
