//! Handlers of loads, stores and atomics.

use super::alu::{FromReg, Source};
use super::backend::Backend;
use super::machine::{Machine, Stored};
use super::step::{Handler, RegIndex, Step, Stop};
use crate::mem::{View, Window, Word};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use ubpf_abi::{Access, Trap, TrapKind};
use ubpf_isa::{AtomicOp, AtomicSize, Operand, Reg, Size};

/// The function `$f::<$before…, word, $after…>` for a size.
macro_rules! by_size {
    ($size:expr, $f:ident::<$($before:ty),*; $($after:ty),*>) => {
        match $size {
            Size::B => $f::<$($before,)* u8, $($after),*>,
            Size::H => $f::<$($before,)* u16, $($after),*>,
            Size::W => $f::<$($before,)* u32, $($after),*>,
            Size::Dw => $f::<$($before,)* u64, $($after),*>,
        }
    };
}

/// How a loaded word becomes a register.
pub(super) trait Extend: 'static {
    fn extend<W: Word>(word: W) -> u64;
}
pub(super) enum Zero {}
enum Signed {}
impl Extend for Zero {
    #[inline(always)]
    fn extend<W: Word>(word: W) -> u64 {
        word.into()
    }
}
impl Extend for Signed {
    #[inline(always)]
    fn extend<W: Word>(word: W) -> u64 {
        word.sign_extend()
    }
}

/// Ends the run with a memory fault of the step in front of `rest`.
#[cold]
fn fault<W: Word>(
    m: &mut Machine<'_, '_>,
    access: Access,
    addr: u64,
    rest: &[Step],
    gas: i64,
) -> Stop {
    let trap = Trap::memory(access, m.pc(rest), addr, size_of::<W>() as u32);
    m.stop(trap, rest, gas)
}

/// The handler of a load.
pub(super) fn load<B: Backend>(size: Size, signed: bool, base: Reg) -> Handler {
    match (signed, base == Reg::FP) {
        (false, false) => by_size!(size, run_load::<B; Zero>),
        (true, false) => by_size!(size, run_load::<B; Signed>),
        (false, true) => by_size!(size, run_load_frame::<B; Zero>),
        (true, true) => by_size!(size, run_load_frame::<B; Signed>),
    }
}

/// Loads, when the first window covers it.
#[inline(always)]
pub(super) fn try_load<W: Word, E: Extend>(m: &mut Machine<'_, '_>, step: &Step) -> bool {
    let addr = m.reg(step.src).wrapping_add(step.value);
    let Some(word) = m.view.load::<W>(m.load_window(step), addr) else { return false };
    m.set(step.dst, E::extend(word));
    true
}

#[inline(always)]
pub(super) fn run_load<'m, B: Backend, W: Word, E: Extend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    if !try_load::<W, E>(m, step) {
        return run_load_slow::<B, W, E>(m, step, rest, gas);
    }
    B::next(m, rest, gas)
}

/// A load that the first window does not cover: a handler of its own, so that the fast one
/// needs no stack frame.
#[inline(never)]
pub(super) fn run_load_slow<'m, B: Backend, W: Word, E: Extend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.src).wrapping_add(step.value);
    let Some(word) = m.load_slow::<W>(step, addr) else {
        return fault::<W>(m, Access::Read, addr, rest, gas);
    };
    m.set(step.dst, E::extend(word));
    B::next(m, rest, gas)
}

/// The handler of a load that gives 0 where nothing may be loaded.
pub(super) fn load_probed<B: Backend>(size: Size, signed: bool) -> Handler {
    if signed {
        by_size!(size, run_load_probed::<B; Signed>)
    } else {
        by_size!(size, run_load_probed::<B; Zero>)
    }
}

fn run_load_probed<'m, B: Backend, W: Word, E: Extend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.src).wrapping_add(step.value);
    let word = match m.view.load::<W>(m.load_window(step), addr) {
        Some(word) => word,
        None => m.load_slow::<W>(step, addr).unwrap_or_default(),
    };
    m.set(step.dst, E::extend(word));
    B::next(m, rest, gas)
}

#[inline(always)]
pub(super) fn run_load_frame<'m, B: Backend, W: Word, E: Extend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(RegIndex::R10).wrapping_add(step.value);
    let Some(word) = m.view.load::<W>(m.frame(), addr) else {
        return fault::<W>(m, Access::Read, addr, rest, gas);
    };
    m.set(step.dst, E::extend(word));
    B::next(m, rest, gas)
}

/// The handler of a load-acquire.
pub(super) fn load_acquire<B: Backend>(size: Size) -> Handler {
    by_size!(size, run_load_acquire::<B;>)
}

fn run_load_acquire<'m, B: Backend, W: Word>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.src).wrapping_add(step.value);
    let Some(word) = m.load_slow::<W>(step, addr) else {
        return fault::<W>(m, Access::Read, addr, rest, gas);
    };
    fence(Ordering::Acquire);
    m.set(step.dst, word.into());
    B::next(m, rest, gas)
}

/// The immediate of a store, which shares its step with an offset.
enum StoredImm {}

impl Source for StoredImm {
    #[inline(always)]
    fn get(_: &Machine<'_, '_>, step: &Step) -> u64 {
        i64::from(step.target.cast_signed()).cast_unsigned()
    }
}

/// The handler of a store.
pub(super) fn store<B: Backend>(size: Size, base: Reg, src: Operand) -> Handler {
    match (src, base == Reg::FP) {
        (Operand::Reg(_), false) => by_size!(size, run_store::<B; FromReg>),
        (Operand::Imm(_), false) => by_size!(size, run_store::<B; StoredImm>),
        (Operand::Reg(_), true) => by_size!(size, run_store_frame::<B; FromReg>),
        (Operand::Imm(_), true) => by_size!(size, run_store_frame::<B; StoredImm>),
    }
}

#[inline(always)]
pub(super) fn run_store<'m, B: Backend, W: Word, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let word = W::truncate(S::get(m, step));
    if m.view.store(m.store_window(step), addr, word).is_none() {
        return run_store_slow::<B, W, S>(m, step, rest, gas);
    }
    B::next(m, rest, gas)
}

/// A store that the first window does not cover, apart as for loads.
#[inline(never)]
fn run_store_slow<'m, B: Backend, W: Word, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let word = W::truncate(S::get(m, step));
    match m.store_slow(step, addr, word) {
        Stored::Done => B::next(m, rest, gas),
        failed => store_failed::<W>(m, failed, addr, rest, gas),
    }
}

#[inline(always)]
pub(super) fn run_store_frame<'m, B: Backend, W: Word, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(RegIndex::R10).wrapping_add(step.value);
    let word = W::truncate(S::get(m, step));
    if m.view.store(m.frame(), addr, word).is_none() {
        return fault::<W>(m, Access::Write, addr, rest, gas);
    }
    B::next(m, rest, gas)
}

#[cold]
fn store_failed<W: Word>(
    m: &mut Machine<'_, '_>,
    failed: Stored,
    addr: u64,
    rest: &[Step],
    gas: i64,
) -> Stop {
    let mut trap = Trap::memory(Access::Write, m.pc(rest), addr, size_of::<W>() as u32);
    if failed == Stored::Forbidden {
        trap.kind = TrapKind::CtxAccess;
    }
    m.stop(trap, rest, gas)
}

/// The handler of a store-release.
pub(super) fn store_release<B: Backend>(size: Size) -> Handler {
    by_size!(size, run_store_release::<B;>)
}

fn run_store_release<'m, B: Backend, W: Word>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let word = W::truncate(m.reg(step.src));
    fence(Ordering::Release);
    match m.store_slow(step, addr, word) {
        Stored::Done => B::next(m, rest, gas),
        failed => store_failed::<W>(m, failed, addr, rest, gas),
    }
}

/// A machine word that atomics work on.
trait AtomicWord: Word {
    type Cell;
    fn cell<'m>(view: View<'m>, window: &Window, addr: u64) -> Option<&'m Self::Cell>;
    fn rmw(cell: &Self::Cell, op: AtomicOp, src: u64, r0: u64) -> Self;
}

macro_rules! atomic_words {
    ($($ty:ty, $cell:ty, $get:ident;)*) => {$(
        impl AtomicWord for $ty {
            type Cell = $cell;

            #[inline(always)]
            fn cell<'m>(view: View<'m>, window: &Window, addr: u64) -> Option<&'m $cell> {
                view.$get(window, addr)
            }

            /// Operations that give nothing back order nothing, the others everything, as the
            /// kernel has it.
            #[inline(always)]
            fn rmw(cell: &$cell, op: AtomicOp, src: u64, r0: u64) -> Self {
                let src = src as $ty;
                let order = |fetch| if fetch { Ordering::SeqCst } else { Ordering::Relaxed };
                match op {
                    AtomicOp::Add { fetch } => cell.fetch_add(src, order(fetch)),
                    AtomicOp::Or { fetch } => cell.fetch_or(src, order(fetch)),
                    AtomicOp::And { fetch } => cell.fetch_and(src, order(fetch)),
                    AtomicOp::Xor { fetch } => cell.fetch_xor(src, order(fetch)),
                    AtomicOp::Xchg => cell.swap(src, Ordering::SeqCst),
                    AtomicOp::Cmpxchg => {
                        let both = Ordering::SeqCst;
                        match cell.compare_exchange(r0 as $ty, src, both, both) {
                            Ok(old) | Err(old) => old,
                        }
                    }
                }
            }
        }
    )*};
}

atomic_words! {
    u32, AtomicU32, atomic_u32;
    u64, AtomicU64, atomic_u64;
}

trait IsAtomicOp: 'static {
    const OP: AtomicOp;
}

macro_rules! atomic_ops {
    ($($name:ident = $op:pat => $value:expr;)*) => {
        $(
            enum $name {}
            impl IsAtomicOp for $name {
                const OP: AtomicOp = $value;
            }
        )*

        /// The handler of an atomic operation.
        pub(super) fn atomic<B: Backend>(op: AtomicOp, size: AtomicSize) -> Handler {
            match (op, size) {
                $(
                    ($op, AtomicSize::W) => run_atomic::<B, u32, $name>,
                    ($op, AtomicSize::Dw) => run_atomic::<B, u64, $name>,
                )*
            }
        }
    };
}

atomic_ops! {
    Add = AtomicOp::Add { fetch: false } => AtomicOp::Add { fetch: false };
    FetchAdd = AtomicOp::Add { fetch: true } => AtomicOp::Add { fetch: true };
    Or = AtomicOp::Or { fetch: false } => AtomicOp::Or { fetch: false };
    FetchOr = AtomicOp::Or { fetch: true } => AtomicOp::Or { fetch: true };
    And = AtomicOp::And { fetch: false } => AtomicOp::And { fetch: false };
    FetchAnd = AtomicOp::And { fetch: true } => AtomicOp::And { fetch: true };
    Xor = AtomicOp::Xor { fetch: false } => AtomicOp::Xor { fetch: false };
    FetchXor = AtomicOp::Xor { fetch: true } => AtomicOp::Xor { fetch: true };
    Xchg = AtomicOp::Xchg => AtomicOp::Xchg;
    Cmpxchg = AtomicOp::Cmpxchg => AtomicOp::Cmpxchg;
}

fn run_atomic<'m, B: Backend, W: AtomicWord, O: IsAtomicOp>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let (src, r0) = (m.reg(step.src), m.reg(RegIndex::R0));
    let Some(cell) = W::cell(m.view, m.store_window(step), addr) else {
        return run_atomic_slow::<B, W, O>(m, step, rest, gas);
    };
    let old = W::rmw(cell, O::OP, src, r0);
    finish_atomic::<W, O>(m, step, old);
    B::next(m, rest, gas)
}

/// An atomic operation that the first window does not cover, apart as for loads.
#[inline(never)]
fn run_atomic_slow<'m, B: Backend, W: AtomicWord, O: IsAtomicOp>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let (src, r0) = (m.reg(step.src), m.reg(RegIndex::R0));
    let Some(window) = m.find_window(step, addr, Access::Write) else {
        return small_atomic::<B, W, O>(m, step, rest, gas);
    };
    let Some(cell) = W::cell(m.view, &window, addr) else {
        return atomic_failed::<W>(m, addr, rest, gas);
    };
    let old = W::rmw(cell, O::OP, src, r0);
    finish_atomic::<W, O>(m, step, old);
    B::next(m, rest, gas)
}

#[inline(always)]
fn finish_atomic<W: Word, O: IsAtomicOp>(m: &mut Machine<'_, '_>, step: &Step, old: W) {
    match O::OP {
        AtomicOp::Cmpxchg => m.set(RegIndex::R0, old.into()),
        AtomicOp::Xchg
        | AtomicOp::Add { fetch: true }
        | AtomicOp::Or { fetch: true }
        | AtomicOp::And { fetch: true }
        | AtomicOp::Xor { fetch: true } => m.set(step.src, old.into()),
        AtomicOp::Add { fetch: false }
        | AtomicOp::Or { fetch: false }
        | AtomicOp::And { fetch: false }
        | AtomicOp::Xor { fetch: false } => {}
    }
}

/// An atomic operation on a region that is too small for a window.
#[cold]
fn small_atomic<'m, B: Backend, W: AtomicWord, O: IsAtomicOp>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst).wrapping_add(step.value);
    let (src, r0) = (m.reg(step.src), m.reg(RegIndex::R0));
    // Only four bytes can be atomic and fit into less than a window.
    let old = match m.core.cage.atomic_u32(addr) {
        Ok(cell) if size_of::<W>() == 4 => u32::rmw(cell, O::OP, src, r0),
        _ => return atomic_failed::<W>(m, addr, rest, gas),
    };
    finish_atomic::<u32, O>(m, step, old);
    B::next(m, rest, gas)
}

#[cold]
fn atomic_failed<W: Word>(m: &mut Machine<'_, '_>, addr: u64, rest: &[Step], gas: i64) -> Stop {
    let size = size_of::<W>() as u32;
    let mut trap = Trap::memory(Access::Write, m.pc(rest), addr, size);
    let accessible = m.core.cage.probe(addr, size, Access::Write).is_ok();
    if accessible && !addr.is_multiple_of(size.into()) {
        trap.kind = TrapKind::Misaligned;
    }
    m.stop(trap, rest, gas)
}
