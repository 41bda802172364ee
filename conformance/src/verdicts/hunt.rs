//! Looking for programs on which the verdicts differ: mutants of the programs in a pool, and random
//! arithmetic.

use super::cases::CaseFile;
use super::{Ask, Comparison, Outcome, Summary, Verifier, ask_as, bounds, mutate};
use crate::kernel::{KernelWorld, WorldError};
use crate::random::Random;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use ubpf::abi::map::MapDef;
use ubpf::abi::prog_type::ProgType;
use ubpf::abi::program::Program;
use ubpf::loader::{link, load};

/// Instructions from which on a walk takes too long to be repeated for smaller programs.
const LONG: u64 = 20_000;

/// Programs that share maps, and those maps in the kernel.
struct Family {
    name: String,
    world: KernelWorld,
    programs: Vec<Arc<Program>>,
}

/// Where mutants come from.
pub struct Pool {
    verifier: Verifier,
    families: Vec<Family>,
    /// The world of random arithmetic.
    arithmetic: Option<(Family, Arc<[MapDef]>)>,
}

/// A difference between the verdicts, on the smallest program that shows it.
pub struct Find {
    /// What kind of difference.
    pub comparison: Comparison,
    /// The program.
    pub program: Arc<Program>,
    /// How many mutants showed the same.
    pub count: u64,
}

/// What a hunt brought in.
#[derive(Default)]
pub struct Bag {
    /// Totals over distinct mutants.
    pub summary: Summary,
    /// Mutants by their code, so that none counts twice.
    seen: HashSet<u64>,
    /// Differences by what both sides say, numbers left out.
    finds: BTreeMap<String, Find>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub const fn new(verifier: Verifier) -> Self {
        Self { verifier, families: Vec::new(), arithmetic: None }
    }

    /// Adds the programs of an object with at most `slots` slots; one that the kernel cannot set
    /// up brings none.
    pub fn add_object(&mut self, name: &str, bytes: &[u8], slots: usize) {
        let Ok(object) = load(bytes, self.verifier.load_options()) else { return };
        let Ok(world) = KernelWorld::like_libbpf(&object) else { return };
        let linked = object.programs().filter_map(|(index, _)| link(&object, index, None).ok());
        let programs = linked.filter(|p| p.slots.len() <= slots).map(Arc::new).collect();
        self.add(name, world, programs);
    }

    /// Adds the programs of a file of cases.
    pub fn add_cases(&mut self, name: &str, file: &CaseFile) {
        let Ok(world) = file.world() else { return };
        self.add(name, world, file.cases.iter().map(|case| Arc::clone(&case.program)).collect());
    }

    fn add(&mut self, name: &str, world: KernelWorld, programs: Vec<Arc<Program>>) {
        if !programs.is_empty() {
            self.families.push(Family { name: name.to_owned(), world, programs });
        }
    }

    /// The verifier that is held against the kernel.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Programs to start from.
    #[must_use]
    pub fn programs(&self) -> usize {
        self.families.iter().map(|family| family.programs.len()).sum()
    }

    /// Makes every third seed stand for random arithmetic instead of a mutant.
    ///
    /// # Errors
    /// The kernel does not create the map that it is about.
    pub fn add_arithmetic(&mut self) -> Result<(), WorldError> {
        let maps = bounds::maps();
        let world = KernelWorld::create(&maps, None)?;
        let name = String::from("arithmetic");
        self.arithmetic = Some((Family { name, world, programs: Vec::new() }, maps));
        Ok(())
    }

    /// Compares the program of a seed.
    pub fn try_seed(&self, seed: u64, bag: &mut Bag) {
        let mut random = Random::new(seed);
        if let (0, Some((family, maps))) = (seed % 3, &self.arithmetic) {
            let mut program = Program::from_slots(ProgType::SchedCls, bounds::program(&mut random));
            program.maps = Arc::clone(maps);
            return self.try_program(family, Arc::new(program), bag);
        }
        let mut nth = random.below(self.programs().max(1));
        for family in &self.families {
            if let Some(parent) = family.programs.get(nth) {
                let donor = &family.programs[random.below(family.programs.len())];
                let program = Arc::new(mutate::mutant(parent, donor, &mut random));
                self.try_program(family, program, bag);
                return;
            }
            nth -= family.programs.len();
        }
    }

    fn try_program(&self, family: &Family, program: Arc<Program>, bag: &mut Bag) {
        let mut hasher = DefaultHasher::new();
        let kind = (program.prog_type.id(), program.section.attach_type);
        (kind, &program.slots, &program.license, program.section.sleepable).hash(&mut hasher);
        if !bag.seen.insert(hasher.finish()) {
            return;
        }
        let comparison = self.compare(family, &program);
        bag.summary.add(&comparison);
        let Some(seen) = signature(&comparison) else { return };
        if let Some(find) = bag.finds.get_mut(&seen) {
            find.count += 1;
            return;
        }
        let long = comparison.kernel.effort.insns > LONG;
        let keeps = |p: &Arc<Program>| {
            signature(&self.compare(family, p)).is_some_and(|other| other == seen)
        };
        let program = if long { program } else { mutate::shrunk(&program, keeps) };
        let comparison = self.compare(family, &program);
        bag.finds.insert(seen, Find { comparison, program, count: 1 });
    }

    fn compare(&self, family: &Family, program: &Arc<Program>) -> Comparison {
        let kernel = ask_as(&family.world, program, Ask { insns: LONG, ..Ask::default() });
        let ours = self.verifier.judge(program);
        super::comparison(&family.name, &program.name, kernel, ours)
    }
}

/// What both sides say, numbers left out; `None` where they agree.
fn signature(comparison: &Comparison) -> Option<String> {
    let outcome = comparison.outcome();
    if matches!(outcome, Outcome::Agree | Outcome::NotComparable) {
        return None;
    }
    let text =
        format!("{} | {} | {}", outcome.name(), comparison.kernel.line(), comparison.ours.line());
    let mut signature = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !signature.ends_with('0') {
            signature.push(c);
        }
    }
    Some(signature)
}

impl Bag {
    /// The differences, the worst first, then the most frequent.
    #[must_use]
    pub fn finds(&self) -> Vec<&Find> {
        let mut finds: Vec<_> = self.finds.values().collect();
        finds.sort_by_key(|find| {
            (std::cmp::Reverse(find.comparison.outcome() as u8), std::cmp::Reverse(find.count))
        });
        finds
    }
}

impl Find {
    /// What kind of difference it is.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.comparison.outcome()
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { prog_type, section, license, .. } = &*self.program;
        writeln!(f, "{} ({} times)", self.comparison, self.count)?;
        let attach = section.attach_type.name().unwrap_or("?");
        let target = section.target.as_deref().unwrap_or_default();
        writeln!(f, "    {prog_type} {attach} {target} {license}")?;
        write!(f, "{}", mutate::text(&self.program))
    }
}
