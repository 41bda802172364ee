//! The kernel's side.

use super::{Effort, Refusal, Stage, Verdict};
use crate::kernel::{KernelWorld, LogLevel, Stats, WorldError};
use std::time::Duration;
use ubpf::abi::Errno;
use ubpf::abi::program::Program;

/// Instructions up to which a refused program is walked once more for its reason: printing a walk
/// takes the kernel far longer than walking.
const MOST_INSNS_PRINTED: u64 = 1_000_000;

/// What the kernel says of a program.
#[must_use]
pub fn ask(world: &KernelWorld, program: &Program) -> Verdict {
    ask_as(world, program, Ask::default())
}

/// How the kernel is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Refusals that take more instructions than this to find come without their reason.
    pub insns: u64,
    /// `BPF_F_*` beside those that the program's section asks for.
    pub flags: u32,
}

impl Default for Ask {
    fn default() -> Self {
        Self { insns: MOST_INSNS_PRINTED, flags: 0 }
    }
}

/// What the kernel says of a program when it is asked in a certain way.
#[must_use]
pub fn ask_as(world: &KernelWorld, program: &Program, how: Ask) -> Verdict {
    match world.load_as(program, how.flags, LogLevel::Stats) {
        Ok(loaded) => Verdict { refusal: None, effort: effort(loaded.stats()) },
        Err(error) => {
            let mut refusal = refusal(&error);
            let WorldError::Prog(refused) = error else { return refusal.into() };
            let effort = effort(Stats::parse(&refused.log));
            // The reason, without the walk that leads there; a log that is too long changes the
            // error number, not the reason.
            if effort.insns > how.insns {
                refusal.reason = format!("not asked for after {} insns", effort.insns);
            } else if let Err(WorldError::Prog(again)) =
                world.load_as(program, how.flags, LogLevel::Brief)
            {
                refusal.reason = last_line(&again.log).to_owned();
            }
            if refused.errno == Errno::EPERM && refusal.reason.is_empty() {
                refusal.stage = Stage::Permission;
            }
            Verdict { refusal: Some(refusal), effort }
        }
    }
}

/// A world or a load that failed.
pub(super) fn refusal(error: &WorldError) -> Refusal {
    let (stage, errno) = match error {
        WorldError::Prog(refused) => (Stage::Verifier, Some(refused.errno)),
        WorldError::Map { errno, .. } => (Stage::Setup, Some(*errno)),
        WorldError::Btf(refused) => (Stage::Setup, Some(refused.errno)),
        WorldError::Setup(_)
        | WorldError::MissingSymbol(_)
        | WorldError::DanglingReference { .. } => (Stage::Setup, None),
    };
    Refusal { stage, errno, reason: error.to_string() }
}

fn effort(stats: Option<Stats>) -> Effort {
    let stats = stats.unwrap_or_default();
    Effort {
        insns: stats.insns,
        states: stats.total_states,
        peak_states: stats.peak_states,
        time: Duration::from_micros(stats.verification_us),
    }
}

/// The last line that says why the program is refused. Some messages end without a line break,
/// so that the statistics follow on the same line.
fn last_line(log: &str) -> &str {
    const BESIDE_THE_REASON: [&str; 5] =
        ["func#", "verification time ", "stack depth ", "cur state:", "old state:"];
    let (log, _) = log.rsplit_once("processed ").unwrap_or((log, ""));
    let reason = |line: &&str| !BESIDE_THE_REASON.iter().any(|start| line.starts_with(start));
    log.lines().rfind(reason).unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_stands_before_the_statistics() {
        let log = "0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1)\n";
        assert_eq!(last_line(log), "R0 !read_ok");
        assert_eq!(last_line("processed 0 insns\n"), "");
        let log = "infinite loop detected at insn 8\ncur state: R1=0\nold state: R1=0\n";
        assert_eq!(last_line(log), "infinite loop detected at insn 8");
        let log = "expected prog array map for tail callprocessed 3 insns (limit 1000000)\n";
        assert_eq!(last_line(log), "expected prog array map for tail call");
    }
}
