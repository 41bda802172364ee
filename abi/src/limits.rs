//! The numbers that the kernel's BPF fixes for every program, in one place.

use core::num::NonZeroU32;

/// Stack bytes that one frame, and by default a whole call chain, may use.
pub const STACK_BYTES: u32 = 512;
/// Frames on the call stack, the main program's included.
pub const MAX_CALL_FRAMES: usize = 8;
/// Tail calls that one run may make.
pub const MAX_TAIL_CALLS: u32 = 33;
/// Bytes of the call chain's stack above which a caller of tail-calling subprograms is refused.
pub const TAIL_CALL_STACK_BYTES: u32 = 256;
/// Instructions the verifier processes before it gives up, since kernel 5.2.
pub const MAX_PROCESSED_INSNS: u32 = 1_000_000;
/// Slots in a program before kernel 5.2, and for unprivileged programs on every kernel.
pub const MAX_INSNS_SMALL: u32 = 4096;
/// Maps that one program may reference.
pub const MAX_USED_MAPS: usize = 64;
/// Subprograms in one program.
pub const MAX_SUBPROGS: usize = 256;
/// Branch states waiting on the verifier's stack.
pub const MAX_PENDING_STATES: usize = 8192;
/// Arguments that helpers, kfuncs and subprograms take, in `r1` to `r5`.
pub const MAX_ARGS: usize = 5;
/// Bytes in a program's or map's name, the final zero included.
pub const OBJ_NAME_BYTES: usize = 16;
/// Iterations of `bpf_loop` and of the numeric iterator's range; and of the `may_goto`s of one
/// frame from kernel 6.9 on, until 6.15 gave them 250 milliseconds instead.
pub const MAX_LOOPS: u32 = 8 * 1024 * 1024;
/// CPUs that a kernel is built for at most, as distributions configure it.
pub const MAX_CPUS: NonZeroU32 = NonZeroU32::new(8192).unwrap();
