//! Contexts of the types that take nothing else, and of those whose context is not the struct that
//! programs see.

use super::Named;
use crate::machine::Stimulus;

fn named(name: &str, ctx: Option<Vec<u8>>) -> Named {
    Named { name: name.to_owned(), stimulus: Stimulus { data: Vec::new(), ctx, repeat: 1 } }
}

/// Bytes of a struct with these 32-bit words set.
fn with(bytes: usize, words: &[(usize, u32)]) -> Vec<u8> {
    let mut ctx = vec![0; bytes];
    for &(at, value) in words {
        ctx[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    ctx
}

/// `struct bpf_sk_lookup`.
pub(super) fn socket_lookups() -> Vec<Named> {
    const BYTES: usize = 72;
    const SK: usize = 0;
    const FAMILY: usize = 8;
    const PROTOCOL: usize = 12;
    const REMOTE4: usize = 16;
    const REMOTE6: usize = 20;
    const REMOTE_PORT: usize = 36;
    const LOCAL4: usize = 40;
    const LOCAL6: usize = 44;
    const LOCAL_PORT: usize = 60;
    const IFINDEX: usize = 64;
    const TCP: u32 = 6;
    const V4: u32 = 2;
    const V6: u32 = 10;
    let v4 = [
        (FAMILY, V4),
        (PROTOCOL, TCP),
        (REMOTE4, 0x0302_000a),
        (REMOTE_PORT, 0x5000),
        (LOCAL4, 0x0100_007f),
        (LOCAL_PORT, 8080),
    ];
    let v6 = [(FAMILY, V6), (PROTOCOL, 17), (REMOTE6 + 12, 7), (LOCAL6, 0x0120), (LOCAL_PORT, 53)];
    let and = |base: &[(usize, u32)], more: (usize, u32)| {
        let words: Vec<_> = base.iter().copied().chain([more]).collect();
        Some(with(BYTES, &words))
    };
    let mut all = vec![
        named("no context", None),
        named("empty context", Some(with(BYTES, &[]))),
        named("IPv4", Some(with(BYTES, &v4))),
        named("IPv6", Some(with(BYTES, &v6))),
        named("IPv4 with IPv6 addresses", and(&v4, (REMOTE6, 9))),
        named("IPv6 with IPv4 addresses", and(&v6, (LOCAL4, 9))),
        named("another family", Some(with(BYTES, &[(FAMILY, 1)]))),
        named("family beyond 16 bits", and(&v4, (FAMILY, 0x1_0002))),
        named("protocol beyond 16 bits", and(&v4, (PROTOCOL, 0x1_0006))),
        named("port beyond 16 bits", and(&v4, (LOCAL_PORT, 0x1_0000))),
        named("remote port beyond 16 bits", and(&v4, (REMOTE_PORT, 0x1_5000))),
        named("a socket", and(&v4, (SK, 1))),
        named("a device", and(&v4, (IFINDEX, 1))),
        named("longer than the struct", and(&v4, (0, 0)).map(|ctx| [ctx, vec![0; 8]].concat())),
        named("an unknown field", and(&v4, (0, 0)).map(|ctx| [ctx, vec![1; 8]].concat())),
        named("short", and(&v4, (0, 0)).map(|ctx| ctx[..40].to_vec())),
    ];
    let mut again = named("IPv4, three times", Some(with(BYTES, &v4)));
    again.stimulus.repeat = 3;
    all.push(again);
    all
}

/// `u64 args[]`.
pub(super) fn raw_arguments() -> Vec<Named> {
    let args = |count: u64| Some((1..=count).flat_map(|n| (n * 0x0101).to_le_bytes()).collect());
    let mut all: Vec<_> =
        [2, 3, 6, 12, 13].map(|n| named(&format!("{n} arguments"), args(n))).into();
    let mut again = named("12 arguments, twice", args(12));
    again.stimulus.repeat = 2;
    all.push(again);
    let mut packet = named("a packet", args(12));
    packet.stimulus.data = vec![0; 64];
    all.push(packet);
    all
}

/// Bytes that a program and user space share.
pub(super) fn bytes() -> Vec<Named> {
    let bytes = |len: usize| Some((0..len).map(|n| n as u8).collect());
    let mut all: Vec<_> =
        [64, 72, 256].map(|len| named(&format!("{len} bytes"), bytes(len))).into();
    let mut again = named("64 bytes, twice", bytes(64));
    again.stimulus.repeat = 2;
    all.push(again);
    let mut packet = named("a packet", bytes(64));
    packet.stimulus.data = vec![0; 64];
    all.push(packet);
    all
}

/// `struct bpf_flow_keys`.
pub(super) fn flow_keys() -> Vec<(&'static str, Vec<u8>)> {
    const BYTES: usize = 56;
    const FLAGS: usize = 48;
    vec![
        ("empty keys", with(BYTES, &[])),
        ("flags", with(BYTES, &[(FLAGS, 7)])),
        ("keys beside flags", with(BYTES, &[(0, 1)])),
        ("keys behind flags", with(BYTES, &[(FLAGS + 4, 1)])),
        ("short keys", with(FLAGS, &[])),
        ("long keys", with(BYTES + 8, &[(FLAGS, 1)])),
        ("keys with something behind", with(BYTES + 8, &[(BYTES, 1)])),
    ]
}

/// `struct nf_hook_state`.
pub(super) fn hooks() -> Vec<(&'static str, Vec<u8>)> {
    const BYTES: usize = 48;
    let at = |hook: u32, pf: u32| with(BYTES, &[(0, hook | pf << 8)]);
    vec![
        ("before routing, IPv4", at(0, 2)),
        ("on local input, IPv6", at(1, 10)),
        ("on local output, IPv6", at(3, 10)),
        ("after routing, IPv4", at(4, 2)),
        ("a hook that does not exist", at(9, 2)),
        ("no protocol family", at(0, 0)),
        ("another protocol family", at(0, 7)),
        ("a device", with(BYTES, &[(0, 2 << 8), (8, 1)])),
        ("a socket", with(BYTES, &[(0, 2 << 8), (24, 1)])),
        ("short state", vec![0, 2]),
    ]
}
