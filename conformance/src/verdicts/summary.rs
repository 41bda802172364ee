//! Comparisons added up, and as rows.

use super::{Comparison, Outcome, Refusal, Verdict};
use std::collections::BTreeMap;
use std::fmt;

/// Head of the rows that [`Comparison::csv`] writes.
pub const CSV_HEAD: &str = "file_name,prog_name,outcome,kernel_verdict,kernel_errno,kernel_reason,\
    kernel_insns,kernel_states,kernel_peak_states,kernel_us,verdict,errno,reason,insns,states,\
    peak_states,us";

impl Comparison {
    /// A row of a CSV file.
    #[must_use]
    pub fn csv(&self) -> String {
        let outcome = self.outcome().name();
        let (theirs, ours) = (side(&self.kernel), side(&self.ours));
        format!("{},{},{outcome},{theirs},{ours}", quoted(&self.file), quoted(&self.program))
    }
}

fn side(verdict: &Verdict) -> String {
    let effort = &verdict.effort;
    let (word, errno, reason) = match &verdict.refusal {
        None => ("success", String::new(), String::new()),
        Some(Refusal { errno, reason, .. }) => {
            let name = |e: ubpf::abi::Errno| e.name().map_or_else(|| e.0.to_string(), Into::into);
            ("failure", errno.map(name).unwrap_or_default(), quoted(reason))
        }
    };
    let (insns, states, peak) = (effort.insns, effort.states, effort.peak_states);
    let time = effort.time.as_nanos() as f64 / 1e3;
    format!("{word},{errno},{reason},{insns},{states},{peak},{time:.1}")
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl Outcome {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::OtherReason => "other reason",
            Self::Unsupported => "unsupported",
            Self::WrongReject => "wrong reject",
            Self::WrongAccept => "wrong accept",
            Self::NotComparable => "not comparable",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |verdict: &Verdict| match &verdict.refusal {
            None => String::from("accepts"),
            Some(refusal) => refusal.to_string(),
        };
        writeln!(f, "{}  {} {}", self.outcome().name(), self.file, self.program)?;
        writeln!(f, "    kernel  {}", side(&self.kernel))?;
        write!(f, "    ubpf    {}", side(&self.ours))
    }
}

/// Comparisons added up.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    counts: [u64; Outcome::ALL.len()],
    accepted: u64,
    unsupported: BTreeMap<String, u64>,
    /// Logarithms of our time over the kernel's, where both accept and it can be measured.
    ratios: Vec<f64>,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Agree,
        Self::OtherReason,
        Self::Unsupported,
        Self::WrongReject,
        Self::WrongAccept,
        Self::NotComparable,
    ];
}

impl Summary {
    /// Adds a comparison.
    pub fn add(&mut self, comparison: &Comparison) {
        let outcome = comparison.outcome();
        if let Some(count) = self.counts.get_mut(outcome as usize) {
            *count += 1;
        }
        let (theirs, ours) = (&comparison.kernel, &comparison.ours);
        self.accepted += u64::from(theirs.refusal.is_none());
        if let (Outcome::Unsupported, Some(refusal)) = (outcome, &ours.refusal) {
            *self.unsupported.entry(refusal.reason.clone()).or_default() += 1;
        }
        if theirs.refusal.is_none() && ours.refusal.is_none() && !theirs.effort.time.is_zero() {
            let ratio = ours.effort.time.as_secs_f64() / theirs.effort.time.as_secs_f64();
            self.ratios.push(ratio.ln());
        }
    }

    /// How many comparisons came out like this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(outcome as usize).copied().unwrap_or(0)
    }

    /// How many programs both looked at.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.counts.iter().sum::<u64>() - self.count(Outcome::NotComparable)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = self.compared();
        let percent = |n: u64| 100.0 * n as f64 / compared.max(1) as f64;
        writeln!(f, "{compared} programs, {} of them accepted by the kernel", self.accepted)?;
        let same = self.count(Outcome::Agree) + self.count(Outcome::OtherReason);
        writeln!(f, "{same:8}  {:6.2} %  same verdict", percent(same))?;
        for outcome in Outcome::ALL {
            let count = self.count(outcome);
            if count > 0 {
                writeln!(f, "{count:8}  {:6.2} %  {}", percent(count), outcome.name())?;
            }
        }
        let mut unsupported: Vec<_> = self.unsupported.iter().collect();
        unsupported.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (what, count) in unsupported {
            writeln!(f, "{count:12}  not modelled: {what}")?;
        }
        if !self.ratios.is_empty() {
            let mean = (self.ratios.iter().sum::<f64>() / self.ratios.len() as f64).exp();
            let count = self.ratios.len();
            write!(f, "time over the kernel's: {mean:.2}, geometric mean of {count}")?;
        }
        Ok(())
    }
}
