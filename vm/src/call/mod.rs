//! Helper calls: what a helper sees of the machine, and how helpers are defined.
//!
//! A helper is a plain Rust function and one [`helper!`](crate::helper!) row. The types of the
//! function's parameters and of its result say what the verifier must demand *and* read the
//! registers, so prototype and body cannot disagree:
//!
//! ```
//! use ubpf_abi::{Errno, helper::HelperGroup, map::MapOp};
//! use ubpf_vm::call::{CallCx, MapKey, MapRef, MapValue, MemWrite};
//! use ubpf_vm::{helper, registry::HelperDef};
//!
//! const BASE: HelperGroup = HelperGroup("base");
//!
//! pub const MAP_LOOKUP_ELEM: HelperDef = helper!(
//!     1 map_lookup_elem, since 3.19,
//!     "Address of the value stored under a key, or null.",
//!     groups: &[BASE], map_op: Some(MapOp::Lookup),
//! );
//! fn map_lookup_elem(cx: &mut CallCx<'_>, map: MapRef<'_>, key: MapKey) -> Option<MapValue> {
//!     map.lookup(cx.cpu, &key).map(MapValue::new)
//! }
//!
//! pub const GET_CURRENT_COMM: HelperDef = helper!(
//!     16 get_current_comm, since 4.2,
//!     "Copies the current task's name.",
//!     groups: &[BASE],
//! );
//! fn get_current_comm(cx: &mut CallCx<'_>, buf: MemWrite) -> Result<i64, Errno> {
//!     let mut comm = vec![0; buf.len() as usize];
//!     comm[..4].copy_from_slice(b"ubpf");
//!     buf.write(cx, &comm).map_err(|_| Errno::EFAULT)?;
//!     Ok(0)
//! }
//!
//! assert_eq!(MAP_LOOKUP_ELEM.decl.args.len(), 2);
//! assert!(MAP_LOOKUP_ELEM.decl.ret.nullable);
//! // A pointer and its size take two registers.
//! assert_eq!(GET_CURRENT_COMM.decl.args.len(), 2);
//! ```
//!
//! - The row: number, function (named as in the kernel's list, without `bpf_`), the kernel that
//!   brought it, one or two sentences, then any further fields of
//!   [`HelperDecl`](ubpf_abi::helper::HelperDecl) (`groups`, `gpl_only`, `map_op`,
//!   `packet_access`, `changes_packet`, `might_sleep`).
//! - The function: `&mut CallCx` and up to five parameters, see [`arg`] for their types. `Option`
//!   around a pointer type means that null is allowed; [`Released`] that the call takes the reference.
//! - The result, see [`ret`]: a number, `()` for 0, [`Void`], a pointer type, `Option` of one,
//!   [`Acquired`]; or a `Result` with `Errno` (numbers only: becomes the negative `r0`), [`Trap`]
//!   (ends the run) or [`Fail`] (either).
//! - A helper that is known and cannot be run gets a [`describe!`](crate::describe!) row: the
//!   same with the types in place of the function. Programs that call it verify, and fail to
//!   lower with its name.

pub mod arg;
mod body;
mod native;
pub mod ret;

pub use arg::{
    Aligned, AllocMem, AllocSize, AllocSizeOrZero, ArgReader, BtfPtr, BtfTypes, Callback, ConstStr,
    CtxArg, DynptrAny, DynptrInitLocal, DynptrInitRingbuf, DynptrRingbuf, FixedMem, HelperArg,
    KptrField, MapKey, MapRef, MapValueIn, MapValueOut, MemRead, MemReadOrEmpty, MemReadWrite,
    MemReadWriteOrEmpty, MemWrite, MemWriteOrEmpty, PercpuBtfPtr, Ptr, Released, Sock, SockCommon,
    SpinLock, StackPtr, TcpSock, Timer, Unaligned, Unchecked, XdpSock,
};
pub use body::{ArgList, HelperBody, args_of, invoke, ret_of, signature_of, version};
pub use native::{Answer, NativeFn, answer};
pub use ret::{
    Acquired, AllocatedMem, BtfObject, BtfStruct, DynptrSlice, Fail, HelperRet, IntFail,
    KptrObject, MapValue, MemOrBtf, SizedMem, Void,
};

use crate::mem::{Cage, Fault};
use crate::run::{Cpu, RunState};
use crate::world::{HostError, World};
use std::any::Any;
use std::sync::Arc;
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Pc;

/// A helper's body as engines call it: argument registers in, `r0` out, or a trap that ends
/// the run. Made by [`helper!`](crate::helper!).
pub type HelperFn = fn(&mut CallCx<'_>, [u64; 5]) -> Result<u64, Trap>;

/// What a helper sees.
pub struct CallCx<'a> {
    /// The emulated kernel.
    pub world: &'a World,
    /// The program type's state of this run.
    pub run: &'a mut dyn RunState,
    /// The CPU the program runs on.
    pub cpu: Cpu,
    /// The call instruction.
    pub pc: Pc,
    /// The way back into the program.
    pub guest: &'a mut dyn Guest,
}

/// The engine, as a helper sees it: it can call subprograms of the running program.
pub trait Guest {
    /// Calls the subprogram at guest code address `func`, as loaded by a wide load, with these
    /// arguments.
    ///
    /// # Errors
    /// The trap that ended it.
    fn call(&mut self, cx: GuestCall<'_>, func: u64, args: [u64; 5]) -> Result<u64, Trap>;

    /// A [`NativeFn`] trapped. Engines that call those remember why.
    fn trapped(&mut self, trap: Trap) {
        let _ = trap;
    }

    /// A [`NativeFn`] panicked. Engines that call those let the panic go on outside generated
    /// code.
    fn panicked(&mut self, payload: Box<dyn std::any::Any + Send>) {
        drop(payload);
    }
}

/// The parts of a [`CallCx`] that a callback runs with.
pub struct GuestCall<'a> {
    /// The emulated kernel.
    pub world: &'a World,
    /// The program type's state of this run.
    pub run: &'a mut dyn RunState,
    /// The CPU the program runs on.
    pub cpu: Cpu,
    /// The instruction that called the helper.
    pub pc: Pc,
}

impl<'a> CallCx<'a> {
    /// Guest memory.
    #[must_use]
    pub const fn cage(&self) -> &'a Arc<Cage> {
        self.world.cage()
    }

    /// What the host gave the instance for its helpers, as the type it has.
    ///
    /// # Errors
    /// The trap that ends the run where the instance has nothing of this type.
    pub fn host<T: Any>(&self) -> Result<&'a T, Trap> {
        self.world.host().ok_or_else(|| {
            let wanted = std::any::type_name::<T>();
            self.fail(format!("the instance was not given a {wanted} for its helpers"))
        })
    }

    /// The trap that ends the run with an error of the host's own, which whoever started the run
    /// gets back.
    pub fn fail(&self, error: impl Into<HostError>) -> Trap {
        self.world.fail(error.into());
        self.trap(TrapKind::HostError)
    }

    /// A trap at the call.
    #[must_use]
    pub const fn trap(&self, kind: TrapKind) -> Trap {
        Trap::new(kind, self.pc)
    }

    /// The trap for a memory fault that the kernel could not have met: the verifier would have
    /// refused the argument.
    #[must_use]
    pub const fn fault(&self, fault: Fault) -> Trap {
        fault.at(self.pc)
    }

    /// Calls back into the program.
    ///
    /// # Errors
    /// The trap that ended the callback.
    pub fn call_guest(&mut self, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let cx = GuestCall { world: self.world, run: self.run, cpu: self.cpu, pc: self.pc };
        self.guest.call(cx, func, args)
    }
}

/// Defines a helper from a function; see [`call`](crate::call) for how.
#[macro_export]
macro_rules! helper {
    ($id:literal $func:ident, since $since:literal, $doc:literal
        $(, $field:ident: $value:expr)* $(,)?) => {{
        const SIGNATURE: (&[$crate::abi::helper::Arg], $crate::abi::helper::Ret) =
            $crate::call::signature_of(&$func);
        const ID: $crate::abi::helper::HelperId = $crate::abi::helper::HelperId($id);
        $crate::registry::HelperDef {
            decl: $crate::abi::helper::HelperDecl {
                $($field: $value,)*
                ..$crate::abi::helper::HelperDecl::new(
                    ID,
                    stringify!($func),
                    $doc,
                    $crate::call::version(stringify!($since)),
                    SIGNATURE.0,
                    SIGNATURE.1,
                )
            },
            body: Some(|cx: &mut $crate::call::CallCx<'_>, regs: [u64; 5]| {
                $crate::call::invoke($func, ID, cx, regs)
            }),
            native: {
                extern "C" fn native(
                    r1: u64,
                    r2: u64,
                    r3: u64,
                    r4: u64,
                    r5: u64,
                    cx: &mut $crate::call::CallCx<'_>,
                ) -> $crate::call::Answer {
                    $crate::call::answer(cx, |cx| {
                        $crate::call::invoke($func, ID, cx, [r1, r2, r3, r4, r5])
                    })
                }
                Some(native)
            },
        }
    }};
}

/// Describes a helper without a body; see [`call`](crate::call) for how.
///
/// ```
/// use ubpf_vm::call::{CtxArg, MemRead};
/// use ubpf_vm::{describe, registry::HelperDef};
///
/// pub const BIND: HelperDef = describe!(
///     64 bind(CtxArg, MemRead) -> i64, since 4.17,
///     "Binds the socket to an address.",
/// );
/// assert!(BIND.body.is_none());
/// assert_eq!(BIND.decl.args.len(), 3);
/// ```
#[macro_export]
macro_rules! describe {
    ($id:literal $name:ident($($arg:ty),* $(,)?) -> $ret:ty, since $since:literal, $doc:literal
        $(, $field:ident: $value:expr)* $(,)?) => {
        $crate::registry::HelperDef {
            decl: $crate::abi::helper::HelperDecl {
                $($field: $value,)*
                ..$crate::abi::helper::HelperDecl::new(
                    $crate::abi::helper::HelperId($id),
                    stringify!($name),
                    $doc,
                    $crate::call::version(stringify!($since)),
                    $crate::call::args_of::<($($arg,)*)>(),
                    $crate::call::ret_of::<$ret>(),
                )
            },
            body: None,
            native: None,
        }
    };
}

/// Defines a kernel function: its name, the kernel that brought it, what it does, the sets it is
/// registered in, then further fields of [`KfuncDecl`](ubpf_abi::kfunc::KfuncDecl). The kernel's
/// BTF has its prototype. A function at the end, after a semicolon, is what it does; without one,
/// programs that call it can be verified but not run.
///
/// ```
/// use ubpf_abi::kfunc::{KfuncFlag, KfuncSet};
/// use ubpf_vm::call::{CallCx, Void};
/// use ubpf_vm::{kfunc, registry::KfuncDef};
///
/// pub const RCU_READ_LOCK: KfuncDef = kfunc!(
///     bpf_rcu_read_lock, since 6.2, "Begins an RCU read section.", &[KfuncSet::Common];
///     nothing
/// );
/// fn nothing(_: &mut CallCx<'_>) -> Void {
///     Void
/// }
/// assert!(RCU_READ_LOCK.body.is_some());
///
/// pub const KEY_PUT: KfuncDef = kfunc!(
///     bpf_key_put, since 6.1, "Gives a reference to a key back.",
///     &[KfuncSet::Syscall], flags: &[KfuncFlag::Release],
/// );
/// assert!(KEY_PUT.decl.has(KfuncFlag::Release));
/// ```
#[macro_export]
macro_rules! kfunc {
    (@body) => { None };
    (@body $func:path) => {
        Some(|cx: &mut $crate::call::CallCx<'_>, regs: [u64; 5]| {
            $crate::call::invoke($func, $crate::abi::helper::HelperId::KFUNC, cx, regs)
        })
    };
    ($name:ident, since $since:literal, $doc:literal, $sets:expr
        $(, $field:ident: $value:expr)* $(,)? $(; $func:path)?) => {
        $crate::registry::KfuncDef {
            decl: $crate::abi::kfunc::KfuncDecl {
                $($field: $value,)*
                ..$crate::abi::kfunc::KfuncDecl::new(
                    stringify!($name),
                    $doc,
                    $crate::call::version(stringify!($since)),
                    $sets,
                )
            },
            body: $crate::kfunc!(@body $($func)?),
        }
    };
}
