//! Small programs as text, each with the verdict of the running kernel.
//!
//! They live in `suites/verifier`, one file a theme, in a format for reading and writing by hand:
//!
//! ```text
//! # Comment.
//! map counters hash 4 8 16
//! type xdp
//!
//! case a value that may be missing
//!     r2 = r10
//!     r2 += -4
//!     *(u32 *)(r2 + 0) = 0
//!     r1 = map[fd:counters]
//!     call map_lookup_elem
//!     r0 = *(u64 *)(r0 + 0)
//!     exit
//! EACCES R0 invalid mem access 'map_value_or_null'
//! ```
//!
//! A case is a name, lines that say what kind of program it is, a program in the assembler's
//! syntax (indented, but for labels), and the verdict: `accepted`, or an error number and the last line of the
//! kernel's log. `UBPF_BLESS=1` writes the kernel's verdicts into the files. What stands before the
//! first case holds for all cases of the file:
//!
//! - `map NAME TYPE KEY VALUE ENTRIES [flags=N] [extra=N] [inner=NAME] [data=HEX]`; `data` makes it
//!   a frozen data section
//! - `type NAME`, `attach NAME [TARGET]`, `license TEXT`
//! - `sleepable`, `frags`, `strict` (alignment)
//!
//! Raw slots, `slots` with 16 hex digits each, can stand in the place of assembler text.

use super::{Ask, Comparison, Verdict, Verifier, ask_as};
use crate::kernel::{KernelWorld, WorldError};
use std::sync::Arc;
use ubpf::abi::btf::Btf;
use ubpf::abi::helper::HelperId;
use ubpf::abi::map::{DataSection, MapDef, MapFlags, MapInit, MapType};
use ubpf::abi::prog_type::{AttachType, ProgType};
use ubpf::abi::program::Program;
use ubpf::verifier::Options;
use ubpf_isa::Slot;
use ubpf_isa::asm::{AsmError, Symbols, assemble_with};

/// A file of cases.
#[derive(Clone, Debug, Default)]
pub struct CaseFile {
    /// Maps that the programs may name.
    maps: Arc<[MapDef]>,
    /// Lines of the file, to write it back with other verdicts.
    lines: Vec<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A program with its verdict.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it tests.
    pub name: String,
    /// The program.
    pub program: Arc<Program>,
    /// Accesses must be aligned, whatever the machine can do.
    pub strict: bool,
    /// The verdict as it stands in the file: `accepted`, or errno and reason; empty where the
    /// file has none yet.
    pub verdict: String,
    /// Indices of the first line after the program, and of the first after the verdict.
    verdict_lines: (usize, usize),
}

/// A line that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CaseError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// What kind of program the following lines describe.
#[derive(Clone)]
struct Kind {
    prog_type: ProgType,
    attach_type: AttachType,
    target: Option<String>,
    license: String,
    sleepable: bool,
    frags: bool,
    strict: bool,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            prog_type: ProgType::SocketFilter,
            attach_type: AttachType::default(),
            target: None,
            license: String::from("GPL"),
            sleepable: false,
            frags: false,
            strict: false,
        }
    }
}

/// A case under construction.
struct Draft {
    name: String,
    kind: Kind,
    code: String,
    slots: Vec<Slot>,
    first_line: usize,
    verdict_from: Option<usize>,
}

/// Names that programs may use: helpers with or without `bpf_`, and the file's maps.
struct Names(Arc<[MapDef]>);

impl Symbols for Names {
    fn helper(&self, name: &str) -> Option<u32> {
        let name = name.strip_prefix("bpf_").unwrap_or(name);
        HelperId::from_name(name).map(|id| id.0)
    }

    fn map_fd(&self, name: &str) -> Option<i32> {
        let index = self.0.iter().position(|map| map.name == name)?;
        i32::try_from(index).ok()
    }
}

impl CaseFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`CaseError`] at the first line that makes no sense.
    pub fn parse(text: &str, target_btf: Option<&Arc<Btf>>) -> Result<Self, CaseError> {
        let mut maps = Vec::new();
        let mut all = Kind::default();
        let mut drafts: Vec<Draft> = Vec::new();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (index, line) in lines.iter().enumerate() {
            let fail = |message: String| CaseError { line: index + 1, message };
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix("case ") {
                drafts.push(Draft {
                    name: name.to_owned(),
                    kind: all.clone(),
                    code: String::new(),
                    slots: Vec::new(),
                    first_line: index + 1,
                    verdict_from: None,
                });
                continue;
            }
            match drafts.last_mut() {
                Some(draft) => draft.line(index, line).map_err(fail)?,
                None => match content.strip_prefix("map ") {
                    Some(map) => maps.push(map_def(map, &maps).map_err(fail)?),
                    None if all.line(content).map_err(fail)? => {}
                    None => return Err(fail(format!("what is `{content}`?"))),
                },
            }
        }
        let maps: Arc<[MapDef]> = maps.into();
        let names = Names(Arc::clone(&maps));
        let ends: Vec<usize> = drafts.iter().skip(1).map(|next| next.first_line - 1).collect();
        let ends = ends.into_iter().chain([lines.len()]);
        let cases = drafts.into_iter().zip(ends);
        let cases = cases.map(|(draft, end)| draft.finish(end, &lines, &names, target_btf));
        let cases = cases.collect::<Result<_, _>>()?;
        Ok(Self { maps, lines, cases })
    }

    /// Whether the cases can share one world; otherwise each needs its own.
    #[must_use]
    pub fn shares_world(&self) -> bool {
        !self.maps.iter().any(super::holds_programs)
    }

    /// The kernel's world for the cases, or for one of them.
    ///
    /// # Errors
    /// A map that cannot be created.
    pub fn world(&self) -> Result<KernelWorld, WorldError> {
        KernelWorld::create(&self.maps, None)
    }

    /// The file's text with these verdicts, one a case.
    #[must_use]
    pub fn with_verdicts(&self, verdicts: &[String]) -> String {
        let mut text = String::new();
        let mut from = 0;
        let copy = |text: &mut String, range: std::ops::Range<usize>| {
            for line in self.lines.get(range).unwrap_or_default() {
                text.push_str(line);
                text.push('\n');
            }
        };
        for (case, verdict) in self.cases.iter().zip(verdicts) {
            let (at, after) = case.verdict_lines;
            copy(&mut text, from..at);
            text.push_str(verdict);
            text.push('\n');
            from = after;
        }
        copy(&mut text, from..self.lines.len());
        text
    }
}

impl Case {
    /// What the kernel says of it, with the file's maps in `world`.
    #[must_use]
    pub fn ask(&self, world: &KernelWorld) -> Verdict {
        const F_STRICT_ALIGNMENT: u32 = 1;
        let flags = if self.strict { F_STRICT_ALIGNMENT } else { 0 };
        ask_as(world, &self.program, Ask { flags, ..Ask::default() })
    }

    /// What ubpf says of it.
    #[must_use]
    pub fn judge(&self, verifier: &Verifier) -> Verdict {
        let options = Options { strict_alignment: self.strict, ..*verifier.options() };
        verifier.judge_by(&self.program, &options)
    }

    /// Both verdicts.
    #[must_use]
    pub fn compare(&self, file: &str, world: &KernelWorld, verifier: &Verifier) -> Comparison {
        super::comparison(file, &self.name, self.ask(world), self.judge(verifier))
    }
}

impl Kind {
    /// Reads a line about the program; whether it is one.
    fn line(&mut self, content: &str) -> Result<bool, String> {
        let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
        match word {
            "type" => {
                let known = ProgType::from_name(rest);
                self.prog_type = known.ok_or_else(|| format!("no program type is {rest}"))?;
            }
            "attach" => {
                let (name, target) =
                    rest.split_once(' ').map_or((rest, None), |(n, t)| (n, Some(t)));
                let known = AttachType::from_name(&name.to_uppercase());
                self.attach_type = known.ok_or_else(|| format!("no attach type is {name}"))?;
                self.target = target.map(str::to_owned);
            }
            "license" => self.license = rest.to_owned(),
            "sleepable" => self.sleepable = true,
            "frags" => self.frags = true,
            "strict" => self.strict = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Draft {
    fn line(&mut self, index: usize, line: &str) -> Result<(), String> {
        let content = line.trim();
        let label = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_label = content.strip_suffix(':').is_some_and(label);
        if !line.starts_with(char::is_whitespace) && !is_label {
            if self.code.is_empty() && self.slots.is_empty() && self.kind.line(content)? {
                return Ok(());
            }
            self.verdict_from.get_or_insert(index);
            return Ok(());
        }
        match content.strip_prefix("slots ") {
            Some(hex) => {
                for word in hex.split_whitespace() {
                    let bits = u64::from_str_radix(word, 16).ok().filter(|_| word.len() == 16);
                    let bits = bits.ok_or("a slot is 16 hex digits")?;
                    self.slots.push(Slot::from_le_bytes(bits.to_be_bytes()));
                }
            }
            None => self.code.push_str(content),
        }
        // Keeps the assembler's line numbers those of the file.
        self.code.push('\n');
        Ok(())
    }

    fn finish(
        self,
        end: usize,
        lines: &[String],
        names: &Names,
        target_btf: Option<&Arc<Btf>>,
    ) -> Result<Case, CaseError> {
        let mut slots = self.slots;
        if slots.is_empty() {
            slots = assemble_with(&self.code, names).map_err(|error: AsmError| CaseError {
                line: self.first_line + error.line as usize,
                message: format!("in `{}`: {}", self.name, error.kind),
            })?;
        }
        let kind = self.kind;
        let mut program = Program::from_slots(kind.prog_type, slots);
        program.name = self.name.clone();
        program.license = kind.license;
        program.maps = Arc::clone(&names.0);
        program.section.attach_type = kind.attach_type;
        program.section.target = kind.target;
        program.section.sleepable = kind.sleepable;
        program.section.frags = kind.frags;
        program.target_btf = target_btf.cloned();
        // Without a verdict, it goes behind the last line of code.
        let code_end = || {
            let code = |l: &String| l.starts_with(char::is_whitespace) && !l.trim().is_empty();
            let body = lines.get(..end).unwrap_or_default();
            body.iter().rposition(code).map_or(end, |last| last + 1)
        };
        let verdict_lines = self.verdict_from.map_or_else(
            || {
                let at = code_end();
                (at, at)
            },
            |at| (at, at + 1),
        );
        let verdict = self.verdict_from.and_then(|at| lines.get(at)).cloned().unwrap_or_default();
        Ok(Case {
            name: self.name,
            program: Arc::new(program),
            strict: kind.strict,
            verdict,
            verdict_lines,
        })
    }
}

/// `NAME TYPE KEY VALUE ENTRIES` and what else a map may have.
fn map_def(text: &str, others: &[MapDef]) -> Result<MapDef, String> {
    let mut words = text.split_whitespace();
    let mut next = |what: &str| words.next().ok_or_else(|| format!("a map has {what}"));
    let name = next("a name")?.to_owned();
    let type_name = next("a type")?;
    let map_type = MapType::from_name(type_name);
    let map_type = map_type.ok_or_else(|| format!("no map type is {type_name}"))?;
    let mut number = |what: &str| {
        let word = next(what)?;
        parse_number(word).ok_or_else(|| format!("{what} is a number, not {word}"))
    };
    let mut def = MapDef {
        name,
        map_type: Ok(map_type),
        key_size: number("a key size")?,
        value_size: number("a value size")?,
        max_entries: number("entries")?,
        flags: MapFlags(0),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    };
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("what is `{word}`?"))?;
        let number = parse_number(value).ok_or_else(|| format!("{value} is no number"));
        match key {
            "flags" => def.flags = MapFlags(number?),
            "extra" => def.extra = number?.into(),
            "inner" => {
                let inner = others.iter().find(|map| map.name == value);
                let inner = inner.ok_or_else(|| format!("no map is called {value}"))?;
                def.inner = Some(Box::new(inner.clone()));
            }
            "data" => {
                let bytes = parse_hex(value).ok_or("data is pairs of hex digits")?;
                def.init = MapInit::Data { section: DataSection::Rodata, bytes };
            }
            _ => return Err(format!("maps have no {key}")),
        }
    }
    Ok(def)
}

fn parse_number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let digit = |d: u8| char::from(d).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()).collect()
}
