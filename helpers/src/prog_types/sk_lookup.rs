//! Socket look-up: programs that choose the socket of an incoming connection or packet.

use super::ctx::{self, no_memory, refuse};
use super::described::rows::{BOOL, array, decl, pointer, since, wide, word};
use crate::env::socket::{AF_INET, AF_INET6, SocketId};
use crate::env::{self};
use crate::func::group;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::ctx::{CtxField, CtxFieldKind::FullSockOrNull, CtxLayout, CtxWidth::NarrowLoads};
use ubpf_abi::prog_type::{Fate, ProgType, ProgTypeDecl, Verdicts};
use ubpf_vm::mem::{GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::ProgTypeDef;
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

const SK: CtxField = pointer("sk", 0, FullSockOrNull);
const FAMILY: CtxField = wide(word("family", 8), NarrowLoads);
const PROTOCOL: CtxField = wide(word("protocol", 12), NarrowLoads);
const REMOTE_IP4: CtxField = wide(word("remote_ip4", 16), NarrowLoads);
const REMOTE_IP6: CtxField = wide(array("remote_ip6", 20, 4, 4), NarrowLoads);
const REMOTE_PORT: CtxField = wide(word("remote_port", 36), NarrowLoads);
const LOCAL_IP4: CtxField = wide(word("local_ip4", 40), NarrowLoads);
const LOCAL_IP6: CtxField = wide(array("local_ip6", 44, 4, 4), NarrowLoads);
const LOCAL_PORT: CtxField = wide(word("local_port", 60), NarrowLoads);
const INGRESS_IFINDEX: CtxField = since(wide(word("ingress_ifindex", 64), NarrowLoads), 5, 17);

/// Bytes of `struct bpf_sk_lookup`.
const CTX_BYTES: usize = 72;

/// `struct bpf_sk_lookup`.
const LAYOUT: CtxLayout = CtxLayout {
    name: "bpf_sk_lookup",
    size: CTX_BYTES as u32,
    fields: &[
        SK,
        FAMILY,
        PROTOCOL,
        REMOTE_IP4,
        REMOTE_IP6,
        REMOTE_PORT,
        LOCAL_IP4,
        LOCAL_IP6,
        LOCAL_PORT,
        INGRESS_IFINDEX,
    ],
};

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::NET, group::SK_LOOKUP],
        ret: BOOL,
        verdicts: Verdicts::Named(&[(0, "SK_DROP", Fate::Drop), (1, "SK_PASS", Fate::Pass)]),
        ..decl(
            ProgType::SkLookup,
            "Chooses the socket that receives a connection or packet.",
            LAYOUT,
        )
    },
    prepare,
};

/// A connection or packet that looks for its socket.
#[derive(Debug)]
pub struct LookupRun {
    ctx: Region,
    given: [u8; CTX_BYTES],
    family: u16,
    protocol: u16,
    selected: Option<SocketId>,
    no_reuseport: bool,
}

fn prepare(world: &World, input: &Input) -> Result<Box<dyn RunState>, InputError> {
    let refused = |message: &str| Err(refuse(Errno::EINVAL, message));
    if input.flags != 0 || !input.data.is_empty() {
        return refused("socket look-ups take a context, no packet and no flags");
    }
    let given: Option<[u8; CTX_BYTES]> = ctx::context(input, &LAYOUT, [0; CTX_BYTES])?;
    let Some(given) = given else { return refused("socket look-ups need a context") };
    let behind_port = (LOCAL_PORT.off + LOCAL_PORT.size) as usize;
    if ctx::number(&given, &SK) != 0 || given.iter().skip(behind_port).any(|&b| b != 0) {
        return refused("context: sk and ingress_ifindex must be 0");
    }
    if ctx::number(&given, &LOCAL_PORT) > u16::MAX.into() {
        return Err(refuse(Errno::ERANGE, "context: local_port is more than 65535"));
    }
    let family = ctx::number(&given, &FAMILY) as u16;
    let (shown_v4, shown_v6) = match family {
        AF_INET => (true, false),
        AF_INET6 => (false, true),
        other => {
            let message = format!("context: family {other} is neither AF_INET nor AF_INET6");
            return Err(refuse(Errno::EAFNOSUPPORT, message));
        }
    };
    let spec = RegionSpec::new(LAYOUT.size.into(), RegionKind::Context, LAYOUT.name);
    let ctx = world.cage().alloc(spec.perm(Perm::Read)).map_err(|e| no_memory(&e))?;
    let show = |field: &CtxField, bytes: u32, shown: bool| {
        let bytes = given.iter().skip(field.off as usize).take(bytes as usize);
        let bytes: Vec<u8> = bytes.map(|&byte| if shown { byte } else { 0 }).collect();
        let written = ctx.write(field.off, &bytes);
        debug_assert!(written.is_ok(), "{} lies inside the context", field.name);
    };
    // Family, protocol and ports have 16 bits in the kernel.
    for field in [&FAMILY, &PROTOCOL, &REMOTE_PORT, &LOCAL_PORT] {
        show(field, 2, true);
    }
    for (field, shown) in [(&REMOTE_IP4, shown_v4), (&LOCAL_IP4, shown_v4)] {
        show(field, field.size, shown);
    }
    for (field, shown) in [(&REMOTE_IP6, shown_v6), (&LOCAL_IP6, shown_v6)] {
        show(field, field.size, shown);
    }
    let protocol = ctx::number(&given, &PROTOCOL) as u16;
    let run = LookupRun { ctx, given, family, protocol, selected: None, no_reuseport: false };
    Ok(Box::new(run))
}

impl LookupRun {
    /// Chooses a socket, or none, as `bpf_sk_assign` does.
    ///
    /// # Errors
    /// `EINVAL` for unknown flags, `EPROTOTYPE` for another protocol, `EAFNOSUPPORT` for another
    /// family, `EEXIST` where one was chosen and may not be replaced.
    pub fn select(
        &mut self,
        world: &World,
        socket: Option<SocketId>,
        flags: u64,
    ) -> Result<(), Errno> {
        const REPLACE: u64 = 1 << 0;
        const NO_REUSEPORT: u64 = 1 << 1;
        if flags & !(REPLACE | NO_REUSEPORT) != 0 {
            return Err(Errno::EINVAL);
        }
        let sockets = env::of(world).sockets();
        if let Some(chosen) = socket.and_then(|id| sockets.socket(id)) {
            if u16::from(chosen.protocol) != self.protocol {
                return Err(Errno::EPROTOTYPE);
            }
            // An IPv6 socket takes IPv4 as well.
            if chosen.family() != self.family && chosen.family() == AF_INET {
                return Err(Errno::EAFNOSUPPORT);
            }
        }
        if self.selected.is_some() && flags & REPLACE == 0 {
            return Err(Errno::EEXIST);
        }
        self.selected = socket;
        self.no_reuseport = flags & NO_REUSEPORT != 0;
        let addr = socket.map(|id| sockets.addr(world.cage(), id)).transpose()?;
        let addr = addr.map_or(0, u64::from);
        self.ctx.store(SK.off, addr).map_err(|_| Errno::EFAULT)
    }
}

impl RunState for LookupRun {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn next_repetition(&mut self, _: &World) -> Result<(), InputError> {
        self.selected = None;
        let cleared = self.ctx.store(SK.off, 0_u64);
        cleared.map_err(|_| refuse(Errno::EFAULT, "the context is gone"))
    }

    fn ctx_store(&mut self, _: &World, _: u32, _: u32, _: u64) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, world: &World, r0: u64) -> Result<Output, InputError> {
        const PASS: u32 = 1;
        let sockets = env::of(world).sockets();
        let passes = r0 as u32 == PASS;
        let selected = self.selected.filter(|_| passes);
        let reuseport = selected.and_then(|id| sockets.socket(id)).is_some_and(|s| s.reuseport);
        if reuseport && !self.no_reuseport {
            let message = "the chosen socket shares its port, and test-run chooses no other";
            return Err(refuse(Errno::EOPNOTSUPP, message));
        }
        let cookie = selected.map_or(0, |id| sockets.cookie(id));
        let mut ctx = self.given;
        ctx.iter_mut().zip(cookie.to_le_bytes()).for_each(|(to, from)| *to = from);
        let retval = if passes { PASS } else { 0 };
        Ok(Output { retval, ctx: Some(ctx.to_vec()), ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
