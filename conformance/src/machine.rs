//! What the kernel and ubpf have in common, as far as a comparison can see.

use std::collections::BTreeMap;
use ubpf_abi::Errno;

/// What a program is run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stimulus {
    /// The packet.
    pub data: Vec<u8>,
    /// The context struct, where fields of it are set; then it is asked for afterwards too.
    pub ctx: Option<Vec<u8>>,
    /// Runs on the same packet and context, at least 1.
    pub repeat: u32,
}

impl Stimulus {
    /// One run on a packet.
    #[must_use]
    pub fn packet(data: &[u8]) -> Self {
        Self { data: data.to_vec(), ctx: None, repeat: 1 }
    }
}

/// What a run gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// The return value as `BPF_PROG_TEST_RUN` reports it.
    pub retval: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The context struct afterwards, where one was given.
    pub ctx: Option<Vec<u8>>,
}

/// Why a run gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The input was refused.
    #[error("refused with {0}")]
    Refused(Errno),
    /// The program did not get to its end, which the kernel's programs always do.
    #[error("trapped: {0}")]
    Trapped(String),
}

/// Contents of maps by name: each a list of keys with their values, by ascending key. Of per-CPU
/// values only CPU 0's count, where all runs take place.
pub type Contents = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

/// Records sent to user space since the last look, by map.
pub type Records = BTreeMap<String, Vec<Vec<u8>>>;

/// A program with its maps, on a kernel or on ubpf.
pub trait Machine {
    /// Runs the program.
    ///
    /// # Errors
    /// [`RunError`] when there is no result to compare.
    fn run(&mut self, stimulus: &Stimulus) -> Result<RunResult, RunError>;

    /// What the maps hold.
    ///
    /// # Errors
    /// The error number of a map that cannot be read.
    fn contents(&mut self) -> Result<Contents, Errno>;

    /// Takes the records that the program has sent.
    fn records(&mut self) -> Records;
}

/// A record as a perf buffer's reader sees it: padded so that length field and payload together
/// are a multiple of 8 bytes.
#[must_use]
pub fn perf_padded(mut record: Vec<u8>) -> Vec<u8> {
    let padded = (record.len() + 4).next_multiple_of(8) - 4;
    record.resize(padded, 0);
    record
}
