//! Random calls of the helpers that change packets, one after the other, on the kernel and on
//! ubpf: what they return and what they leave must be the same.

use std::fmt::Write;
use std::sync::Arc;
use ubpf::Input;
use ubpf::abi::object::{Function, Object, SectionInfo};
use ubpf::abi::prog_type::ProgType;
use ubpf::isa::Slot;
use ubpf::isa::asm::assemble;
use ubpf_conformance::emulated::engine_like_this_machine;
use ubpf_conformance::kernel::{Loaded, LogLevel, ProgLoad, TestInput, pin_to_cpu_0};
use ubpf_conformance::random::Random;
use ubpf_conformance::{packets, skip_without_kernel};

/// Programs, each run on every packet of the corpus that its type takes.
const PROGRAMS: u64 = 150;
/// Calls in a program.
const CALLS: u32 = 12;
/// What packets are cut to at least. Room that is made behind a packet's end shows what happened
/// to be in the kernel's memory there; this leaves no headers behind the end.
const MIN_LEN: u64 = 250;
/// What packets may grow by.
const ROOM_BYTES: usize = 1 << 14;

/// A length that is often in the middle of something.
fn len(random: &mut Random) -> u64 {
    let edge = random.pick(&[0, 1, 2, 4, 8, 12, 14, 18, 20, 28, 34, 40, 54, 60, 100, 1000]);
    edge + below(random, 3)
}

fn below(random: &mut Random, limit: usize) -> u64 {
    random.below(limit) as u64
}

/// Calls `helper` with the context and `args`, and mixes what it returns into r7.
fn call(text: &mut String, helper: u32, args: &[u64]) {
    let _ = writeln!(text, "r1 = r6");
    for (reg, arg) in (2..).zip(args) {
        let _ = writeln!(text, "r{reg} = {arg:#x} ll");
    }
    let _ = writeln!(text, "call {helper}\nr7 *= 31\nr7 += r0");
}

fn frame_calls(random: &mut Random, text: &mut String) {
    let near = |random: &mut Random| (below(random, 120).cast_signed() - 60).cast_unsigned();
    for _ in 0..CALLS {
        match below(random, 4) {
            0 => call(text, 44, &[near(random)]),
            1 => call(text, 54, &[near(random) & !3]),
            2 => call(text, 65, &[near(random)]),
            _ => call(text, 188, &[]),
        }
    }
}

fn skb_calls(random: &mut Random, text: &mut String) {
    const PROTOCOLS: [u64; 5] = [0x8100, 0x88a8, 0x0800, 0x86dd, 0];
    let swapped = |protocol: u64| u64::from((protocol as u16).swap_bytes());
    for _ in 0..CALLS {
        match below(random, 12) {
            0 => call(text, 38, &[MIN_LEN + len(random), 0]),
            1 => call(text, 43, &[len(random) % 16, 0]),
            2 | 3 => {
                let len = (len(random) % 64).cast_signed();
                let len = if below(random, 2) == 0 { len } else { -len };
                let flags = if below(random, 2) == 0 { 0 } else { below(random, 1 << 9) };
                call(text, 50, &[len.cast_unsigned(), below(random, 2), flags]);
            }
            4 | 5 => {
                let protocol = swapped(random.pick(&PROTOCOLS));
                call(text, 18, &[protocol, below(random, 1 << 16)]);
            }
            6 | 7 => call(text, 19, &[]),
            8 => call(text, 31, &[swapped(random.pick(&PROTOCOLS)), 0]),
            9 => call(text, 10, &[len(random), below(random, 1 << 32), 7, random.pick(&[2, 4])]),
            10 => call(text, 39, &[len(random)]),
            _ => call(text, 97, &[]),
        }
    }
}

/// The text of a program that makes random calls, and its code.
fn program(prog_type: ProgType, seed: u64) -> (String, Vec<Slot>) {
    let mut random = Random::new(seed);
    let mut text = String::from("r6 = r1\nr7 = 0\n");
    match prog_type {
        ProgType::Xdp => frame_calls(&mut random, &mut text),
        _ => skb_calls(&mut random, &mut text),
    }
    text.push_str("r0 = r7\nexit\n");
    let slots = assemble(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (text, slots)
}

/// An object that holds one program and nothing else.
fn object(prog_type: ProgType, slots: &[Slot]) -> Arc<Object> {
    let entry = SectionInfo { prog_type: Some(prog_type), ..SectionInfo::default() };
    let function = Function {
        name: "calls".into(),
        section: prog_type.name().into(),
        entry: Some(entry),
        global: true,
        slots: slots.to_vec(),
        classic: None,
        refs: Vec::new(),
        lines: Vec::new(),
        btf_func: None,
        failed_relos: Vec::new(),
    };
    Arc::new(Object { functions: vec![function], ..Object::default() })
}

#[test]
fn random_calls_do_what_they_do_in_the_kernel() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let (mut compared, mut wrong) = (0, Vec::new());
    for seed in 0..PROGRAMS {
        let prog_type = if seed % 4 == 0 { ProgType::Xdp } else { ProgType::SchedCls };
        let (text, slots) = program(prog_type, seed);
        let spec = ProgLoad {
            prog_type: prog_type.id(),
            license: "GPL",
            slots: &slots,
            ..ProgLoad::default()
        };
        let kernel = Loaded::load(&spec, LogLevel::Brief).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let module = engine.prepare(&object(prog_type, &slots), "calls").expect("it links");
        let mut ubpf = engine.instantiate(&module).expect("ubpf takes it");
        for packet in packets::corpus() {
            let data = &packet.bytes;
            let data_out_bytes = data.len() + ROOM_BYTES;
            let input = TestInput { data, data_out_bytes, repeat: 1, ..TestInput::default() };
            let expected = kernel.test_run(&input).map(|out| (out.retval, out.data));
            let input = Input { data: data.clone(), ..Input::default() };
            let actual = match ubpf.run(&input) {
                Ok(ran) => Ok((ran.output.retval, ran.output.data.unwrap_or_default())),
                Err(ubpf::RunError::Input(refused)) => Err(refused.errno),
                Err(trapped) => panic!("{trapped}\n{text}"),
            };
            compared += 1;
            if expected != actual {
                let sides = format!("kernel {expected:02x?}\nubpf   {actual:02x?}");
                wrong.push(format!("seed {seed} on {}:\n{text}{sides}", packet.name));
                break;
            }
        }
    }
    println!("{compared} runs compared");
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}
