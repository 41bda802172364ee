//! Open-coded iterators: begin, next, end.

use super::set::COMMON;
use crate::env;
use crate::func::memory;
use ubpf_abi::kfunc::KfuncFlag::{
    IterDestroy, IterNew, IterNext, Rcu, RcuProtected, RetNull, Sleepable, TrustedArgs,
};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::limits::MAX_LOOPS;
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::{CallCx, IntFail, StackPtr, Void};
use ubpf_vm::kfunc;
use ubpf_vm::mem::{Fault, GuestAddr, Perm, Space};
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_iter_num_new, since 6.4, "Begins to count.", COMMON, flags: &[IterNew]; num_new),
    kfunc!(bpf_iter_num_next, since 6.4, "The next number.", COMMON, flags: &[RetNull, IterNext]; num_next),
    kfunc!(bpf_iter_num_destroy, since 6.4, "Ends counting.", COMMON, flags: &[IterDestroy]; num_destroy),
    kfunc!(bpf_iter_bits_new, since 6.11, "Begins to go through the bits that are set in memory.", COMMON, flags: &[IterNew]; bits_new),
    kfunc!(bpf_iter_bits_next, since 6.11, "The next bit that is set.", COMMON, flags: &[RetNull, IterNext]; bits_next),
    kfunc!(bpf_iter_bits_destroy, since 6.11, "Ends going through bits.", COMMON, flags: &[IterDestroy]; bits_destroy),
    kfunc!(bpf_iter_task_new, since 6.7, "Begins to go through tasks.", COMMON, flags: &[TrustedArgs, IterNew, RcuProtected]),
    kfunc!(bpf_iter_task_next, since 6.7, "The next task.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_task_destroy, since 6.7, "Ends going through tasks.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_task_vma_new, since 6.7, "Begins to go through the mapped areas of a task.", COMMON, flags: &[Rcu, IterNew]),
    kfunc!(bpf_iter_task_vma_next, since 6.7, "The next mapped area.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_task_vma_destroy, since 6.7, "Ends going through mapped areas.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_css_new, since 6.7, "Begins to go through the cgroups below one.", COMMON, flags: &[TrustedArgs, IterNew, RcuProtected]),
    kfunc!(bpf_iter_css_next, since 6.7, "The next cgroup.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_css_destroy, since 6.7, "Ends going through cgroups.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_css_task_new, since 6.7, "Begins to go through the tasks of a cgroup.", COMMON, flags: &[TrustedArgs, IterNew], special: Some(KfuncSpecial::TasksOfCss)),
    kfunc!(bpf_iter_css_task_next, since 6.7, "The next task of the cgroup.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_css_task_destroy, since 6.7, "Ends going through the tasks of a cgroup.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_kmem_cache_new, since 6.13, "Begins to go through slab caches.", COMMON, flags: &[Sleepable, IterNew]),
    kfunc!(bpf_iter_kmem_cache_next, since 6.13, "The next slab cache.", COMMON, flags: &[RetNull, Sleepable, IterNext]),
    kfunc!(bpf_iter_kmem_cache_destroy, since 6.13, "Ends going through slab caches.", COMMON, flags: &[Sleepable, IterDestroy]),
    kfunc!(bpf_iter_dmabuf_new, since 6.16, "Begins to go through shared buffers.", COMMON, flags: &[Sleepable, IterNew]),
    kfunc!(bpf_iter_dmabuf_next, since 6.16, "The next shared buffer.", COMMON, flags: &[RetNull, Sleepable, IterNext]),
    kfunc!(bpf_iter_dmabuf_destroy, since 6.16, "Ends going through shared buffers.", COMMON, flags: &[Sleepable, IterDestroy]),
];

/// `struct bpf_iter_num` on the stack: the number shown last, and the end.
struct Num(GuestAddr);

impl Num {
    fn get(&self, cx: &CallCx<'_>) -> Result<(i32, i32), Trap> {
        let both: u64 = cx.cage().load(self.0).map_err(|fault| cx.fault(fault))?;
        Ok((both as i32, (both >> 32) as i32))
    }

    fn set(&self, cx: &CallCx<'_>, shown: i32, end: i32) -> Result<(), Trap> {
        let both = u64::from(shown.cast_unsigned()) | u64::from(end.cast_unsigned()) << 32;
        cx.cage().store(self.0, both).map_err(|fault| cx.fault(fault))
    }
}

fn num_new(cx: &mut CallCx<'_>, it: StackPtr, start: i32, end: i32) -> Result<(), IntFail> {
    let it = Num(it.addr());
    let begun = if start > end {
        Err(Errno::EINVAL)
    } else if i64::from(end) - i64::from(start) > i64::from(MAX_LOOPS) {
        Err(Errno::E2BIG)
    } else {
        Ok(())
    };
    let (shown, end) = if begun.is_ok() { (start.wrapping_sub(1), end) } else { (0, 0) };
    it.set(cx, shown, end)?;
    Ok(begun?)
}

/// Address of the next number, which lies in the iterator itself; 0 after the last.
fn num_next(cx: &mut CallCx<'_>, it: StackPtr) -> Result<u64, Trap> {
    let it = Num(it.addr());
    let (shown, end) = it.get(cx)?;
    let next = shown.wrapping_add(1);
    if next >= end {
        it.set(cx, 0, 0)?;
        return Ok(0);
    }
    it.set(cx, next, end)?;
    Ok(it.0.into())
}

fn num_destroy(cx: &mut CallCx<'_>, it: StackPtr) -> Result<Void, Trap> {
    Num(it.addr()).set(cx, 0, 0)?;
    Ok(Void)
}

/// `struct bpf_iter_bits` on the stack: a word of bits, or where more of them are; how many bits
/// there are; the bit shown last.
struct Bits(GuestAddr);

impl Bits {
    const WORD_BITS: u32 = 64;
    const COUNT: u32 = 8;
    const BIT: u32 = 12;

    fn set(&self, cx: &CallCx<'_>, word: u64, count: u32, bit: i32) -> Result<(), Fault> {
        cx.cage().store(self.0, word)?;
        cx.cage().store(self.0.0.wrapping_add(Self::COUNT), count)?;
        cx.cage().store(self.0.0.wrapping_add(Self::BIT), bit.cast_unsigned())
    }

    fn next(&self, cx: &CallCx<'_>) -> Result<u64, Fault> {
        let word: u64 = cx.cage().load(self.0)?;
        let count: u32 = cx.cage().load(self.0.0.wrapping_add(Self::COUNT))?;
        let bit_at = self.0.0.wrapping_add(Self::BIT);
        let shown = cx.cage().load::<u32>(bit_at)?.cast_signed();
        if shown >= count.cast_signed() {
            return Ok(0);
        }
        for bit in shown.wrapping_add(1).cast_unsigned()..count {
            let bits = match count {
                Self::WORD_BITS => word,
                _ => cx.cage().load(word + u64::from(bit / Self::WORD_BITS * 8))?,
            };
            if bits >> (bit % Self::WORD_BITS) & 1 != 0 {
                cx.cage().store(bit_at, bit)?;
                return Ok(bit_at.into());
            }
        }
        cx.cage().store(bit_at, count)?;
        Ok(0)
    }
}

fn bits_new(cx: &mut CallCx<'_>, it: StackPtr, from: u64, words: u32) -> Result<(), IntFail> {
    const MAX_WORDS: u32 = 511;
    let it = Bits(it.addr());
    it.set(cx, 0, 0, -1).map_err(|fault| cx.fault(fault))?;
    if from == 0 || words == 0 {
        return Err(Errno::EINVAL.into());
    }
    if words > MAX_WORDS {
        return Err(Errno::E2BIG.into());
    }
    let mut bytes = vec![0; words as usize * 8];
    let read = memory::read(cx, Space::Kernel, from, &mut bytes);
    let word = match bytes.first_chunk() {
        Some(word) if words == 1 => {
            read.map_err(|_| Errno::EFAULT)?;
            u64::from_le_bytes(*word)
        }
        _ => {
            read?;
            let (heap, len) = (env::of(cx.world).heap(), bytes.len() as u32);
            let copy = heap.alloc(cx.cage(), "bits", len, 1, Perm::ReadWrite)?;
            cx.cage().write(copy, &bytes).map_err(|fault| cx.fault(fault))?;
            copy.into()
        }
    };
    Ok(it.set(cx, word, words * Bits::WORD_BITS, -1).map_err(|fault| cx.fault(fault))?)
}

/// Address of the number of the next bit that is set; 0 after the last.
fn bits_next(cx: &mut CallCx<'_>, it: StackPtr) -> Result<u64, Trap> {
    Bits(it.addr()).next(cx).map_err(|fault| cx.fault(fault))
}

fn bits_destroy(cx: &mut CallCx<'_>, it: StackPtr) -> Result<Void, Trap> {
    let it = Bits(it.addr());
    let count: u32 =
        cx.cage().load(it.0.0.wrapping_add(Bits::COUNT)).map_err(|fault| cx.fault(fault))?;
    if count > Bits::WORD_BITS {
        let copy: u64 = cx.cage().load(it.0).map_err(|fault| cx.fault(fault))?;
        if let Ok(copy) = u32::try_from(copy) {
            env::of(cx.world).heap().release(GuestAddr(copy));
        }
    }
    Ok(Void)
}
