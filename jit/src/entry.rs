//! The jump from Rust into generated code: with `fault`, the files of this crate that have `unsafe`
//! code.
//!
//! What it relies on, and who upholds it:
//!
//! 1. The pages of a [`Native`] hold what a [`MacroAssembler`](crate::masm::MacroAssembler)
//!    assembled, unchanged, and are executable while the image lives
//!    ([`Executable`](crate::code::Executable)). The caller's borrow keeps the image alive; images
//!    that are tail-called belong to the world, which the run borrows.
//! 2. The trampoline has the C calling convention and the type [`Trampoline`]: it preserves what
//!    a C function must, passes its run and its `cx`, which nobody else uses meanwhile, on to
//!    every thunk, and returns once.
//! 3. Generated code reads and writes only: its own stack frames; the first part of the run, whose
//!    fields are cells or constant; the `pc` of `cx`; the windows; and guest memory. Guest memory it reaches through
//!    `r10`, which is the end of a frame of the thread's stack, and through windows, which show
//!    accessible bytes of the thread's cage, checked before every access. Both belong to the
//!    thread, which the caller has borrowed, and the cage lives as long as they do. Into the run
//!    it writes numbers, images that it read there, and the bodies of its code's helpers.
//! 4. It calls nothing but thunks, with as many arguments as they have, on an aligned stack.
//!    Thunks do not unwind.
#![allow(unsafe_code)]

use crate::image::Native;
use crate::run::Run;
use ubpf_vm::call::{Answer, CallCx};

/// The way in: the run, the address of the function's code, `r1` to `r5`, and what helpers see.
type Trampoline = extern "C" fn(&Run<'_>, *const u8, &[u64; 5], &mut CallCx<'_>) -> Answer;

/// The way in where nothing of a run is needed: the function itself.
type Alone = extern "C" fn(u64, u64, u64, u64, u64) -> u64;

/// Runs a function to its end whose image needs nothing of a run.
#[inline]
pub(crate) fn enter_alone(entry: *const u8, [r1, r2, r3, r4, r5]: [u64; 5]) -> u64 {
    // SAFETY: generated functions take and return numbers where C functions do, and preserve
    // what those must but for `rbp` and `r12`, which code that needs no run leaves alone.
    let function: Alone = unsafe { core::mem::transmute(entry) };
    function(r1, r2, r3, r4, r5)
}

/// The way in where nothing of a run is needed but memory: `r1` to `r5`, the host address of guest
/// address 0, that of the end of the frame, and the function.
type Leaf = extern "C" fn(u64, u64, u64, u64, u64, u64, u64, *const u8) -> Answer;

/// Runs a function to its end whose image needs nothing of a run but memory. Where an access
/// faults, the answer's value is the address of its instruction, and `over` is twice the guest
/// address, plus 1.
#[inline]
pub(crate) fn enter_leaf(
    trampoline: *const u8,
    [r1, r2, r3, r4, r5]: [u64; 5],
    host_base: u64,
    fp: u64,
    entry: *const u8,
) -> Answer {
    // SAFETY: the address is that of the leaf trampoline's code, which has this type, and
    // upholds what is said of the other one.
    let trampoline: Leaf = unsafe { core::mem::transmute(trampoline) };
    trampoline(r1, r2, r3, r4, r5, host_base, fp, entry)
}

/// Runs a function of an image to its end.
#[inline]
pub(crate) fn enter(
    image: &Native,
    run: &Run<'_>,
    entry: *const u8,
    args: &[u64; 5],
    cx: &mut CallCx<'_>,
) -> Answer {
    // SAFETY: the address is that of the trampoline's code, which has this type (invariant 2).
    let trampoline: Trampoline = unsafe { core::mem::transmute(image.trampoline()) };
    trampoline(run, entry, args, cx)
}
