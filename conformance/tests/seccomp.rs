//! Which filters of system calls are valid, against the kernel's check. In a file of its own because
//! the check is asked while the process may have no descriptors.

use ubpf_conformance::kernel::classic::check_seccomp;
use ubpf_conformance::random::Random;
use ubpf_isa::cbpf::{Filter, SockFilter};

const ALLOW: SockFilter = SockFilter::new(0x06, 0, 0, 0x7fff_0000);

fn ours(insns: &[SockFilter]) -> bool {
    Filter::check(insns).is_ok_and(|filter| filter.check_seccomp().is_ok())
}

#[test]
fn valid_filters_of_system_calls_are_those_of_the_kernel() {
    if let Err(errno) = check_seccomp(&[ALLOW]) {
        eprintln!("SKIPPED: seccomp answers {errno} to a valid filter");
        return;
    }
    let (mut compared, mut valid) = (0, 0);
    let mut compare = |insns: &[SockFilter]| {
        let (ours, kernel) = (ours(insns), check_seccomp(insns).is_ok());
        assert_eq!(ours, kernel, "{insns:x?}");
        compared += 1;
        valid += u32::from(kernel);
    };
    // Every code with constants around each limit.
    for code in 0..=0x1ff {
        for k in [0, 1, 2, 4, 15, 16, 31, 32, 60, 63, 64, 65, 0xffff_f000, 0xffff_f014, u32::MAX] {
            compare(&[SockFilter::new(0x02, 0, 0, 0), SockFilter::new(code, 0, 0, k), ALLOW]);
        }
    }
    let mut random = Random::new(0x5ecc);
    for _ in 0..20_000 {
        let mut insns: Vec<SockFilter> = (0..random.below(8)).map(|_| insn(&mut random)).collect();
        insns.push(ALLOW);
        compare(&insns);
    }
    println!("{compared} filters of system calls compared, {valid} of them valid");
    assert!(valid > 1000 && compared - valid > 1000);
}

fn insn(random: &mut Random) -> SockFilter {
    const CODES: [u16; 24] = [
        0x20, 0x20, 0x20, 0x28, 0x40, 0x80, 0x81, 0x00, 0x60, 0x61, 0x02, 0x03, 0x04, 0x1c, 0x34,
        0x54, 0x64, 0x84, 0x94, 0x05, 0x15, 0x35, 0x06, 0x16,
    ];
    let code = CODES[random.below(CODES.len())];
    let k = match random.below(4) {
        0 => random.below(16) as u32 * 4,
        1 => random.below(8) as u32,
        _ => random.below(80) as u32,
    };
    SockFilter::new(code, random.below(3) as u8, random.below(3) as u8, k)
}
