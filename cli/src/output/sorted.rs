//! Packets by what became of them: those that went on, those that ended here, and those that were
//! sent elsewhere, each as it would be seen there.

use super::capture::{CaptureWriter, Packet};
use super::{CaptureFile, ETHERNET, unwritable};
use crate::args::RunArgs;
use crate::failure::Failure;
use crate::input::Item;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use ubpf::abi::prog_type::{Fate, InputKind, PacketLayer, ProgTypeDecl, Verdicts};
use ubpf::platform::env;
use ubpf::{Instance, Outcome, Redirect};

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;

/// Where packets go by their fate.
pub(super) struct Sorted {
    verdicts: Verdicts,
    layer: Option<PacketLayer>,
    out: Option<CaptureFile>,
    dropped: Option<CaptureFile>,
    redirected: Option<Folder>,
    /// The link type that files without packets say.
    link: u16,
}

impl Sorted {
    pub(super) fn open(args: &RunArgs, decl: &ProgTypeDecl) -> Result<Self, Failure> {
        let layer = match decl.input {
            InputKind::Packet { from } => Some(from),
            InputKind::Context => None,
        };
        let wanted = [
            ("--out", args.out.is_some()),
            ("--dropped", args.dropped.is_some()),
            ("--redirected", args.redirected.is_some()),
        ];
        if let Some((option, _)) = wanted.into_iter().find(|(_, given)| *given && layer.is_none()) {
            let message = format!("{option}: {} programs see no packets", decl.prog_type);
            return Err(Failure::unusable(message));
        }
        let create = |path: &Option<PathBuf>| path.as_deref().map(CaptureFile::create).transpose();
        Ok(Self {
            verdicts: decl.verdicts,
            layer,
            out: create(&args.out)?,
            dropped: create(&args.dropped)?,
            redirected: args.redirected.as_deref().map(Folder::create).transpose()?,
            link: ETHERNET,
        })
    }

    pub(super) fn keep(
        &mut self,
        item: &Item,
        instance: &Instance,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        if self.out.is_none() && self.dropped.is_none() && self.redirected.is_none() {
            return Ok(());
        }
        let Some(packet) = Seen::of(self.layer, item, outcome) else { return Ok(()) };
        let (time, link) = (packet.time, packet.link);
        self.link = link;
        let cut = item.captured.map_or(0, |captured| captured.cut_bytes as usize);
        let mut packet =
            Packet { time, data: &packet.bytes, wire_len: packet.bytes.len().saturating_add(cut) };
        let retval = outcome.output.retval;
        // The kernel takes verdicts that it does not know for drops.
        match self.verdicts.fate(retval).unwrap_or(Fate::Drop) {
            Fate::Pass => {
                if self.verdicts == Verdicts::Length {
                    let hidden = if self.layer == Some(PacketLayer::Network) && link == ETHERNET {
                        ETH_HLEN
                    } else {
                        0
                    };
                    let keep = hidden.saturating_add(retval as usize);
                    packet.data = packet.data.get(..keep).unwrap_or(packet.data);
                }
                push(&mut self.out, link, &packet)
            }
            Fate::Drop => push(&mut self.dropped, link, &packet),
            Fate::Bounce => self.redirect("tx", link, &packet),
            Fate::Redirect => {
                self.redirect(&destination(instance, outcome.redirect), link, &packet)
            }
        }
    }

    fn redirect(&mut self, to: &str, link: u16, packet: &Packet<'_>) -> Result<(), Failure> {
        match &mut self.redirected {
            Some(folder) => folder.push(to, link, packet),
            None => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        for file in [self.out, self.dropped].into_iter().flatten() {
            file.finish(self.link)?;
        }
        self.redirected.map_or(Ok(()), Folder::finish)
    }
}

fn push(file: &mut Option<CaptureFile>, link: u16, packet: &Packet<'_>) -> Result<(), Failure> {
    file.as_mut().map_or(Ok(()), |file| file.push(link, packet))
}

/// A packet as it goes on: without metadata in front, and with the link-layer header that it came
/// with where the program did not see it.
struct Seen {
    time: std::time::Duration,
    link: u16,
    bytes: Vec<u8>,
}

impl Seen {
    fn of(layer: Option<PacketLayer>, item: &Item, outcome: &Outcome) -> Option<Self> {
        let output = &outcome.output;
        // Types whose runs give no packet back do not change it.
        let data = output.data.as_deref().unwrap_or(&item.input.data);
        let data = data.get(output.meta_len as usize..)?;
        let captured = item.captured;
        let bytes = match layer? {
            PacketLayer::Network => {
                let network = data.get(ETH_HLEN..)?;
                let header = item.input.data.get(..ETH_HLEN)?;
                let header = if captured.is_some_and(|c| c.framed) { &[] } else { header };
                [header, network].concat()
            }
            PacketLayer::Link | PacketLayer::Captured => data.to_vec(),
        };
        let time = captured.map(|c| c.time).unwrap_or_default();
        Some(Self { time, link: captured.map_or(ETHERNET, |c| c.link), bytes })
    }
}

/// The name of where a packet is sent.
fn destination(instance: &Instance, redirect: Option<Redirect>) -> String {
    let world = instance.world();
    let map_name = |map: ubpf::vm::mem::GuestAddr| {
        let map = world.map_ref(map.into());
        let name = map.map_or_else(|| "map".to_owned(), |map| map.def().name.clone());
        // Names of maps are the object's, and could be paths.
        name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-")
    };
    match redirect {
        None => "unknown".to_owned(),
        Some(Redirect::Device(ifindex)) => {
            let device = env::of(world).device(ifindex);
            let name = device.map(|device| &device.name);
            let plain = name.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
            plain.cloned().unwrap_or_else(|| format!("ifindex-{ifindex}"))
        }
        Some(Redirect::Entry { map, key }) => format!("{}-{key}", map_name(map)),
        Some(Redirect::All { map }) => format!("{}-all", map_name(map)),
    }
}

/// Captures in a folder, one for each destination.
struct Folder {
    path: PathBuf,
    /// Those that were begun, by destination.
    captures: BTreeMap<String, Begun>,
    open: usize,
}

/// A capture that was begun.
struct Begun {
    link: u16,
    /// While it is open.
    writer: Option<CaptureWriter<BufWriter<File>>>,
}

/// Captures that are open at a time: a key of a map can make any number of destinations.
const MAX_OPEN: usize = 64;

impl Folder {
    fn create(path: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(path).map_err(|e| unwritable(path, e))?;
        Ok(Self { path: path.to_owned(), captures: BTreeMap::new(), open: 0 })
    }

    fn push(&mut self, name: &str, link: u16, packet: &Packet<'_>) -> Result<(), Failure> {
        let path = self.path.join(format!("{name}.pcap"));
        self.try_push(&path, name, link, packet).map_err(|e| unwritable(&path, e))
    }

    fn try_push(
        &mut self,
        path: &Path,
        name: &str,
        link: u16,
        packet: &Packet<'_>,
    ) -> io::Result<()> {
        if let Some(Begun { writer: Some(writer), .. }) = self.captures.get_mut(name) {
            return writer.push(packet);
        }
        if self.open >= MAX_OPEN {
            self.close()?;
        }
        self.open += 1;
        let writer = match self.captures.get(name) {
            Some(begun) => {
                let file = OpenOptions::new().append(true).open(path)?;
                CaptureWriter::go_on(BufWriter::new(file), begun.link)
            }
            None => CaptureWriter::new(BufWriter::new(File::create(path)?), link)?,
        };
        let begun = self.captures.entry(name.to_owned()).or_insert(Begun { link, writer: None });
        begun.writer.insert(writer).push(packet)
    }

    /// Closes all that are open.
    fn close(&mut self) -> io::Result<()> {
        self.open = 0;
        for begun in self.captures.values_mut() {
            if let Some(mut writer) = begun.writer.take() {
                writer.flush()?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        let path = self.path.clone();
        self.close().map_err(|e| unwritable(&path, e))
    }
}
