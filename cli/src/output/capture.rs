//! Captures that are written as they come: the classic format, with nanoseconds.

use std::io::{self, Write};
use std::time::Duration;

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured, since the epoch.
    pub time: Duration,
    /// Its bytes.
    pub data: &'a [u8],
    /// Bytes that it had before anything was cut off.
    pub wire_len: usize,
}

/// Writes packets of one link type.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    link: u16,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// The stream's.
    pub fn new(mut out: W, link: u16) -> io::Result<Self> {
        /// Says that times have nanoseconds, and which byte order there is.
        const MAGIC: u32 = 0xa1b2_3c4d;
        const SNAPLEN: u32 = 262_144;
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&4_u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&SNAPLEN.to_le_bytes())?;
        out.write_all(&u32::from(link).to_le_bytes())?;
        Ok(Self { out, link })
    }

    /// Goes on with a capture of this link type that was begun before.
    pub const fn go_on(out: W, link: u16) -> Self {
        Self { out, link }
    }

    /// Its link type.
    pub const fn link(&self) -> u16 {
        self.link
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// The stream's.
    pub fn push(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let seconds = u32::try_from(packet.time.as_secs()).unwrap_or(u32::MAX);
        let (len, wire_len) = (number(packet.data.len()), number(packet.wire_len));
        for word in [seconds, packet.time.subsec_nanos(), len, wire_len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(packet.data)
    }

    /// Writes out what is still buffered.
    ///
    /// # Errors
    /// The stream's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The stream.
    pub fn into_inner(self) -> W {
        self.out
    }
}
