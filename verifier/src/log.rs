//! The kernel's verifier log: each instruction with what is known after it.
//!
//! ```text
//! 3: (61) r1 = *(u32 *)(r6 +0)          ; R1=pkt(r=0) R6=ctx()
//! 4: (15) if r0 == 0x0 goto pc+2        ; R0=map_value(map=stats,ks=4,vs=16)
//! ```
//!
//! Lines appear as the kernel writes them at log level 2 (6.18), so that the two can be compared
//! and tools that read one read the other. Numbers that the kernel hands out on its own (ids)
//! differ.

use crate::cx::Cx;
use crate::domain::Scalar;
use crate::domain::width::W64;
use crate::domain::{Bounds, Tnum};
use crate::explore::Stats;
use crate::state::stack::{Byte, Slot};
use crate::state::{Frame, IterState, MapRef, Number, Object, Pointer, PtrTo, Reg, State};
use crate::trail::{FramePlaces, Places};
use crate::transfer::Trace;
use std::fmt::{self, Write};
use ubpf_abi::helper::{DynptrKind, HelperId};
use ubpf_isa::disasm::{Disassembler, Names};
use ubpf_isa::{Pc, Reg as Name, RegSet};

/// Column at which the state stands beside its instruction, and the step for longer ones.
const STATE_COLUMN: usize = 40;
const STATE_STEP: usize = 8;

/// A log in the making.
#[derive(Clone, Debug, Default)]
pub struct Log {
    text: String,
}

impl Log {
    /// What was logged.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// A path begins at `to`, where an instruction at `from` forked.
    pub(crate) fn fork(&mut self, cx: &Cx<'_>, from: Pc, to: Pc, state: &State) {
        let shown = StateText::of(cx, state, Shown::ALL);
        self.line(format_args!("\nfrom {from} to {to}:{shown}"));
    }

    /// An instruction and what is known after it.
    pub(crate) fn insn(&mut self, cx: &Cx<'_>, pc: Pc, after: Option<(&State, &Trace)>) {
        let mut line = format!("{pc}: ");
        if let Some(insn) = cx.text.insn(pc) {
            let text = Disassembler::new().opcodes(true).names(HelperNames);
            let _ = write!(line, "{}", text.insn(&insn));
        }
        if let Some((state, trace)) = after {
            let shown = Shown { regs: trace.shown, slots: trace.shown_slots };
            let known = StateText::of(cx, state, shown).to_string();
            if !known.is_empty() {
                let len = line.len() + 1;
                let column = STATE_COLUMN.max(len + STATE_STEP / 2).next_multiple_of(STATE_STEP);
                let pad = column - len - 1;
                let _ = write!(line, "{:pad$};{known}", "");
            }
        }
        self.line(format_args!("{line}"));
    }

    /// A path ends because what follows is known to be safe.
    pub(crate) fn safe(&mut self, from: Option<Pc>, pc: Pc) {
        match from {
            Some(from) => self.line(format_args!("\nfrom {from} to {pc}: safe")),
            None => self.line(format_args!("{pc}: safe")),
        }
    }

    /// Numbers of a kept state matter, and so they do for the state that it stands for.
    pub(crate) fn propagates(&mut self, precise: &Places) {
        for (depth, places) in precise.frames.iter().enumerate().rev() {
            let regs = places.regs.iter().map(|r| format!("r{}", r.number()));
            let slots = (0..u64::BITS).filter(|n| places.slots & 1 << n != 0);
            let all: Vec<_> = regs.chain(slots.map(|n| format!("fp-{}", 8 * (n + 1)))).collect();
            if !all.is_empty() {
                self.line(format_args!("frame {depth}: propagating {}", all.join(",")));
            }
        }
    }

    /// Walking back begins in the stretch of a path between two kept states.
    pub(crate) fn back_from(&mut self, depth: usize, last: Pc, first: Pc, later: Option<Pc>) {
        let later = later.map_or(-1, |pc| i64::from(pc.0));
        let range = format_args!("last_idx {last} first_idx {first} subseq_idx {later} ");
        self.line(format_args!("mark_precise: frame{depth}: {range}"));
    }

    /// Walking back comes to an instruction, with these places wanted behind it.
    pub(crate) fn back_over(&mut self, cx: &Cx<'_>, depth: usize, wanted: FramePlaces, pc: Pc) {
        let mut line = format!("mark_precise: frame{depth}: {} before {pc}: ", PlacesText(wanted));
        if let Some(insn) = cx.text.insn(pc) {
            let text = Disassembler::new().opcodes(true).names(HelperNames);
            let _ = write!(line, "{}", text.insn(&insn));
        }
        self.line(format_args!("{line}"));
    }

    /// Walking back comes to a kept state, in which these places are marked now.
    pub(crate) fn back_at(
        &mut self,
        cx: &Cx<'_>,
        depth: usize,
        marked: FramePlaces,
        (state, precise): (&State, &Places),
    ) {
        let shown =
            StateText { depth, precise: Some(precise), ..StateText::of(cx, state, Shown::ALL) };
        let places = PlacesText(marked);
        self.line(format_args!("mark_precise: frame{depth}: parent state {places}: {shown}"));
    }

    /// Why the program is refused.
    pub(crate) fn reason(&mut self, reason: &dyn fmt::Display) {
        self.line(format_args!("{reason}"));
    }

    /// The closing line.
    pub(crate) fn stats(&mut self, stats: &Stats) {
        self.line(format_args!("{stats}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

struct HelperNames;

impl Names for HelperNames {
    fn helper(&self, id: u32) -> Option<&str> {
        HelperId(id).bpf_name()
    }
}

/// Places in the form of the lines about walking back.
struct PlacesText(FramePlaces);

impl fmt::Display for PlacesText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let regs: Vec<_> = self.0.regs.iter().map(|r| format!("r{}", r.number())).collect();
        let slots = (0..u64::BITS).filter(|n| self.0.slots & 1 << n != 0);
        let slots: Vec<_> = slots.map(|n| format!("-{}", 8 * (n + 1))).collect();
        write!(f, "regs={} stack={}", regs.join(","), slots.join(","))
    }
}

/// Which registers and stack slots are printed.
#[derive(Clone, Copy)]
struct Shown {
    regs: RegSet,
    slots: u64,
}

impl Shown {
    const ALL: Self = Self { regs: RegSet::ALL, slots: u64::MAX };
}

struct StateText<'a> {
    cx: &'a Cx<'a>,
    state: &'a State,
    /// Which frame.
    depth: usize,
    shown: Shown,
    /// Numbers that are known to matter.
    precise: Option<&'a Places>,
}

impl<'a> StateText<'a> {
    /// The running frame.
    fn of(cx: &'a Cx<'a>, state: &'a State, shown: Shown) -> Self {
        Self { cx, state, depth: state.depth() - 1, shown, precise: None }
    }
}

impl fmt::Display for StateText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = self.depth;
        let Some(frame) = self.state.frames().get(depth) else { return Ok(()) };
        let precise = self.precise.map(|places| places.frame(depth)).unwrap_or_default();
        let mark = |precise| if precise { "P" } else { "" };
        if depth > 0 && !self.is_empty(frame) {
            write!(f, " frame{depth}:")?;
        }
        for reg in Name::all().filter(|&r| self.shown.regs.contains(r)) {
            let value = &frame.regs[reg.index()];
            if *value != Reg::Uninit {
                let value = RegText { cx: self.cx, depth, value };
                write!(f, " R{}={}{value}", reg.number(), mark(precise.regs.contains(reg)))?;
            }
        }
        for (n, slot) in frame.stack.slots().iter().enumerate() {
            if self.shown.slots & 1 << n == 0 || slot.bytes == [Byte::Invalid; 8] {
                continue;
            }
            let off = -8 * (n as i32 + 1);
            if slot.bytes[0].is_object() && slot.bytes[0] != Byte::IrqFlag {
                if let Some(object) = frame.stack.object(off) {
                    write!(f, " fp{off}={}", ObjectText { cx: self.cx, object })?;
                }
                continue;
            }
            write!(f, " fp{off}={}", bytes_text(slot))?;
            if slot.spill_bytes() > 0 {
                let value = RegText { cx: self.cx, depth, value: &slot.reg };
                write!(f, "{}{value}", mark(precise.slots & 1 << n != 0))?;
            }
        }
        let callback = frame.callback.is_some() && (frame.return_to.is_some());
        if callback && !self.is_empty(frame) { f.write_str(" cb") } else { Ok(()) }
    }
}

impl StateText<'_> {
    fn is_empty(&self, frame: &Frame) -> bool {
        let reg = |r: Name| self.shown.regs.contains(r) && frame.regs[r.index()] != Reg::Uninit;
        !Name::all().any(reg) && self.shown.slots == 0
    }
}

/// An object on the stack in the log's form.
struct ObjectText<'a> {
    cx: &'a Cx<'a>,
    object: &'a Object,
}

impl fmt::Display for ObjectText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.object {
            Object::Dynptr(dynptr) => {
                let kind = dynptr_kind(dynptr.kind);
                write!(f, "dynptr_{kind}(id={0}", dynptr.id.0)?;
                if let Some(id) = dynptr.ref_id {
                    write!(f, ",ref_id={}", id.0)?;
                }
                // The kernel shows something else in its place.
                f.write_str(",dynptr_id=1)")
            }
            Object::Iter(iter) => {
                let types = self.cx.program.target_btf.as_deref();
                let name = types.map_or("", |types| types.name_of(iter.btf_id));
                let name = name.strip_prefix("bpf_").unwrap_or(name);
                let state = match iter.state {
                    IterState::Active => "active",
                    IterState::Drained => "drained",
                };
                let (id, depth) = (iter.ref_id.0, iter.depth);
                write!(f, "{name}(ref_id={id},state={state},depth={depth})")
            }
            Object::IrqFlag(_) => Ok(()),
        }
    }
}

/// What a dynptr points into, as the log calls it.
const fn dynptr_kind(kind: DynptrKind) -> &'static str {
    match kind {
        DynptrKind::Local => "local",
        DynptrKind::Ringbuf => "ringbuf",
        DynptrKind::Skb => "skb",
        DynptrKind::Xdp => "xdp",
        DynptrKind::SkbMeta => "skb_meta",
        DynptrKind::File => "file",
    }
}

/// The bytes of a slot from the highest, without those of its spilled register.
fn bytes_text(slot: &Slot) -> String {
    let spilled = slot.spill_bytes() as usize;
    let letter = |b: &Byte| match b {
        Byte::Invalid => '?',
        Byte::Spill => 'r',
        Byte::Misc => 'm',
        Byte::Zero => '0',
        Byte::Dynptr => 'd',
        Byte::Iter => 'i',
        Byte::IrqFlag => 'f',
    };
    slot.bytes.iter().skip(spilled).rev().map(letter).collect()
}

/// A value in the log's form.
struct RegText<'a> {
    cx: &'a Cx<'a>,
    /// Depth of the frame that holds it.
    depth: usize,
    value: &'a Reg,
}

impl fmt::Display for RegText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Reg::Uninit => f.write_str("?"),
            Reg::Number(n) => fmt_number(f, n),
            Reg::Pointer(p) => self.fmt_pointer(f, p),
        }
    }
}

fn fmt_number(f: &mut fmt::Formatter<'_>, n: &Number) -> fmt::Result {
    if let Some(value) = n.value.as_const() {
        return write!(f, "{}", Signed(value as i64));
    }
    let mut list = List::new(f);
    f_str(&mut list, "scalar(")?;
    if let Some(link) = n.link {
        list.item(format_args!("id={}", link.id.0))?;
        if let Some(delta) = link.delta {
            write!(list.f, "{:+}", delta.by)?;
        }
    }
    ranges(&mut list, &n.value)?;
    f_str(&mut list, ")")
}

fn f_str(list: &mut List<'_, '_>, text: &str) -> fmt::Result {
    list.f.write_str(text)
}

impl RegText<'_> {
    fn fmt_pointer(&self, f: &mut fmt::Formatter<'_>, p: &Pointer) -> fmt::Result {
        write!(f, "{}", p.type_name())?;
        if let (PtrTo::Btf { id, .. }, Some(types)) = (p.to, &self.cx.program.target_btf) {
            f.write_str(types.name_of(id))?;
        }
        if let (PtrTo::Own { id, .. }, Some(types)) = (p.to, &self.cx.program.btf) {
            f.write_str(types.name_of(id))?;
        }
        if let PtrTo::Stack(depth) = p.to {
            if usize::from(depth) != self.depth {
                write!(f, "[{depth}]")?;
            }
            if let Some(off) = p.const_off() {
                return write!(f, "{}", Signed(off));
            }
        }
        if p.to == PtrTo::Arena {
            return Ok(());
        }
        let mut list = List::new(f);
        f_str(&mut list, "(")?;
        if let Some(id) = p.id {
            list.item(format_args!("id={}", id.0))?;
        }
        if let Some(id) = p.ref_id {
            list.item(format_args!("ref_obj_id={}", id.0))?;
        }
        if let PtrTo::Own { hold, .. } = p.to
            && hold.is_shared()
        {
            list.item(format_args!("non_own_ref"))?;
        }
        if let PtrTo::Dynptr(kind) = p.to {
            list.item(format_args!("type={}", dynptr_kind(kind)))?;
        }
        if let PtrTo::Map(map) | PtrTo::MapValue(map) | PtrTo::MapKey(map) = p.to
            // What a map of maps gives is its value until it is checked.
            && let Ok(def) = self.cx.map_def(match p.to {
                PtrTo::Map(_) => MapRef { inner: map.inner && !p.nullable, ..map },
                _ => map,
            })
        {
            list.item(format_args!("map={},ks={},vs={}", def.name, def.key_size, def.value_size))?;
        }
        if p.off != 0 {
            list.item(format_args!("off={}", Signed(p.off.into())))?;
        }
        if let PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) = p.to {
            list.item(format_args!("r={extent}"))?;
        }
        if let PtrTo::Mem { size, .. } = p.to {
            list.item(format_args!("sz={}", Unsigned(size.into())))?;
        }
        match p.var.as_const() {
            Some(0) => {}
            Some(value) => list.item(format_args!("imm={}", Signed(value as i64)))?,
            None => ranges(&mut list, &p.var)?,
        }
        f_str(&mut list, ")")
    }
}

/// Items with commas between them.
struct List<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    empty: bool,
}

impl<'a, 'b> List<'a, 'b> {
    const fn new(f: &'a mut fmt::Formatter<'b>) -> Self {
        Self { f, empty: true }
    }

    fn item(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        if !self.empty {
            self.f.write_str(",")?;
        }
        self.empty = false;
        self.f.write_fmt(item)
    }
}

/// One bound of a number.
struct Limit {
    name: &'static str,
    value: i128,
    signed: bool,
    trivial: bool,
}

/// The bounds that say something. Equal ones of a kind (lower or upper) share a value:
/// `smin=umin=5`.
fn ranges(list: &mut List<'_, '_>, n: &Scalar) -> fmt::Result {
    let (full, low) = (&n.full, &n.low);
    let free = Bounds::<W64>::UNBOUNDED;
    let half = Scalar::<W64>::UNKNOWN.low;
    let mut limits = [
        Limit::signed("smin", full.smin, full.smin == free.smin),
        Limit::signed("smax", full.smax, full.smax == free.smax),
        Limit::unsigned("umin", full.umin, full.umin == free.umin),
        Limit::unsigned("umax", full.umax, full.umax == free.umax),
        Limit::half("smin32", low.smin, low.smin == half.smin),
        Limit::half("smax32", low.smax, low.smax == half.smax),
        Limit::unsigned("umin32", low.umin, low.umin == half.umin),
        Limit::unsigned("umax32", low.umax, low.umax == half.umax),
    ];
    for i in 0..limits.len() {
        if limits[i].trivial {
            continue;
        }
        let (name, value, signed) = (limits[i].name, limits[i].value, limits[i].signed);
        let mut names = format!("{name}=");
        for other in limits.iter_mut().skip(i + 2).step_by(2) {
            if !other.trivial
                && other.value == value
                && (other.signed && other.value < 0) == (signed && value < 0)
            {
                other.trivial = true;
                names.push_str(other.name);
                names.push('=');
            }
        }
        if signed {
            list.item(format_args!("{names}{}", Signed(value as i64)))?;
        } else {
            list.item(format_args!("{names}{}", Unsigned(value as u64)))?;
        }
    }
    if n.bits != Tnum::UNKNOWN {
        list.item(format_args!("var_off={}", n.bits))?;
    }
    Ok(())
}

impl Limit {
    fn signed(name: &'static str, value: i64, trivial: bool) -> Self {
        Self { name, value: value.into(), signed: true, trivial }
    }

    fn unsigned(name: &'static str, value: u64, trivial: bool) -> Self {
        Self { name, value: value.into(), signed: false, trivial }
    }

    /// Signed halves are shown as such where they are short, else as 32 bits.
    fn half(name: &'static str, value: i64, trivial: bool) -> Self {
        let shown = if is_short(value) { value } else { i64::from(value as u32) };
        Self::signed(name, shown, trivial)
    }
}

const fn is_short(value: i64) -> bool {
    value >= i16::MIN as i64 && value <= i16::MAX as i64
}

/// A signed number: decimal where it is short.
struct Signed(i64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_short(self.0) { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// An unsigned number: decimal where it is short.
struct Unsigned(u64);

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 <= u64::from(u16::MAX) {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}
