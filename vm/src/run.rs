//! One run of a program: what goes in, what comes out, and what a program type keeps between.

use crate::mem::GuestAddr;
use crate::world::World;
use std::any::Any;
use ubpf_abi::{Errno, Trap};
use ubpf_isa::Size;

/// An emulated CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

/// What a program is run on, as `BPF_PROG_TEST_RUN` takes it.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The packet, for packet programs (`data_in`).
    pub data: Vec<u8>,
    /// The context struct's bytes (`ctx_in`); for packet programs the fields that test-run lets
    /// the caller set.
    pub ctx: Option<Vec<u8>>,
    /// Values for single context fields by name, applied over `ctx`.
    pub ctx_fields: Vec<(String, u64)>,
    /// Test-run's `flags`.
    pub flags: u32,
}

impl Input {
    /// A packet, from its Ethernet header on.
    #[must_use]
    pub fn packet(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// A context struct's bytes.
    #[must_use]
    pub fn context(bytes: impl Into<Vec<u8>>) -> Self {
        Self { ctx: Some(bytes.into()), ..Self::default() }
    }

    /// The same with a field of the context set, by its name.
    #[must_use]
    pub fn field(mut self, name: &str, value: u64) -> Self {
        self.ctx_fields.push((name.to_owned(), value));
        self
    }
}

/// Why an input was refused before the program ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// What test-run would have returned.
    pub errno: Errno,
    /// Why, and what to do.
    pub message: String,
}

/// What executing a program came to, before its type has had a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `r0`, or why the run ended without one.
    pub result: Result<u64, Trap>,
    /// Instructions executed, those of callbacks and tail-called programs included; the one
    /// that trapped counts. 0 where the engine did not count them; see
    /// [`Thread::counts`](crate::engine::Thread::counts).
    pub insns: u64,
}

/// What a program left behind, in the shape of test-run's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The return value as test-run reports it: the program's `r0`, adjusted by its type.
    pub retval: u32,
    /// `data_out`.
    pub data: Option<Vec<u8>>,
    /// Bytes of metadata that `data` begins with, in front of the packet.
    pub meta_len: u32,
    /// `ctx_out`: the UAPI struct afterwards.
    pub ctx: Option<Vec<u8>>,
}

/// What a program type keeps while its program runs: the packet, the socket, the device.
///
/// One value lives through all repetitions of a run. Helpers that need it downcast it.
pub trait RunState: Any + Send {
    /// Value of `r1` on entry.
    fn ctx(&self) -> GuestAddr;

    /// Called before each repetition but the first.
    ///
    /// # Errors
    /// When the kernel would end the repetitions with an error.
    fn next_repetition(&mut self, world: &World) -> Result<(), InputError> {
        let _ = world;
        Ok(())
    }

    /// A store of `size` bytes (1, 2, 4, 8) at `off` into the context struct. The engine has
    /// not performed it: the type writes what the kernel would, or refuses.
    ///
    /// # Errors
    /// [`CtxStoreError`] when the layout does not allow it.
    fn ctx_store(
        &mut self,
        world: &World,
        off: u32,
        size: u32,
        value: u64,
    ) -> Result<(), CtxStoreError>;

    /// A legacy packet load (`LD_ABS`, `LD_IND`): the bytes at `off`, which may be negative as
    /// classic BPF defines, in network order. `None` where there are no such bytes.
    fn load_packet(&mut self, world: &World, off: i32, size: Size) -> Option<u32> {
        let _ = (world, off, size);
        None
    }

    /// Ends the run after the last repetition returned `r0`.
    ///
    /// # Errors
    /// When test-run would fail after the program ran.
    fn finish(&mut self, world: &World, r0: u64) -> Result<Output, InputError>;

    /// For helpers that know what program type they serve.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// A store that the context's layout forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store to a context field that programs of this type may not write")]
pub struct CtxStoreError;

/// The state of a run without a program type: no context, no packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoState;

impl RunState for NoState {
    fn ctx(&self) -> GuestAddr {
        GuestAddr(0)
    }

    fn ctx_store(
        &mut self,
        _world: &World,
        _off: u32,
        _size: u32,
        _value: u64,
    ) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, _world: &World, r0: u64) -> Result<Output, InputError> {
        Ok(Output { retval: r0 as u32, ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
