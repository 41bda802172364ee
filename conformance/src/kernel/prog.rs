//! Programs in the kernel: loading with the verifier's log and statistics, and test runs.

use super::sys;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ubpf_abi::Errno;

pub use sys::ProgLoad;

/// Bytes of log that a load collects at most; enough for level 2 of any program in the suites.
const LOG_BYTES: usize = 16 << 20;

/// What the verifier prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    #[default]
    None,
    /// Why a program was rejected, and the path that leads there.
    Brief,
    /// Every instruction with its state.
    Full,
    /// Statistics only.
    Stats,
}

impl LogLevel {
    const fn bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Brief => 1,
            Self::Full => 2,
            Self::Stats => 4,
        }
    }
}

/// The kernel's no to a program or to its BTF.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the kernel refuses the program: {errno}{}", last_lines(.log))]
pub struct Refused {
    /// Its error number.
    pub errno: Errno,
    /// The verifier's log, empty unless one was asked for.
    pub log: String,
}

/// The end of a log, where the reason stands.
fn last_lines(log: &str) -> String {
    const SHOWN: usize = 12;
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    let tail = lines.get(from..).unwrap_or_default();
    tail.iter().map(|line| format!("\n    {line}")).collect()
}

/// A program that the verifier has accepted.
pub struct Loaded {
    fd: OwnedFd,
    log: String,
}

impl AsFd for Loaded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Loaded {
    /// Loads a program.
    ///
    /// # Errors
    /// The kernel's error number; with [`LogLevel::Brief`] or [`LogLevel::Full`] also its reason.
    pub fn load(spec: &ProgLoad<'_>, level: LogLevel) -> Result<Self, Refused> {
        let spec = ProgLoad { log_level: level.bits(), ..*spec };
        let mut log = vec![0; if level == LogLevel::None { 0 } else { LOG_BYTES }];
        match sys::prog_load(&spec, &mut log) {
            Ok(fd) => Ok(Self { fd, log: text(&log) }),
            Err(errno) => Err(Refused { errno, log: text(&log) }),
        }
    }

    /// The verifier's log, at the level that was asked for.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The statistics in the log, present at every level but [`LogLevel::None`].
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        Stats::parse(&self.log)
    }

    /// Runs the program through `BPF_PROG_TEST_RUN`.
    ///
    /// # Errors
    /// The kernel's error number: it refuses the input, or the program type has no test run.
    pub fn test_run(&self, input: &TestInput<'_>) -> Result<TestOutput, Errno> {
        let mut data_out = vec![0; input.data_out_bytes];
        let mut ctx_in = input.ctx.to_vec();
        let mut ctx_out = vec![0; input.ctx_out_bytes];
        let numbers = sys::test_run(
            self.fd.as_fd(),
            sys::TestRunArgs {
                data_in: input.data,
                data_out: &mut data_out,
                ctx_in: &mut ctx_in,
                ctx_out: &mut ctx_out,
                repeat: input.repeat,
                flags: input.flags,
            },
        )?;
        data_out.truncate(numbers.data_size_out as usize);
        ctx_out.truncate(numbers.ctx_size_out as usize);
        let ctx = if input.ctx_out_bytes == 0 { ctx_in } else { ctx_out };
        Ok(TestOutput {
            retval: numbers.retval,
            duration_ns: numbers.duration_ns,
            data: data_out,
            ctx,
        })
    }
}

/// The zero-terminated text in a log buffer.
pub(super) fn text(log: &[u8]) -> String {
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    String::from_utf8_lossy(log.get(..end).unwrap_or_default()).into_owned()
}

/// What a test run is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestInput<'a> {
    /// The packet; empty for types that take none.
    pub data: &'a [u8],
    /// The context struct, or empty.
    pub ctx: &'a [u8],
    /// Room for the packet afterwards, in bytes; 0 does not ask for it. A packet larger than
    /// this makes the run fail with `ENOSPC`.
    pub data_out_bytes: usize,
    /// Room for the context afterwards; 0 does not ask for it.
    pub ctx_out_bytes: usize,
    /// Runs on the same packet; 0 means once.
    pub repeat: u32,
    /// `BPF_F_TEST_*`.
    pub flags: u32,
}

/// What a test run gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutput {
    /// The low half of `r0` after the last repetition.
    pub retval: u32,
    /// Mean nanoseconds a repetition.
    pub duration_ns: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The context afterwards; where none was asked for, the one given, which programs of type
    /// `syscall` change in place.
    pub ctx: Vec<u8>,
}

/// What the verifier says about its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Microseconds spent, verification alone; 0 unless the level was [`LogLevel::Stats`].
    pub verification_us: u64,
    /// Instructions processed on all paths.
    pub insns: u64,
    /// States kept in total.
    pub total_states: u64,
    /// States kept at once.
    pub peak_states: u64,
}

impl Stats {
    /// Reads the last lines of a log: `verification time N usec`, and `processed N insns (limit
    /// N) max_states_per_insn N total_states N peak_states N mark_read N`.
    pub fn parse(log: &str) -> Option<Self> {
        let number_after = |line: &str, word: &str| -> Option<u64> {
            line.split_once(word)?.1.split_whitespace().next()?.parse().ok()
        };
        let processed = log.lines().rev().find(|l| l.starts_with("processed "))?;
        let time = log.lines().rev().find(|l| l.starts_with("verification time "));
        Some(Self {
            verification_us: time.and_then(|l| number_after(l, "verification time ")).unwrap_or(0),
            insns: number_after(processed, "processed ")?,
            total_states: number_after(processed, "total_states ")?,
            peak_states: number_after(processed, "peak_states ")?,
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} insns, {} states, {} at most, {} us",
            self.insns, self.total_states, self.peak_states, self.verification_us
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_the_end_of_a_log() {
        let log = "verification time 123 usec\nstack depth 8\nprocessed 17 insns (limit 1000000) \
                   max_states_per_insn 0 total_states 3 peak_states 2 mark_read 1\n";
        let stats = Stats::parse(log).expect("the log holds statistics");
        assert_eq!(
            stats,
            Stats { verification_us: 123, insns: 17, total_states: 3, peak_states: 2 }
        );
        assert_eq!(Stats::parse("no statistics here"), None);
    }
}
