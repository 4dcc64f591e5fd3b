//! The bytes below a WebSocket, plain or encrypted. It can leave out the pongs that the library sends by itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const OPCODE: u8 = 0x0f;
const PONG: u8 = 0x0a;

/// The stream of a charger.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    pongs: Pongs,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

#[derive(Debug)]
enum Pongs {
    /// Everything is written.
    Sent,
    /// The stream is past the handshake and at this place in a frame.
    Withheld { left: usize, dropped: bool },
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), pongs: Pongs::Sent }
    }

    pub(super) fn encrypted(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Encrypted(Box::new(stream)), pongs: Pongs::Sent }
    }

    /// Writes no pong from here on. It is called between two frames.
    pub fn withhold_pongs(&mut self) {
        self.pongs = Pongs::Withheld { left: 0, dropped: false };
    }

    /// Ends the connection with a reset and without a closing handshake, as a power cut does.
    pub fn abort(&mut self) {
        let tcp = match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Encrypted(tls) => tls.get_ref().0,
        };
        // Where that is refused, dropping the stream closes it in the ordinary way.
        let _ = tcp.set_zero_linger();
    }
}

/// The length of the frame that begins here, header included, and whether it is a pong. The library hands over whole
/// frames, so that a header is never cut.
fn frame(bytes: &[u8]) -> Option<(usize, bool)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (header, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((header + mask + payload, first & OPCODE == PONG))
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Stream {
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, pongs } = &mut *self;
        let Pongs::Withheld { left, dropped } = pongs else { return stream.poll_write(cx, buf) };
        if *left == 0 {
            let cut = || io::Error::new(io::ErrorKind::InvalidInput, "a frame's header was cut");
            (*left, *dropped) = frame(buf).ok_or_else(cut)?;
        }
        let part = &buf[..buf.len().min(*left)];
        let written = if *dropped { part.len() } else { ready!(stream.poll_write(cx, part))? };
        *left -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_each_frame_is_found_and_pongs_are_known() {
        assert_eq!(frame(&[0x8a, 0x80, 1, 2, 3, 4]), Some((6, true)));
        assert_eq!(frame(&[0x81, 0x83, 1, 2, 3, 4, 5, 6, 7]), Some((9, false)));
        assert_eq!(frame(&[0x81, 0xfe, 0x01, 0x00]), Some((8 + 256, false)));
        assert_eq!(frame(&[0x81]), None);
    }
}
