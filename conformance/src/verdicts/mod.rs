//! What the kernel and ubpf say of the same program, side by side.
//!
//! Objects are treated as libbpf and veristat treat them: every program by itself, those in `?`
//! sections too, in a world that holds all maps of the object. What cannot be set up fails all of
//! its programs, as it does for libbpf's users.
//!
//! ```text
//!   object ─┬─ types, maps ─▶ KernelWorld ──▶ load ───▶ Verdict ─┐
//!           └─ link ────────▶ Program ──────▶ verify ─▶ Verdict ─┴▶ Comparison ─▶ Summary
//! ```

pub mod bounds;
pub mod cases;
mod edit;
pub mod hunt;
mod kernel;
pub mod mutate;
mod ours;
mod summary;

pub use kernel::{Ask, ask, ask_as};
pub use ours::{Verifier, VerifierError};
pub use summary::{CSV_HEAD, Summary};

use crate::kernel::{KernelWorld, WorldError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use ubpf::abi::Errno;
use ubpf::abi::map::{MapDef, MapType};
use ubpf::abi::program::Program;
use ubpf::loader::{link, load};

/// What one side says of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why not, where it does not accept the program.
    pub refusal: Option<Refusal>,
    /// What it took.
    pub effort: Effort,
}

/// What a verdict took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Instructions processed on all paths.
    pub insns: u64,
    /// States kept in total.
    pub states: u64,
    /// States kept at once.
    pub peak_states: u64,
    /// Verification alone; the kernel counts whole microseconds.
    pub time: Duration,
}

/// Why one side does not accept a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it came to that.
    pub stage: Stage,
    /// The kernel's error number, where there is one.
    pub errno: Option<Errno>,
    /// The last line of the log, or what stands for it.
    pub reason: String,
}

/// Where it came to a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The object cannot be used: its maps, its symbols, or the program's section.
    Setup,
    /// This kernel would not even look at the program.
    Permission,
    /// The verifier refuses it.
    Verifier,
    /// ubpf does not model something that it needs.
    Unsupported,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Setup => f.write_str("setup: ")?,
            Stage::Unsupported => f.write_str("not modelled: ")?,
            Stage::Permission | Stage::Verifier => {}
        }
        match self.errno {
            Some(errno) => match errno.name() {
                Some(name) => write!(f, "{name} `{}`", self.reason),
                None => write!(f, "{} `{}`", errno.0, self.reason),
            },
            None => f.write_str(&self.reason),
        }
    }
}

/// A program with both verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Name of the file that it came from.
    pub file: String,
    /// Its own name; empty where the object could not be read.
    pub program: String,
    /// What the kernel says.
    pub kernel: Verdict,
    /// What ubpf says.
    pub ours: Verdict,
}

/// How two verdicts relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same, and for the same reason.
    Agree,
    /// Both refuse, for different reasons or with different error numbers.
    OtherReason,
    /// ubpf does not model something.
    Unsupported,
    /// ubpf refuses what the kernel accepts.
    WrongReject,
    /// ubpf accepts what the kernel refuses: the worst that can be.
    WrongAccept,
    /// The kernel did not look at the program.
    NotComparable,
}

impl Comparison {
    /// How the verdicts relate.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match (&self.kernel.refusal, &self.ours.refusal) {
            (Some(Refusal { stage: Stage::Permission, .. }), _) => Outcome::NotComparable,
            (_, Some(Refusal { stage: Stage::Unsupported, .. })) => Outcome::Unsupported,
            (None, None) => Outcome::Agree,
            (Some(_), None) => Outcome::WrongAccept,
            (None, Some(_)) => Outcome::WrongReject,
            (Some(theirs), Some(ours)) if theirs.stage != ours.stage => Outcome::OtherReason,
            (Some(theirs), Some(ours)) if theirs.stage == Stage::Verifier => {
                // What the kernel finds before its verifier starts, it gives no reason for.
                let same_reason = theirs.reason == ours.reason || theirs.reason.is_empty();
                let same = theirs.errno == ours.errno && same_reason;
                if same { Outcome::Agree } else { Outcome::OtherReason }
            }
            _ => Outcome::Agree,
        }
    }
}

/// Both verdicts on every program of an object.
#[must_use]
pub fn object(file: &str, bytes: &[u8], verifier: &Verifier) -> Vec<Comparison> {
    let object = match load(bytes, verifier.load_options()) {
        Ok(object) => object,
        // What libbpf would say is not known; it refuses most of what the loader refuses.
        Err(error) => {
            let verdict = Verdict::from(unusable(&error));
            return vec![comparison(file, "", verdict.clone(), verdict)];
        }
    };
    let world = KernelWorld::like_libbpf(&object);
    let own_world = object.maps.iter().any(holds_programs);
    let ready = verifier.check_setup(&object);
    let both = |(index, name): (usize, &str)| match link(&object, index, None) {
        Ok(program) => {
            let own = own_world.then(|| KernelWorld::like_libbpf(&object));
            let world = own.as_ref().unwrap_or(&world);
            let program = Arc::new(program);
            let both = pair(file, world, &program, verifier);
            match &ready {
                Ok(()) => both,
                Err(error) => Comparison { ours: Verdict::from(unusable(error)), ..both },
            }
        }
        Err(error) => {
            let verdict = Verdict::from(unusable(&error));
            comparison(file, name, verdict.clone(), verdict)
        }
    };
    object.programs().map(|(index, f)| (index, f.name.as_str())).map(both).collect()
}

/// Whether the first program that names such a map decides about the type of all others, so that
/// each needs a map of its own.
pub(crate) fn holds_programs(map: &MapDef) -> bool {
    matches!(map.map_type, Ok(MapType::ProgArray | MapType::Devmap | MapType::Cpumap))
}

/// Both verdicts on a program, whose maps are those of the world.
#[must_use]
pub fn pair(
    file: &str,
    world: &Result<KernelWorld, WorldError>,
    program: &Arc<Program>,
    verifier: &Verifier,
) -> Comparison {
    let kernel = match world {
        Ok(world) => ask(world, program),
        Err(error) => Verdict::from(kernel::refusal(error)),
    };
    comparison(file, &program.name, kernel, verifier.judge(program))
}

fn comparison(file: &str, program: &str, kernel: Verdict, ours: Verdict) -> Comparison {
    Comparison { file: file.to_owned(), program: program.to_owned(), kernel, ours }
}

fn unusable(error: &dyn std::error::Error) -> Refusal {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    Refusal { stage: Stage::Setup, errno: None, reason }
}

impl Verdict {
    /// The verdict in one line: `accepted`, or the error number and the reason.
    #[must_use]
    pub fn line(&self) -> String {
        self.refusal.as_ref().map_or_else(
            || String::from("accepted"),
            |refusal| {
                let errno =
                    refusal.errno.map(|e| e.name().map_or_else(|| e.0.to_string(), str::to_owned));
                format!("{} {}", errno.unwrap_or_default(), refusal.reason).trim().to_owned()
            },
        )
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), effort: Effort::default() }
    }
}
