//! What each program is run on: every packet, and for the fields that a context may carry in,
//! packets with a context.

mod contexts;

use crate::machine::Stimulus;
use crate::packets::{Packet, corpus};
use crate::random::{Random, mutate};
use ubpf_abi::prog_type::ProgType;

/// A stimulus with a name for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The packet's name, and what is done with it.
    pub name: String,
    /// What goes in.
    pub stimulus: Stimulus,
}

/// Packets that also run repeatedly and with contexts.
const CHOSEN: [&str; 8] =
    ["udp", "tcp syn", "icmp echo", "ipv6 udp", "vlan", "arp", "full size", "3520 bytes"];

/// Packets that are damaged at random, the same ones every time.
const DAMAGED: u64 = 60;

/// The stimuli for programs of a type.
#[must_use]
pub fn of_type(prog_type: ProgType) -> Vec<Named> {
    match prog_type {
        ProgType::SkLookup => contexts::socket_lookups(),
        ProgType::RawTracepoint => contexts::raw_arguments(),
        ProgType::Syscall => contexts::bytes(),
        _ => of_packets(prog_type),
    }
}

fn of_packets(prog_type: ProgType) -> Vec<Named> {
    let packets = corpus();
    let mut stimuli: Vec<Named> = packets
        .iter()
        .map(|p| Named { name: p.name.to_owned(), stimulus: Stimulus::packet(&p.bytes) })
        .collect();
    for packet in packets.iter().filter(|p| CHOSEN.contains(&p.name)) {
        stimuli.push(Named {
            name: format!("{}, three times", packet.name),
            stimulus: Stimulus { repeat: 3, ..Stimulus::packet(&packet.bytes) },
        });
        for (what, ctx) in with_packet(prog_type, packet) {
            stimuli.push(Named {
                name: format!("{}, {what}", packet.name),
                stimulus: Stimulus { ctx: Some(ctx), ..Stimulus::packet(&packet.bytes) },
            });
        }
    }
    for seed in 0..DAMAGED {
        let mut random = Random::new(seed);
        let packet = &packets[random.below(packets.len())];
        stimuli.push(Named {
            name: format!("{}, damaged by seed {seed}", packet.name),
            stimulus: Stimulus::packet(&mutate(&mut random, packet)),
        });
    }
    stimuli
}

/// Contexts that test-run takes, and some that it refuses.
fn with_packet(prog_type: ProgType, packet: &Packet) -> Vec<(&'static str, Vec<u8>)> {
    match prog_type {
        ProgType::Xdp => xdp_contexts(packet.bytes.len() as u32),
        ProgType::SchedCls | ProgType::SchedAct | ProgType::CgroupSkb | ProgType::SocketFilter => {
            skb_contexts()
        }
        ProgType::FlowDissector => contexts::flow_keys(),
        ProgType::Netfilter => contexts::hooks(),
        _ => Vec::new(),
    }
}

fn xdp_contexts(len: u32) -> Vec<(&'static str, Vec<u8>)> {
    let md = |data_meta: u32, data: u32, data_end: u32, ifindex: u32, queue: u32| {
        [data, data_end, data_meta, ifindex, queue, 0].map(u32::to_le_bytes).concat()
    };
    vec![
        ("context as it is", md(0, 0, len, 0, 0)),
        ("16 bytes of metadata", md(0, 16, len, 0, 0)),
        ("from lo", md(0, 0, len, 1, 0)),
        ("metadata of odd length", md(0, 3, len, 0, 0)),
        ("metadata not at the start", md(4, 8, len, 0, 0)),
        ("wrong end", md(0, 0, len + 1, 0, 0)),
        ("queue without device", md(0, 0, len, 0, 1)),
        ("queue that does not exist", md(0, 0, len, 1, 9)),
        ("device that does not exist", md(0, 0, len, 12_345, 0)),
    ]
}

/// Bytes of `struct __sk_buff`, and the offsets of the fields that are set.
mod skb {
    pub const BYTES: usize = 192;
    pub const LEN: usize = 0;
    pub const MARK: usize = 8;
    pub const PROTOCOL: usize = 16;
    pub const PRIORITY: usize = 32;
    pub const INGRESS_IFINDEX: usize = 36;
    pub const IFINDEX: usize = 40;
    pub const CB: usize = 48;
    pub const TSTAMP: usize = 152;
    pub const WIRE_LEN: usize = 160;
    pub const GSO_SEGS: usize = 164;
    pub const GSO_SIZE: usize = 176;
    pub const HWTSTAMP: usize = 184;
}

fn skb_contexts() -> Vec<(&'static str, Vec<u8>)> {
    let with = |fields: &[(usize, u32)]| {
        let mut ctx = vec![0; skb::BYTES];
        for &(at, value) in fields {
            ctx[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        ctx
    };
    let cb = |i: usize| skb::CB + 4 * i;
    vec![
        ("empty context", with(&[])),
        ("mark, priority and cb", {
            with(&[
                (skb::MARK, 7),
                (skb::PRIORITY, 3),
                (cb(0), 1),
                (cb(2), 0xffff_ffff),
                (cb(4), 5),
            ])
        }),
        ("time stamps", with(&[(skb::TSTAMP, 123_456), (skb::HWTSTAMP, 99)])),
        ("wire length", with(&[(skb::WIRE_LEN, 5000)])),
        ("wire length too small", with(&[(skb::WIRE_LEN, 10)])),
        ("segments", with(&[(skb::GSO_SEGS, 2), (skb::GSO_SIZE, 700)])),
        ("too many segments", with(&[(skb::GSO_SEGS, 70_000)])),
        ("through lo", with(&[(skb::IFINDEX, 1)])),
        ("from lo", with(&[(skb::INGRESS_IFINDEX, 1)])),
        ("through a device that does not exist", with(&[(skb::IFINDEX, 12_345)])),
        ("length, which may not be set", with(&[(skb::LEN, 60)])),
        ("protocol, which may not be set", with(&[(skb::PROTOCOL, 8)])),
        ("context longer than the struct", [with(&[(skb::MARK, 1)]), vec![0; 8]].concat()),
        ("context with an unknown field", [with(&[]), vec![1; 8]].concat()),
        ("short context", with(&[(skb::MARK, 1)])[..40].to_vec()),
    ]
}
