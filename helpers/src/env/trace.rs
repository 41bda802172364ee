//! The trace log: what programs print.

use std::collections::VecDeque;

/// Bytes kept at most; then the oldest lines go, as in the kernel's ring.
const MAX_BYTES: usize = 4 << 20;
/// What a line costs besides its text.
const LINE_OVERHEAD: usize = 32;

/// Lines that programs printed, oldest first.
#[derive(Debug, Default)]
pub struct TraceLog {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl TraceLog {
    /// Appends what one call printed.
    pub fn push(&mut self, text: Vec<u8>) {
        self.bytes += text.len() + LINE_OVERHEAD;
        self.lines.push_back(text);
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + LINE_OVERHEAD;
        }
    }

    /// Takes all lines.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        self.bytes = 0;
        self.lines.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_make_room() {
        let mut log = TraceLog::default();
        for n in 0..10_000u32 {
            log.push(format!("{n:0>1000}").into_bytes());
        }
        let lines = log.drain();
        assert_eq!(lines.len(), MAX_BYTES / (1000 + LINE_OVERHEAD));
        assert!(lines.last().is_some_and(|l| l.ends_with(b"9999")));
        assert!(log.drain().is_empty());
    }
}
