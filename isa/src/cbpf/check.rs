//! Which filters are valid, by the kernel's rules for `SO_ATTACH_FILTER`.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::listing::Placed;
use super::{Acc, ClassicError, ClassicErrorKind, Extension, Insn, SockFilter, Src, Word};
use crate::form::BY_OPCODE;
use crate::insn::{AluOp, CmpOp, JumpForm, Size};
use crate::kind::Kind;
use crate::opcode::{Opcode, Source};

/// A valid filter: all jumps lead forward to an instruction, the last instruction returns, and
/// no memory word is read before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    insns: Vec<Insn>,
}

/// The kernel's limit on instructions, BPF_MAXINSNS.
const MAX_INSNS: usize = 4096;
/// Bytes of `struct seccomp_data`.
pub(super) const SECCOMP_DATA_BYTES: u32 = 64;

// What is classic's own; arithmetic, jumps and packet loads have eBPF's codes.
const LD_IMM: u16 = 0x00;
const LD_MEM: u16 = 0x60;
const LD_LEN: u16 = 0x80;
const LDX_IMM: u16 = 0x01;
const LDX_MEM: u16 = 0x61;
const LDX_LEN: u16 = 0x81;
const LDX_MSH: u16 = 0xb1;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const RET_K: u16 = 0x06;
const RET_A: u16 = 0x16;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;

impl Filter {
    /// Decodes and checks a filter.
    ///
    /// # Errors
    /// [`ClassicError`] at the first instruction that breaks a rule.
    pub fn check(raw: &[SockFilter]) -> Result<Self, ClassicError> {
        let error = |at, kind| ClassicError { at, kind };
        if !(1..=MAX_INSNS).contains(&raw.len()) {
            return Err(error(0, ClassicErrorKind::Length(raw.len())));
        }
        let mut insns = Vec::with_capacity(raw.len());
        for (at, insn) in raw.iter().enumerate() {
            let insn = decode(insn).map_err(|kind| error(at, kind))?;
            if successors(at, insn).any(|next| next >= raw.len()) {
                return Err(error(
                    at,
                    match insn {
                        Insn::Jump(_) | Insn::Branch { .. } => ClassicErrorKind::JumpOut,
                        _ => ClassicErrorKind::NoReturn,
                    },
                ));
            }
            insns.push(insn);
        }
        let last = insns.len() - 1;
        if !matches!(insns.last(), Some(Insn::RetK(_) | Insn::RetA)) {
            return Err(error(last, ClassicErrorKind::NoReturn));
        }
        check_memory(&insns)?;
        Ok(Self { insns })
    }

    /// Checks what holds for filters of system calls beside: they load 32-bit parts of
    /// `struct seccomp_data`, and lack some instructions.
    ///
    /// # Errors
    /// [`ClassicError`] at the first instruction that breaks a rule.
    pub fn check_seccomp(&self) -> Result<(), ClassicError> {
        for (at, insn) in self.insns.iter().enumerate() {
            let kind = match insn {
                Insn::LdAbs { size: Size::W, k }
                    if !k.is_multiple_of(4) || *k >= SECCOMP_DATA_BYTES =>
                {
                    ClassicErrorKind::SeccompData(*k)
                }
                Insn::LdAbs { size: Size::B | Size::H, .. }
                | Insn::LdInd { .. }
                | Insn::LdExtension(_)
                | Insn::LdxMsh { .. }
                | Insn::Alu { op: AluOp::Mod, .. } => ClassicErrorKind::NotSeccomp(*insn),
                _ => continue,
            };
            return Err(ClassicError { at, kind });
        }
        Ok(())
    }

    /// Whether this is meant for system calls: it keeps to what their filters may do, and all
    /// constants it returns are their actions, one of which lets the call happen.
    #[must_use]
    pub fn is_seccomp(&self) -> bool {
        /// The upper halves of `SECCOMP_RET_*`, from kill to allow.
        const ACTIONS: [u32; 8] =
            [0x8000, 0x0000, 0x0003, 0x0005, 0x7fc0, 0x7ff0, LETS_HAPPEN[0], LETS_HAPPEN[1]];
        const LETS_HAPPEN: [u32; 2] = [0x7ffc, 0x7fff];
        let returned = || {
            self.insns.iter().filter_map(|insn| match insn {
                Insn::RetK(k) => Some(k >> 16),
                _ => None,
            })
        };
        self.check_seccomp().is_ok()
            && returned().all(|action| ACTIONS.contains(&action))
            && returned().any(|action| LETS_HAPPEN.contains(&action))
    }

    /// The instructions as tcpdump lists them, one a line.
    pub fn listing(&self) -> impl Iterator<Item = String> + '_ {
        self.insns.iter().enumerate().map(|(at, insn)| Placed(at, *insn).to_string())
    }

    /// The instructions.
    #[must_use]
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// How many instructions there are, 1 to 4096.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// For each instruction, whether a path leads to it.
    pub(super) fn reachable(&self) -> Vec<bool> {
        let mut reachable = vec![false; self.insns.len()];
        let mark = |reachable: &mut Vec<bool>, at: usize| {
            if let Some(flag) = reachable.get_mut(at) {
                *flag = true;
            }
        };
        mark(&mut reachable, 0);
        for (at, insn) in self.insns.iter().enumerate() {
            if reachable.get(at) == Some(&true) {
                successors(at, *insn).for_each(|next| mark(&mut reachable, next));
            }
        }
        reachable
    }
}

/// The instructions that can follow, which are all further on.
fn successors(at: usize, insn: Insn) -> impl Iterator<Item = usize> {
    let (first, second) = match insn {
        Insn::RetK(_) | Insn::RetA => (None, None),
        Insn::Jump(skip) => (Some(skip as usize), None),
        Insn::Branch { jt, jf, .. } => (Some(jt.into()), Some(jf.into())),
        _ => (Some(0), None),
    };
    first.into_iter().chain(second).map(move |skip| at.saturating_add(1).saturating_add(skip))
}

/// Follows which memory words are written on every path; jumps only lead forward, so that one
/// pass does.
fn check_memory(insns: &[Insn]) -> Result<(), ClassicError> {
    const ALL: u16 = u16::MAX;
    // Nothing is known yet: as if everything were written.
    let mut written = vec![ALL; insns.len()];
    let mut now = 0;
    for (at, insn) in insns.iter().enumerate() {
        now &= written.get(at).copied().unwrap_or(ALL);
        match *insn {
            Insn::Store(_, word) => now |= 1 << word.number(),
            Insn::Load(_, word) if now & 1 << word.number() == 0 => {
                let kind = ClassicErrorKind::Unwritten(word.number());
                return Err(ClassicError { at, kind });
            }
            Insn::Jump(_) | Insn::Branch { .. } => {
                for next in successors(at, *insn) {
                    if let Some(words) = written.get_mut(next) {
                        *words &= now;
                    }
                }
                now = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}

/// One instruction by itself.
fn decode(raw: &SockFilter) -> Result<Insn, ClassicErrorKind> {
    let k = raw.k;
    let word = || Word::parse(k).ok_or(ClassicErrorKind::Word(k));
    match raw.code {
        LD_IMM => Ok(Insn::Imm(Acc::A, k)),
        LDX_IMM => Ok(Insn::Imm(Acc::X, k)),
        LD_MEM => Ok(Insn::Load(Acc::A, word()?)),
        LDX_MEM => Ok(Insn::Load(Acc::X, word()?)),
        ST => Ok(Insn::Store(Acc::A, word()?)),
        STX => Ok(Insn::Store(Acc::X, word()?)),
        LD_LEN => Ok(Insn::Len(Acc::A)),
        LDX_LEN => Ok(Insn::Len(Acc::X)),
        LDX_MSH => Ok(Insn::LdxMsh { k }),
        RET_K => Ok(Insn::RetK(k)),
        RET_A => Ok(Insn::RetA),
        TAX => Ok(Insn::Tax),
        TXA => Ok(Insn::Txa),
        code => decode_shared(raw).unwrap_or(Err(ClassicErrorKind::UnknownCode(code))),
    }
}

/// The instructions whose codes are those of eBPF; `None` for eBPF's that classic lacks.
fn decode_shared(raw: &SockFilter) -> Option<Result<Insn, ClassicErrorKind>> {
    let SockFilter { code, jt, jf, k } = *raw;
    let opcode = Opcode(u8::try_from(code).ok()?);
    let src = match opcode.source() {
        Source::Imm => Src::K(k),
        Source::Reg => Src::X,
    };
    let narrow = opcode.width() == crate::Width::W32;
    // The first of rows that share a code is the one that no other field marks.
    let kind = BY_OPCODE.get(usize::from(opcode.0))?.first()?.row.kind;
    Some(match kind {
        Kind::Alu(AluOp::Arsh) => return None,
        Kind::Alu(op) if narrow => match (op, src) {
            (AluOp::Div | AluOp::Mod, Src::K(0)) => Err(ClassicErrorKind::DivisionByZero),
            (AluOp::Lsh | AluOp::Rsh, Src::K(k @ 32..)) => Err(ClassicErrorKind::Shift(k)),
            _ => Ok(Insn::Alu { op, src }),
        },
        Kind::Neg if narrow => Ok(Insn::Neg),
        Kind::Jump(JumpForm::Short) => Ok(Insn::Jump(k)),
        Kind::Branch(op @ (CmpOp::Eq | CmpOp::Gt | CmpOp::Ge | CmpOp::Set)) if !narrow => {
            Ok(Insn::Branch { op, src, jt, jf })
        }
        Kind::LdAbs => match k.checked_sub(Extension::BASE) {
            None => Ok(Insn::LdAbs { size: opcode.size(), k }),
            Some(offset) => Extension::at(offset)
                .map(Insn::LdExtension)
                .ok_or(ClassicErrorKind::UnknownExtension(k)),
        },
        Kind::LdInd => Ok(Insn::LdInd { size: opcode.size(), k }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RET: SockFilter = raw(RET_K, 0, 0, 7);

    const fn raw(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
        SockFilter { code, jt, jf, k }
    }

    fn refused(insns: &[SockFilter]) -> (usize, ClassicErrorKind) {
        let error = Filter::check(insns).expect_err("refused");
        (error.at, error.kind)
    }

    #[test]
    fn there_are_as_many_codes_as_in_the_kernel() {
        let valid = (0..=u16::MAX).filter(|&code| decode(&raw(code, 0, 0, 1)).is_ok());
        let (arithmetic, ld, ldx, st, misc, ret, jump) = (21, 9, 4, 2, 2, 2, 9);
        assert_eq!(valid.count(), arithmetic + ld + ldx + st + misc + ret + jump);
    }

    #[test]
    fn constants_are_checked() {
        use ClassicErrorKind as E;
        assert_eq!(refused(&[]), (0, E::Length(0)));
        assert_eq!(refused(&[RET; 4097]), (0, E::Length(4097)));
        assert_eq!(refused(&[raw(0x34, 0, 0, 0), RET]), (0, E::DivisionByZero));
        assert_eq!(refused(&[raw(0x94, 0, 0, 0), RET]), (0, E::DivisionByZero));
        assert_eq!(refused(&[raw(0x64, 0, 0, 32), RET]), (0, E::Shift(32)));
        assert_eq!(refused(&[raw(ST, 0, 0, 16), RET]), (0, E::Word(16)));
        assert_eq!(
            refused(&[raw(0x28, 0, 0, 0xffff_f001), RET]),
            (0, E::UnknownExtension(0xffff_f001))
        );
        assert_eq!(
            refused(&[raw(0x28, 0, 0, 0xffff_f040), RET]),
            (0, E::UnknownExtension(0xffff_f040))
        );
        assert_eq!(refused(&[raw(0xc4, 0, 0, 1), RET]), (0, E::UnknownCode(0xc4)));
        assert_eq!(refused(&[raw(0x106, 0, 0, 1)]), (0, E::UnknownCode(0x106)));
    }

    #[test]
    fn filters_of_system_calls_have_fewer_instructions() {
        use ClassicErrorKind as E;
        let check = |insn: SockFilter| {
            Filter::check(&[insn, RET]).unwrap().check_seccomp().map_err(|e| e.kind)
        };
        assert_eq!(check(raw(0x20, 0, 0, 60)), Ok(()));
        assert_eq!(check(raw(0x80, 0, 0, 0)), Ok(()));
        assert_eq!(check(raw(0x20, 0, 0, 64)), Err(E::SeccompData(64)));
        assert_eq!(check(raw(0x20, 0, 0, 2)), Err(E::SeccompData(2)));
        for code in [0x28, 0x30, 0x40, 0xb1, 0x94] {
            assert!(matches!(check(raw(code, 0, 0, 4)), Err(E::NotSeccomp(_))), "{code:#x}");
        }
    }

    #[test]
    fn filters_of_system_calls_are_told_by_what_they_return() {
        let returning = |k| Filter::check(&[raw(0x20, 0, 0, 0), raw(RET_K, 0, 0, k)]).unwrap();
        assert!(returning(0x7fff_0000).is_seccomp());
        assert!(!returning(0x0005_0001).is_seccomp());
        assert!(!returning(0x0004_0000).is_seccomp());
        assert!(!returning(0).is_seccomp());
    }

    #[test]
    fn control_stays_inside() {
        use ClassicErrorKind as E;
        assert_eq!(refused(&[raw(0x05, 0, 0, 1), RET]), (0, E::JumpOut));
        assert_eq!(refused(&[raw(0x05, 0, 0, u32::MAX), RET]), (0, E::JumpOut));
        assert_eq!(refused(&[raw(0x15, 0, 1, 0), RET]), (0, E::JumpOut));
        assert_eq!(refused(&[RET, raw(TAX, 0, 0, 0)]), (1, E::NoReturn));
    }

    #[test]
    fn memory_is_written_on_every_path_before_it_is_read() {
        let store = raw(ST, 0, 0, 3);
        let load = raw(LD_MEM, 0, 0, 3);
        assert_eq!(refused(&[load, RET]), (0, ClassicErrorKind::Unwritten(3)));
        assert!(Filter::check(&[store, load, RET]).is_ok());
        let branch = raw(0x15, 1, 0, 0);
        assert_eq!(refused(&[branch, store, load, RET]), (2, ClassicErrorKind::Unwritten(3)));
        let both = [raw(0x15, 2, 0, 0), store, raw(0x05, 0, 0, 1), store, load, RET];
        assert!(Filter::check(&both).is_ok());
    }
}
