//! The syntax of mnemonics: GNU's, as ubpf and the public conformance suite use it.

use super::AsmErrorKind;
use super::parse::{Item, Line, MapFd, Parsed};
use crate::insn::{AtomicOp, AtomicSize, Imm64, Insn, Operand, Reg, Size, Width};
use crate::kind::Kind;
use crate::opcode::Span;
use crate::table::{ROWS, Row};

/// Other spellings that are in use, and the table's.
const ALIASES: [(&str, &str); 4] =
    [("swap16", "bswap16"), ("swap32", "bswap32"), ("swap64", "bswap64"), ("ja32", "jal")];

/// What a mnemonic says: the row, and the form by its suffix.
struct Mnemonic {
    kind: Kind,
    width: Width,
    size: Size,
}

impl<'a> Line<'a> {
    /// A statement of this syntax.
    pub(super) fn mnemonic(&mut self, map_fd: MapFd<'_>) -> Parsed<Item<'a>> {
        if self.accept("lock") {
            return self.locked().map(Item::from);
        }
        let at = self.at();
        let word = self.word("an instruction")?.text;
        let Some(Mnemonic { kind, width, size }) =
            find(word, |kind| !matches!(kind, Kind::Atomic(_)))
        else {
            return Err(at.error(AsmErrorKind::UnknownMnemonic(word.into())));
        };
        Ok(match kind {
            Kind::Alu(op) => {
                let (dst, src) = self.two_operands()?;
                Insn::Alu { op, width, dst, src }.into()
            }
            Kind::Mov => {
                let (dst, src) = self.two_operands()?;
                Insn::Mov { width, dst, src }.into()
            }
            Kind::Neg => Insn::Neg { width, dst: self.any_register()? }.into(),
            Kind::MovSx(from) => {
                let dst = self.any_register()?;
                self.expect(",")?;
                Insn::MovSx { width, dst, src: self.any_register()?, from }.into()
            }
            Kind::Swap(op, width) => Insn::Swap { op, width, dst: self.any_register()? }.into(),
            Kind::Load | Kind::LoadSx => {
                let dst = self.any_register()?;
                self.expect(",")?;
                let (base, off) = self.bracketed_address()?;
                Insn::Load { size, signed: kind == Kind::LoadSx, dst, base, off }.into()
            }
            Kind::StoreReg => {
                let (base, off) = self.bracketed_address()?;
                self.expect(",")?;
                let src = Operand::Reg(self.any_register()?);
                Insn::Store { size, base, off, src }.into()
            }
            Kind::StoreImm => {
                let (base, off) = self.bracketed_address()?;
                self.expect(",")?;
                let src = Operand::Imm(self.imm32()?);
                Insn::Store { size, base, off, src }.into()
            }
            Kind::LdImm64(_) => self.wide_load(map_fd)?,
            Kind::LdAbs => Insn::LdAbs { size, imm: self.imm32()? }.into(),
            Kind::LdInd => {
                let src = self.any_register()?;
                let imm = if self.accept(",") { self.imm32()? } else { 0 };
                Insn::LdInd { size, src, imm }.into()
            }
            Kind::Jump(form) => self.jump(form)?,
            Kind::Branch(op) => {
                let (dst, src) = self.two_operands()?;
                self.expect(",")?;
                self.short_jump(|off| Insn::Branch { op, width, dst, src, off })?
            }
            // These have one spelling, which the other syntax reads.
            Kind::Atomic(_)
            | Kind::LoadAcquire
            | Kind::StoreRelease
            | Kind::MayGoto
            | Kind::AddrSpaceCast(_)
            | Kind::Call(_)
            | Kind::CallX
            | Kind::Exit => return Err(at.error(AsmErrorKind::UnknownMnemonic(word.into()))),
        })
    }

    /// `add [%r1+8], %r2`, `fetch add32 [%r1], %r2`, `cmpxchg [%r1], %r2`, less the `lock`.
    fn locked(&mut self) -> Parsed<Insn> {
        let fetch = self.accept("fetch");
        let at = self.at();
        let word = self.word("an atomic operation")?.text;
        let found = find(word, |kind| match kind {
            // The exchanges fetch with and without the word.
            Kind::Atomic(AtomicOp::Xchg | AtomicOp::Cmpxchg) => true,
            Kind::Atomic(op) => !fetch || op.old_value_to(Reg::R0).is_none(),
            _ => false,
        });
        let Some(Mnemonic { kind: Kind::Atomic(op), size, .. }) = found else {
            return Err(at.error(AsmErrorKind::UnknownMnemonic(word.into())));
        };
        let op = if fetch { fetching(op) } else { op };
        let size = if size == Size::W { AtomicSize::W } else { AtomicSize::Dw };
        let (base, off) = self.bracketed_address()?;
        self.expect(",")?;
        Ok(Insn::Atomic { op, size, base, off, src: self.any_register()? })
    }

    /// `%r1, 5`, `%r1, map_by_fd(name)`, `%r1, map[fd:3]`, `%r1, subprog[label]`.
    fn wide_load(&mut self, map_fd: MapFd<'_>) -> Parsed<Item<'a>> {
        let dst = self.any_register()?;
        self.expect(",")?;
        if let Some(item) = self.reference(dst, map_fd)? {
            return Ok(item);
        }
        if !self.accept("map_by_fd") {
            let imm = Imm64::Value(self.imm64()?);
            return Ok(Insn::LdImm64 { dst, imm }.into());
        }
        self.expect("(")?;
        let fd = if self.at_number() {
            self.imm32()?
        } else {
            let name = self.word("a map")?;
            let unknown = || name.at.error(AsmErrorKind::UnknownName(name.text.into()));
            map_fd(name.text).ok_or_else(unknown)?
        };
        self.expect(")")?;
        Ok(Insn::LdImm64 { dst, imm: Imm64::MapFd(fd) }.into())
    }

    /// `%r1, %r2` or `%r1, 5`: the width is in the mnemonic, not in the registers.
    fn two_operands(&mut self) -> Parsed<(Reg, Operand)> {
        let dst = self.any_register()?;
        self.expect(",")?;
        let src = match self.accept_register() {
            Some((_, reg)) => Operand::Reg(reg),
            None => self.operand(Width::W64)?,
        };
        Ok((dst, src))
    }

    /// `[%r1+8]`.
    fn bracketed_address(&mut self) -> Parsed<(Reg, i16)> {
        self.expect("[")?;
        let base = self.any_register()?;
        let off = self.offset()?;
        self.expect("]")?;
        Ok((base, off))
    }
}

/// The operation that returns the old value as well.
fn fetching(op: AtomicOp) -> AtomicOp {
    match op {
        AtomicOp::Add { .. } => AtomicOp::Add { fetch: true },
        AtomicOp::Or { .. } => AtomicOp::Or { fetch: true },
        AtomicOp::And { .. } => AtomicOp::And { fetch: true },
        AtomicOp::Xor { .. } => AtomicOp::Xor { fetch: true },
        AtomicOp::Xchg | AtomicOp::Cmpxchg => op,
    }
}

/// The row and form that a mnemonic names, among the kinds that `wanted` lets through.
fn find(word: &str, wanted: impl Fn(Kind) -> bool) -> Option<Mnemonic> {
    let word = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, name)| name);
    ROWS.iter().filter(|row| wanted(row.kind)).find_map(|row| form(row, word))
}

/// The form of the row that the mnemonic names, if it names one.
fn form(row: &Row, word: &str) -> Option<Mnemonic> {
    let suffix = word.strip_prefix(row.name)?;
    let kind = row.kind;
    let width = match suffix {
        "" | "64" => Some(Width::W64),
        "32" => Some(Width::W32),
        _ => None,
    };
    match row.span {
        Span::Width | Span::WidthSource => Some(Mnemonic { kind, width: width?, size: Size::Dw }),
        // The size of atomics is written as a width.
        Span::WordOrDouble => {
            let size = if width? == Width::W32 { Size::W } else { Size::Dw };
            Some(Mnemonic { kind, width: Width::W64, size })
        }
        Span::AnySize | Span::UpToWord => {
            let size = size_suffix(suffix)?;
            let exists = row.opcodes().any(|opcode| opcode.size() == size);
            exists.then_some(Mnemonic { kind, width: Width::W64, size })
        }
        Span::One => {
            (width? == Width::W64).then_some(Mnemonic { kind, width: Width::W64, size: Size::Dw })
        }
    }
}

fn size_suffix(suffix: &str) -> Option<Size> {
    Some(match suffix {
        "b" => Size::B,
        "h" => Size::H,
        "w" => Size::W,
        "dw" => Size::Dw,
        _ => return None,
    })
}
