//! Netfilter: programs at the hooks that packets pass on their way through the network stack.

use super::ctx::{self, no_memory, refuse};
use super::described::rows::{BOOL, array, decl, long, pointer};
use super::packet::Linear;
use super::skb::{ETH_HLEN, ETH_P_IP, ETH_P_IPV6};
use crate::env;
use crate::func::group;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::ctx::{CtxField, CtxFieldKind::Pointer, CtxLayout};
use ubpf_abi::prog_type::{Fate, InputKind, PacketLayer, ProgType, ProgTypeDecl, Verdicts};
use ubpf_vm::mem::{GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::ProgTypeDef;
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

const STATE: CtxField = pointer("state", 0, Pointer("nf_hook_state"));
const SKB: CtxField = pointer("skb", 8, Pointer("sk_buff"));

/// `struct bpf_nf_ctx`.
const LAYOUT: CtxLayout = CtxLayout { name: "bpf_nf_ctx", size: 16, fields: &[STATE, SKB] };

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        input: InputKind::Packet { from: PacketLayer::Network },
        helpers: &[group::BASE],
        ret: BOOL,
        verdicts: Verdicts::Named(&[(0, "NF_DROP", Fate::Drop), (1, "NF_ACCEPT", Fate::Pass)]),
        ..decl(ProgType::Netfilter, "Lets packets pass a netfilter hook or drops them.", LAYOUT)
    },
    prepare,
};

/// `struct nf_hook_state`, of which a caller may set the hook and the protocol family.
const HOOK_STATE: CtxLayout = CtxLayout {
    name: "nf_hook_state",
    size: HOOK_STATE_BYTES as u32,
    fields: &[HOOK, PF, long("in", 8), long("out", 16), long("sk", 24), long("net", 32), OKFN],
};
const HOOK_STATE_BYTES: usize = 48;
const HOOK: CtxField = array("hook", 0, 1, 1);
const PF: CtxField = array("pf", 1, 1, 1);
const OKFN: CtxField = long("okfn", 40);

/// `NF_INET_LOCAL_OUT`: the hook where nothing is said, and the one that sees no frame.
const LOCAL_OUT: u8 = 3;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// Bytes of headers.
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
/// What test-run puts into its page at most: the page without headroom and shared info.
const MAX_BYTES: usize = 4096 - 64 - 320;

/// A packet at a hook.
#[derive(Debug)]
pub struct HookRun {
    ctx: Region,
    packet: Linear,
    /// What the context points to.
    _objects: [Region; 3],
}

impl HookRun {
    /// The packet, from the network header on.
    #[must_use]
    pub const fn packet(&self) -> &Linear {
        &self.packet
    }
}

/// Hook and protocol family.
fn hook(input: &Input) -> Result<(u8, u8), InputError> {
    let given: Option<[u8; HOOK_STATE_BYTES]> =
        ctx::context(input, &HOOK_STATE, [0; HOOK_STATE_BYTES])?;
    let Some(given) = given else { return Ok((LOCAL_OUT, NFPROTO_IPV4)) };
    let number = |field| ctx::number(&given, field);
    let pointers = HOOK_STATE.fields.iter().filter(|f| f.size == 8);
    if pointers.into_iter().any(|field| number(field) != 0) {
        return Err(refuse(Errno::EINVAL, "context: only hook and pf may be set"));
    }
    match number(&PF) as u8 {
        pf @ (NFPROTO_IPV4 | NFPROTO_IPV6) => Ok((number(&HOOK) as u8, pf)),
        pf => {
            let message = format!("context: pf {pf} is neither IPv4 (2) nor IPv6 (10)");
            Err(refuse(Errno::EINVAL, message))
        }
    }
}

/// The packet's protocol, and how many bytes of the input lie in front of it.
fn parts(data: &[u8], hook: u8, pf: u8) -> Result<(u16, usize), InputError> {
    let too_short =
        || refuse(Errno::EINVAL, format!("packet of {} bytes: it lacks its headers", data.len()));
    let protocol = if pf == NFPROTO_IPV4 { ETH_P_IP } else { ETH_P_IPV6 };
    if data.len() < IPV4_BYTES || data.len() > MAX_BYTES {
        return Err(too_short());
    }
    if hook == LOCAL_OUT {
        return Ok((protocol, 0));
    }
    let link = ETH_HLEN as usize;
    let ethertype = data.get(12..14).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes);
    match ethertype {
        _ if data.len() < link + IPV4_BYTES => Err(too_short()),
        Some(ETH_P_IPV6) if data.len() < link + IPV6_BYTES => Err(too_short()),
        Some(found @ (ETH_P_IP | ETH_P_IPV6)) if found == protocol => Ok((protocol, link)),
        Some(ETH_P_IP | ETH_P_IPV6) => {
            Err(refuse(Errno::EINVAL, "the packet's protocol is not the hook's"))
        }
        _ => Err(refuse(Errno::EPROTO, "the packet is neither IPv4 nor IPv6")),
    }
}

fn prepare(world: &World, input: &Input) -> Result<Box<dyn RunState>, InputError> {
    if input.flags != 0 {
        let message = format!("flags {:#x}: netfilter runs take none", input.flags);
        return Err(refuse(Errno::EINVAL, message));
    }
    if input.data.len() < IPV4_BYTES {
        let message = format!("packet of {} bytes: {IPV4_BYTES} are needed", input.data.len());
        return Err(refuse(Errno::EINVAL, message));
    }
    let (hook, pf) = hook(input)?;
    let (protocol, link) = parts(&input.data, hook, pf)?;
    let cage = world.cage();
    let len = input.data.len() as u32;
    let mut packet = Linear::new(cage, len, 0, 0, &input.data).map_err(|e| no_memory(&e))?;
    // Hiding bytes that are there cannot fail.
    let _ = packet.hide_front(link as u32);

    let env = env::of(world);
    let object = |name, fields: &[(&str, u64)]| {
        env.types().object(cage, name, fields).map_err(|e| no_memory(&e))
    };
    let lo = env.device(env::LOOPBACK);
    let device = object(
        "net_device",
        &[
            ("ifindex", env::LOOPBACK.into()),
            ("mtu", lo.map_or(0, |lo| lo.mtu.into())),
            ("hard_header_len", lo.map_or(0, |lo| lo.header_len.into())),
        ],
    )?;
    let (data, dev) = (packet.data_addr().into(), device.addr().into());
    let skb = object(
        "sk_buff",
        &[
            ("len", packet.len().into()),
            ("protocol", protocol.swap_bytes().into()),
            ("head", data - u64::from(packet.data_off())),
            ("data", data),
            ("tail", (packet.data_off() + packet.len()).into()),
            ("end", (packet.data_off() + packet.len()).into()),
            ("network_header", packet.data_off().into()),
            ("dev", if hook == LOCAL_OUT { 0 } else { dev }),
        ],
    )?;
    let state = object(
        "nf_hook_state",
        // The default hook says that the packet leaves through the device.
        &[("hook", hook.into()), ("pf", pf.into()), ("out", dev)],
    )?;
    let spec = RegionSpec::new(LAYOUT.size.into(), RegionKind::Context, LAYOUT.name);
    let ctx = cage.alloc(spec.perm(Perm::Read)).map_err(|e| no_memory(&e))?;
    for (field, target) in [(&STATE, &state), (&SKB, &skb)] {
        let stored = ctx.store(field.off, u64::from(target.addr()));
        debug_assert!(stored.is_ok(), "{} lies inside the context", field.name);
    }
    Ok(Box::new(HookRun { ctx, packet, _objects: [device, skb, state] }))
}

impl RunState for HookRun {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn ctx_store(&mut self, _: &World, _: u32, _: u32, _: u64) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        Ok(Output { retval: r0 as u32, ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
