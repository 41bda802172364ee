//! Conditional jumps: which ways are possible, and what each of them teaches about numbers, null
//! pointers and packet bounds.

use super::{Next, Step};
use crate::Privilege;
use crate::cx::Cx;
use crate::domain::{Scalar, branch};
use crate::reason::{R, Reason, ValueReason};
use crate::state::reg::Extent;
use crate::state::{Hold, Link, MemKind, Number, Pointer, PtrTo, Reg, State, Trust};
use crate::trail::{FramePlaces, Note, Places};
use ubpf_abi::helper::SockKind;
use ubpf_isa::{AluOp, CmpOp, Operand, Pc, Reg as Name, Width};

/// Packets are no longer than this, so that offsets in them cannot wrap.
const MAX_PACKET_OFF: u64 = 0xffff;
/// Numbers that a comparison narrows together, at most.
const MAX_TIED: u32 = 6;

impl Step<'_> {
    pub(super) fn branch(
        &mut self,
        op: CmpOp,
        width: Width,
        dst: Name,
        src: Operand,
        next: Pc,
        target: Pc,
    ) -> Result<Next, Reason> {
        let a = self.read(dst)?;
        let b = match src {
            Operand::Imm(imm) => Reg::constant(i64::from(imm) as u64),
            Operand::Reg(src) => {
                let b = self.read(src)?;
                if !(in_packet(&a) && in_packet(&b)) {
                    self.check_comparable(&b, src)?;
                }
                b
            }
        };
        if let Some(taken) = decide(op, width, &a, &b) {
            self.demand_operands(dst, src);
            self.found.seen.branch(self.pc, Some(taken));
            return Ok(Next::Go(if taken { target } else { next }));
        }
        self.found.seen.branch(self.pc, None);
        let tied = self.tie_compared(&a, &b, src);
        let mut taken = Box::new(self.state.clone());
        if let (Reg::Number(x), Reg::Number(y)) = (&a, &b) {
            refine_numbers(self.state, &tied, op, width, false, (dst, x), (src, y));
            refine_numbers(&mut taken, &tied, op, width, true, (dst, x), (src, y));
        }
        let ways = Ways { cx: self.cx, op, not_taken: &mut *self.state, taken: &mut taken };
        let learned = width == Width::W64 && ways.learn(&a, &b, src);
        if !learned {
            self.check_comparable(&a, dst)?;
        }
        Ok(Next::Fork { here: next, there: target, other: taken })
    }

    /// Without privileges pointers may be compared with null and packet ends only.
    fn check_comparable(&self, value: &Reg, reg: Name) -> Result<(), Reason> {
        let hidden = self.cx.options.privilege == Privilege::Unprivileged;
        if hidden && value.pointer().is_some() {
            return Err(ValueReason::Comparison(R(reg)).into());
        }
        Ok(())
    }

    /// Finds the numbers that the comparison narrows together. It narrows a few at most; the ties
    /// of more are cut. Those that nobody reads again stay as they are.
    fn tie_compared(&mut self, a: &Reg, b: &Reg, src: Operand) -> Places {
        let on_stack = |reg: &Reg| reg.pointer().is_some_and(|p| matches!(p.to, PtrTo::Stack(_)));
        if on_stack(a) || on_stack(b) {
            self.trace.note = Note::Pointers { dst: on_stack(a), src: on_stack(b) };
        }
        let id = |reg: &Reg| reg.number().and_then(|n| n.link).map(|l| l.id);
        let src = if let Operand::Reg(_) = src { id(b) } else { None };
        let (mut places, mut count) = (Places::default(), 0);
        for wanted in [src, id(a)].into_iter().flatten() {
            let is_tied = |reg: &Reg| id(reg) == Some(wanted);
            for depth in (0..self.state.depth()).rev() {
                let live = self.cx.live.before(self.state.place_of(depth, self.pc));
                let frame = &self.state.frames()[depth];
                let tied = places.frame_mut(depth);
                let mut cut = FramePlaces::default();
                let mut found = |add: &mut dyn FnMut(&mut FramePlaces)| {
                    add(if count < MAX_TIED { &mut *tied } else { &mut cut });
                    count += 1;
                };
                for reg in live.iter().filter(|r| is_tied(&frame.regs[r.index()])) {
                    found(&mut |places| places.regs.insert(reg));
                }
                for (n, slot) in frame.stack.slots().iter().enumerate() {
                    if slot.spill_bytes() > 0 && is_tied(&slot.reg) {
                        found(&mut |places| places.slots |= 1 << n);
                    }
                }
                if !cut.is_empty() {
                    self.frame_at_mut(depth as u8).untie(cut);
                }
            }
        }
        if count > 1 {
            self.trace.tied = Some(places.clone());
        }
        places
    }

    fn demand_operands(&mut self, dst: Name, src: Operand) {
        let regs = [
            Some(dst),
            match src {
                Operand::Reg(src) => Some(src),
                Operand::Imm(_) => None,
            },
        ];
        for reg in regs.into_iter().flatten() {
            if self.frame().regs[reg.index()].number().is_some() {
                self.demand(reg);
            }
        }
    }
}

const fn in_packet(reg: &Reg) -> bool {
    matches!(
        reg,
        Reg::Pointer(Pointer {
            to: PtrTo::Packet(_) | PtrTo::PacketMeta(_) | PtrTo::PacketEnd,
            ..
        })
    )
}

/// Whether the jump is always taken, or never.
fn decide(op: CmpOp, width: Width, a: &Reg, b: &Reg) -> Option<bool> {
    match (a, b) {
        (Reg::Number(x), Reg::Number(y)) => branch::decide(op, width, &x.value, &y.value),
        (Reg::Pointer(p), Reg::Pointer(q)) if width == Width::W64 => decide_packet(op, p, q),
        (Reg::Pointer(p), Reg::Number(n)) | (Reg::Number(n), Reg::Pointer(p)) => {
            let zero = match width {
                Width::W64 => n.value.as_const() == Some(0),
                Width::W32 => n.value.low_bits().as_const() == Some(0),
            };
            match op {
                CmpOp::Eq if zero && never_null(p) => Some(false),
                CmpOp::Ne if zero && never_null(p) => Some(true),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Pointers that the kernel takes to be different from null when it predicts jumps.
const fn never_null(p: &Pointer) -> bool {
    let kernel_object = matches!(p.to, PtrTo::Btf { .. } | PtrTo::Own { .. });
    let readable = !matches!(p.to, PtrTo::Mem { kind: MemKind::Untrusted, .. });
    let memory = readable && matches!(p.to, PtrTo::Mem { .. });
    !p.nullable
        && (memory
            || kernel_object && p.ref_id.is_some()
            || matches!(
                p.to,
                PtrTo::Sock(SockKind::Full | SockKind::Tcp | SockKind::Common)
                    | PtrTo::MapValue(_)
                    | PtrTo::MapKey(_)
                    | PtrTo::Map(_)
                    | PtrTo::Btf { trust: Trust::Trusted, .. }
                    | PtrTo::Own { hold: Hold::Owned | Hold::Shared, .. }
            ))
}

/// A packet pointer already compared with the packet's end.
fn decide_packet(op: CmpOp, p: &Pointer, q: &Pointer) -> Option<bool> {
    let (op, extent) = match (p.to, q.to) {
        (PtrTo::Packet(e) | PtrTo::PacketMeta(e), PtrTo::PacketEnd) => (op, e),
        (PtrTo::PacketEnd, PtrTo::Packet(e) | PtrTo::PacketMeta(e)) => (mirrored(op)?, e),
        _ => return None,
    };
    match (op, extent) {
        (CmpOp::Gt | CmpOp::Le, Extent::BeyondEnd) => Some(op == CmpOp::Gt),
        (CmpOp::Ge | CmpOp::Lt, Extent::BeyondEnd | Extent::AtEnd) => Some(op == CmpOp::Ge),
        _ => None,
    }
}

/// The condition with its operands exchanged, for unsigned order.
const fn mirrored(op: CmpOp) -> Option<CmpOp> {
    match op {
        CmpOp::Gt => Some(CmpOp::Lt),
        CmpOp::Ge => Some(CmpOp::Le),
        CmpOp::Lt => Some(CmpOp::Gt),
        CmpOp::Le => Some(CmpOp::Ge),
        CmpOp::Eq | CmpOp::Ne | CmpOp::Set | CmpOp::Sgt | CmpOp::Sge | CmpOp::Slt | CmpOp::Sle => {
            None
        }
    }
}

/// Narrows both operands, and everything tied to them, by the way that was taken.
fn refine_numbers(
    state: &mut State,
    tied: &Places,
    op: CmpOp,
    width: Width,
    holds: bool,
    (dst, x): (Name, &Number),
    (src, y): (Operand, &Number),
) {
    let (mut a, mut b) = (x.value, y.value);
    if matches!(src, Operand::Reg(src) if src.index() == dst.index()) {
        branch::refine_itself(op, width, holds, &mut a);
        b = a;
    } else {
        branch::refine(op, width, holds, &mut a, &mut b);
    }
    narrow(state, dst, a);
    if let Operand::Reg(src) = src {
        narrow(state, src, b);
    }
    if let (Operand::Reg(_), Some(link)) = (src, y.link) {
        spread(state, tied, link, &b);
    }
    // Where both are of the same origin, the first has followed the second by now.
    if let Reg::Number(Number { value, link: Some(link) }) = state.frame().regs[dst.index()] {
        spread(state, tied, link, &value);
    }
}

fn narrow(state: &mut State, reg: Name, value: Scalar) {
    if let Reg::Number(n) = &mut state.frame_mut().regs[reg.index()] {
        n.value = value;
    }
}

/// What holds for one number holds for those of the same origin, less what was added to each.
fn spread(state: &mut State, tied: &Places, from: Link, value: &Scalar) {
    for (depth, places) in (0..).zip(&tied.frames).filter(|(_, places)| !places.is_empty()) {
        let frame = state.frame_at_mut(depth);
        for reg in places.regs.iter() {
            follow(&mut frame.regs[reg.index()], from, value);
        }
        let slots = frame.stack.slots_mut().iter_mut().enumerate();
        for (_, slot) in slots.filter(|(n, _)| places.slots & 1 << n != 0) {
            follow(&mut slot.reg, from, value);
        }
    }
}

/// A number follows another of the same origin.
fn follow(reg: &mut Reg, from: Link, value: &Scalar) {
    let Reg::Number(Number { value: mine, link: Some(link) }) = reg else { return };
    let widths = [link.delta, from.delta].map(|delta| delta.map(|d| d.width));
    if link.id != from.id || matches!(widths, [Some(a), Some(b)] if a != b) {
        return;
    }
    if link.by() == from.by() {
        (*mine, *link) = (*value, from);
        return;
    }
    let by = i64::from(link.by()) - i64::from(from.by());
    let narrow = widths.contains(&Some(Width::W32));
    let width = if narrow { Width::W32 } else { Width::W64 };
    *mine = value.alu(AluOp::Add, width, &Scalar::constant(by as u64));
}

/// The two ways on from a comparison of pointers.
struct Ways<'a> {
    cx: &'a Cx<'a>,
    op: CmpOp,
    not_taken: &'a mut State,
    taken: &'a mut State,
}

impl Ways<'_> {
    /// Learns from null checks and packet bounds; whether it was one of these.
    fn learn(self, a: &Reg, b: &Reg, src: Operand) -> bool {
        match (a, b) {
            (Reg::Pointer(p), Reg::Number(_)) => self.learn_null(p, src),
            (Reg::Pointer(p), Reg::Pointer(q)) => {
                let packet = self.op_on_packet(p, q);
                self.learn_same(p, q);
                packet
            }
            _ => false,
        }
    }

    fn op_on_packet(&self, p: &Pointer, q: &Pointer) -> bool {
        bounds(self.op, p, q).is_some()
    }

    fn learn_null(self, p: &Pointer, src: Operand) -> bool {
        let (Operand::Imm(0), true) = (src, p.nullable) else { return false };
        let (null, not_null) = match self.op {
            CmpOp::Eq => (self.taken, self.not_taken),
            CmpOp::Ne => (self.not_taken, self.taken),
            _ => return false,
        };
        resolve_null(self.cx, null, p, true);
        resolve_null(self.cx, not_null, p, false);
        true
    }

    /// A pointer equal to one that is not null is not null; packet pointers teach bounds.
    fn learn_same(self, p: &Pointer, q: &Pointer) {
        if let Some(found) = bounds(self.op, p, q) {
            let (inside, outside) = if found.inside_when_taken {
                (self.taken, self.not_taken)
            } else {
                (self.not_taken, self.taken)
            };
            extend(inside, found.pointer, found.inside_open);
            // Of metadata the kernel does not keep that it is past its end.
            if let PtrTo::Packet(_) = found.pointer.to {
                let extent = if found.inside_open { Extent::AtEnd } else { Extent::BeyondEnd };
                mark_past_end(outside, found.pointer, extent);
            }
            return;
        }
        let equal = match self.op {
            CmpOp::Eq => self.taken,
            CmpOp::Ne => self.not_taken,
            _ => return,
        };
        let kernel_object = |p: &Pointer| matches!(p.to, PtrTo::Btf { .. } | PtrTo::Own { .. });
        if p.nullable != q.nullable && !kernel_object(p) && !kernel_object(q) {
            resolve_null(self.cx, equal, if p.nullable { p } else { q }, false);
        }
    }
}

/// A comparison that bounds a packet pointer.
struct Bounds<'a> {
    pointer: &'a Pointer,
    /// The bytes before the pointer exist on the way that is taken.
    inside_when_taken: bool,
    /// On that way the pointer is before the end, so one byte more exists.
    inside_open: bool,
}

fn bounds<'a>(op: CmpOp, p: &'a Pointer, q: &'a Pointer) -> Option<Bounds<'a>> {
    let start =
        |p: &Pointer| matches!(p.to, PtrTo::Packet(_)) && p.off == 0 && p.var.as_const() == Some(0);
    let bounded = |p: &Pointer, q: &Pointer| match (p.to, q.to) {
        (PtrTo::Packet(_), PtrTo::PacketEnd) => true,
        (PtrTo::PacketMeta(_), PtrTo::Packet(_)) => start(q),
        _ => false,
    };
    let (op, pointer) = if bounded(p, q) {
        (op, p)
    } else if bounded(q, p) {
        (mirrored(op)?, q)
    } else {
        return None;
    };
    let (inside_when_taken, inside_open) = match op {
        CmpOp::Gt => (false, false),
        CmpOp::Ge => (false, true),
        CmpOp::Lt => (true, true),
        CmpOp::Le => (true, false),
        _ => return None,
    };
    Some(Bounds { pointer, inside_when_taken, inside_open })
}

/// The bytes before `pointer` exist: so they do for every pointer with the same base.
fn extend(state: &mut State, pointer: &Pointer, open: bool) {
    let off = pointer.off;
    let reach = pointer.var.full.umax;
    if off < 0 || off == 0 && open || reach > MAX_PACKET_OFF {
        return;
    }
    if reach + off as u64 > MAX_PACKET_OFF {
        return;
    }
    let Ok(bytes) = u16::try_from(off + i32::from(open)) else { return };
    let meta = matches!(pointer.to, PtrTo::PacketMeta(_));
    let same = |reg: &Reg| {
        reg.pointer().is_some_and(|p| {
            p.id == pointer.id
                && match p.to {
                    PtrTo::Packet(_) => !meta,
                    PtrTo::PacketMeta(_) => meta,
                    _ => false,
                }
        })
    };
    state.for_each_reg(same, |reg| {
        if let Reg::Pointer(Pointer { to: PtrTo::Packet(e) | PtrTo::PacketMeta(e), .. }) = reg {
            *e = match *e {
                Extent::Bytes(n) => Extent::Bytes(n.max(bytes)),
                Extent::AtEnd | Extent::BeyondEnd => Extent::Bytes(bytes),
            };
        }
    });
}

/// The compared register itself is known to be at the end or beyond.
fn mark_past_end(state: &mut State, pointer: &Pointer, extent: Extent) {
    for reg in &mut state.frame_mut().regs {
        if let Reg::Pointer(p) = reg
            && *p == *pointer
            && let PtrTo::Packet(e) = &mut p.to
        {
            *e = extent;
        }
    }
}

/// Every copy of a pointer is null, or none is.
fn resolve_null(cx: &Cx<'_>, state: &mut State, pointer: &Pointer, null: bool) {
    let Some(id) = pointer.id else { return };
    // Of several pointers that carry a reference only the one it came with ends it when null.
    if null && let Some(reference) = pointer.ref_id.filter(|r| r.0 == id.0) {
        state.forget_reference(reference);
    }
    state.for_each_reg(
        |reg| reg.pointer().is_some_and(|p| p.nullable && p.id == Some(id)),
        |reg| {
            if null {
                *reg = Reg::constant(0);
            } else if let Reg::Pointer(p) = reg {
                p.nullable = false;
                p.to = cx.present(p.to);
                // Of locks it matters which one they are.
                p.id = p.id.filter(|_| cx.has_lock(p));
            }
        },
    );
}
