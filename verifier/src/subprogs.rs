//! What the walk finds out about subprograms as a whole, and what can be judged only then: how
//! deep the stack may get.
//!
//! Each subprogram's frame is as deep as the deepest byte that some path touches. Call chains are
//! then followed in the code, taken or not, and their frames added up.

use crate::cx::Cx;
use crate::facts::Seen;
use crate::pointers::Pointers;
use crate::prototype;
use crate::reason::{CallReason, Rejection};
use crate::text::{Text, named_subprog};
use std::collections::BTreeMap;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::limits::{MAX_CALL_FRAMES, STACK_BYTES, TAIL_CALL_STACK_BYTES};
use ubpf_abi::map::MapOp;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::SubprogId;
use ubpf_isa::{CallTarget, Insn, Pc};

/// Frames of compiled code are multiples of this.
const FRAME_ALIGN: u32 = 16;
/// Subprograms with frames from this size on get a stack of their own, where the program type
/// allows it.
const PRIVATE_STACK_MIN: u32 = 64;

/// What the walk found out beside its verdict.
#[derive(Debug, Default)]
pub struct Found {
    each: Vec<Subprog>,
    /// Calls of `bpf_loop`, with what they call; `None` where they cannot be inlined.
    inlined: BTreeMap<Pc, Option<SubprogId>>,
    /// Of each instruction.
    pub seen: Seen,
    /// What each instruction accesses memory through.
    pub pointers: Pointers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Subprog {
    stack_bytes: u32,
    /// Some path calls it.
    called: bool,
    /// It was verified on its own.
    verified: bool,
    /// It runs later, on a stack of its own.
    later: bool,
    /// A helper or the kernel calls it.
    called_back: bool,
}

impl Found {
    /// Nothing yet, of this code.
    #[must_use]
    pub fn new(text: &Text) -> Self {
        Self {
            inlined: BTreeMap::new(),
            each: vec![Subprog::default(); text.subprogs()],
            seen: Seen::new(text.len()),
            pointers: Pointers::default(),
        }
    }

    /// Bytes of its stack that some path uses.
    #[must_use]
    pub fn stack_bytes(&self, id: SubprogId) -> u32 {
        self.get(id).stack_bytes
    }

    fn at(&mut self, id: SubprogId) -> Option<&mut Subprog> {
        self.each.get_mut(id.0 as usize)
    }

    fn get(&self, id: SubprogId) -> Subprog {
        self.each.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// A byte of its stack was used, so far below the frame pointer.
    pub fn stack_used(&mut self, id: SubprogId, bytes: u32) {
        if let Some(s) = self.at(id) {
            s.stack_bytes = s.stack_bytes.max(bytes.next_multiple_of(8));
        }
    }

    /// A global subprogram is called, so it must be verified.
    pub fn call(&mut self, id: SubprogId) {
        if let Some(s) = self.at(id) {
            s.called = true;
        }
    }

    /// A subprogram is called later, on its own.
    pub fn call_later(&mut self, id: SubprogId) {
        if let Some(s) = self.at(id) {
            s.later = true;
        }
    }

    /// A helper calls it back.
    pub fn call_back(&mut self, id: SubprogId) {
        if let Some(s) = self.at(id) {
            s.called_back = true;
        }
    }

    /// Whether the kernel still means to inline the `bpf_loop` at `pc`, which is about to call
    /// `subprog`: so far it called no other, and the flags were zero. If they are, that is noted
    /// as what decided.
    pub fn may_inline(&mut self, pc: Pc, subprog: SubprogId) -> bool {
        let callee = self.inlined.entry(pc).or_insert(Some(subprog));
        let before = callee.is_some();
        *callee = callee.filter(|known| *known == subprog);
        before
    }

    /// The flags of the `bpf_loop` at `pc` were not zero.
    pub fn forbid_inline(&mut self, pc: Pc) {
        self.inlined.insert(pc, None);
    }

    /// The next global subprogram after `from` that is called and was not verified; it counts as
    /// verified from now on.
    pub fn next_called(&mut self, from: u32) -> Option<SubprogId> {
        let from = from as usize + 1;
        let found =
            (from..self.each.len()).find(|&i| self.each[i].called && !self.each[i].verified)?;
        self.each[found].verified = true;
        Some(SubprogId(found as u32))
    }
}

/// Legacy packet loads and tail calls may end the program early with a number, so a subprogram
/// that has some must return one.
///
/// # Errors
/// The first subprogram that does not.
pub fn check_results(cx: &Cx<'_>) -> Result<(), Rejection> {
    for id in (1..cx.text.subprogs() as u32).map(SubprogId) {
        let (start, end) = cx.text.extent(id);
        let insns = || (start.0..end.0).filter_map(|pc| cx.text.insn(Pc(pc)));
        let loads = insns().any(|i| matches!(i, Insn::LdAbs { .. } | Insn::LdInd { .. }));
        let chains = Chains { cx, found: &Found::default(), private: false };
        let what = match (loads, chains.tail_calls(id)) {
            (true, _) => "LD_ABS",
            (false, true) => "tail_call",
            (false, false) => continue,
        };
        let func = cx.function(id).and_then(|f| f.btf_func);
        let reason = match (cx.program.btf.as_deref(), func) {
            (Some(btf), Some(func)) if prototype::returns_number(btf, func) => continue,
            (Some(_), Some(_)) => CallReason::EarlyEnd(what),
            _ => CallReason::EarlyEndWithoutBtf(what),
        };
        return Err(Rejection::at(start, reason));
    }
    Ok(())
}

/// A subprogram on the chain that is being followed.
struct Link {
    subprog: SubprogId,
    /// Where to go on when it returns.
    next: Pc,
    /// What it adds to the common stack.
    bytes: u32,
}

/// Checks that no call chain is too deep.
///
/// # Errors
/// Too many frames, or too many bytes in them.
pub fn check_depth(cx: &Cx<'_>, found: &Found) -> Result<(), Rejection> {
    let tail_calls = Chains { cx, found, private: false }.any_tail_call();
    let private = !tail_calls && has_private_stacks(cx);
    Chains { cx, found, private }.check(SubprogId(0))?;
    let chains = Chains { cx, found, private: false };
    let later = |id: &SubprogId| found.get(*id).later || cx.exception == Some(*id);
    (1..cx.text.subprogs() as u32).map(SubprogId).filter(later).try_for_each(|id| chains.check(id))
}

/// Programs that may interrupt themselves have one stack only.
const fn has_private_stacks(cx: &Cx<'_>) -> bool {
    matches!(
        cx.decl.prog_type,
        ProgType::Kprobe | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::RawTracepoint
    )
}

struct Chains<'a> {
    cx: &'a Cx<'a>,
    found: &'a Found,
    private: bool,
}

impl Chains<'_> {
    fn check(&self, entry: SubprogId) -> Result<(), Rejection> {
        let mut chain = vec![self.enter(entry, 0)?];
        let mut depth = chain[0].bytes;
        self.check_throws(&chain)?;
        if depth > STACK_BYTES {
            return Err(Rejection::whole(CallReason::StackDepth { frames: 1, bytes: depth }));
        }
        while let Some(last) = chain.last_mut() {
            let (_, end) = self.cx.text.extent(last.subprog);
            let Some((at, callee)) = self.next_call(last.next, end) else {
                depth -= last.bytes;
                chain.pop();
                continue;
            };
            last.next = Pc(at.0 + 1);
            if self.cx.exception == Some(callee) {
                return Err(Rejection::at(at, CallReason::ExceptionCalled(at)));
            }
            // What runs later takes none of this stack, unless it is called like others too.
            if self.found.get(callee).later
                && matches!(self.cx.text.insn(at), Some(Insn::LdImm64 { .. }))
            {
                continue;
            }
            if chain.len() >= MAX_CALL_FRAMES {
                return Err(Rejection::at(at, CallReason::ChainDepth(chain.len())));
            }
            let link = self.enter(callee, depth)?;
            depth += link.bytes;
            let frames = chain.len() + 1;
            if depth > STACK_BYTES {
                return Err(Rejection::at(at, CallReason::StackDepth { frames, bytes: depth }));
            }
            chain.push(link);
            self.check_throws(&chain)?;
        }
        Ok(())
    }

    /// Who calls back must get its answer: no exceptions while a callback runs.
    fn check_throws(&self, chain: &[Link]) -> Result<(), Rejection> {
        let Some(last) = chain.last().map(|link| link.subprog) else { return Ok(()) };
        if !chain.iter().any(|link| self.is_callback(link.subprog)) {
            return Ok(());
        }
        match self.throw_in(last) {
            Some(at) => {
                let reason = CallReason::ThrowInCallback { at, subprog: last.0 };
                Err(Rejection::at(at, reason))
            }
            None => Ok(()),
        }
    }

    fn is_callback(&self, id: SubprogId) -> bool {
        let found = self.found.get(id);
        self.cx.exception == Some(id) || found.called_back || found.later
    }

    /// The first exception in a subprogram.
    fn throw_in(&self, id: SubprogId) -> Option<Pc> {
        let (start, end) = self.cx.text.extent(id);
        (start.0..end.0).map(Pc).find(|&pc| match self.cx.text.insn(pc) {
            Some(Insn::Call(CallTarget::Kfunc { btf_id, .. })) => {
                let kfunc = self.cx.kfunc(btf_id);
                kfunc.is_ok_and(|kfunc| kfunc.decl.special == Some(KfuncSpecial::Throw))
            }
            _ => false,
        })
    }

    fn enter(&self, subprog: SubprogId, depth: u32) -> Result<Link, Rejection> {
        let (start, _) = self.cx.text.extent(subprog);
        if subprog.0 != 0 && depth >= TAIL_CALL_STACK_BYTES && self.tail_calls(subprog) {
            return Err(Rejection::at(start, CallReason::TailCallDepth(depth)));
        }
        let bytes = self.found.get(subprog).stack_bytes.next_multiple_of(FRAME_ALIGN);
        let own = self.private && bytes >= PRIVATE_STACK_MIN;
        Ok(Link { subprog, next: start, bytes: if own { 0 } else { bytes } })
    }

    /// The next call, or address taken, of a subprogram.
    fn next_call(&self, from: Pc, end: Pc) -> Option<(Pc, SubprogId)> {
        (from.0..end.0).map(Pc).find_map(|pc| {
            // The slot says it, as on no path anybody asks whether it is an instruction.
            let off = named_subprog(self.cx.program.slots.get(pc.index())?)?;
            Some((pc, self.cx.text.subprog_starting(pc.target(off)?)?))
        })
    }

    fn tail_calls(&self, subprog: SubprogId) -> bool {
        let (start, end) = self.cx.text.extent(subprog);
        (start.0..end.0).filter_map(|pc| self.cx.text.insn(Pc(pc))).any(|insn| match insn {
            Insn::Call(CallTarget::Helper(id)) => {
                let helper = self.cx.platform.helper(ubpf_abi::helper::HelperId(id));
                helper.is_some_and(|h| h.map_op == Some(MapOp::TailCall))
            }
            _ => false,
        })
    }

    fn any_tail_call(&self) -> bool {
        (0..self.cx.text.subprogs() as u32).any(|id| self.tail_calls(SubprogId(id)))
    }
}
