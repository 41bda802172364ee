//! Translated classic filters in the kernel against an interpreter of the classic machine.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ubpf_isa::cbpf::{Acc, Extension, Filter, Insn, SockFilter, Src};
use ubpf_isa::{AluOp, Size, Width, encode_all};

use crate::bpf;

/// What the filter returns for a packet.
fn interpret(filter: &Filter, packet: &[u8]) -> u32 {
    let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
    let mut at = 0;
    loop {
        let insn = filter.insns()[at];
        at += 1;
        match insn {
            Insn::LdAbs { size, k } => match packet_load(packet, k, size) {
                Some(value) => a = value,
                None => return 0,
            },
            Insn::LdInd { size, k } => match packet_load(packet, x.wrapping_add(k), size) {
                Some(value) => a = value,
                None => return 0,
            },
            Insn::LdxMsh { k } => match packet_load(packet, k, Size::B) {
                Some(value) => x = 4 * (value & 0xf),
                None => return 0,
            },
            Insn::LdExtension(Extension::AluXorX) => a ^= x,
            // A length field in place of an ethertype: ETH_P_802_2.
            Insn::LdExtension(Extension::Protocol) => a = 4,
            Insn::LdExtension(Extension::Mark) => a = 0,
            Insn::LdExtension(Extension::IfIndex) => a = 1,
            Insn::LdExtension(other) => panic!("not generated: {other:?}"),
            Insn::Len(Acc::A) => a = packet.len() as u32,
            Insn::Len(Acc::X) => x = packet.len() as u32,
            Insn::Imm(Acc::A, k) => a = k,
            Insn::Imm(Acc::X, k) => x = k,
            Insn::Load(Acc::A, word) => a = memory[usize::from(word.number())],
            Insn::Load(Acc::X, word) => x = memory[usize::from(word.number())],
            Insn::Store(Acc::A, word) => memory[usize::from(word.number())] = a,
            Insn::Store(Acc::X, word) => memory[usize::from(word.number())] = x,
            Insn::Alu { op: AluOp::Div | AluOp::Mod, src: Src::X } if x == 0 => return 0,
            Insn::Alu { op, src } => {
                a = op.eval(Width::W32, a.into(), value(src, x)) as u32;
            }
            Insn::Neg => a = a.wrapping_neg(),
            Insn::Tax => x = a,
            Insn::Txa => a = x,
            Insn::Jump(skip) => at += skip as usize,
            Insn::Branch { op, src, jt, jf } => {
                let taken = op.eval(Width::W64, a.into(), value(src, x));
                at += usize::from(if taken { jt } else { jf });
            }
            Insn::RetK(k) => return k,
            Insn::RetA => return a,
        }
    }
}

fn value(src: Src, x: u32) -> u64 {
    match src {
        Src::K(k) => k.into(),
        Src::X => x.into(),
    }
}

fn packet_load(packet: &[u8], at: u32, size: Size) -> Option<u32> {
    let start = at as usize;
    let bytes = packet.get(start..start + size.bytes() as usize)?;
    Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}

/// Instructions that are valid by themselves, mostly; the check sorts the rest out.
fn insn() -> impl Strategy<Value = SockFilter> {
    let codes: Vec<u16> = vec![
        0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03,
        0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
        0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d,
        0x06, 0x16, 0x07, 0x87,
    ];
    let extension = [0, 8, 20, 40].map(|offset| Extension::BASE + offset);
    let k = prop_oneof![
        6 => 0..16u32,
        2 => 16..60u32,
        1 => any::<u32>().prop_filter("relative to a header", |k| *k < 0x8000_0000),
        1 => prop::sample::select(vec![0x8000_0000, 0xffff_ffff]),
        1 => prop::sample::select(extension.to_vec()),
    ];
    (prop::sample::select(codes), 0..4u8, 0..4u8, k).prop_map(|(code, jt, jf, k)| {
        // Packet offsets beyond the sign mean headers, whose place is the kernel's business.
        let k = if matches!(code, 0x40 | 0x48 | 0x50 | 0xb1) { k % 70 } else { k };
        SockFilter { code, jt, jf, k }
    })
}

#[test]
fn translated_filters_return_what_classic_ones_do() {
    if !bpf::available() {
        return;
    }
    let ends = [SockFilter { code: 0x16, ..SockFilter::default() }; 5];
    let filters = prop::collection::vec(insn(), 1..14)
        .prop_map(move |body| body.into_iter().chain(ends).collect::<Vec<_>>())
        .prop_filter_map("invalid", |raw| Filter::check(&raw).ok());
    let mut runner = TestRunner::new(Config {
        cases: 1500,
        max_local_rejects: 1_000_000,
        max_global_rejects: 1_000_000,
        failure_persistence: None,
        ..Config::default()
    });
    let nonzero = Cell::new(0);
    runner
        .run(&filters, |filter| {
            let program = encode_all(&filter.to_insns().expect("the generated ones have a form"));
            let verdict = bpf::load(&program, 1);
            let fd = verdict
                .program
                .map_err(|e| TestCaseError::fail(format!("{e}: {}: {filter:?}", verdict.log)))?;
            let ours = interpret(&filter, &bpf::FRAME[14..]);
            prop_assert_eq!(ours, bpf::run(&fd).expect("a loaded program runs"));
            nonzero.set(nonzero.get() + u32::from(ours != 0));
            Ok(())
        })
        .expect("translation keeps the meaning");
    assert!(nonzero.get() > 300, "only {} filters returned something", nonzero.get());
}
