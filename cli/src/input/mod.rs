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
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use ubpf::Input;
use ubpf::abi::prog_type::{InputKind, PacketLayer, ProgTypeDecl};

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
                    "pcap" | "pcapng" | "cap" => {
                        Ok(Self::Captured(Box::new(Capture::open(path, from)?)))
                    }
                    // A pipe has no name to go by.
                    _ if path == Path::new("-") => Self::from_stdin(from),
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

    /// A packet or a capture, whichever comes through standard input.
    fn from_stdin(from: PacketLayer) -> Result<Self, Failure> {
        let unreadable = |e: io::Error| Failure::unusable("cannot read standard input").because(e);
        let mut begin = Vec::new();
        io::stdin().lock().take(4).read_to_end(&mut begin).map_err(unreadable)?;
        let captured = Capture::begins_like_one(&begin);
        let stream = Box::new(io::Cursor::new(begin).chain(io::stdin()));
        if captured {
            let capture = Capture::over("standard input", stream, None, from)?;
            return Ok(Self::Captured(Box::new(capture)));
        }
        let mut data = Vec::new();
        stream.take(MAX_INPUT_BYTES + 1).read_to_end(&mut data).map_err(unreadable)?;
        if data.len() as u64 > MAX_INPUT_BYTES {
            return Err(Failure::unusable("standard input is larger than any packet"));
        }
        Ok(Self::one(Input::packet(data)))
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
