//! Random calls of the helpers that change packets, one after the other, on the kernel and on
//! ubpf: what they return and what they leave must be the same.

use std::fmt::Write;
use std::sync::Arc;
use ubpf::abi::Errno;
use ubpf::abi::object::{Function, Object, SectionInfo};
use ubpf::abi::prog_type::ProgType;
use ubpf::isa::Slot;
use ubpf::isa::asm::assemble;
use ubpf::{Engine, Input, Instance};
use ubpf_conformance::emulated::engine_like_this_machine;
use ubpf_conformance::kernel::{Loaded, LogLevel, ProgLoad, TestInput, pin_to_cpu_0};
use ubpf_conformance::random::Random;
use ubpf_conformance::{packets, skip_without_kernel};

/// Programs, each run on every packet of the corpus that its type takes.
const PROGRAMS: u64 = 400;
/// None, `lo`, and one that does not exist.
const DEVICES: [u64; 3] = [0, 1, 12_345];
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
    let args: Vec<_> = args.iter().map(|arg| Arg::Number(*arg)).collect();
    call_with(text, helper, &args);
}

/// What a helper is handed behind the context.
#[derive(Clone, Copy)]
enum Arg {
    Number(u64),
    /// The buffer on the stack.
    Buffer,
}

/// Bytes of the buffer on the stack.
const BUFFER_BYTES: usize = 64;

fn call_with(text: &mut String, helper: u32, args: &[Arg]) {
    let _ = writeln!(text, "r1 = r6");
    for (reg, arg) in (2..).zip(args) {
        let _ = match arg {
            Arg::Number(number) => writeln!(text, "r{reg} = {number:#x} ll"),
            Arg::Buffer => writeln!(text, "r{reg} = r10\nr{reg} += -{BUFFER_BYTES}"),
        };
    }
    let _ = writeln!(text, "call {helper}\nr7 *= 31\nr7 += r0");
}

/// Mixes a word of the buffer into r7.
fn see_buffer(random: &mut Random, text: &mut String) {
    let off = 8 * below(random, BUFFER_BYTES / 8) as usize;
    let _ = writeln!(text, "r0 = *(u64 *)(r10 - {})\nr7 *= 31\nr7 += r0", BUFFER_BYTES - off);
}

/// Fills the buffer.
fn fill_buffer(random: &mut Random, text: &mut String) {
    for off in (0..BUFFER_BYTES).step_by(8) {
        let word = random.next();
        let at = BUFFER_BYTES - off;
        let _ = writeln!(text, "r0 = {word:#x} ll\n*(u64 *)(r10 - {at}) = r0");
    }
}

/// Loads a field of the context and mixes it into r7.
fn see_field(random: &mut Random, text: &mut String) {
    // len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority,
    // tc_index, cb, gso_segs, gso_size
    const FIELDS: [u32; 17] = [0, 4, 8, 12, 16, 20, 24, 28, 32, 44, 48, 52, 56, 60, 64, 164, 176];
    let off = random.pick(&FIELDS);
    let _ = writeln!(text, "r0 = *(u32 *)(r6 + {off})\nr7 *= 31\nr7 += r0");
}

fn frame_calls(random: &mut Random, text: &mut String, calls: u32) {
    let near = |random: &mut Random| (below(random, 120).cast_signed() - 60).cast_unsigned();
    for _ in 0..calls {
        match below(random, 9) {
            0 | 1 => call(text, 44, &[near(random)]),
            2 => call(text, 54, &[near(random) & !3]),
            3 | 4 => call(text, 65, &[near(random)]),
            5 => {
                let args =
                    [Arg::Number(len(random)), Arg::Buffer, Arg::Number(1 + below(random, 64))];
                call_with(text, 189, &args);
                see_buffer(random, text);
            }
            6 => {
                let off = if below(random, 4) == 0 { 3500 + len(random) } else { len(random) };
                let args = [Arg::Number(off), Arg::Buffer, Arg::Number(1 + below(random, 64))];
                call_with(text, 190, &args);
            }
            7 => {
                let _ = writeln!(text, "r0 = {}\n*(u64 *)(r10 - 64) = r0", len(random));
                let by = near(random);
                let args = [
                    Arg::Number(random.pick(&DEVICES)),
                    Arg::Buffer,
                    Arg::Number(by),
                    Arg::Number(0),
                ];
                call_with(text, 163, &args);
                see_buffer(random, text);
            }
            _ => call(text, 188, &[]),
        }
    }
}

fn skb_calls(random: &mut Random, text: &mut String, calls: u32) {
    const PROTOCOLS: [u64; 5] = [0x8100, 0x88a8, 0x0800, 0x86dd, 0];
    let swapped = |protocol: u64| u64::from((protocol as u16).swap_bytes());
    for _ in 0..calls {
        if below(random, 3) == 0 {
            see_field(random, text);
        }
        match below(random, 28) {
            12 | 13 => {
                let flags = below(random, 4);
                let size = Arg::Number(1 + below(random, 64));
                let args = [Arg::Number(len(random)), Arg::Buffer, size, Arg::Number(flags)];
                call_with(text, 9, &args);
            }
            14 => {
                let args =
                    [Arg::Number(len(random)), Arg::Buffer, Arg::Number(1 + below(random, 64))];
                call_with(text, 26, &args);
                see_buffer(random, text);
            }
            15 => {
                let size = Arg::Number(1 + below(random, 16));
                let header = Arg::Number(below(random, 3));
                // Far behind the packet's start lies what was there before.
                let args = [Arg::Number(below(random, 20)), Arg::Buffer, size, header];
                call_with(text, 68, &args);
                see_buffer(random, text);
            }
            16 => {
                let flags =
                    random.pick(&[0, 2, 4]) | random.pick(&[0, 1 << 4, 1 << 5, 3 << 5, 1 << 7]);
                call(text, 11, &[len(random), below(random, 2) * 7, below(random, 1 << 32), flags]);
            }
            17 => call(text, 40, &[below(random, 1 << 32)]),
            18 => call(text, 135, &[below(random, 5)]),
            19 => call(text, 48, &[below(random, 1 << 32)]),
            20 => call(text, 41, &[]),
            21 => call(text, 32, &[below(random, 6)]),
            22 => call(text, 13, &[random.pick(&DEVICES), below(random, 3)]),
            23 => call(text, 192, &[below(random, 1 << 20), below(random, 4)]),
            24 => {
                let flags = random.pick(&[0, 1, 2, 4, 8, 16, 32]);
                let size = Arg::Number(random.pick(&[8, 22, 24, 28, 44, 20]));
                let _ = writeln!(text, "r0 = 0\n*(u32 *)(r10 - 40) = r0\n*(u16 *)(r10 - 42) = r0");
                call_with(text, 21, &[Arg::Buffer, size, Arg::Number(flags)]);
            }
            25 => {
                let flags = random.pick(&[0, 1, 16, 17, 32]);
                let size = Arg::Number(random.pick(&[8, 22, 24, 28, 44, 20]));
                call_with(text, 20, &[Arg::Buffer, size, Arg::Number(flags)]);
                see_buffer(random, text);
            }
            26 => {
                let _ = writeln!(text, "r0 = {}\n*(u64 *)(r10 - 64) = r0", len(random));
                let by = (below(random, 120).cast_signed() - 60).cast_unsigned();
                let args = [
                    Arg::Number(random.pick(&DEVICES)),
                    Arg::Buffer,
                    Arg::Number(by),
                    Arg::Number(below(random, 3)),
                ];
                call_with(text, 163, &args);
                see_buffer(random, text);
            }
            27 => {
                let field = random.pick(&[8_u32, 12, 32, 44, 48, 56, 72]);
                let value = random.operand() as u32;
                let _ = writeln!(text, "r0 = {value:#x} ll\n*(u32 *)(r6 + {field}) = r0");
            }
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

/// The text of a program that makes so many random calls, and its code. Of two with the same seed,
/// the longer one begins as the shorter one does.
fn program(prog_type: ProgType, seed: u64, calls: u32) -> (String, Vec<Slot>) {
    let mut random = Random::new(seed);
    let mut text = String::from("r6 = r1\nr7 = 0\n");
    fill_buffer(&mut random, &mut text);
    match prog_type {
        ProgType::Xdp => frame_calls(&mut random, &mut text, calls),
        _ => skb_calls(&mut random, &mut text, calls),
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

/// Room for a context afterwards.
const CTX_BYTES: usize = 256;

/// Every other time, a context that test-run takes or nearly takes.
fn context(random: &mut Random, prog_type: ProgType, len: usize) -> Option<Vec<u8>> {
    /// Words of `struct __sk_buff` that may be set: mark, priority, the device it came from, cb,
    /// time, length on the wire, segments and their size.
    const SETTABLE: [usize; 14] = [8, 32, 36, 48, 52, 56, 60, 64, 152, 156, 160, 164, 176, 184];
    if below(random, 2) == 0 {
        return None;
    }
    let mut ctx = vec![0; if prog_type == ProgType::Xdp { 24 } else { 192 }];
    let mut set = |at: usize, value: u32| {
        ctx[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    if prog_type == ProgType::Xdp {
        let meta = random.pick(&[0, 4, 8, 32, 216, 220, 3]);
        set(0, meta);
        set(4, len as u32 - random.pick(&[0, 0, 0, 1, 20]).min(len as u32));
        set(12, random.pick(&[0, 1, 1, 7]));
        return Some(ctx);
    }
    for _ in 0..below(random, 5) {
        let at = random.pick(&SETTABLE);
        let value = match at {
            36 => random.pick(&[0, 1, 1, 7]),
            160 => random.pick(&[0, len as u32, 5000, 65536, 65537]),
            164 => random.pick(&[0, 1, 9, 70_000]),
            176 => random.pick(&[0, 0, 0, 100]),
            _ => random.operand() as u32,
        };
        set(at, value);
    }
    Some(ctx)
}

/// A result of test-run: what was returned, the packet, and the context where one was given.
type Ran = Result<(u32, Vec<u8>, Vec<u8>), Errno>;

/// A program on the kernel and on ubpf.
struct Sides {
    text: String,
    kernel: Loaded,
    ubpf: Instance,
}

impl Sides {
    fn new(engine: &Engine, prog_type: ProgType, seed: u64, calls: u32) -> Self {
        let (text, slots) = program(prog_type, seed, calls);
        let spec = ProgLoad {
            prog_type: prog_type.id(),
            license: "GPL",
            slots: &slots,
            ..ProgLoad::default()
        };
        let kernel = Loaded::load(&spec, LogLevel::Brief).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let module = engine.prepare(&object(prog_type, &slots), "calls").expect("it links");
        let ubpf = engine.instantiate(&module).expect("ubpf takes it");
        Self { text, kernel, ubpf }
    }

    /// Runs both; the kernel's result, and ubpf's.
    fn run(&mut self, data: &[u8], given: Option<&[u8]>) -> [Ran; 2] {
        let input = TestInput {
            data,
            data_out_bytes: data.len() + ROOM_BYTES,
            ctx: given.unwrap_or_default(),
            ctx_out_bytes: given.map_or(0, |_| CTX_BYTES),
            repeat: 1,
            ..TestInput::default()
        };
        let known = |ctx: Vec<u8>| if given.is_some() { ctx } else { Vec::new() };
        let kernel = self.kernel.test_run(&input);
        let kernel = kernel.map(|out| (out.retval, out.data, known(out.ctx)));
        let input =
            Input { data: data.to_vec(), ctx: given.map(<[u8]>::to_vec), ..Input::default() };
        let ubpf = match self.ubpf.run(&input) {
            Ok(ran) => {
                let (data, ctx) = (ran.output.data, ran.output.ctx);
                Ok((ran.output.retval, data.unwrap_or_default(), ctx.unwrap_or_default()))
            }
            Err(ubpf::RunError::Input(refused)) => Err(refused.errno),
            Err(trapped) => panic!("{trapped}\n{}", self.text),
        };
        [kernel, ubpf]
    }
}

/// The shortest beginning of a program that differs on a packet, by its last instructions.
fn first_difference(
    engine: &Engine,
    prog_type: ProgType,
    seed: u64,
    data: &[u8],
    given: Option<&[u8]>,
) -> String {
    const SHOWN: usize = 14;
    for calls in 0..=CALLS {
        let mut sides = Sides::new(engine, prog_type, seed, calls);
        let [kernel, ubpf] = sides.run(data, given);
        if kernel != ubpf {
            let lines: Vec<_> = sides.text.lines().collect();
            let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
            return format!("call {calls}, which ends\n{last}\n{kernel:02x?}\n{ubpf:02x?}");
        }
    }
    "none by itself".to_owned()
}

#[test]
fn random_calls_do_what_they_do_in_the_kernel() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let (mut compared, mut wrong) = (0, Vec::new());
    for seed in 0..PROGRAMS {
        let prog_type = if seed % 4 == 0 { ProgType::Xdp } else { ProgType::SchedCls };
        let mut sides = Sides::new(&engine, prog_type, seed, CALLS);
        let mut random = Random::new(!seed);
        for packet in packets::corpus() {
            let given = context(&mut random, prog_type, packet.bytes.len());
            let [kernel, ubpf] = sides.run(&packet.bytes, given.as_deref());
            compared += 1;
            if kernel != ubpf {
                let first =
                    first_difference(&engine, prog_type, seed, &packet.bytes, given.as_deref());
                let with = given.map_or(String::new(), |ctx| format!(" with {ctx:02x?}"));
                wrong.push(format!("seed {seed} on {}{with}: {first}", packet.name));
                break;
            }
        }
    }
    println!("{compared} runs compared");
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}
