//! Tables as wide as their contents, cut at the terminal's edge.

use crate::style::HEADING;
use std::io::{self, Write};

/// Where a column's texts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Flush left.
    Left,
    /// Flush right.
    Right,
}

/// Rows of `N` columns.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    head: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    #[must_use]
    pub const fn new(head: [(&'static str, Align); N]) -> Self {
        Self { head, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Writes heads and rows. Where there are so many `columns`, longer lines end in `…`.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, out: &mut dyn Write, columns: Option<usize>) -> io::Result<()> {
        let widths: [usize; N] = std::array::from_fn(|i| {
            let head = self.head.get(i).map_or(0, |(name, _)| width(name));
            let cells = self.rows.iter().filter_map(|row| row.get(i));
            cells.map(|cell| width(cell)).fold(head, usize::max)
        });
        let head = self.line(&self.head.map(|(name, _)| name.to_owned()), &widths);
        writeln!(out, "{HEADING}{}{HEADING:#}", cut(&head, columns))?;
        for row in &self.rows {
            writeln!(out, "{}", cut(&self.line(row, &widths), columns))?;
        }
        Ok(())
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for ((cell, (_, align)), wide) in row.iter().zip(&self.head).zip(widths) {
            let blanks = " ".repeat(wide.saturating_sub(width(cell)));
            match align {
                Align::Left => line.extend([cell, blanks.as_str()]),
                Align::Right => line.extend([blanks.as_str(), cell]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text, or as much of it as fits with an ellipsis.
fn cut(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|&columns| width(text) > columns) else {
        return text.to_owned();
    };
    let mut kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([("name", Align::Left), ("n", Align::Right)]);
        table.row(["a".into(), "100".into()]);
        table.row(["→ longer".into(), "2".into()]);
        let mut out = anstream::StripStream::new(Vec::new());
        table.print(&mut out, None).unwrap();
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap(),
            "name        n\na         100\n→ longer    2\n"
        );
    }

    #[test]
    fn long_lines_end_in_an_ellipsis() {
        assert_eq!(cut("abcdef", Some(4)), "abc…");
        assert_eq!(cut("ab cdef", Some(4)), "ab…");
        assert_eq!(cut("abc", Some(3)), "abc");
        assert_eq!(cut("abcdef", None), "abcdef");
    }
}
