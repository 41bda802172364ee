use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Symbols, assemble, assemble_with};
use crate::disasm::disassemble;

/// What a program means, in the one spelling of the disassembler.
fn meaning(text: &str) -> String {
    disassemble(&assemble(text).unwrap_or_else(|e| panic!("{text}: {e}"))).expect("assembled")
}

/// Asserts that each pair of lines means the same.
fn same(pairs: &[(&str, &str)]) {
    for (written, canonical) in pairs {
        assert_eq!(meaning(written).trim_end(), *canonical, "{written}");
    }
}

fn error(text: &str) -> String {
    assemble(text).expect_err(text).to_string()
}

#[test]
fn llvm_forms() {
    same(&[
        ("r1 = *(u32 *)(r2 + 4)", "r1 = *(u32 *)(r2 +4)"),
        ("w1 = *(u32 *)(r2 - 0x4)", "r1 = *(u32 *)(r2 -4)"),
        ("*(u8 *)(r10 - 1) = w3", "*(u8 *)(r10 -1) = r3"),
        ("*(u64 *)(r10 - 8) = -0x1", "*(u64 *)(r10 -8) = -1"),
        ("if r1 == 0x5 goto +3 <main+0x28>", "if r1 == 0x5 goto pc+3"),
        ("if w1 s< -1 goto +0x3", "if w1 s< 0xffffffff goto pc+3"),
        ("lock *(u64 *)(r1 + 0) += r2", "lock *(u64 *)(r1 +0) += r2"),
        ("lock *(u32 *)(r1 + 4) |= w2", "lock *(u32 *)(r1 +4) |= r2"),
        (
            "r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)",
            "r0 = atomic64_fetch_add((u64 *)(r1 +0), r0)",
        ),
        ("w2 = atomic_fetch_xor((u32 *)(r1 + 0), w2)", "r2 = atomic_fetch_xor((u32 *)(r1 +0), r2)"),
        ("r2 = xchg_64(r1 + 8, r2)", "r2 = atomic64_xchg((u64 *)(r1 +8), r2)"),
        ("w0 = cmpxchg32_32(r1 + 0, w0, w3)", "r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r3)"),
        ("r1 = 0x1122334455667788 ll", "r1 = 0x1122334455667788 ll"),
        ("r1 = -1 ll", "r1 = 0xffffffffffffffff ll"),
        ("r1 = 0xffffffff", "r1 = -1"),
        ("r1 = 0x100000000", "r1 = 0x100000000 ll"),
        ("gotol +70000", "gotol pc+70000"),
        ("r1 = bswap16 r1", "r1 = bswap16 r1"),
        ("r0 = *(u16 *)skb[r1]", "r0 = *(u16 *)skb[r1 + 0]"),
        ("w1 = load_acquire((u8 *)(r2 + 1))", "r1 = load_acquire((u8 *)(r2 +1))"),
        ("store_release((u16 *)(r1 - 2), w2)", "store_release((u16 *)(r1 -2), r2)"),
        ("r1 = addr_space_cast(r2, 0x1, 0x0)", "r1 = addr_space_cast(r2, 1, 0)"),
        ("may_goto +1", "may_goto pc+1"),
        ("call 0x1", "call 1"),
        ("callx r3", "callx r3"),
    ]);
}

#[test]
fn log_forms() {
    same(&[
        ("(18) r1 = 0x5", "r1 = 0x5 ll"),
        ("7: (b7) r1 = 5   ; R1=5", "r1 = 5"),
        ("call bpf_map_lookup_elem#1", "call 1"),
        ("call kfunc#77@2", "call kfunc#77@2"),
        ("r0 = *(u8 *)skb[r3 + -4096]", "r0 = *(u8 *)skb[r3 + -4096]"),
    ]);
}

#[test]
fn mnemonic_forms() {
    same(&[
        ("mov %r0, 1", "r0 = 1"),
        ("mov32 r0, -1", "w0 = -1"),
        ("mov32 %r0, %r1", "w0 = w1"),
        ("mov %w0, %w1", "r0 = r1"),
        ("add64 %r0, 0xffffffff", "r0 += -1"),
        ("sdiv32 %r0, %r1", "w0 s/= w1"),
        ("smod %r0, -3", "r0 s%= -3"),
        ("arsh32 %r0, 3", "w0 s>>= 3"),
        ("neg32 %r1", "w1 = -w1"),
        ("ldxw %r0, [%r1+4]", "r0 = *(u32 *)(r1 +4)"),
        ("ldxsw %r0, [%r1-4]", "r0 = *(s32 *)(r1 -4)"),
        ("stxdw [%r10-8], %r1", "*(u64 *)(r10 -8) = r1"),
        ("stb [%r1], 5", "*(u8 *)(r1 +0) = 5"),
        ("stw [r1], 0x88776655", "*(u32 *)(r1 +0) = -2005440939"),
        ("lddw %r1, 0x1122334455667788", "r1 = 0x1122334455667788 ll"),
        ("lddw %r1, map_by_fd(3)", "r1 = map[fd:3]"),
        ("ja +1", "goto pc+1"),
        ("ja32 -1", "gotol pc-1"),
        ("jeq %r1, 3, +2", "if r1 == 0x3 goto pc+2"),
        ("jsle32 %r1, %r2, -2", "if w1 s<= w2 goto pc-2"),
        ("jset %r1, 8, +0", "if r1 & 0x8 goto pc+0"),
        ("be16 %r0", "r0 = be16 r0"),
        ("le64 %r0", "r0 = le64 r0"),
        ("swap32 %r0", "r0 = bswap32 r0"),
        ("bswap64 %r0", "r0 = bswap64 r0"),
        ("movsx832 %r0, %r1", "w0 = (s8)w1"),
        ("movsx1664 %r0, %r1", "r0 = (s16)r1"),
        ("movsx3264 %r0, %r1", "r0 = (s32)r1"),
        ("lock add [%r10-8], %r1", "lock *(u64 *)(r10 -8) += r1"),
        ("lock fetch add32 [%r10-8], %r1", "r1 = atomic_fetch_add((u32 *)(r10 -8), r1)"),
        ("lock fetch_and [%r10-8], %r1", "r1 = atomic64_fetch_and((u64 *)(r10 -8), r1)"),
        ("lock xchg [%r1], %r2", "r2 = atomic64_xchg((u64 *)(r1 +0), r2)"),
        ("lock cmpxchg32 [%r1], %r2", "r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)"),
        ("ldabsb 14", "r0 = *(u8 *)skb[14]"),
        ("ldindh %r7, 2", "r0 = *(u16 *)skb[r7 + 2]"),
        ("call helper 5", "call 5"),
        ("call runtime 6", "call kfunc#6"),
        ("call %r2", "callx r2"),
    ]);
}

#[test]
fn labels_count_slots_over_wide_loads() {
    let program = "
        start:  lddw %r1, 7          # two slots
                jeq %r1, 3, out
                r2 = subprog[fun]
                call local fun
                goto start
        out:    exit
        fun:    gotol fun";
    let expected = "r1 = 0x7 ll\nif r1 == 0x3 goto pc+4\nr2 = subprog[+4]\ncall pc+2\n\
                    goto pc-7\nexit\ngotol pc-1\n";
    assert_eq!(meaning(program), expected);
}

#[test]
fn the_first_exit_is_a_label_unless_one_is_defined() {
    assert_eq!(meaning("ja exit\nmov %r0, 1\nexit\nexit"), "goto pc+1\nr0 = 1\nexit\nexit\n");
    assert_eq!(meaning("ja exit\nexit\nexit: exit"), "goto pc+1\nexit\nexit\n");
}

#[test]
fn a_far_goto_grows_and_a_far_branch_is_refused() {
    let filler = "r0 = 0\n".repeat(33_000);
    let far = |first: &str| alloc::format!("{first}\n{filler}out: exit");
    assert!(meaning(&far("goto out")).starts_with("gotol pc+33000\n"));
    assert_eq!(
        error(&far("if r0 == 0 goto out")),
        "1:17: label `out` is 33000 slots away, out of reach"
    );
}

#[test]
fn symbols_stand_for_helpers_and_maps() {
    struct Known;
    impl Symbols for Known {
        fn helper(&self, name: &str) -> Option<u32> {
            (name == "bpf_map_lookup_elem").then_some(1)
        }
        fn map_fd(&self, name: &str) -> Option<i32> {
            (name == "counters").then_some(9)
        }
    }
    let program = "lddw r1, map_by_fd(counters)\ncall bpf_map_lookup_elem";
    let slots = assemble_with(program, &Known).expect("all names are known");
    assert_eq!(disassemble(&slots).expect("assembled"), "r1 = map[fd:9]\ncall 1\n");
    assert_eq!(error(program), "1:20: nothing is called `counters`");
    let slots = assemble_with("r1 = map[fd:counters][0]+8", &Known).expect("the name is known");
    assert_eq!(disassemble(&slots).expect("assembled"), "r1 = map[fd:9][0]+8\n");
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        ("r1 = r2 r3", "1:9: expected the end of the line, found `r3`"),
        ("r0 = 0\n  frob %r1", "2:3: unknown mnemonic `frob`"),
        ("r1 = w2", "1:6: expected a value, found `w2`"),
        ("r1 += w2", "1:7: expected a 64-bit register, found `w2`"),
        ("w1 = (s32)w2", "1:7: expected a signed type narrower than the register, found `s32`"),
        ("r1 = *(u32 *)(r2 + 32768)", "1:18: 32768 does not fit into the 16-bit offset"),
        ("r1 += 0x100000000", "1:7: 4294967296 does not fit into the 32-bit immediate"),
        ("goto nowhere", "1:6: nothing is called `nowhere`"),
        ("a: a: exit", "1:4: label `a` is defined twice"),
        ("if r1 = 5 goto +1", "1:7: expected a comparison, found `=`"),
        ("jeq %r1, 3", "1:11: expected `,`, found the end of the line"),
        (
            "lock *(u8 *)(r1 +0) += r2",
            "1:21: expected u32 or u64 in an atomic operation, found `+=`",
        ),
        ("r1 = be16 r2", "1:11: expected the register on the left, found `r2`"),
        ("r2 = atomic_xchg((u32 *)(r1 +0), r3)", "1:34: expected r2, found `r3`"),
        ("r0 = cmpxchg_64(r1 + 8, r1, r2)", "1:25: expected r0, found `r1`"),
        ("mov %r11, 1", "1:5: expected a register, found `%`"),
        ("r1 = 0xfg", "1:6: expected a number, found `0xfg`"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn comments_and_blank_lines_are_nothing() {
    assert_eq!(assemble("\n ; a\n# b\n // c\n#5\n"), Ok(Vec::new()));
    assert_eq!(meaning("exit # 5"), "exit\n");
}
