//! Colours and widths: one palette for all output. Streams drop the colours where they are not
//! wanted (`NO_COLOR`, not a terminal).

use anstyle::{AnsiColor, Style};

/// Verdicts that let the packet live.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Verdicts that end it.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// All other verdicts.
pub const OTHER: Style = AnsiColor::Yellow.on_default().bold();
/// The word in front of an error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Words that begin a note.
pub const NOTE: Style = AnsiColor::Cyan.on_default().bold();
/// Names of sections of a report.
pub const HEADING: Style = Style::new().bold();
/// What is there but does not matter now.
pub const DIM: Style = Style::new().dimmed();
/// What was there before.
pub const OLD: Style = AnsiColor::Red.on_default();
/// What is there now and was not before.
pub const NEW: Style = AnsiColor::Green.on_default().bold();
/// Symbolic names.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// Source code.
pub const SOURCE: Style = AnsiColor::Blue.on_default();

/// Columns that a view is made for where nobody says how many there are.
pub const USUAL_COLUMNS: usize = 80;

/// Columns of the terminal, or of `COLUMNS`; `None` where neither is known, as in a pipe.
#[must_use]
pub fn columns() -> Option<usize> {
    let from_env = || std::env::var("COLUMNS").ok()?.parse().ok();
    let from_terminal = || terminal_size::terminal_size().map(|(w, _)| usize::from(w.0));
    from_env().or_else(from_terminal)
}

/// `1 packet`, `2 packets`.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n))
}

/// A number with its digits in groups of three.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate with three digits and the prefix that suits it, for a unit to follow.
#[must_use]
pub fn rate(per_second: f64) -> String {
    const PREFIXES: [(f64, &str); 3] = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let found = PREFIXES.into_iter().find(|(factor, _)| per_second >= *factor);
    let (factor, prefix) = found.unwrap_or((1.0, ""));
    let value = per_second / factor;
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}{prefix}")
}

/// A duration with three digits and the unit that suits it.
#[must_use]
pub fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    match UNITS.into_iter().find(|(unit, _)| ns >= *unit) {
        None => format!("{ns} ns"),
        Some((unit, name)) => {
            let value = ns as f64 / unit as f64;
            let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
            format!("{value:.decimals$} {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_durations_get_a_unit() {
        assert_eq!(thousands(1_234_567), "1 234 567");
        assert_eq!(thousands(999), "999");
        assert_eq!(count(1, "packet"), "1 packet");
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_500), "1.50 µs");
        assert_eq!(duration(12_345_678), "12.3 ms");
        assert_eq!(duration(123_000_000_000), "123 s");
        assert_eq!(rate(1_250_000.0), "1.25 M");
        assert_eq!(rate(999.0), "999");
    }
}
