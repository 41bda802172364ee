//! Programs for each thing that compiled code does, compared with the interpreter and with what
//! is expected.

use super::host::{Both, Input};
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Pc;
use ubpf_vm::run::Outcome;

#[track_caller]
fn run(text: &str) -> Result<u64, Trap> {
    Both::new().text(text).result
}

#[test]
fn arithmetic_jumps_and_counting() {
    let sum = "r0 = 0
               r1 = 10
        again: r0 += r1
               r1 -= 1
               if r1 != 0 goto again
               exit";
    assert_eq!(Both::new().text(sum), Outcome { result: Ok(55), insns: 2 + 3 * 10 + 1 });
    assert_eq!(run("w0 = -1\nexit"), Ok(0xffff_ffff));
    assert_eq!(run("r0 = 0x1122334455667788 ll\nr0 = be16 r0\nexit"), Ok(0x8877));
    assert_eq!(run("exit"), Ok(0));
}

#[test]
fn the_budget_is_looked_at_on_the_way_back() {
    let mut both = Both::new();
    let mut spend = |text: &str, budget| both.text_on(text, Input { budget, ..Input::default() });
    let forever = spend("r0 = 1\nspin: goto spin\nexit", 10);
    assert_eq!(forever.result, Err(Trap::new(TrapKind::BudgetExhausted, Pc(1))));
    assert_eq!(forever.insns, 11);
    let straight = "r0 = 1\n".repeat(50) + "exit";
    assert_eq!(spend(&straight, 10), Outcome { result: Ok(1), insns: 51 });
    assert_eq!(spend(&straight, u64::MAX).result, Ok(1));
    // Two ways round, of different length.
    let forked = "r0 = 0
           again: r0 += 1
                  if r0 & 1 goto odd
                  r2 = 1
                  r2 = 2
                  r2 = 3
                  goto again
             odd: goto again";
    for budget in 0..60 {
        let outcome = spend(&(forked.to_owned() + "\nexit"), budget);
        assert_eq!(outcome.result.unwrap_err().kind, TrapKind::BudgetExhausted);
        let call = spend("r0 = 0\nr0 = 1\ncall sub\nexit\nsub: r0 = 2\nexit", budget);
        assert_eq!(call.result.is_ok(), budget >= 3);
    }
}

#[test]
fn the_stack_is_clear_private_and_bounded() {
    assert_eq!(run("*(u64 *)(r10 - 8) = 7\nr0 = *(u32 *)(r10 - 8)\nexit"), Ok(7));
    assert_eq!(run("r2 = r10\nr2 += -512\nr0 = *(u64 *)(r2 + 0)\nexit"), Ok(0));
    let above = run("r0 = *(u8 *)(r10 + 0)\nexit").unwrap_err();
    assert_eq!((above.kind, above.size, above.pc), (TrapKind::LoadFault, 1, Pc(0)));
    let below = run("r2 = r10\n*(u64 *)(r2 - 513) = 1\nexit").unwrap_err();
    assert_eq!((below.kind, below.size, below.pc), (TrapKind::StoreFault, 8, Pc(1)));
    assert!(run("*(u64 *)(r10 - 513) = 1\nexit").is_err());
    let lock = "lock *(u64 *)(r10 - 12) += r1\nexit";
    assert_eq!(run(lock).unwrap_err().kind, TrapKind::Misaligned);
    // Atomics and ordered accesses may reach a caller's frame.
    let caller = "*(u64 *)(r10 - 8) = 5
                  call sub
                  r1 = *(u64 *)(r10 - 8)
                  r0 += r1
                  exit
             sub: r0 = 1
                  lock *(u64 *)(r10 + 1016) += r0
                  exit";
    assert_eq!(run(caller), Ok(7));
    for text in ["r0 = r10\nexit", "r0 = 0\nif r10 > r1 goto +1\nr0 = 1\nexit"] {
        assert!(run(text).is_ok());
    }
}

#[test]
fn accesses_are_checked_to_the_byte() {
    for (off, size) in [(60, 4), (63, 1), (56, 8), (62, 2)] {
        let bits = size * 8;
        assert!(run(&format!("r0 = *(u{bits} *)(r1 + {off})\nexit")).is_ok());
        let trap = run(&format!("r0 = *(u{bits} *)(r1 + {})\nexit", off + 1)).unwrap_err();
        assert_eq!((trap.kind, trap.size), (TrapKind::LoadFault, size));
        assert!(run(&format!("*(u{bits} *)(r1 - 1) = 3\nexit")).is_err());
    }
    assert!(run("r0 = *(u64 *)(r2 + 5)\nexit").is_ok());
    assert!(run("r0 = *(u64 *)(r2 + 6)\nexit").is_err());
    assert!(run("r0 = *(u64 *)(r4 + 0)\n*(u8 *)(r4 + 0) = 1\nexit").is_err());
    assert!(run("r1 <<= 1\nr0 = *(u8 *)(r1 + 0)\nexit").is_err());
    assert_eq!(run("r0 = 0\nr0 = *(u8 *)(r0 + 0)\nexit").unwrap_err().info, 0);
    // Twice through one register to different regions, in a loop.
    let alternate = "r0 = 0
                     r6 = 20
              again: r3 = *(u8 *)(r1 + 0)
                     r0 += r3
                     r3 = r1
                     r1 = r2
                     r2 = r3
                     r6 -= 1
                     if r6 != 0 goto again
                     exit";
    assert_eq!(run(alternate), Ok(20));
}

#[test]
fn helpers_get_arguments_and_traps_name_the_call() {
    assert_eq!(run("r1 = 1\nr2 = 2\nr3 = 3\ncall 100\nexit"), Ok(6));
    let trap = run("r1 = 0\nr2 = 8\ncall 101\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.pc), (TrapKind::StoreFault, Pc(2)));
    let trap = run("r1 = r10\nr2 = 0\ncall 101\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.info), (TrapKind::BadArgument, 101 << 8 | 2));
}

#[test]
fn subprograms_have_their_own_frame_and_preserve_registers() {
    let text = "r6 = 40
                *(u64 *)(r10 - 8) = 2
                r1 = r10
                call sub
                r0 += r6
                exit
           sub: r6 = 99
                *(u64 *)(r10 - 8) = 99
                r0 = *(u64 *)(r1 - 8)
                exit";
    assert_eq!(run(text), Ok(42));
    let trap = run("call sub\nexit\nsub: call sub\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.pc), (TrapKind::CallDepth, Pc(2)));
    assert_eq!(run("r1 = subprog[sub]\ncallx r1\nr0 += 1\nexit\nsub: r0 = 8\nexit"), Ok(9));
    let trap = run("r1 = 5\ncallx r1\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.info), (TrapKind::BadCallTarget, 5));
    // A loop that begins with the function.
    assert_eq!(run("main: r6 += 1\nif r6 < 5 goto main\nr0 = r6\nexit"), Ok(5));
}

#[test]
fn callbacks_share_budget_and_frames() {
    let mut both = Both::new();
    let text = "r1 = 5
                r2 = subprog[body]
                r3 = r10
                r3 += -8
                call 102
                r0 = *(u64 *)(r10 - 8)
                exit
          body: r3 = *(u64 *)(r2 + 0)
                r3 += r1
                *(u64 *)(r2 + 0) = r3
                r0 = 0
                exit";
    assert_eq!(both.text(text), Outcome { result: Ok(10), insns: 7 + 5 * 5 });
    for budget in 0..40 {
        let outcome = both.text_on(text, Input { budget, ..Input::default() });
        assert!(outcome.result.is_ok() || outcome.insns > budget);
    }
    let recursive = "main: r1 = 1\nr2 = subprog[main]\nr3 = 0\ncall 102\nexit";
    assert_eq!(both.text(recursive).result.unwrap_err().kind, TrapKind::CallDepth);
}

#[test]
fn tail_calls_replace_one_frame_thirty_three_times() {
    let mut both = Both::new();
    let call = "r2 = map[fd:0]\nr3 = 0\ncall 12\n";
    assert_eq!(both.text(&format!("r0 = 7\n{call}exit")).result, Ok(7));
    // The callee counts in memory that r1 points to and calls itself.
    both.set_tail(&format!(
        "r6 += 9
         r0 = *(u64 *)(r1 + 0)
         r0 += r6
         *(u64 *)(r1 + 0) = r0
         {call}
         exit"
    ));
    let text = format!(
        "r6 = 3
         *(u64 *)(r1 + 0) = 0
         call sub
         r0 += r6
         exit
    sub: r6 = 2
         {call}
         exit"
    );
    assert_eq!(both.text(&text).result, Ok(33 * 9 + 3));
    // Behind the call it is the caller that traps again.
    both.set_tail("r0 = 0\nexit");
    let text = format!("call sub\nr0 = *(u8 *)(r0 + 0)\nexit\nsub: {call}\nexit");
    assert_eq!(both.text(&text).result.unwrap_err().pc, Pc(1));
    both.set_tail("r0 = 0\nr0 = *(u8 *)(r0 + 0)\nexit");
    assert_eq!(both.text(&text).result.unwrap_err().pc, Pc(1));
    assert_eq!(
        both.text("r2 = 5\nr3 = 0\ncall 12\nexit").result.unwrap_err().kind,
        TrapKind::BadArgument
    );
}

#[test]
fn may_goto_ends_a_loop_after_eight_million() {
    let mut both = Both::new();
    let text = "r0 = 0\nagain: may_goto out\nr0 += 1\ngoto again\nout: exit";
    let input = Input { budget: 1 << 30, ..Input::default() };
    if cfg!(debug_assertions) {
        // The interpreter would take half a minute.
        assert!(both.text(text).result.is_err());
    } else {
        assert_eq!(both.text_on(text, input).result, Ok(8 << 20));
    }
}

#[test]
fn context_stores_and_packet_loads_go_to_the_program_type() {
    assert_eq!(run("*(u32 *)(r3 + 0) = 4\nr0 = *(u32 *)(r3 + 0)\nexit"), Ok(5));
    let trap = run("r0 = 1\n*(u32 *)(r3 + 8) = 4\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.size), (TrapKind::CtxAccess, 4));
    assert_eq!(run("r6 = r1\nr0 = *(u8 *)skb[2]\nexit"), Ok(12));
    assert_eq!(run("r6 = r1\nr7 = 1\nr0 = *(u8 *)skb[r7 + 1]\nexit"), Ok(12));
    assert_eq!(run("r6 = r1\nr0 = 5\nr0 = *(u8 *)skb[4]\nr0 = 1\nexit"), Ok(0));
}

#[test]
fn panics_of_helpers_go_past_compiled_code() {
    let panics = |text: &str| {
        let mut both = Both::new();
        let run = std::panic::AssertUnwindSafe(|| both.jit_alone(text));
        let payload = std::panic::catch_unwind(run).expect_err("the helper panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a helper broke"));
    };
    panics("r6 = 1\ncall 103\nexit");
    panics("r1 = 5\nr2 = subprog[body]\nr3 = 0\ncall 102\nexit\nbody: call 103\nexit");
}

#[test]
fn constant_divisors_divide_like_any() {
    let mut both = Both::new();
    let divisors = (1..66).chain([-1, -2, -7, 97, 641, 1000, 65537, 1 << 30, i32::MAX, i32::MIN]);
    let numbers = (0..20_u64)
        .flat_map(|n| [n, n.wrapping_neg(), (1 << 32) - n, (1 << 32) + n, (1 << 63) - n])
        .chain([0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210]);
    let numbers: Vec<u64> = numbers.collect();
    for divisor in divisors {
        // Each result in a register of its own, those that the machine divides in among them.
        let text = format!(
            "r0 = *(u64 *)(r1 + 0)
             r3 = r0
             r4 = r0
             r5 = r0
             r0 /= {divisor}
             r3 %= {divisor}
             w4 /= {divisor}
             w5 %= {divisor}
             *(u64 *)(r1 + 8) = r0
             *(u64 *)(r1 + 16) = r3
             *(u64 *)(r1 + 24) = r4
             *(u64 *)(r1 + 32) = r5
             exit"
        );
        let inputs: Vec<Input> = numbers.iter().map(|number| with_word(*number)).collect();
        let slots = ubpf_isa::assemble(&text).expect("assembles");
        for (seen, number) in both.run(&slots, &inputs).expect("lowers").iter().zip(&numbers) {
            let wide = i64::from(divisor).cast_unsigned();
            assert_eq!(seen.outcome.result, Ok(number / wide), "{number} / {divisor}");
        }
    }
}

fn with_word(word: u64) -> Input {
    let mut input = Input::default();
    input.memory[..8].copy_from_slice(&word.to_le_bytes());
    input
}
