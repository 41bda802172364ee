//! The syntax of the verifier's log and of LLVM: assignments, `if`, `goto`.

use alloc::format;

use super::parse::{Item, Line, MapFd, Parsed, out_of_range};
use crate::insn::{
    AddrSpaceCast, AtomicOp, AtomicSize, CallTarget, Imm64, Insn, JumpForm, Operand, Reg, Size,
    Width,
};
use crate::kind::{Kind, Pseudo};
use crate::table::{ROWS, Row};

/// A place in memory, `(u32 *)(r1 +4)`.
struct Place {
    size: Size,
    base: Reg,
    off: i16,
}

impl<'a> Line<'a> {
    /// A statement of this syntax; `None` when the line does not begin like one.
    pub(super) fn infix(&mut self, map_fd: MapFd<'_>) -> Parsed<Option<Item<'a>>> {
        let word = self.peek_text();
        if word == "*" {
            return self.store().map(Some);
        }
        if word == "if" {
            return self.branch().map(Some);
        }
        if let Some((width, dst)) = self.accept_register() {
            return self.assignment(width, dst, map_fd).map(Some);
        }
        // `lock` begins a statement in both syntaxes.
        if word == "lock" && self.peek_second() == "*" {
            return self.lock().map(Some);
        }
        let start = self.save();
        let item = match self.sign(|row| Some(row.kind)) {
            Some(Kind::Jump(form)) => self.jump(form)?,
            Some(Kind::MayGoto) => self.short_jump(|off| Insn::MayGoto { off })?,
            Some(Kind::Call(_)) => self.call()?,
            Some(Kind::CallX) => Insn::CallX { target: self.register_of(Width::W64)? }.into(),
            Some(Kind::Exit) => Insn::Exit.into(),
            Some(Kind::StoreRelease) => self.store_release()?.into(),
            _ => {
                self.restore(start);
                return Ok(None);
            }
        };
        Ok(Some(item))
    }

    /// `if r1 == 5 goto pc+3`.
    fn branch(&mut self) -> Parsed<Item<'a>> {
        self.expect("if")?;
        let (width, dst) = self.register()?;
        let op = self.sign(|row| match row.kind {
            Kind::Branch(op) => Some(op),
            _ => None,
        });
        let op = op.ok_or_else(|| self.expected("a comparison"))?;
        let src = self.operand(width)?;
        self.expect(Kind::Jump(JumpForm::Short).row().sign)?;
        self.short_jump(|off| Insn::Branch { op, width, dst, src, off })
    }

    /// `call 1`, `call bpf_map_lookup_elem#1`, `call kfunc#7@1`, `call pc+3`, `call label`,
    /// `call r3`; and with the kind spelt out, `call local label`.
    fn call(&mut self) -> Parsed<Item<'a>> {
        if let Some((_, target)) = self.accept_register() {
            return Ok(Insn::CallX { target }.into());
        }
        let signed = matches!(self.peek_text(), "+" | "-");
        if self.at_number() && !signed {
            return Ok(Insn::Call(CallTarget::Helper(self.u32()?)).into());
        }
        if self.peek_second() == "#" {
            return self.numbered_call();
        }
        // A label may have one of these names, but then nothing follows it.
        let spelt_out = !self.peek_second().is_empty();
        if spelt_out && self.accept("helper") {
            return Ok(Insn::Call(CallTarget::Helper(self.u32()?)).into());
        }
        if spelt_out && self.accept("runtime") {
            let btf_id = self.imm32()?;
            return Ok(Insn::Call(CallTarget::Kfunc { btf_id, btf_off: 0 }).into());
        }
        if spelt_out {
            self.accept("local");
        }
        self.long_jump(|off| Insn::Call(CallTarget::Subprog(off)))
    }

    /// `bpf_map_lookup_elem#1`, `kfunc#7@1`. The name does not count: one that the log gives a
    /// kernel function cannot be told from a helper's.
    fn numbered_call(&mut self) -> Parsed<Item<'a>> {
        let name = self.word("a name")?.text;
        self.expect("#")?;
        if name != "kfunc" {
            return Ok(Insn::Call(CallTarget::Helper(self.u32()?)).into());
        }
        let btf_id = self.imm32()?;
        let btf_off = if self.accept("@") { self.imm16()? } else { 0 };
        Ok(Insn::Call(CallTarget::Kfunc { btf_id, btf_off }).into())
    }

    /// `*(u32 *)(r1 +4) = r2`.
    fn store(&mut self) -> Parsed<Item<'a>> {
        self.expect("*")?;
        let (signed, size) = self.pointer_type()?;
        if signed {
            return Err(self.expected("an unsigned type in a store"));
        }
        let (base, off) = self.address()?;
        self.expect("=")?;
        let src = self.stored(size)?;
        Ok(Insn::Store { size, base, off, src }.into())
    }

    /// `lock *(u64 *)(r1 +0) += r2`.
    fn lock(&mut self) -> Parsed<Item<'a>> {
        self.expect("lock")?;
        self.expect("*")?;
        let Place { size, base, off } = self.place()?;
        let size = self.atomic_size(size)?;
        let op = self.sign(|row| match row.kind {
            Kind::Atomic(op) => Some(op),
            _ => None,
        });
        let op = op.ok_or_else(|| self.expected("an atomic assignment"))?;
        let src = self.any_register()?;
        Ok(Insn::Atomic { op, size, base, off, src }.into())
    }

    /// `store_release((u64 *)(r1 +0), r2)`, less the name.
    fn store_release(&mut self) -> Parsed<Insn> {
        self.expect("(")?;
        let Place { size, base, off } = self.place()?;
        self.expect(",")?;
        let src = self.any_register()?;
        self.expect(")")?;
        Ok(Insn::StoreRelease { size, base, off, src })
    }

    /// `r1 = …` and `r1 += …`, less the register.
    fn assignment(&mut self, width: Width, dst: Reg, map_fd: MapFd<'_>) -> Parsed<Item<'a>> {
        let op = self.sign(|row| match row.kind {
            Kind::Alu(op) => Some(op),
            _ => None,
        });
        if let Some(op) = op {
            let src = self.operand(width)?;
            return Ok(Insn::Alu { op, width, dst, src }.into());
        }
        self.expect(Kind::Mov.row().sign)?;
        if self.at_number() {
            return self.constant(width, dst).map(Item::from);
        }
        if let Some(src) = self.accept_register_of(width) {
            return Ok(Insn::Mov { width, dst, src: Operand::Reg(src) }.into());
        }
        match self.peek_text() {
            "-" => {
                self.accept("-");
                self.same_register(width, dst)?;
                Ok(Insn::Neg { width, dst }.into())
            }
            "(" => self.sign_extension(width, dst).map(Item::from),
            "*" => self.load(width, dst).map(Item::from),
            _ => self.function(width, dst, map_fd),
        }
    }

    /// A move of a constant; two slots when the opcode, LLVM's suffix or the size asks for it.
    fn constant(&mut self, width: Width, dst: Reg) -> Parsed<Insn> {
        let start = self.save();
        let wide = self.imm64()?;
        let row = Kind::LdImm64(Pseudo::Value).row();
        let marked = self.accept(row.sign) || self.opcode == Some(row.code.0);
        if width == Width::W64 && marked {
            return Ok(Insn::LdImm64 { dst, imm: Imm64::Value(wide) });
        }
        self.restore(start);
        match self.imm32() {
            Ok(imm) => Ok(Insn::Mov { width, dst, src: Operand::Imm(imm) }),
            Err(_) if width == Width::W64 => {
                self.restore(start);
                Ok(Insn::LdImm64 { dst, imm: Imm64::Value(self.imm64()?) })
            }
            Err(error) => Err(error),
        }
    }

    /// `(s8)r1`.
    fn sign_extension(&mut self, width: Width, dst: Reg) -> Parsed<Insn> {
        self.expect("(")?;
        let from = self.sign(|row| match row.kind {
            Kind::MovSx(from) if width == Width::W64 || from.bits() < width.bits() => Some(from),
            _ => None,
        });
        let from = from.ok_or_else(|| self.expected("a signed type narrower than the register"))?;
        self.expect(")")?;
        Ok(Insn::MovSx { width, dst, src: self.register_of(width)?, from })
    }

    /// `*(u32 *)(r1 +4)`, `*(s8 *)(r1 +4)`, `*(u16 *)skb[r1 + 4]`.
    fn load(&mut self, width: Width, dst: Reg) -> Parsed<Insn> {
        self.expect("*")?;
        let (signed, size) = self.pointer_type()?;
        if self.accept(Kind::LdAbs.row().sign) {
            if signed || size == Size::Dw {
                return Err(self.expected("u8, u16 or u32 on the left of a packet"));
            }
            if dst != Reg::R0 {
                return Err(self.expected("r0 on the left of a packet load"));
            }
            return self.packet_load(size);
        }
        // LLVM writes loads of up to 32 bits into the half that they fill.
        if width == Width::W32 && (signed || size == Size::Dw) {
            return Err(self.expected("a 64-bit register on the left"));
        }
        let (base, off) = self.address()?;
        Ok(Insn::Load { size, signed, dst, base, off })
    }

    /// `[5]`, `[r1]`, `[r1 + 5]`.
    fn packet_load(&mut self, size: Size) -> Parsed<Insn> {
        self.expect("[")?;
        let insn = match self.accept_register_of(Width::W64) {
            None => Insn::LdAbs { size, imm: self.imm32()? },
            Some(src) if self.peek_text() == "]" => Insn::LdInd { size, src, imm: 0 },
            Some(src) => {
                // The log joins the offset by `+` whatever its sign.
                if self.peek_text() == "+" && self.peek_second() == "-" {
                    self.accept("+");
                }
                Insn::LdInd { size, src, imm: self.imm32()? }
            }
        };
        self.expect("]")?;
        Ok(insn)
    }

    /// The right-hand sides that begin with a word.
    fn function(&mut self, width: Width, dst: Reg, map_fd: MapFd<'_>) -> Parsed<Item<'a>> {
        let swap = self.sign(|row| match row.kind {
            Kind::Swap(op, width) => Some((op, width)),
            _ => None,
        });
        if let Some((op, swapped)) = swap {
            self.same_register(width, dst)?;
            return Ok(Insn::Swap { op, width: swapped, dst }.into());
        }
        if self.accept(Kind::LoadAcquire.row().sign) {
            self.expect("(")?;
            let Place { size, base, off } = self.place()?;
            self.expect(")")?;
            return Ok(Insn::LoadAcquire { size, dst, base, off }.into());
        }
        if self.accept(Kind::AddrSpaceCast(AddrSpaceCast::ToKernel).row().sign) {
            return self.addr_space_cast(dst).map(Item::from);
        }
        if let Some(item) = self.reference(dst, map_fd)? {
            return Ok(item);
        }
        self.fetching_atomic(dst).map(Item::from)
    }

    /// `(r1, 0, 1)`.
    fn addr_space_cast(&mut self, dst: Reg) -> Parsed<Insn> {
        self.expect("(")?;
        let src = self.register_of(Width::W64)?;
        self.expect(",")?;
        let at = self.at();
        let from = self.number("an address space")?;
        self.expect(",")?;
        let to = self.number("an address space")?;
        self.expect(")")?;
        let cast = match (from, to) {
            (0, 1) => AddrSpaceCast::ToKernel,
            (1, 0) => AddrSpaceCast::ToUser,
            _ => return Err(out_of_range(at, from, "a cast between address spaces 0 and 1")),
        };
        Ok(Insn::AddrSpaceCast { cast, dst, src })
    }

    /// Wide loads of something else than a constant, as the disassembler writes them.
    pub(super) fn reference(&mut self, dst: Reg, map_fd: MapFd<'_>) -> Parsed<Option<Item<'a>>> {
        let imm = match (self.peek_text(), self.peek_second()) {
            ("map", "[") => self.map_reference(map_fd)?,
            ("btf", "[") => {
                self.accept("btf");
                let btf_fd = self.bracketed("fd")?;
                let id = self.bracketed("id")?.cast_unsigned();
                Imm64::BtfId { id, btf_fd }
            }
            ("subprog", "[") => {
                self.accept("subprog");
                self.expect("[")?;
                let item = self.long_jump(|off| Insn::LdImm64 { dst, imm: Imm64::Func(off) })?;
                self.expect("]")?;
                return Ok(Some(item));
            }
            _ => return Ok(None),
        };
        Ok(Some(Insn::LdImm64 { dst, imm }.into()))
    }

    /// `map[fd:3]`, `map[fd:name]`, `map[idx:3][0]+8`.
    fn map_reference(&mut self, map_fd: MapFd<'_>) -> Parsed<Imm64> {
        self.expect("map")?;
        self.expect("[")?;
        let by_fd = self.accept("fd");
        if !by_fd && !self.accept("idx") {
            return Err(self.expected("`fd` or `idx`"));
        }
        self.expect(":")?;
        let number = match map_fd(self.peek_text()) {
            Some(fd) if by_fd => {
                self.word("a map")?;
                fd
            }
            _ => self.imm32()?,
        };
        self.expect("]")?;
        if !self.accept("[") {
            return Ok(if by_fd { Imm64::MapFd(number) } else { Imm64::MapIdx(number) });
        }
        self.expect("0")?;
        self.expect("]")?;
        let off = self.u32()?;
        Ok(if by_fd {
            Imm64::MapValue { fd: number, off }
        } else {
            Imm64::MapIdxValue { idx: number, off }
        })
    }

    /// `[name:5]`.
    fn bracketed(&mut self, name: &str) -> Parsed<i32> {
        self.expect("[")?;
        self.expect(name)?;
        self.expect(":")?;
        let number = self.imm32()?;
        self.expect("]")?;
        Ok(number)
    }

    /// The log's `atomic_fetch_add((u32 *)(r1 +0), r2)` and `atomic64_…`, and LLVM's
    /// `xchg32_32(r1 + 0, w2)`, `cmpxchg_64(r1 + 0, r0, r2)`.
    fn fetching_atomic(&mut self, dst: Reg) -> Parsed<Insn> {
        let (op, llvm_size) = self.atomic_function()?;
        self.expect("(")?;
        let (size, base, off) = match llvm_size {
            Some(size) => {
                let base = self.register_of(Width::W64)?;
                (size, base, self.offset()?)
            }
            None => {
                let Place { size, base, off } = self.place()?;
                (self.atomic_size(size)?, base, off)
            }
        };
        self.expect(",")?;
        if op == AtomicOp::Cmpxchg {
            // What is compared with and what receives the old value is always r0.
            self.this_register(Reg::R0)?;
            if dst != Reg::R0 {
                return Err(self.expected("r0 on the left of cmpxchg"));
            }
            self.expect(",")?;
            let src = self.any_register()?;
            self.expect(")")?;
            return Ok(Insn::Atomic { op, size, base, off, src });
        }
        // The old value goes where the operand came from.
        self.this_register(dst)?;
        self.expect(")")?;
        Ok(Insn::Atomic { op, size, base, off, src: dst })
    }

    /// The name of an atomic function, and its size where LLVM's names say it.
    fn atomic_function(&mut self) -> Parsed<(AtomicOp, Option<AtomicSize>)> {
        const LLVM: [(&str, AtomicSize); 2] = [("_64", AtomicSize::Dw), ("32_32", AtomicSize::W)];
        let name = self.peek_text();
        let fetching = |text: &str| {
            ROWS.iter().find_map(|row| match row.kind {
                Kind::Atomic(op) if op.old_value_to(Reg::R0).is_some() && row.sign == text => {
                    Some(op)
                }
                _ => None,
            })
        };
        let log = name.strip_prefix("atomic64_").or_else(|| name.strip_prefix("atomic_"));
        let found = log.and_then(fetching).map(|op| (op, None)).or_else(|| {
            LLVM.iter().find_map(|&(suffix, size)| {
                Some((fetching(name.strip_suffix(suffix)?)?, Some(size)))
            })
        });
        match found {
            Some(found) => {
                self.accept(name);
                Ok(found)
            }
            None => Err(self.expected("a value")),
        }
    }

    /// `(u32 *)(r1 +4)`.
    fn place(&mut self) -> Parsed<Place> {
        let (signed, size) = self.pointer_type()?;
        if signed {
            return Err(self.expected("an unsigned type in an atomic access"));
        }
        let (base, off) = self.address()?;
        Ok(Place { size, base, off })
    }

    /// `(u32 *)`: whether it is signed, and its size.
    fn pointer_type(&mut self) -> Parsed<(bool, Size)> {
        self.expect("(")?;
        let name = self.peek_text();
        let found = [Kind::Load, Kind::LoadSx].into_iter().find_map(|kind| {
            let row = kind.row();
            let bits: u32 = name.strip_prefix(row.sign)?.parse().ok()?;
            let size = row.opcodes().map(|code| code.size()).find(|s| s.bytes() * 8 == bits)?;
            Some((kind == Kind::LoadSx, size))
        });
        let found = found.ok_or_else(|| self.expected("u8, u16, u32, u64, s8, s16 or s32"))?;
        self.accept(name);
        self.expect("*")?;
        self.expect(")")?;
        Ok(found)
    }

    /// `(r1 +4)`.
    fn address(&mut self) -> Parsed<(Reg, i16)> {
        self.expect("(")?;
        let base = self.register_of(Width::W64)?;
        let off = self.offset()?;
        self.expect(")")?;
        Ok((base, off))
    }

    /// The stored value; LLVM writes 32-bit registers for up to 4 bytes.
    fn stored(&mut self, size: Size) -> Parsed<Operand> {
        if size != Size::Dw
            && let Some(reg) = self.accept_register_of(Width::W32)
        {
            return Ok(Operand::Reg(reg));
        }
        self.operand(Width::W64)
    }

    fn atomic_size(&self, size: Size) -> Parsed<AtomicSize> {
        match size {
            Size::W => Ok(AtomicSize::W),
            Size::Dw => Ok(AtomicSize::Dw),
            Size::B | Size::H => Err(self.expected("u32 or u64 in an atomic operation")),
        }
    }

    /// The operand of `r1 = -r1` and `r1 = be16 r1`, which is always the destination.
    fn same_register(&mut self, width: Width, dst: Reg) -> Parsed<()> {
        let start = self.save();
        if self.register()? == (width, dst) {
            return Ok(());
        }
        self.restore(start);
        Err(self.expected("the register on the left"))
    }

    /// This register in either spelling.
    fn this_register(&mut self, reg: Reg) -> Parsed<()> {
        let start = self.save();
        if self.any_register()? == reg {
            return Ok(());
        }
        self.restore(start);
        Err(self.expected(&format!("{reg}")))
    }

    /// Reads what `pick` chooses among the rows by the sign that comes next.
    fn sign<T>(&mut self, pick: impl Fn(&Row) -> Option<T>) -> Option<T> {
        let text = self.peek_text();
        let found = ROWS.iter().filter(|row| row.sign == text).find_map(|row| pick(row))?;
        self.accept(text);
        Some(found)
    }
}
