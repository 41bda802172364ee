//! The packet before and after, as bytes.
//!
//! Programs change packets in two ways: they overwrite bytes, and they move the boundary of the
//! data (grow or shrink head, tail or the room behind the Ethernet header). So a change is one
//! splice, of as many bytes as the length changed by, at the place that leaves most bytes as
//! they were (of several such places, the one where programs usually do it); everything else is
//! compared in place.
//!
//! ```text
//!   before  aaaaaa|bbbbbbbbbb            removed or inserted at `at`, the rest aligned
//!   after   aaaaaa|++++|bbbxbbbbbb
//! ```

use crate::style::{DIM, HEADING, NEW, OLD, USUAL_COLUMNS};
use anstyle::Style;
use std::io::{self, Write};

/// Unchanged bytes shown at the start of the packet and behind each change.
const CONTEXT_BYTES: usize = 64;

/// Where encapsulation is put: behind the Ethernet header.
const ETH_HLEN: usize = 14;
/// Where VLAN tags are put: before the Ethernet header's type.
const ETH_TYPE_OFF: usize = 12;

/// How a packet changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    before: &'a [u8],
    after: &'a [u8],
    /// Where bytes were inserted or removed.
    at: usize,
}

/// Bytes of both packets that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment<'a> {
    /// Of equal length, compared byte by byte. Offsets count in the packet afterwards.
    Kept {
        off: usize,
        before: &'a [u8],
        after: &'a [u8],
    },
    Inserted {
        off: usize,
        after: &'a [u8],
    },
    Removed {
        off: usize,
        before: &'a [u8],
    },
}

impl<'a> Change<'a> {
    /// Compares a packet before and after.
    #[must_use]
    pub fn between(before: &'a [u8], after: &'a [u8]) -> Self {
        let shorter = before.len().min(after.len());
        let same = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a == b).collect::<Vec<_>>();
        let from_start = same(&before[..shorter], &after[..shorter]);
        let from_end = same(&before[before.len() - shorter..], &after[after.len() - shorter..]);
        // Bytes that stay as they are when the splice is made at 0, 1, 2, …
        let at_head = from_end.iter().filter(|&&same| same).count();
        let moved = from_start.iter().zip(&from_end);
        let kept = moved.scan(at_head, |kept, (&head, &tail)| {
            *kept = *kept + usize::from(head) - usize::from(tail);
            Some(*kept)
        });
        let kept: Vec<usize> = std::iter::once(at_head).chain(kept).collect();
        let most = kept.iter().copied().max().unwrap_or(0);
        let likely = [0, shorter, ETH_HLEN, ETH_TYPE_OFF];
        let at = likely
            .into_iter()
            .find(|&at| kept.get(at) == Some(&most))
            .or_else(|| kept.iter().rposition(|&n| n == most))
            .unwrap_or(0);
        Self { before, after, at }
    }

    /// The packet is as it was.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.before == self.after
    }

    fn segments(&self) -> [Option<Segment<'a>>; 3] {
        let (before, after, at) = (self.before, self.after, self.at);
        let kept = |off: usize, before: &'a [u8], after: &'a [u8]| {
            (!after.is_empty()).then_some(Segment::Kept { off, before, after })
        };
        if before.len() == after.len() {
            return [kept(0, before, after), None, None];
        }
        let head = kept(0, &before[..at], &after[..at]);
        if after.len() > before.len() {
            let end = at + (after.len() - before.len());
            let inserted = Segment::Inserted { off: at, after: &after[at..end] };
            [head, Some(inserted), kept(end, &before[at..], &after[end..])]
        } else {
            let end = at + (before.len() - after.len());
            let removed = Segment::Removed { off: at, before: &before[at..end] };
            [head, Some(removed), kept(at, &before[end..], &after[at..])]
        }
    }

    /// What changed, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut changed = 0;
        let mut words = Vec::new();
        for segment in self.segments().into_iter().flatten() {
            let place = |at: usize, len: usize| match at {
                0 => " at the head".to_owned(),
                _ if at == len => " at the tail".to_owned(),
                _ => format!(" at byte {at}"),
            };
            match segment {
                Segment::Kept { before, after, .. } => {
                    changed += before.iter().zip(after).filter(|(b, a)| b != a).count();
                }
                Segment::Inserted { off, after } => {
                    words.push(format!("{} inserted{}", after.len(), place(off, self.before.len())))
                }
                Segment::Removed { off, before } => {
                    words.push(format!("{} removed{}", before.len(), place(off, self.after.len())))
                }
            }
        }
        if changed > 0 {
            words.insert(0, format!("{changed} changed"));
        }
        let len = self.after.len();
        if words.is_empty() {
            format!("{len} bytes, unchanged")
        } else {
            format!("{len} bytes, {}", words.join(", "))
        }
    }

    /// Writes the packet as it is now, with what it was where it differs.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, out: &mut dyn Write, columns: Option<usize>) -> io::Result<()> {
        writeln!(out, "{HEADING}packet{HEADING:#}  {}", self.summary())?;
        let width = row_bytes(columns);
        for segment in self.segments().into_iter().flatten() {
            match segment {
                Segment::Kept { off, before, after } => kept(out, off, before, after, width)?,
                Segment::Inserted { off, after } => {
                    for (i, row) in after.chunks(width).enumerate() {
                        let cells = row.iter().map(|&byte| Some((byte, NEW)));
                        print_row(out, "+", NEW, off + i * width, cells, width)?;
                    }
                }
                Segment::Removed { off, before } => {
                    for row in before.chunks(width) {
                        let cells = row.iter().map(|&byte| Some((byte, OLD)));
                        print_row(out, "-", OLD, off, cells, width)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A row of bytes that were compared in place.
struct Row<'a> {
    off: usize,
    before: &'a [u8],
    after: &'a [u8],
    /// It is near enough to something of interest.
    shown: bool,
}

/// Rows of a stretch whose bytes were compared in place, without long unchanged parts.
fn kept(
    out: &mut dyn Write,
    off: usize,
    before: &[u8],
    after: &[u8],
    width: usize,
) -> io::Result<()> {
    let pairs: Vec<_> = before.chunks(width).zip(after.chunks(width)).collect();
    let context = CONTEXT_BYTES / width;
    let differs = |i: usize| pairs.get(i).is_some_and(|(before, after)| before != after);
    let near = |i: usize| i < context || (i.saturating_sub(context)..=i + 1).any(differs);
    let rows: Vec<Row<'_>> = pairs
        .iter()
        .enumerate()
        .map(|(i, &(before, after))| Row { off: off + i * width, before, after, shown: near(i) })
        .collect();
    for run in rows.chunk_by(|a, b| a.shown == b.shown) {
        match run {
            [Row { shown: false, .. }, _, ..] => {
                let bytes: usize = run.iter().map(|row| row.after.len()).sum();
                writeln!(out, "  {DIM}      … {bytes} bytes as before{DIM:#}")?;
            }
            _ => run.iter().try_for_each(|row| row.print(out, width))?,
        }
    }
    Ok(())
}

impl Row<'_> {
    /// Writes the row, under one with what was there before where it differs.
    fn print(&self, out: &mut dyn Write, width: usize) -> io::Result<()> {
        let Row { off, before, after, .. } = *self;
        if before == after {
            let cells = after.iter().map(|&byte| Some((byte, Style::new())));
            return print_row(out, " ", DIM, off, cells, width);
        }
        let pairs = before.iter().zip(after);
        let was = pairs.clone().map(|(old, new)| (old != new).then_some((*old, OLD)));
        print_row(out, "-", OLD, off, was, width)?;
        let is = pairs.map(|(old, new)| {
            let style = if old == new { Style::new() } else { NEW };
            Some((*new, style))
        });
        print_row(out, "+", NEW, off, is, width)
    }
}

/// Writes bytes as rows of digits and characters, so far from the left edge.
///
/// # Errors
/// The stream's.
pub fn print_bytes(
    out: &mut dyn Write,
    indent: &str,
    bytes: &[u8],
    columns: Option<usize>,
) -> io::Result<()> {
    let width = row_bytes(columns.map(|columns| columns.saturating_sub(indent.len())));
    for (i, row) in bytes.chunks(width).enumerate() {
        let cells = row.iter().map(|&byte| Some((byte, Style::new())));
        write!(out, "{indent}")?;
        print_row(out, " ", DIM, i * width, cells, width)?;
    }
    Ok(())
}

/// Bytes that a row may have: offset, two digits and a blank each, and the character.
fn row_bytes(columns: Option<usize>) -> usize {
    match columns.unwrap_or(USUAL_COLUMNS) {
        0..43 => 4,
        43..76 => 8,
        _ => 16,
    }
}

fn print_row(
    out: &mut dyn Write,
    mark: &str,
    mark_style: Style,
    off: usize,
    cells: impl Iterator<Item = Option<(u8, Style)>>,
    width: usize,
) -> io::Result<()> {
    let cells: Vec<_> = cells.collect();
    write!(out, "{mark_style}{mark}{mark_style:#} {DIM}{off:04x}{DIM:#}  ")?;
    for i in 0..width {
        if i == 8 {
            write!(out, " ")?;
        }
        match cells.get(i).copied().flatten() {
            Some((byte, style)) => write!(out, "{style}{byte:02x}{style:#} ")?,
            None => write!(out, "   ")?,
        }
    }
    let last = cells.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    write!(out, " ")?;
    for cell in &cells[..last] {
        match *cell {
            Some((byte, style)) if byte.is_ascii_graphic() || byte == b' ' => {
                write!(out, "{style}{}{style:#}", char::from(byte))?;
            }
            Some((_, style)) => write!(out, "{style}.{style:#}")?,
            None => write!(out, " ")?,
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(before: &[u8], after: &[u8], columns: usize) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        Change::between(before, after).print(&mut out, Some(columns)).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn splices_are_found_where_they_were_made() {
        let packet: Vec<u8> = (0..60).collect();
        let summary = |after: &[u8]| Change::between(&packet, after).summary();

        assert_eq!(summary(&packet), "60 bytes, unchanged");
        assert_eq!(summary(&packet[14..]), "46 bytes, 14 removed at the head");
        assert_eq!(summary(&packet[..50]), "50 bytes, 10 removed at the tail");

        let mut tagged = packet.clone();
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        assert_eq!(summary(&tagged), "64 bytes, 4 inserted at byte 12");

        let mut tunnelled = packet.clone();
        tunnelled.splice(14..14, [0xee; 20]);
        tunnelled[0] = 0xff;
        assert_eq!(summary(&tunnelled), "80 bytes, 1 changed, 20 inserted at byte 14");

        let mut grown = packet.clone();
        grown.extend([0; 4]);
        assert_eq!(summary(&grown), "64 bytes, 4 inserted at the tail");
    }

    #[test]
    fn old_bytes_stand_above_new_ones() {
        let before = *b"\x00\x01ABCDEF";
        let after = *b"\x00\x01ABxDEF";
        assert_eq!(
            text(&before, &after, 60),
            "packet  8 bytes, 1 changed\n\
             - 0000              43               C\n\
             + 0000  00 01 41 42 78 44 45 46  ..ABxDEF\n"
        );
    }

    #[test]
    fn long_unchanged_stretches_are_left_out() {
        let before = [0; 16 * 20];
        let mut after = before;
        after[16 * 15] = 1;
        let text = text(&before, &after, 80);
        assert!(text.contains("… 160 bytes as before"), "{text}");
        assert_eq!(text.lines().count(), 1 + 4 + 1 + 1 + 2 + 4, "{text}");
    }

    proptest! {
        #[test]
        fn rows_fit_the_terminal(before: Vec<u8>, after: Vec<u8>, columns in 27..200_usize) {
            for line in text(&before, &after, columns).lines().skip(1) {
                prop_assert!(line.chars().count() <= columns, "{line:?}");
            }
        }

        #[test]
        fn equal_lengths_need_no_splice(before: [u8; 24], after: [u8; 24]) {
            let change = Change::between(&before, &after);
            prop_assert_eq!(change.is_none(), before == after);
            prop_assert!(!change.summary().contains("inserted"));
        }
    }
}
