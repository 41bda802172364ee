//! Programs whose input is a context struct: those without a test run in the kernel, whose context
//! is what the caller says, and those whose test run takes a context and nothing else.

use super::ctx::{self, no_memory, refuse};
use crate::env;
use crate::env::socket::SOCK_BYTES;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::ctx::{CtxField, CtxFieldKind, CtxLayout, CtxWidth};
use ubpf_abi::prog_type::{PacketAccess, ProgTypeDecl};
use ubpf_vm::mem::{GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

/// A context under a program.
#[derive(Debug)]
pub struct ContextRun {
    ctx: Region,
    len: u32,
    layout: &'static CtxLayout,
    form: Form,
    /// The error that the hook would return (`bpf_get_retval`).
    retval: i32,
    /// What the context points to.
    _parts: Vec<Region>,
}

/// What kind of context it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A struct of the type's size; what is not given is zero.
    Struct,
    /// As many bytes as are given, and nothing else; test-run hands them back or keeps them.
    Bytes {
        /// They are handed back.
        returned: bool,
    },
}

/// The context struct that `input` describes. Its pointers lead to the packet of the input and to
/// the first socket of the environment.
///
/// # Errors
/// `E2BIG` and `EINVAL` for bytes and fields that the struct does not have.
pub fn prepare(
    world: &World,
    input: &Input,
    decl: &'static ProgTypeDecl,
) -> Result<Box<dyn RunState>, InputError> {
    let size = decl.ctx.size as usize;
    let bytes = ctx::context_bytes(input, &decl.ctx, vec![0; size])?;
    let bytes = bytes.unwrap_or_else(|| vec![0; size]);
    let scratch = decl.ctx.fields.iter().all(|f| f.width == CtxWidth::Any);
    let perm = if scratch { Perm::Read } else { Perm::Hooked };
    let mut run = ContextRun::new(world, &decl.ctx, &bytes, perm, Form::Struct)?;
    run.point(world, input, decl)?;
    Ok(Box::new(run))
}

/// As many bytes as are given, at most `most`, as the test runs of raw tracepoints and of programs
/// that user space runs take them.
///
/// # Errors
/// `EINVAL` for anything beside a context, and for a longer one.
pub fn prepare_bytes(
    world: &World,
    input: &Input,
    decl: &'static ProgTypeDecl,
    most: usize,
    returned: bool,
) -> Result<Box<dyn RunState>, InputError> {
    if input.flags != 0 || !input.data.is_empty() {
        let message = format!("{} programs take a context, no packet and no flags", decl.prog_type);
        return Err(refuse(Errno::EINVAL, message));
    }
    let bytes = match &input.ctx {
        Some(bytes) if input.ctx_fields.is_empty() => bytes.clone(),
        given => {
            let len = given.as_ref().map_or(decl.ctx.size as usize, Vec::len);
            let blank = vec![0; len.min(most)];
            ctx::context_bytes(input, &decl.ctx, blank)?.unwrap_or_default()
        }
    };
    if bytes.len() > most {
        let message = format!("context of {} bytes: at most {most} are possible", bytes.len());
        return Err(refuse(Errno::EINVAL, message));
    }
    let perm = if returned { Perm::ReadWrite } else { Perm::Read };
    let form = Form::Bytes { returned };
    Ok(Box::new(ContextRun::new(world, &decl.ctx, &bytes, perm, form)?))
}

impl ContextRun {
    fn new(
        world: &World,
        layout: &'static CtxLayout,
        bytes: &[u8],
        perm: Perm,
        form: Form,
    ) -> Result<Self, InputError> {
        let len = bytes.len() as u32;
        // A region has at least a byte; programs see as many as there are.
        let spec = RegionSpec::new(len.max(1).into(), RegionKind::Context, layout.name);
        let ctx = world.cage().alloc(spec.perm(perm)).map_err(|e| no_memory(&e))?;
        let written = ctx.write(0, bytes);
        debug_assert!(written.is_ok(), "the context has room for what it is made from");
        ctx.set_bounds(0, len).map_err(|e| no_memory(&e))?;
        Ok(Self { ctx, len, layout, form, retval: 0, _parts: Vec::new() })
    }

    /// The error that the hook would return.
    #[must_use]
    pub const fn retval(&self) -> i32 {
        self.retval
    }

    /// Sets it.
    pub const fn set_retval(&mut self, retval: i32) {
        self.retval = retval;
    }

    /// Fills the struct's pointers.
    fn point(
        &mut self,
        world: &World,
        input: &Input,
        decl: &ProgTypeDecl,
    ) -> Result<(), InputError> {
        let len = input.data.len() as u32;
        let of_kind = |kind| decl.ctx.fields.iter().filter(move |f| f.kind == kind);
        let alloc = |bytes: u32, kind, label: &'static str, perm| {
            let spec = RegionSpec::new(bytes.max(1).into(), kind, label).perm(perm);
            world.cage().alloc(spec).map_err(|e| no_memory(&e))
        };
        let show = |field: &CtxField, addr: u64| {
            let stored = match field.size {
                4 => self.ctx.store(field.off, addr as u32),
                _ => self.ctx.store(field.off, addr),
            };
            debug_assert!(stored.is_ok(), "{} lies inside the context", field.name);
        };
        let mut parts = Vec::new();
        for field in of_kind(CtxFieldKind::PacketData).chain(of_kind(CtxFieldKind::TpBuffer)) {
            let perm = match decl.packet {
                PacketAccess::Read => Perm::Read,
                PacketAccess::None | PacketAccess::ReadWrite => Perm::ReadWrite,
            };
            let packet = alloc(len, RegionKind::Packet, "", perm)?;
            let written = packet.write(0, &input.data);
            debug_assert!(written.is_ok(), "the region has room for the packet");
            packet.set_bounds(0, len).map_err(|e| no_memory(&e))?;
            show(field, packet.addr().into());
            let end = u64::from(packet.addr()) + u64::from(len);
            of_kind(CtxFieldKind::PacketEnd).for_each(|field| show(field, end));
            parts.push(packet);
        }
        let sockets = env::of(world).sockets();
        let first = sockets.first().and_then(|id| sockets.addr(world.cage(), id).ok());
        for field in decl.ctx.fields {
            match field.kind {
                CtxFieldKind::Sock | CtxFieldKind::FullSockOrNull => {}
                _ => continue,
            }
            let addr = match (first, field.kind) {
                (Some(addr), _) => addr,
                (None, CtxFieldKind::FullSockOrNull) => continue,
                (None, _) => {
                    let (bytes, kind) = (SOCK_BYTES as u32, RegionKind::KernelObject);
                    let sock = alloc(bytes, kind, "bpf_sock", Perm::Read)?;
                    let addr = sock.addr();
                    parts.push(sock);
                    addr
                }
            };
            show(field, addr.into());
        }
        self._parts = parts;
        Ok(())
    }

    /// The struct afterwards, without its pointers.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.ctx.read_vec(0, self.len).unwrap_or_default();
        let pointers = self.layout.fields.iter().filter(|f| f.kind != CtxFieldKind::Scalar);
        for field in pointers.filter(|_| self.form == Form::Struct) {
            let place = bytes.iter_mut().skip(field.off as usize).take(field.size as usize);
            place.for_each(|byte| *byte = 0);
        }
        bytes
    }
}

impl RunState for ContextRun {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn next_repetition(&mut self, _: &World) -> Result<(), InputError> {
        match self.form {
            Form::Struct => Ok(()),
            Form::Bytes { .. } => {
                Err(refuse(Errno::EINVAL, "test runs of this type are not repeated"))
            }
        }
    }

    fn ctx_store(
        &mut self,
        _: &World,
        off: u32,
        size: u32,
        value: u64,
    ) -> Result<(), CtxStoreError> {
        let fields = self.layout.fields.iter();
        let writable = |f: &CtxField| f.allows(ubpf_abi::Access::Write, off, size);
        fields.clone().find(|f| writable(f)).ok_or(CtxStoreError)?;
        let stored = match size {
            1 => self.ctx.store(off, value as u8),
            2 => self.ctx.store(off, value as u16),
            4 => self.ctx.store(off, value as u32),
            _ => self.ctx.store(off, value),
        };
        stored.map_err(|_| CtxStoreError)
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        let ctx = match self.form {
            Form::Bytes { returned: false } => None,
            Form::Struct | Form::Bytes { returned: true } => Some(self.bytes()),
        };
        Ok(Output { retval: r0 as u32, ctx, ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A program type that runs on its context struct.
macro_rules! runs_on_context {
    ($decl:expr) => {{
        const DECL: ::ubpf_abi::prog_type::ProgTypeDecl = $decl;
        ::ubpf_vm::registry::ProgTypeDef {
            decl: DECL,
            prepare: |world, input| $crate::prog_types::context::prepare(world, input, &DECL),
        }
    }};
}
pub(super) use runs_on_context;
