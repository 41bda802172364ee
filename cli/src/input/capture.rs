//! Captured packets: `.pcap` and `.pcapng` files, read one packet at a time.

use super::{Captured, Item};
use crate::failure::Failure;
use crate::files;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ubpf::Input;
use ubpf::abi::prog_type::PacketLayer;

/// Bytes of the largest block a capture may hold; packets have at most a quarter of it.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes of the smallest block of a pcapng file: its type, and its length in front and behind.
const MIN_BLOCK_BYTES: u32 = 12;
/// Interfaces that one section may describe.
const MAX_INTERFACES: usize = 4096;
/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;

/// How far a capture has been read.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the file; `None` where it is a pipe.
    pub bytes: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// The parser wants the whole header from its first read, and pipes give what they have.
        const FIRST_BYTES: usize = 4096;
        let first = self.read.load(Ordering::Relaxed) == 0;
        let enough = if first { buffer.len().min(FIRST_BYTES) } else { 1 };
        let mut len = 0;
        while len < enough {
            match self.file.read(buffer.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// A capture file, at its next packet.
pub struct Capture {
    name: String,
    progress: Progress,
    reader: Box<dyn PcapReaderIterator + Send>,
    /// Where the programs that get the packets begin to read.
    from: PacketLayer,
    /// How numbers are written in the section at hand of a pcapng file.
    section: Option<ByteOrder>,
    interfaces: Vec<Interface>,
    packets: u64,
    first: Option<Duration>,
}

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

/// What a capture says about where its packets come from.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Parts of a second that times are counted in.
    resolution: u64,
    offset: i64,
}

/// One packet, out of the reader's buffer.
struct Packet {
    link: Linktype,
    time: Duration,
    data: Vec<u8>,
    cut_bytes: u32,
}

impl Capture {
    /// Opens a capture for programs that see packets from this layer on.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn open(path: &Path, from: PacketLayer) -> Result<Self, Failure> {
        let name = files::name(path);
        let file = files::open(path)
            .map_err(|e| Failure::unusable(format!("cannot read {name}")).because(e))?;
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        Self::over(&name, file, metadata.map(|m| m.len()), from)
    }

    /// Reads a capture from a stream, of so many bytes where that is known.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn over(
        name: &str,
        file: Box<dyn Read + Send>,
        bytes: Option<u64>,
        from: PacketLayer,
    ) -> Result<Self, Failure> {
        let progress = Progress { bytes, ..Progress::default() };
        let file = Counted { file, read: Arc::clone(&progress.read) };
        let reader = create_reader(BUFFER_BYTES, file).map_err(|e| {
            Failure::unusable(format!("{name} is neither pcap nor pcapng")).because(reason(&e))
        })?;
        let (name, interfaces) = (name.to_owned(), Vec::new());
        let (section, first) = (None, None);
        Ok(Self { name, progress, reader, from, section, interfaces, packets: 0, first })
    }

    /// Whether bytes begin as captures do.
    #[must_use]
    pub fn begins_like_one(bytes: &[u8]) -> bool {
        const SECTION: u32 = 0x0a0d_0d0a;
        const MICRO: u32 = 0xa1b2_c3d4;
        const NANO: u32 = 0xa1b2_3c4d;
        bytes.first_chunk().is_some_and(|&magic| {
            let orders = [u32::from_le_bytes(magic), u32::from_be_bytes(magic)];
            orders.iter().any(|magic| [SECTION, MICRO, NANO].contains(magic))
        })
    }

    /// How far it has been read.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The next packet.
    ///
    /// # Errors
    /// The file is damaged, or the packet is of a link type that the programs cannot take.
    pub fn next_packet(&mut self) -> Result<Option<Item>, Failure> {
        let Some(packet) = self.read_packet()? else {
            return Ok(None);
        };
        self.packets += 1;
        let first = *self.first.get_or_insert(packet.time);
        let captured_bytes = packet.data.len();
        let data = frame(packet.link, packet.data, self.from).ok_or_else(|| {
            Failure::unusable(format!(
                "{}: packet {} has link type {}, which programs of this type cannot take",
                self.name, self.packets, packet.link.0
            ))
            .hint(match self.from {
                PacketLayer::Link => "they take Ethernet (1)",
                PacketLayer::Network => "they take Ethernet (1) and raw IP (101)",
                PacketLayer::Captured => "they take every link type",
            })
        })?;
        let captured = Captured {
            number: self.packets,
            time: packet.time,
            since_first: packet.time.saturating_sub(first),
            link: u16::try_from(packet.link.0).unwrap_or(u16::MAX),
            framed: data.len() > captured_bytes,
            cut_bytes: packet.cut_bytes,
        };
        let mut input = Input { data, ..Input::default() };
        if self.from == PacketLayer::Captured && captured.cut_bytes > 0 {
            // The filter sees the length that the packet had.
            let len = input.data.len() as u64 + u64::from(captured.cut_bytes);
            input.ctx_fields.push(("len".to_owned(), len));
        }
        Ok(Some(Item { input, captured: Some(captured) }))
    }

    fn read_packet(&mut self) -> Result<Option<Packet>, Failure> {
        let mut ended = false;
        loop {
            if self.section.is_some_and(|order| is_too_short(self.reader.data(), order)) {
                let why = "a block is shorter than its header";
                return Err(damaged(&self.name, self.packets, why));
            }
            match self.reader.next() {
                Ok((consumed, block)) => {
                    if let PcapBlockOwned::NG(Block::SectionHeader(header)) = &block {
                        let big = header.big_endian();
                        self.section = Some(if big { ByteOrder::Big } else { ByteOrder::Little });
                    }
                    let packet = packet_of(&block, &mut self.interfaces);
                    self.reader.consume(consumed);
                    match packet {
                        Ok(None) => {}
                        Ok(Some(packet)) => return Ok(Some(packet)),
                        Err(why) => return Err(damaged(&self.name, self.packets, why)),
                    }
                }
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) if !ended => {
                    let before = self.progress.read();
                    let refill = self.reader.refill().map_err(|e| reason(&e));
                    refill.map_err(|why| damaged(&self.name, self.packets, why))?;
                    // The reader tells between blocks from inside of one.
                    ended = self.progress.read() == before;
                }
                Err(e) => {
                    let why = reason(&e);
                    return Err(damaged(&self.name, self.packets, why));
                }
            }
        }
    }
}

/// Whether the block that begins here says that it ends within its own frame. The parser takes
/// some such lengths as they are, and reckons with them.
fn is_too_short(data: &[u8], order: ByteOrder) -> bool {
    const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
    let Some((&block_type, behind)) = data.split_first_chunk() else {
        return false;
    };
    // A section's header is in the order of the section, which the parser finds out.
    block_type != SECTION
        && behind.first_chunk().is_some_and(|&len| {
            let len = match order {
                ByteOrder::Little => u32::from_le_bytes(len),
                ByteOrder::Big => u32::from_be_bytes(len),
            };
            len < MIN_BLOCK_BYTES
        })
}

fn damaged(name: &str, packets: u64, why: &'static str) -> Failure {
    Failure::unusable(format!("{name} is damaged after packet {packets}")).because(why)
}

fn reason<I: std::fmt::Debug + Sized>(e: &PcapError<I>) -> &'static str {
    match e {
        PcapError::Eof | PcapError::UnexpectedEof | PcapError::Incomplete(_) => {
            "it ends in the middle of a block"
        }
        PcapError::BufferTooSmall => "a block is larger than 1 MiB",
        PcapError::HeaderNotRecognized => "its first bytes are not those of a capture",
        PcapError::ReadError => "it cannot be read any further",
        _ => "a block is malformed",
    }
}

/// The packet that a block holds, if it holds one.
fn packet_of(
    block: &PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
) -> Result<Option<Packet>, &'static str> {
    const NO_INTERFACE: &str = "a packet names an interface that is not described";
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            interfaces.push(Interface {
                link: header.network,
                resolution: if header.is_nanosecond_precision() {
                    1_000_000_000
                } else {
                    1_000_000
                },
                offset: 0,
            });
            Ok(None)
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first().ok_or(NO_INTERFACE)?;
            let nanos = u64::from(packet.ts_usec) * (1_000_000_000 / interface.resolution);
            Ok(Some(Packet {
                link: interface.link,
                time: Duration::from_secs(u64::from(packet.ts_sec)) + Duration::from_nanos(nanos),
                data: packet.data.to_vec(),
                cut_bytes: packet.origlen.saturating_sub(packet.caplen),
            }))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            Ok(None)
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            if interfaces.len() >= MAX_INTERFACES {
                return Err("a section describes more than 4096 interfaces");
            }
            interfaces.push(Interface {
                link: description.linktype,
                resolution: description
                    .ts_resolution()
                    .ok_or("an interface counts time in a unit that does not exist")?,
                offset: description.ts_offset(),
            });
            Ok(None)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let index = usize::try_from(packet.if_id).map_err(|_| NO_INTERFACE)?;
            let interface = interfaces.get(index).ok_or(NO_INTERFACE)?;
            let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            Ok(Some(Packet {
                link: interface.link,
                time: interface.time(ticks),
                data: packet.packet_data().to_vec(),
                cut_bytes: packet.origlen.saturating_sub(packet.caplen),
            }))
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let interface = interfaces.first().ok_or(NO_INTERFACE)?;
            let data = packet.packet_data().to_vec();
            let kept = u32::try_from(data.len()).unwrap_or(u32::MAX);
            Ok(Some(Packet {
                link: interface.link,
                time: Duration::ZERO,
                cut_bytes: packet.origlen.saturating_sub(kept),
                data,
            }))
        }
        PcapBlockOwned::NG(_) => Ok(None),
    }
}

impl Interface {
    fn time(&self, ticks: u64) -> Duration {
        let resolution = self.resolution.max(1);
        let nanos = u128::from(ticks % resolution) * 1_000_000_000 / u128::from(resolution);
        let seconds = (ticks / resolution).saturating_add_signed(self.offset);
        Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
    }
}

/// The Ethernet frame that test-run is to be given for a captured packet.
///
/// Raw IP packets get an Ethernet header in front, which programs that begin at the network
/// header do not see. `None` where the programs cannot take packets of this link type.
fn frame(link: Linktype, mut data: Vec<u8>, from: PacketLayer) -> Option<Vec<u8>> {
    const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
    const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
    match (link, from) {
        (Linktype::ETHERNET, _) | (_, PacketLayer::Captured) => Some(data),
        (Linktype::RAW | Linktype::IPV4 | Linktype::IPV6, PacketLayer::Network) => {
            let version = data.first().map_or(4, |byte| byte >> 4);
            let mut header = [0; ETH_HLEN];
            header[ETH_HLEN - 2..].copy_from_slice(match version {
                6 => &ETHERTYPE_IPV6,
                _ => &ETHERTYPE_IPV4,
            });
            data.splice(0..0, header);
            Some(data)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::capture::{CaptureWriter, Packet as Written};

    fn written(packets: &[(Duration, &[u8])]) -> Vec<u8> {
        let mut writer = CaptureWriter::new(Vec::new(), 1).unwrap();
        for (time, data) in packets {
            writer.push(&Written { time: *time, data, wire_len: data.len() }).unwrap();
        }
        writer.into_inner()
    }

    fn open(bytes: &[u8], name: &str, from: PacketLayer) -> Result<Capture, Failure> {
        let path = std::env::temp_dir().join(format!("ubpf-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let capture = Capture::open(&path, from);
        std::fs::remove_file(&path).unwrap();
        capture
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = written(&[
            (Duration::from_nanos(1_500_000_001), &[1; 60]),
            (Duration::from_millis(1750), &[2; 61]),
        ]);
        let mut capture = open(&bytes, "round", PacketLayer::Link).unwrap();
        let first = capture.next_packet().unwrap().unwrap();
        let second = capture.next_packet().unwrap().unwrap();
        assert_eq!(first.input.data, [1; 60]);
        assert_eq!(second.input.data, [2; 61]);
        assert_eq!(first.captured.unwrap().time, Duration::from_nanos(1_500_000_001));
        let second = second.captured.unwrap();
        assert_eq!((second.number, second.link, second.cut_bytes), (2, 1, 0));
        assert_eq!(second.since_first, Duration::from_nanos(249_999_999));
        assert!(capture.next_packet().unwrap().is_none());
    }

    /// A stream that gives a byte at a time.
    struct Slow(io::Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    #[test]
    fn pipes_may_be_slow() {
        let packets: Vec<_> = (0..200).map(|n| (Duration::from_secs(n), &[7; 60][..])).collect();
        let slow = Box::new(Slow(io::Cursor::new(written(&packets))));
        let mut capture = Capture::over("pipe", slow, None, PacketLayer::Link).unwrap();
        let mut read = 0;
        while capture.next_packet().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, 200);
    }

    #[test]
    fn every_truncation_is_an_error_or_an_end() {
        let bytes = written(&[(Duration::ZERO, &[1; 60])]);
        for len in 0..bytes.len() {
            let Ok(mut capture) = open(&bytes[..len], &format!("cut{len}"), PacketLayer::Link)
            else {
                assert!(len < 24, "a whole header must do");
                continue;
            };
            match capture.next_packet() {
                Ok(None) => assert_eq!(len, 24, "only a file without packets ends well"),
                Ok(Some(_)) => panic!("a packet out of {len} bytes"),
                Err(e) => assert!(e.to_string().contains("damaged after packet 0")),
            }
        }
    }

    #[test]
    fn blocks_shorter_than_their_frame_are_refused() {
        const PROCESS_INFORMATION: u32 = 0x8000_0001;
        type Write = fn(u32) -> [u8; 4];
        for write in [u32::to_le_bytes as Write, u32::to_be_bytes] {
            let section = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1 << 16, u32::MAX, u32::MAX, 28];
            let interface = [1, 20, 1, 0, 20];
            let packet = [3, 20, 4, 0x0102_0304, 20];
            let before = [&section[..], &interface, &packet].concat();
            for len in 0..=MIN_BLOCK_BYTES {
                let short = [PROCESS_INFORMATION, len, 7, len];
                let words = before.iter().chain(&short);
                let bytes: Vec<u8> = words.flat_map(|&word| write(word)).collect();
                let name = format!("short{len}");
                let mut capture = open(&bytes, &name, PacketLayer::Captured).unwrap();
                let first = capture.next_packet().unwrap().unwrap();
                assert_eq!(first.input.data.len(), 4, "what is in front of it is read");
                let error = capture.next_packet().unwrap_err().to_string();
                assert!(error.contains("damaged after packet 1"), "{len}: {error}");
            }
        }
    }

    #[test]
    fn raw_ip_gets_a_header_for_programs_that_do_not_see_it() {
        let ipv6 = vec![0x60, 1, 2];
        let framed = frame(Linktype::RAW, ipv6.clone(), PacketLayer::Network).unwrap();
        assert_eq!(framed[12..], [0x86, 0xdd, 0x60, 1, 2]);
        assert_eq!(frame(Linktype::RAW, ipv6, PacketLayer::Link), None);
        assert_eq!(frame(Linktype(113), vec![0; 60], PacketLayer::Network), None);
    }
}
