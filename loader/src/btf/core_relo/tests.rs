use super::*;
use ubpf_abi::btf::{Builder, Enumerator, Int, IntEncoding, Member, StrOff, TypeError};

const U32: Int = Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Unsigned };
const LDX_W: Slot = Slot { opcode: 0x61, dst: 1, src: 2, off: 0, imm: 0 };
const MOV_IMM: Slot = Slot { opcode: 0xb7, dst: 1, src: 0, off: 0, imm: 0 };
const LD_IMM64: [Slot; 2] = [
    Slot { opcode: 0x18, dst: 1, src: 0, off: 0, imm: 0 },
    Slot { opcode: 0, dst: 0, src: 0, off: 0, imm: 0 },
];

/// `struct NAME { unsigned pad[words]; unsigned field; };` for each name.
fn structs(names: &[(&str, u32)]) -> Btf {
    let mut b = Builder::new();
    // Also the access string, where a test wants one.
    b.str("0:0");
    let u32_ = b.str("unsigned int");
    let u32_ = b.int(u32_, U32);
    for &(name, words) in names {
        let field =
            Member { name: b.str("field"), ty: u32_, bit_off: words * 32, bitfield_bits: 0 };
        let name = b.str(name);
        b.structure(name, (words + 1) * 4, false, [field]);
    }
    b.finish()
}

/// A relocation of the last type of `btf`; the access string is looked up, so it must be there.
fn relo(btf: &Btf, access: &str, kind: CoreReloKind) -> CoreRelo {
    let strings = btf.own_strings();
    let mut wanted = vec![0];
    wanted.extend(access.bytes());
    wanted.push(0);
    let at = strings.windows(wanted.len()).position(|w| w == wanted).unwrap() + 1;
    let ty = BtfId(btf.end_id().0 - 1);
    CoreRelo { insn_off: 8, ty, access: StrOff(at as u32), kind }
}

fn apply(
    local: &Btf,
    target: &Btf,
    relo: &CoreRelo,
    insn: &mut [Slot],
) -> Result<Applied, CoreReloError> {
    Relocator::new(local, target).apply(relo, insn)
}

#[test]
fn flavors_that_agree_are_one_and_those_that_do_not_are_ambiguous() {
    let local = structs(&[("thing___mine", 0)]);
    let relo = relo(&local, "0:0", CoreReloKind::FieldByteOffset);
    let mut insn = [LDX_W];
    let agree = structs(&[("thing", 2), ("thing___2", 2), ("other", 3)]);
    assert_eq!(apply(&local, &agree, &relo, &mut insn), Ok(Applied::Patched { old: 0, new: 8 }));
    assert_eq!(insn[0].off, 8);
    let differ = structs(&[("thing", 2), ("thing___2", 3)]);
    let error = apply(&local, &differ, &relo, &mut [LDX_W]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CO-RE relocation byte_off of struct thing___mine.field (0:0) at byte 0x8 of its section: \
         ambiguous: target types [2] and [3] give different results"
    );
}

#[test]
fn what_is_missing_is_named() {
    let local = structs(&[("thing", 0)]);
    let relo = relo(&local, "0:0", CoreReloKind::FieldByteOffset);
    let mut insn = [LDX_W];
    let Applied::Poisoned { reason } =
        apply(&local, &structs(&[("other", 0)]), &relo, &mut insn).unwrap()
    else {
        panic!("there is no `thing`");
    };
    assert_eq!(
        reason,
        "byte_off of struct thing.field (0:0): the target has no type of this kind and name"
    );
    assert_eq!(insn, [POISON]);
}

#[test]
fn both_halves_of_a_wide_load_are_poisoned() {
    let local = structs(&[("thing", 0)]);
    let relo = relo(&local, "0:0", CoreReloKind::FieldByteSize);
    let mut insn = LD_IMM64;
    let applied = apply(&local, &structs(&[]), &relo, &mut insn);
    assert!(matches!(applied, Ok(Applied::Poisoned { .. })));
    assert_eq!(insn, [POISON; 2]);
}

#[test]
fn instructions_that_do_not_fit_are_refused() {
    let local = structs(&[("thing", 0)]);
    let target = structs(&[("thing", 10_000)]);
    let relo = relo(&local, "0:0", CoreReloKind::FieldByteOffset);
    let fails = |insn: &mut [Slot]| apply(&local, &target, &relo, insn).unwrap_err().kind;
    assert_eq!(fails(&mut []), CoreReloErrorKind::NoInsn);
    let exit = Slot { opcode: 0x95, ..MOV_IMM };
    assert_eq!(fails(&mut [exit]), CoreReloErrorKind::Insn { opcode: 0x95 });
    let add_reg = Slot { opcode: 0x0f, ..MOV_IMM };
    assert_eq!(fails(&mut [add_reg]), CoreReloErrorKind::Insn { opcode: 0x0f });
    let [low, _] = LD_IMM64;
    assert_eq!(fails(&mut [low]), CoreReloErrorKind::Insn { opcode: 0x18 });
    let stale = Slot { off: 4, ..LDX_W };
    assert_eq!(fails(&mut [stale]), CoreReloErrorKind::Unexpected { found: 4, expected: 0 });
    assert_eq!(fails(&mut [LDX_W]), CoreReloErrorKind::OffsetRange(40_000));
    let mut mov = [MOV_IMM];
    assert!(apply(&local, &target, &relo, &mut mov).is_ok());
    assert_eq!(mov[0].imm, 40_000, "immediates have room for it");
}

#[test]
fn access_strings_that_lead_nowhere_are_refused() {
    let mut b = Builder::new();
    let strings = ["0", "0:1", "0:0:0", "0:-1", "x", "0:", "4294967295:0", "268435456:0"];
    for s in strings {
        b.str(s);
    }
    let u32_ = b.str("unsigned int");
    let u32_ = b.int(u32_, U32);
    let field = Member { name: b.str("field"), ty: u32_, bit_off: 0, bitfield_bits: 0 };
    let name = b.str("thing");
    b.structure(name, 4, false, [field]);
    let btf = b.finish();
    for access in ["0:1", "0:0:0", "0:-1", "x", "0:", "4294967295:0"] {
        let relo = relo(&btf, access, CoreReloKind::FieldByteOffset);
        let error = apply(&btf, &btf, &relo, &mut [LDX_W]).unwrap_err();
        assert_eq!(error.kind, CoreReloErrorKind::Access(access.to_owned()));
    }
    let too_far = relo(&btf, "268435456:0", CoreReloKind::FieldByteOffset);
    let error = apply(&btf, &btf, &too_far, &mut [LDX_W]).unwrap_err();
    assert_eq!(error.kind, CoreReloErrorKind::OffsetTooLarge);
    let not_a_type = relo(&btf, "0:1", CoreReloKind::TypeExists);
    let error = apply(&btf, &btf, &not_a_type, &mut [MOV_IMM]).unwrap_err();
    assert_eq!(error.kind, CoreReloErrorKind::Access("0:1".to_owned()));
    let root = relo(&btf, "0", CoreReloKind::FieldExists);
    let applied = apply(&btf, &btf, &root, &mut [Slot { imm: 1, ..MOV_IMM }]);
    assert_eq!(applied, Ok(Applied::Patched { old: 1, new: 1 }), "`p[0]` exists");
}

/// Clang writes 0xffffffff, libbpf expects its sign extension and refuses. So do we.
#[test]
fn unsigned_32_bit_enumerators_past_the_middle_are_refused_as_by_libbpf() {
    let mut b = Builder::new();
    b.str("0");
    let top = Enumerator { name: b.str("TOP"), value: 0xffff_ffff };
    let name = b.str("mask");
    b.enumeration(name, 4, false, [top]);
    let btf = b.finish();
    let relo = relo(&btf, "0", CoreReloKind::EnumvalValue);
    let [low, high] = LD_IMM64;
    let mut insn = [Slot { imm: -1, ..low }, high];
    assert_eq!(
        apply(&btf, &btf, &relo, &mut insn).unwrap_err().kind,
        CoreReloErrorKind::Unexpected { found: 0xffff_ffff, expected: u64::MAX }
    );
}

#[test]
fn unions_nested_without_end_are_given_up() {
    // 40 levels of unions with two anonymous members each: 2^40 ways to look.
    let mut b = Builder::new();
    b.str("0:0");
    let u32_ = b.str("unsigned int");
    let u32_ = b.int(u32_, U32);
    let mut inner = b.union(StrOff::EMPTY, 4, false, []);
    for _ in 0..40 {
        let member = Member { name: StrOff::EMPTY, ty: inner, bit_off: 0, bitfield_bits: 0 };
        inner = b.union(StrOff::EMPTY, 4, false, [member, member]);
    }
    let member = Member { name: StrOff::EMPTY, ty: inner, bit_off: 0, bitfield_bits: 0 };
    let name = b.str("thing");
    b.structure(name, 4, false, [member]);
    let field = Member { name: b.str("field"), ty: u32_, bit_off: 0, bitfield_bits: 0 };
    let target = b.finish();

    let mut b = Builder::new();
    b.str("0:0");
    let (name, u32_) = (b.str("thing"), b.int(StrOff::EMPTY, U32));
    let field = Member { name: b.str("field"), ty: u32_, ..field };
    b.structure(name, 4, false, [field]);
    let local = b.finish();
    let relo = relo(&local, "0:0", CoreReloKind::FieldExists);
    let error = apply(&local, &target, &relo, &mut [MOV_IMM]).unwrap_err();
    assert_eq!(error.kind, CoreReloErrorKind::TooComplex);
}

#[test]
fn types_that_contain_themselves_are_an_error() {
    let mut b = Builder::new();
    b.str("0:0");
    let name = b.str("thing");
    let me = b.next_id();
    b.typedef(name, me);
    let btf = b.finish();
    let relo = relo(&btf, "0:0", CoreReloKind::FieldByteOffset);
    let error = apply(&btf, &btf, &relo, &mut [LDX_W]).unwrap_err();
    assert_eq!(error.kind, CoreReloErrorKind::Type(TypeError::TooDeep(me)));
}
