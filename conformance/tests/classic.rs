//! Classic filters against libpcap and against the kernel's sockets.
//!
//! `suites/cbpf` has filters that libpcap compiled, packets of five link types, and what libpcap's
//! `bpf_filter` returns for them. The kernel is asked through a pair of sockets.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use ubpf::isa::cbpf::{Extension, Filter, SockFilter, parse_text};
use ubpf::verifier::Options;
use ubpf::{Engine, Input, Instance, Jit};
use ubpf_conformance::kernel::classic::Filtered;
use ubpf_conformance::kernel::pin_to_cpu_0;
use ubpf_conformance::random::Random;
use ubpf_conformance::skip_without_kernel;

fn suite(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("suites/cbpf").join(file)
}

/// One line of `filters.txt`.
struct Case {
    link: String,
    expression: String,
    text: String,
    insns: Vec<SockFilter>,
    results: Vec<u32>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(suite("filters.txt")).expect("the suite is there");
    let case = |line: &str| {
        let [link, expression, text, results] =
            line.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
        let run = |run: &str| {
            let (count, value) = run.split_once('x').expect("COUNTxVALUE");
            let count: usize = count.parse().expect("a count");
            std::iter::repeat_n(value.parse::<u32>().expect("a result"), count)
        };
        Case {
            link: link.to_owned(),
            expression: expression.to_owned(),
            text: text.to_owned(),
            insns: parse_text(text).expect("a filter"),
            results: results.split(' ').flat_map(run).collect(),
        }
    };
    text.lines().map(case).collect()
}

/// The packets of a link type, with their length on the wire.
fn packets(link: &str) -> Vec<(Vec<u8>, u32)> {
    let file = File::open(suite(&format!("{}.pcap", link.to_lowercase()))).expect("a capture");
    let mut reader = pcap_file::pcap::PcapReader::new(file).expect("a capture");
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a packet");
        packets.push((packet.data.into_owned(), packet.orig_len));
    }
    packets
}

/// A filter as it runs on one engine.
fn instance(engine: &Engine, filter: &[u8]) -> Instance {
    let object = engine.load(filter).expect("a filter");
    let module = engine.prepare(&object, "filter").expect("a valid filter");
    let verdict = engine.judge(&module, &Options::default()).verdict;
    assert!(verdict.is_ok(), "refused: {:?}", verdict.err());
    engine.instantiate(&module).expect("a filter that can run")
}

fn engines() -> Vec<Engine> {
    let jit = Jit::new().map(|jit| Engine::builder().executor(Arc::new(jit)).build());
    [Engine::builder().build()].into_iter().chain(jit.ok()).collect()
}

fn run(instance: &mut Instance, packet: &[u8], wire_len: u32) -> u32 {
    let mut input = Input { data: packet.to_vec(), ..Input::default() };
    if wire_len as usize > packet.len() {
        input.ctx_fields.push(("len".to_owned(), wire_len.into()));
    }
    instance.run(&input).expect("filters end").output.retval
}

#[test]
fn filters_return_what_libpcap_returns() {
    let cases = cases();
    let mut captures = BTreeMap::new();
    let engines = engines();
    let (mut compared, mut kept) = (0, 0);
    for case in cases.iter().filter(|case| Filter::check(&case.insns).is_ok()) {
        let packets = captures.entry(&case.link).or_insert_with(|| packets(&case.link));
        assert_eq!(packets.len(), case.results.len(), "{}", case.expression);
        for engine in &engines {
            let mut instance = instance(engine, case.text.as_bytes());
            for (at, ((packet, wire_len), expected)) in
                packets.iter().zip(&case.results).enumerate()
            {
                let ours = run(&mut instance, packet, *wire_len);
                let name = engine.executor().name();
                let Case { link, expression, .. } = case;
                assert_eq!(ours, *expected, "{name}: {link} `{expression}`, packet {}", at + 1);
                compared += 1;
                kept += u32::from(ours != 0);
            }
        }
    }
    println!("{} filters, {compared} runs compared with libpcap, {kept} kept", cases.len());
    assert!(cases.len() > 200 && kept > 1000);
}

#[test]
fn sockets_receive_what_filters_keep() {
    skip_without_kernel!();
    let engine = Engine::builder().build();
    let mut captures = BTreeMap::new();
    let mut compared = 0;
    for case in cases() {
        let link = case.link.clone();
        let packets = captures.entry(link.clone()).or_insert_with(|| packets(&link));
        // Not all that libpcap compiles is valid to the kernel: `ether[-1]` is no extension.
        let socket = Filtered::new(&case.insns);
        let ours = Filter::check(&case.insns);
        assert_eq!(socket.is_ok(), ours.is_ok(), "{}: {ours:?}", case.expression);
        let Ok(socket) = socket else { continue };
        let mut instance = instance(&engine, case.text.as_bytes());
        for (packet, _) in packets.iter() {
            let ours = run(&mut instance, packet, 0) as usize;
            let ours = (ours != 0).then_some(ours.min(packet.len()));
            let kernel = socket.pass(packet).expect("sockets");
            assert_eq!(ours, kernel, "{} {} {packet:x?}", case.link, case.expression);
            compared += 1;
        }
    }
    println!("{compared} packets sent through sockets");
}

/// What sockets of this kind know of packets: nothing, so that extensions give what they give
/// without device, mark, tag and hash. The protocol, and what depends on it, is not compared.
const EXTENSIONS: [Extension; 12] = [
    Extension::PktType,
    Extension::IfIndex,
    Extension::Nlattr,
    Extension::NlattrNest,
    Extension::Mark,
    Extension::Queue,
    Extension::HaType,
    Extension::RxHash,
    Extension::Cpu,
    Extension::AluXorX,
    Extension::VlanTag,
    Extension::VlanTpid,
];

fn insn(random: &mut Random) -> SockFilter {
    const CODES: [u16; 56] = [
        0x20, 0x28, 0x30, 0x30, 0x30, 0x40, 0x48, 0x50, 0xb1, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61,
        0x02, 0x03, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64,
        0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d,
        0x45, 0x4d, 0x06, 0x16, 0x07, 0x07, 0x07, 0x87, 0x00, 0x02, 0x03,
    ];
    if random.below(6) == 0 {
        let extension = EXTENSIONS[random.below(EXTENSIONS.len())];
        return SockFilter::new(0x20, 0, 0, Extension::BASE + extension.offset());
    }
    let code = CODES[random.below(CODES.len())];
    let k = match random.below(8) {
        0 => random.next() as u32,
        1 => 0,
        2..=4 => random.below(16) as u32,
        _ => random.below(70) as u32,
    };
    // Offsets from the network header mean nothing on these sockets.
    let k =
        if matches!(code, 0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 | 0xb1) { k % 300 } else { k };
    SockFilter::new(code, random.below(4) as u8, random.below(4) as u8, k)
}

/// The same filter with one byte of its result, plus one, in place of it: packets of 257 bytes
/// show it.
fn showing_byte(filter: &[SockFilter], byte: u32) -> Vec<SockFilter> {
    let end = filter.len();
    // Wherever `A` is returned, the filter goes on behind itself.
    let mut insns: Vec<SockFilter> = Vec::new();
    for (at, insn) in filter.iter().enumerate() {
        let to_end = SockFilter::new(0x05, 0, 0, (end - at - 1) as u32);
        insns.push(if insn.code == 0x16 { to_end } else { *insn });
    }
    insns.extend([
        SockFilter::new(0x74, 0, 0, byte * 8),
        SockFilter::new(0x54, 0, 0, 0xff),
        SockFilter::new(0x04, 0, 0, 1),
        SockFilter::new(0x16, 0, 0, 0),
    ]);
    insns
}

#[test]
fn attributes_are_found_where_the_kernel_finds_them() {
    skip_without_kernel!();
    let engine = Engine::builder().build();
    let mut random = Random::new(0xa77);
    let (mut compared, mut found) = (0, 0);
    for extension in [Extension::Nlattr, Extension::NlattrNest] {
        for at in 0..40 {
            for kind in 0..6 {
                let text = format!(
                    "5,1 0 0 {kind},0 0 0 {at},32 0 0 {},4 0 0 1,22 0 0 0",
                    Extension::BASE + extension.offset()
                );
                let socket = Filtered::new(&parse_text(&text).unwrap()).expect("a valid filter");
                let mut instance = instance(&engine, text.as_bytes());
                for _ in 0..20 {
                    // Small lengths and types, so that attributes follow each other.
                    let header = |random: &mut Random| {
                        let flags = [0, 0, 0x40, 0x80, 1][random.below(5)];
                        let len = [4, 4, 5, 8, 12, 14, 3][random.below(7)];
                        [len, 0, random.below(6) as u8, flags]
                    };
                    let packet: Vec<u8> = (0..10).flat_map(|_| header(&mut random)).collect();
                    let ours = run(&mut instance, &packet, 0) as usize;
                    let kernel = socket.pass(&packet).expect("sockets");
                    assert_eq!(Some(ours.min(packet.len())), kernel, "{text} {packet:x?}");
                    compared += 1;
                    found += u32::from(ours > 1);
                }
            }
        }
    }
    println!("{compared} searches for attributes compared, {found} found one");
    assert!(found > 200);
}

#[test]
fn random_filters_do_in_sockets_what_they_do_here() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("a CPU");
    let mut random = Random::new(0xc1a5);
    let engines = engines();
    // Attributes to be found: type 3 at 8, type 5 at 16 with type 1 inside.
    let mut packet: Vec<u8> = (0..257_u32).map(|n| (n * 37 % 251) as u8).collect();
    packet[8..28]
        .copy_from_slice(&[8, 0, 3, 0, 1, 1, 1, 1, 12, 0, 5, 0x80, 8, 0, 1, 0, 7, 7, 7, 7]);
    let (mut filters, mut refused, mut compared) = (0, 0, 0);
    while filters < 800 {
        let mut insns: Vec<SockFilter> =
            (0..3 + random.below(14)).map(|_| insn(&mut random)).collect();
        insns.extend([SockFilter::new(0x16, 0, 0, 0); 4]);
        let ours = Filter::check(&insns);
        let kernel = Filtered::new(&insns);
        match (&ours, &kernel) {
            (Ok(_), Ok(_)) => filters += 1,
            (Err(_), Err(errno)) => {
                assert_eq!(errno.name(), Some("EINVAL"), "{insns:x?}");
                refused += 1;
                continue;
            }
            _ => panic!("ours {ours:?}, the kernel's {kernel:?}: {insns:x?}"),
        }
        for byte in 0..4 {
            let insns = showing_byte(&insns, byte);
            let bytes: Vec<u8> = insns
                .iter()
                .flat_map(|i| {
                    let [c0, c1] = i.code.to_le_bytes();
                    let [k0, k1, k2, k3] = i.k.to_le_bytes();
                    [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
                })
                .collect();
            let socket = Filtered::new(&insns).expect("still valid");
            for engine in &engines {
                let mut instance = instance(engine, &bytes);
                let kept = run(&mut instance, &packet, 0) as usize;
                let ours = (kept != 0).then_some(kept.min(packet.len()));
                let kernel = socket.pass(&packet).expect("sockets");
                let listing: Vec<String> =
                    Filter::check(&insns).expect("valid").listing().collect();
                assert_eq!(ours, kernel, "\n{}", listing.join("\n"));
                compared += 1;
            }
        }
    }
    println!("{filters} random filters, {compared} runs compared; {refused} refused by both");
}
