//! What a program is run on: `--ctx` and `--ctx-field` turned into the inputs of single runs.
//!
//! - `hex`: bytes as text
//! - `capture`: packets of `.pcap` and `.pcapng` files, one at a time
//! - `fields`: context structs by their fields' names

pub mod capture;
pub mod fields;
pub mod hex;

use crate::args::CtxField;
use crate::failure::Failure;
use crate::files;
use capture::{Capture, Progress};
use std::path::Path;
use std::time::Duration;
use ubpf::Input;
use ubpf::abi::prog_type::{InputKind, ProgTypeDecl};

/// Most bytes that a packet or context may have: more than test-run takes of either.
const MAX_INPUT_BYTES: u64 = 1 << 20;

/// The input of one run.
#[derive(Debug)]
pub struct Item {
    /// What the program gets.
    pub input: Input,
    /// Of packets of a capture: where it was.
    pub captured: Option<Captured>,
}

/// What a capture says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Number of the packet, from 1.
    pub number: u64,
    /// When it was captured, since the epoch.
    pub time: Duration,
    /// Time since the first packet; zero for the first, and where times run backwards.
    pub since_first: Duration,
    /// Its link type, by the number that files have for it.
    pub link: u16,
    /// The Ethernet header in front of it is ours: the capture has none.
    pub framed: bool,
    /// Bytes that were on the wire and are not in the capture.
    pub cut_bytes: u32,
}

/// All inputs of a command, one after the other.
pub enum Inputs {
    /// Those that were given as they are.
    Listed(std::vec::IntoIter<Input>),
    /// Packets of a capture.
    Captured(Box<Capture>),
}

impl Inputs {
    /// Opens what `--ctx` names for programs of this type.
    ///
    /// # Errors
    /// The file cannot be read or does not hold what its name says.
    pub fn open(path: Option<&Path>, decl: &ProgTypeDecl) -> Result<Self, Failure> {
        match decl.input {
            InputKind::Packet { from } => {
                let path = path.ok_or_else(|| {
                    Failure::unusable(format!("{} programs need a packet", decl.prog_type))
                        .hint("give one with --ctx FILE: raw bytes, .hex, .pcap or .pcapng")
                })?;
                match extension(path) {
                    "pcap" | "pcapng" => Ok(Self::Captured(Box::new(Capture::open(path, from)?))),
                    "hex" => Ok(Self::one(hex_file(path)?)),
                    _ => Ok(Self::one(Input {
                        data: files::read(path, MAX_INPUT_BYTES)?,
                        ..Input::default()
                    })),
                }
            }
            InputKind::Context => {
                let Some(path) = path else {
                    return Ok(Self::one(Input::default()));
                };
                let contexts = match extension(path) {
                    "toml" | "json" => fields::read(path, &decl.ctx)?,
                    "hex" => vec![hex_file(path)?.data],
                    _ => vec![files::read(path, MAX_INPUT_BYTES)?],
                };
                let inputs =
                    contexts.into_iter().map(|ctx| Input { ctx: Some(ctx), ..Input::default() });
                Ok(Self::Listed(inputs.collect::<Vec<_>>().into_iter()))
            }
        }
    }

    /// Bytes of the capture, where there is one and its size is known.
    #[must_use]
    pub const fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Captured(capture) => Some(capture.progress()),
            Self::Listed(_) => None,
        }
    }

    /// Whether the inputs are a capture's packets.
    #[must_use]
    pub const fn is_capture(&self) -> bool {
        matches!(self, Self::Captured(_))
    }

    /// The next input, with these fields of its context set.
    ///
    /// # Errors
    /// The capture is damaged from here on.
    pub fn next_item(&mut self, ctx_fields: &[CtxField]) -> Result<Option<Item>, Failure> {
        let item = match self {
            Self::Listed(inputs) => inputs.next().map(|input| Item { input, captured: None }),
            Self::Captured(capture) => capture.next_packet()?,
        };
        Ok(item.map(|mut item| {
            let fields = ctx_fields.iter().map(|field| (field.name.clone(), field.value));
            item.input.ctx_fields.extend(fields);
            item
        }))
    }

    fn one(input: Input) -> Self {
        Self::Listed(vec![input].into_iter())
    }
}

fn hex_file(path: &Path) -> Result<Input, Failure> {
    let text = files::read_text(path, 4 * MAX_INPUT_BYTES)?;
    let data = hex::parse(&text)
        .map_err(|e| Failure::unusable(format!("{} is not hex text", path.display())).because(e))?;
    Ok(Input { data, ..Input::default() })
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}
