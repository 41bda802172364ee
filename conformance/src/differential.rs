//! The kernel and ubpf side by side: the same program, the same inputs in the same order, and
//! after every input the result, the packet, the context, all maps and all records compared.
//!
//! Maps keep their contents from input to input, so that what a program learns is compared too.
//! After a difference both sides start afresh: one mistake is reported once.

use crate::machine::{Contents, Machine, Records, RunError, RunResult};
use crate::stimuli::Named;
use std::fmt;

/// What of a run differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// ubpf cannot load the program at all.
    Load,
    /// One side refuses the input, or ubpf traps.
    Run,
    /// The return value.
    Retval,
    /// The packet afterwards.
    Data,
    /// The context afterwards.
    Ctx,
    /// The contents of a map.
    Map,
    /// Records in a ring or perf buffer.
    Records,
}

impl Aspect {
    /// The word for it in expectations and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Run => "run",
            Self::Retval => "retval",
            Self::Data => "data",
            Self::Ctx => "ctx",
            Self::Map => "map",
            Self::Records => "records",
        }
    }
}

/// The first difference that an input shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub aspect: Aspect,
    /// The kernel's and ubpf's version.
    pub text: String,
}

impl Difference {
    fn new(aspect: Aspect, kernel: impl fmt::Display, ubpf: impl fmt::Display) -> Self {
        Self { aspect, text: format!("\n      kernel {kernel}\n      ubpf   {ubpf}") }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.aspect.name(), self.text)
    }
}

/// A difference and where it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// The input's name; empty where the program does not load.
    pub input: String,
    /// What differs.
    pub difference: Difference,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, program, input, difference } = self;
        write!(f, "{object}/{program} on {input:?}: {difference}")
    }
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Programs.
    pub programs: usize,
    /// Programs × inputs.
    pub comparisons: usize,
    /// Comparisons with a difference.
    pub differing: usize,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} programs, {} programs x inputs compared, {} differing",
            self.programs, self.comparisons, self.differing
        )
    }
}

/// Runs both machines on one input and compares.
///
/// # Errors
/// The first [`Difference`].
pub fn compare(
    kernel: &mut dyn Machine,
    ubpf: &mut dyn Machine,
    input: &Named,
    unobserved: &[String],
) -> Result<(), Difference> {
    let expected = kernel.run(&input.stimulus);
    let actual = ubpf.run(&input.stimulus);
    results(expected, actual)?;
    let maps = |contents: Result<Contents, _>| match contents {
        Ok(mut contents) => {
            contents.retain(|name, _| !unobserved.contains(name));
            Ok(contents)
        }
        Err(errno) => Err(Difference::new(Aspect::Map, errno, errno)),
    };
    contents(&maps(kernel.contents())?, &maps(ubpf.contents())?)?;
    records(&kernel.records(), &ubpf.records())
}

fn results(
    kernel: Result<RunResult, RunError>,
    ubpf: Result<RunResult, RunError>,
) -> Result<(), Difference> {
    let (kernel, ubpf) = match (kernel, ubpf) {
        (Ok(kernel), Ok(ubpf)) => (kernel, ubpf),
        (Err(kernel), Err(ubpf)) if kernel == ubpf => return Ok(()),
        (kernel, ubpf) => {
            let text = |side: &Result<RunResult, RunError>| match side {
                Ok(result) => format!("runs and returns {}", result.retval),
                Err(error) => error.to_string(),
            };
            return Err(Difference::new(Aspect::Run, text(&kernel), text(&ubpf)));
        }
    };
    if kernel.retval != ubpf.retval {
        return Err(Difference::new(
            Aspect::Retval,
            format!("{0} ({0:#x})", kernel.retval),
            format!("{0} ({0:#x})", ubpf.retval),
        ));
    }
    bytes(Aspect::Data, "", &kernel.data, &ubpf.data)?;
    let ctx = |result: &RunResult| result.ctx.clone().unwrap_or_default();
    bytes(Aspect::Ctx, "", &ctx(&kernel), &ctx(&ubpf))
}

/// Compares byte strings; a difference is shown from its first byte.
fn bytes(aspect: Aspect, of: &str, kernel: &[u8], ubpf: &[u8]) -> Result<(), Difference> {
    if kernel == ubpf {
        return Ok(());
    }
    let common = kernel.iter().zip(ubpf).take_while(|(a, b)| a == b).count();
    let show = |side: &[u8]| {
        let rest = side.get(common..).unwrap_or_default();
        format!("{of}{} bytes, from byte {common}: {}", side.len(), hex(rest))
    };
    Err(Difference::new(aspect, show(kernel), show(ubpf)))
}

fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 48;
    let shown: String = bytes.iter().take(SHOWN).map(|b| format!("{b:02x}")).collect();
    if bytes.len() > SHOWN { format!("{shown}...") } else { shown }
}

fn contents(kernel: &Contents, ubpf: &Contents) -> Result<(), Difference> {
    for (name, expected) in kernel {
        let none = Vec::new();
        let actual = ubpf.get(name).unwrap_or(&none);
        if expected == actual {
            continue;
        }
        let odd_one = |these: &[(Vec<u8>, Vec<u8>)], others: &[(Vec<u8>, Vec<u8>)]| {
            let odd = these.iter().find(|element| !others.contains(element));
            let odd = odd.map_or(String::from("no other element"), |(key, value)| {
                format!("[{}] = {}", hex(key), hex(value))
            });
            format!("{name}, {} elements, {odd}", these.len())
        };
        if let (false, [(_, expected)], [(_, actual)]) =
            (expected.is_empty(), expected.as_slice(), actual.as_slice())
        {
            bytes(Aspect::Map, &format!("{name}, "), expected, actual)?;
        }
        return Err(Difference::new(
            Aspect::Map,
            odd_one(expected, actual),
            odd_one(actual, expected),
        ));
    }
    Ok(())
}

fn records(kernel: &Records, ubpf: &Records) -> Result<(), Difference> {
    let none = Vec::new();
    for name in kernel.keys().chain(ubpf.keys()) {
        let expected = kernel.get(name).unwrap_or(&none);
        let actual = ubpf.get(name).unwrap_or(&none);
        for (i, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            bytes(Aspect::Records, &format!("{name}, record {i}, "), expected, actual)?;
        }
        if expected.len() != actual.len() {
            let show = |side: &[Vec<u8>]| format!("{name}, {} records", side.len());
            return Err(Difference::new(Aspect::Records, show(expected), show(actual)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_byte_is_named() {
        let difference = bytes(Aspect::Data, "", &[1, 2, 3], &[1, 2, 4, 5]).expect_err("differ");
        assert_eq!(
            difference.to_string(),
            "data: \n      kernel 3 bytes, from byte 2: 03\n      ubpf   4 bytes, from byte 2: 0405"
        );
    }

    #[test]
    fn missing_elements_and_records_are_differences() {
        let one = Contents::from([(String::from("m"), vec![(vec![1], vec![2])])]);
        let none = Contents::from([(String::from("m"), vec![])]);
        assert_eq!(contents(&one, &none).expect_err("differ").aspect, Aspect::Map);
        assert_eq!(contents(&one, &one), Ok(()));
        let sent = Records::from([(String::from("r"), vec![vec![1]])]);
        assert_eq!(records(&Records::new(), &sent).expect_err("differ").aspect, Aspect::Records);
    }
}
