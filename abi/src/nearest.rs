//! The name that was probably meant.

use alloc::vec::Vec;

/// The candidate that differs least from a name, if it does not differ much: by a letter in three,
/// where letters are left out, added, exchanged or swapped with the next.
///
/// ```
/// use ubpf_abi::nearest::nearest;
/// assert_eq!(nearest("pirority", ["mark", "priority"]), Some("priority"));
/// assert_eq!(nearest("colour", ["mark", "priority"]), None);
/// assert_eq!(nearest("x", ["y"]), None);
/// ```
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let distances = candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    let (shorter, longer) = (name.len().min(candidate.len()), name.len().max(candidate.len()));
    (distance <= longer.div_ceil(3) && distance < shorter).then_some(candidate)
}

/// Edits that lead from one to the other (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    // Rows of the table, by how much of `a` is done: the one before the last, and the last.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let exchanged = at(&last, j) + usize::from(x != y);
            let mut best = exchanged.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = core::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_edit_counts_one() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "ab", 1),
            ("abc", "abxc", 1),
            ("abc", "axc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), edits, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), edits, "{b} {a}");
        }
    }
}
