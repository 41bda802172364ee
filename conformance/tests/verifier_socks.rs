//! Loads from sockets: every offset and size in every kind of socket, against the kernel.

use std::sync::Arc;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_conformance::kernel::{KernelWorld, LogLevel};
use ubpf_conformance::skip_without_kernel;
use ubpf_isa::asm::assemble;
use ubpf_verifier::{Options, verify};

/// How to come from `ctx->sk` in `r0` to a socket of some kind in `r0`, and where its fields end.
const KINDS: [(&str, &str, i16); 3] = [
    ("sock_common", "", 88),
    ("sock", "r1 = r0\ncall 95\nif r0 == 0 goto out\n", 88),
    ("tcp_sock", "r1 = r0\ncall 96\nif r0 == 0 goto out\n", 124),
];

#[test]
fn sockets_have_the_fields_that_the_kernel_shows() {
    skip_without_kernel!();
    let world = KernelWorld::create(&[], None).expect("there are no maps to make");
    let platform = ubpf_helpers::linux();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (kind, convert, end) in KINDS {
        for (size, off) in
            ["u8", "u16", "u32", "u64"].iter().flat_map(|s| (0..end).map(move |o| (s, o)))
        {
            let text = format!(
                "r0 = *(u64 *)(r1 + 168)\nif r0 == 0 goto out\n{convert}\
                 r0 = *({size} *)(r0 + {off})\nout:\nr0 = 0\nexit"
            );
            let slots = assemble(&text).expect("it is assembler text");
            let program = Arc::new(Program::from_slots(ProgType::SchedCls, slots));
            let kernel = world.load(&program, LogLevel::None).is_ok();
            let ours = verify(&program, &platform, &Options::default()).verdict;
            compared += 1;
            if kernel != ours.is_ok() {
                wrong.push(format!("{kind} {size} at {off}: kernel {kernel}, {:?}", ours.err()));
            }
        }
    }
    assert!(compared > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}
