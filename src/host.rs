//! What a host brings itself: helpers, what they work on, and contexts of its own.
//!
//! A helper is a Rust function and a row that gives it a number. The types of its parameters say what
//! the verifier demands of a program that calls it, and how the engines read its registers; see
//! [`call`](mod@ubpf_vm::call) for all of them. What helpers work on belongs to the instance, and the
//! host gets at it between runs:
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use ubpf::Engine;
//! use ubpf::host::{CallCx, Errno, HelperDef, MemRead, Trap, helper};
//!
//! #[derive(Default)]
//! struct Metrics {
//!     bytes: AtomicU64,
//! }
//!
//! const COUNT: HelperDef = helper!(1000 count, "Counts the bytes that it is given.");
//!
//! fn count(cx: &mut CallCx<'_>, bytes: MemRead) -> Result<u64, Trap> {
//!     let metrics: &Metrics = cx.host()?;
//!     Ok(metrics.bytes.fetch_add(bytes.len().into(), Ordering::Relaxed))
//! }
//!
//! // In C: static long (*count)(const void *bytes, __u32 len) = (void *) 1000;
//! let engine = Engine::builder().helper(COUNT).build();
//! # let object = engine.load(&std::fs::read("examples/guard.bpf.o")?)?;
//! # let module = engine.verify(&object, "guard")?;
//! let instance = engine.instantiate_with(&module, Metrics::default())?;
//! let metrics: &Metrics = instance.host().expect("it was given one");
//! assert_eq!(metrics.bytes.load(Ordering::Relaxed), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When a helper fails
//!
//! | it returns | the program | the host |
//! | --- | --- | --- |
//! | `Err(Errno)` | sees a negative number, as of Linux's helpers | sees nothing |
//! | `Err(cx.fail(error))` | ends | gets the error back, as [`RunError::Host`](crate::RunError::Host) |
//! | nothing, it panics | ends | gets [`RunError::Panicked`](crate::RunError::Panicked) |
//!
//! ```
//! use ubpf::host::{CallCx, Fail, HelperDef, helper};
//!
//! const LOOKUP: HelperDef = helper!(1001 lookup, "Asks the database.");
//!
//! fn lookup(cx: &mut CallCx<'_>, user: u32) -> Result<u64, Fail> {
//!     let answer: Result<u64, std::io::Error> = Err(std::io::Error::other("the database is down"));
//!     # let _ = user;
//!     Ok(answer.map_err(|e| cx.fail(e))?)
//! }
//! # let _ = LOOKUP;
//! ```
//!
//! # Contexts
//!
//! Programs of a host's own type get a struct of the host's own: [`context!`](crate::context!)
//! defines it once for Rust, for the verifier and for the engines.

mod context;

pub use context::{CtxScalar, field, offsets};
pub use ubpf_abi::helper::HelperGroup;
pub use ubpf_abi::{Errno, Trap};
pub use ubpf_vm::call::{
    CallCx, Fail, FixedMem, MapKey, MapRef, MapValue, MemRead, MemReadOrEmpty, MemReadWrite,
    MemWrite, MemWriteOrEmpty,
};
pub use ubpf_vm::registry::{HelperDef, ProgTypeDef};

pub use crate::host_helper as helper;

/// The group of a host's helpers. Every program type admits [`BASE`](ubpf_helpers::func::group::BASE),
/// to which they belong as well.
pub const HOST: HelperGroup = HelperGroup("host");

/// Defines a helper of a host: its number, its function and what it does.
///
/// See [`host`](mod@crate::host) for examples. Any field of
/// [`HelperDecl`](crate::abi::helper::HelperDecl) may follow, such as `might_sleep: true`. Numbers
/// from 1000 on collide with none of Linux's.
#[macro_export]
macro_rules! host_helper {
    ($id:literal $func:ident, $doc:literal $(, $field:ident: $value:expr)* $(,)?) => {
        $crate::vm::helper!(
            $id $func, since 0.0, $doc,
            groups: &[$crate::host::HOST, $crate::platform::func::group::BASE]
            $(, $field: $value)*
        )
    };
}
