//! What a command writes beside its report: `--ctx-out` and `--data-out`, and the packets sorted by
//! what became of them, `--out`, `--dropped` and `--redirected`.
//!
//! Files are opened before anything runs, and packets are written as they come.

pub mod capture;
mod sorted;

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::files;
use crate::input::{Inputs, Item};
use capture::{CaptureWriter, Packet};
use sorted::Sorted;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use ubpf::abi::prog_type::ProgTypeDecl;
use ubpf::{Instance, Outcome};

/// The files that a run writes.
pub struct Outputs {
    data: Option<Data>,
    ctx: Option<(PathBuf, Vec<u8>)>,
    sorted: Sorted,
}

/// What `--data-out` makes of packets as test-run gives them.
enum Data {
    /// The last one's bytes.
    Last(PathBuf, Vec<u8>),
    /// All of them.
    Capture(CaptureFile),
}

/// Link type of Ethernet.
const ETHERNET: u16 = 1;

impl Outputs {
    /// Opens what the command line names.
    ///
    /// # Errors
    /// A file cannot be written, or is the input or another output; or all packets of a capture
    /// would go into a file that holds one.
    pub fn open(args: &RunArgs, inputs: &Inputs, decl: &ProgTypeDecl) -> Result<Self, Failure> {
        let several = "a capture's packets do not fit into one file of bytes";
        if inputs.is_capture() && args.ctx_out.is_some() {
            return Err(Failure::unusable(several).hint("--ctx-out needs a --ctx of one packet"));
        }
        let named = [&args.data_out, &args.ctx_out, &args.out, &args.dropped];
        let named: Vec<&Path> = named.into_iter().flatten().map(PathBuf::as_path).collect();
        let read = [Some(&args.object), args.ctx.as_ref(), args.env.as_ref()];
        refuse_overwriting(&named, &read.map(|path| path.map(PathBuf::as_path)))?;
        let data = match &args.data_out {
            Some(path) if path.extension().is_some_and(|e| e == "pcap") => {
                Some(Data::Capture(CaptureFile::create(path)?))
            }
            Some(_) if inputs.is_capture() => {
                return Err(Failure::unusable(several).hint("give --data-out a name in .pcap"));
            }
            Some(path) => {
                create(path)?;
                Some(Data::Last(path.clone(), Vec::new()))
            }
            None => None,
        };
        if let Some(path) = &args.ctx_out {
            create(path)?;
        }
        let ctx = args.ctx_out.clone().map(|path| (path, Vec::new()));
        Ok(Self { data, ctx, sorted: Sorted::open(args, decl)? })
    }

    /// Writes or keeps what a run came to.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn keep(
        &mut self,
        item: &Item,
        instance: &Instance,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        if let (Some(kept), Some(packet)) = (&mut self.data, &outcome.output.data) {
            match kept {
                Data::Last(_, last) => last.clone_from(packet),
                Data::Capture(file) => {
                    let time = item.captured.map(|c| c.time).unwrap_or_default();
                    file.push(ETHERNET, &Packet { time, data: packet, wire_len: packet.len() })?;
                }
            }
        }
        if let (Some((_, kept)), Some(ctx)) = (&mut self.ctx, &outcome.output.ctx) {
            kept.clone_from(ctx);
        }
        self.sorted.keep(item, instance, outcome)
    }

    /// Writes what was kept.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(self) -> Result<(), Failure> {
        match self.data {
            Some(Data::Last(path, bytes)) => files::write(&path, &bytes)?,
            Some(Data::Capture(file)) => file.finish(ETHERNET)?,
            None => {}
        }
        if let Some((path, ctx)) = self.ctx {
            files::write(&path, &ctx)?;
        }
        self.sorted.finish()
    }
}

/// A capture that is written to a file. Its link type is that of its first packet.
struct CaptureFile {
    path: PathBuf,
    state: State,
}

/// Whether the link type is known.
enum State {
    Empty(BufWriter<File>),
    Begun(CaptureWriter<BufWriter<File>>),
    /// It could not be written: that has been said.
    Failed,
}

impl CaptureFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let state = State::Empty(BufWriter::new(create(path)?));
        Ok(Self { path: path.to_owned(), state })
    }

    fn push(&mut self, link: u16, packet: &Packet<'_>) -> Result<(), Failure> {
        let path = &self.path;
        let unwritable = |e: io::Error| unwritable(path, e);
        let writer = self.state.begin(link).map_err(unwritable)?;
        if writer.link() != link {
            let (have, name) = (writer.link(), files::name(path));
            return Err(Failure::unusable(format!(
                "{name} has packets of link type {have}, and one of {link} does not fit in"
            ))
            .hint("a pcap file has one link type: split the input by interface"));
        }
        writer.push(packet).map_err(unwritable)
    }

    /// Writes out the rest; a file without packets says this link type.
    fn finish(mut self, link: u16) -> Result<(), Failure> {
        let written = self.state.begin(link).and_then(CaptureWriter::flush);
        written.map_err(|e| unwritable(&self.path, e))
    }
}

impl State {
    /// The writer, begun where it is not yet.
    fn begin(&mut self, link: u16) -> io::Result<&mut CaptureWriter<BufWriter<File>>> {
        *self = match std::mem::replace(self, Self::Failed) {
            Self::Empty(out) => Self::Begun(CaptureWriter::new(out, link)?),
            begun => begun,
        };
        match self {
            Self::Begun(writer) => Ok(writer),
            _ => Err(io::Error::other("it could not be written before")),
        }
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|e| unwritable(path, e))
}

fn unwritable(path: &Path, e: io::Error) -> Failure {
    Failure::unusable(format!("cannot write {}", files::name(path))).because(e)
}

/// # Errors
/// One of the files to be written is read as well, or written twice.
fn refuse_overwriting(written: &[&Path], read: &[Option<&Path>]) -> Result<(), Failure> {
    // Devices and pipes can be both; what does not exist yet is known by its name.
    let identity = |path: &Path| match path.canonicalize() {
        Ok(file) if file.is_file() => Some(file),
        Ok(_) => None,
        Err(_) => std::path::absolute(path).ok(),
    };
    let inputs: Vec<PathBuf> = read.iter().copied().flatten().filter_map(identity).collect();
    let mut outputs: Vec<PathBuf> = Vec::new();
    for path in written {
        let Some(file) = identity(path) else { continue };
        let name = files::name(path);
        if inputs.contains(&file) {
            return Err(Failure::unusable(format!("{name} is read, and would be overwritten"))
                .hint("give the output another name"));
        }
        if outputs.contains(&file) {
            return Err(Failure::unusable(format!("{name} would be written twice"))
                .hint("give each output a name of its own"));
        }
        outputs.push(file);
    }
    Ok(())
}
