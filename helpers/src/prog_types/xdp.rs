//! XDP: programs that see a packet before the network stack does.
//!
//! The frame is laid out as test-run lays it out, in one page:
//!
//! ```text
//!  0            40          256                     data_end      3776            4096
//!  ├ xdp_frame ─┼ headroom ──┼ metadata ┼ packet ─────┼ tailroom ──┼ shared info ──┤
//! ```
//!
//! What does not fit the linear part lies in fragments of at most a page, which programs reach
//! only through `bpf_xdp_load_bytes` and `bpf_xdp_store_bytes`.

use super::ctx::{self, no_memory, refuse};
use super::packet::Linear;
use crate::env;
use crate::func::group;
use std::any::Any;
use std::sync::Arc;
use ubpf_abi::ctx::{CtxAccess, CtxField, CtxFieldKind, CtxLayout, CtxWidth};
use ubpf_abi::prog_type::{
    AttachType, Fate, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, RetRange,
    Verdicts,
};
use ubpf_abi::{Errno, Version};
use ubpf_vm::mem::{Cage, GuestAddr, MemError, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::ProgTypeDef;
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

/// Bytes of the page that holds a frame; fragments are as large.
pub const FRAME_BYTES: u32 = 4096;
/// `XDP_PACKET_HEADROOM`.
pub const HEADROOM_BYTES: u32 = 256;
/// `struct xdp_frame`, which adjusting the head must leave room for.
pub const XDP_FRAME_BYTES: u32 = 40;
/// `struct skb_shared_info` with its alignment, at the page's end.
pub const SHARED_INFO_BYTES: u32 = 320;
/// Fragments that a frame may have (`MAX_SKB_FRAGS`).
pub const MAX_FRAGS: usize = 17;
/// Bytes of an Ethernet header, the least a frame may hold.
pub const ETH_HLEN: u32 = 14;

const LINEAR_BYTES: u32 = FRAME_BYTES - HEADROOM_BYTES - SHARED_INFO_BYTES;
const CTX_BYTES: usize = 24;

const DATA: CtxField = pointer("data", 0, CtxFieldKind::PacketData, Version::new(4, 8));
const DATA_END: CtxField = pointer("data_end", 4, CtxFieldKind::PacketEnd, Version::new(4, 8));
const DATA_META: CtxField = pointer("data_meta", 8, CtxFieldKind::PacketMeta, Version::new(4, 15));
const INGRESS_IFINDEX: CtxField =
    pointer("ingress_ifindex", 12, CtxFieldKind::Scalar, Version::new(4, 16));
const RX_QUEUE_INDEX: CtxField =
    pointer("rx_queue_index", 16, CtxFieldKind::Scalar, Version::new(4, 16));
const EGRESS_IFINDEX: CtxField = CtxField {
    attach_types: &[AttachType::XDP_DEVMAP],
    ..pointer("egress_ifindex", 20, CtxFieldKind::Scalar, Version::new(5, 8))
};

/// `struct xdp_md`.
pub const LAYOUT: CtxLayout = CtxLayout {
    name: "xdp_md",
    size: CTX_BYTES as u32,
    fields: &[DATA, DATA_END, DATA_META, INGRESS_IFINDEX, RX_QUEUE_INDEX, EGRESS_IFINDEX],
};

const fn pointer(name: &'static str, off: u32, kind: CtxFieldKind, since: Version) -> CtxField {
    CtxField {
        name,
        off,
        size: 4,
        elem_size: 4,
        kind,
        access: CtxAccess::Read,
        width: CtxWidth::Whole,
        attach_types: &[],
        since,
    }
}

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::Xdp,
        doc: "Sees packets as the driver receives them, before the network stack does.",
        ctx: LAYOUT,
        input: InputKind::Packet { from: PacketLayer::Link },
        packet: PacketAccess::ReadWrite,
        helpers: &[group::BASE, group::EVENTS, group::NET, group::XDP],
        ret: RetRange::Any,
        verdicts: Verdicts::Named(&[
            (0, "XDP_ABORTED", Fate::Drop),
            (1, "XDP_DROP", Fate::Drop),
            (2, "XDP_PASS", Fate::Pass),
            (3, "XDP_TX", Fate::Bounce),
            (4, "XDP_REDIRECT", Fate::Redirect),
        ]),
        legacy_loads: false,
        hooks: &[],
    },
    prepare,
};

/// A frame under an XDP program.
#[derive(Debug)]
pub struct XdpRun {
    ctx: Region,
    linear: Linear,
    frags: Vec<Frag>,
    /// The context that the caller brought; without one none is reported.
    ctx_in: Option<[u8; CTX_BYTES]>,
    /// Device that the frame came from.
    ifindex: u32,
    /// The kernel's own struct, where a program asked for it.
    kernel: Option<Region>,
}

/// A fragment: a page that holds some bytes from its start on.
#[derive(Debug)]
struct Frag {
    page: Region,
    len: u32,
}

impl Frag {
    fn new(cage: &Arc<Cage>, bytes: &[u8]) -> Result<Self, InputError> {
        let spec = RegionSpec::new(FRAME_BYTES.into(), RegionKind::Packet, "");
        let page = cage.alloc(spec).map_err(|e| no_memory(&e))?;
        let written = page.write(0, bytes);
        debug_assert!(written.is_ok(), "a fragment is no longer than its page");
        let mut frag = Self { page, len: 0 };
        frag.resize(bytes.len() as u32);
        Ok(frag)
    }

    /// Makes it so long; what is new is zero.
    fn resize(&mut self, len: u32) {
        if let Some(more) = len.checked_sub(self.len).filter(|_| self.len != 0) {
            let cleared = self.page.fill(self.len, more, 0);
            debug_assert!(cleared.is_ok(), "a fragment is no longer than its page");
        }
        self.len = len;
        let shown = self.page.set_bounds(0, len);
        debug_assert!(shown.is_ok(), "a fragment is no longer than its page");
    }

    fn bytes(&self) -> Vec<u8> {
        self.page.read_vec(0, self.len).unwrap_or_default()
    }
}

fn prepare(world: &World, input: &Input) -> Result<Box<dyn RunState>, InputError> {
    if input.flags != 0 {
        let message = format!("flags {:#x}: xdp runs take none here", input.flags);
        return Err(refuse(Errno::EINVAL, message));
    }
    let data_len = u32::try_from(input.data.len())
        .map_err(|_| refuse(Errno::EINVAL, "packet of more than 4 GiB"))?;
    let mut blank = [0; CTX_BYTES];
    blank.iter_mut().skip(4).zip(data_len.to_le_bytes()).for_each(|(to, from)| *to = from);
    let ctx_in = ctx::context(input, &LAYOUT, blank)?;

    let (meta_len, linear_len) = match &ctx_in {
        Some(ctx) => described_parts(ctx, data_len)?,
        None => (0, data_len),
    };
    if data_len - meta_len < ETH_HLEN {
        let message = format!("packet of {data_len} bytes: at least {ETH_HLEN} are needed");
        return Err(refuse(Errno::EINVAL, message));
    }
    let ifindex = ingress(world, ctx_in.as_ref())?;

    // Metadata is taken from the headroom, so that the linear part grows by it.
    let linear_len = linear_len.min(LINEAR_BYTES + meta_len) as usize;
    let (linear, rest) = input.data.split_at(linear_len.min(input.data.len()));
    let pages = rest.chunks(FRAME_BYTES as usize);
    if pages.len() > MAX_FRAGS {
        let message = format!("packet of {data_len} bytes: it does not fit {MAX_FRAGS} fragments");
        return Err(refuse(Errno::ENOMEM, message));
    }
    let cage = world.cage();
    let frags = pages.map(|bytes| Frag::new(cage, bytes)).collect::<Result<_, _>>()?;
    let capacity = FRAME_BYTES - SHARED_INFO_BYTES;
    let headroom = HEADROOM_BYTES - meta_len;
    let linear =
        Linear::new(cage, capacity, headroom, meta_len, linear).map_err(|e| no_memory(&e))?;
    let spec = RegionSpec::new(CTX_BYTES as u64, RegionKind::Context, LAYOUT.name);
    let ctx = cage.alloc(spec.perm(Perm::Read)).map_err(|e| no_memory(&e))?;
    let run = XdpRun { ctx, linear, frags, ctx_in, ifindex, kernel: None };
    run.show_ctx();
    Ok(Box::new(run))
}

/// Metadata bytes and linear bytes (metadata included) as a given context describes them.
fn described_parts(ctx: &[u8; CTX_BYTES], data_len: u32) -> Result<(u32, u32), InputError> {
    let field = |field| ctx::number(ctx, field) as u32;
    let (meta_len, end) = (field(&DATA), field(&DATA_END));
    let problem = if field(&DATA_META) != 0 {
        "data_meta must be 0: the packet begins with the metadata"
    } else if end > data_len {
        "data_end lies behind the packet"
    } else if meta_len > end {
        "data lies behind data_end"
    } else if meta_len % 4 != 0 || meta_len > HEADROOM_BYTES - XDP_FRAME_BYTES {
        "data, the bytes of metadata, must be a multiple of 4 and at most 216"
    } else {
        return Ok((meta_len, end));
    };
    Err(refuse(Errno::EINVAL, format!("context: {problem}")))
}

/// The device that a given context names, `lo` without one.
fn ingress(world: &World, ctx: Option<&[u8; CTX_BYTES]>) -> Result<u32, InputError> {
    let field = |field| ctx.map_or(0, |ctx| ctx::number(ctx, field) as u32);
    let (ifindex, queue) = (field(&INGRESS_IFINDEX), field(&RX_QUEUE_INDEX));
    if field(&EGRESS_IFINDEX) != 0 {
        return Err(refuse(Errno::EINVAL, "context: egress_ifindex must be 0"));
    }
    if ifindex == 0 {
        return match queue {
            0 => Ok(env::LOOPBACK),
            _ => Err(refuse(Errno::EINVAL, "context: rx_queue_index without ingress_ifindex")),
        };
    }
    if env::of(world).device(ifindex).is_none() {
        let message = format!("context: ingress_ifindex {ifindex}: no such device");
        return Err(refuse(Errno::ENODEV, message));
    }
    if queue != 0 {
        let message = format!("context: rx_queue_index {queue}: the device has one queue");
        return Err(refuse(Errno::EINVAL, message));
    }
    Ok(ifindex)
}

impl XdpRun {
    /// Device that the frame came from.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The linear part.
    #[must_use]
    pub const fn linear(&self) -> &Linear {
        &self.linear
    }

    /// Bytes of the packet, fragments included.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.linear.len() + self.frags_len()
    }

    /// Whether there are no bytes at all, which no helper allows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn frags_len(&self) -> u32 {
        self.frags.iter().map(|frag| frag.len).sum()
    }

    /// Moves the packet's start and the metadata in front of it, as `bpf_xdp_adjust_head` does.
    ///
    /// # Errors
    /// `EINVAL` past the headroom, or with less than an Ethernet header left in the linear part.
    pub fn adjust_head(&mut self, by: i32) -> Result<(), Errno> {
        let data = self.linear.data_off().checked_add_signed(by).ok_or(Errno::EINVAL)?;
        let first = XDP_FRAME_BYTES + self.linear.meta_len();
        let end = self.linear.data_off() + self.linear.len();
        if data < first || data.checked_add(ETH_HLEN).is_none_or(|min| min > end) {
            return Err(Errno::EINVAL);
        }
        self.linear.move_head(by).ok_or(Errno::EINVAL)?;
        self.show_ctx();
        Ok(())
    }

    /// Moves the metadata's start, as `bpf_xdp_adjust_meta` does.
    ///
    /// # Errors
    /// `EINVAL` past the headroom or into the packet, `EACCES` for a size that is no multiple of 4 or
    /// above 255.
    pub fn adjust_meta(&mut self, by: i32) -> Result<(), Errno> {
        let meta = self.linear.headroom().checked_add_signed(by).ok_or(Errno::EINVAL)?;
        if meta < XDP_FRAME_BYTES || meta > self.linear.data_off() {
            return Err(Errno::EINVAL);
        }
        // The socket buffer that a frame becomes counts them in a byte.
        let meta_len = self.linear.data_off() - meta;
        if !meta_len.is_multiple_of(4) || meta_len > u8::MAX.into() {
            return Err(Errno::EACCES);
        }
        self.linear.move_meta(by).ok_or(Errno::EINVAL)?;
        self.show_ctx();
        Ok(())
    }

    /// Moves the packet's end, as `bpf_xdp_adjust_tail` does. New bytes are zero.
    ///
    /// # Errors
    /// `EINVAL` where there is no room, or with less than an Ethernet header left.
    pub fn adjust_tail(&mut self, by: i32) -> Result<(), Errno> {
        if let Some(last) = self.frags.last_mut() {
            match u32::try_from(by) {
                Ok(grow) => {
                    if grow > FRAME_BYTES - last.len {
                        return Err(Errno::EINVAL);
                    }
                    last.resize(last.len + grow);
                }
                // The kernel negates the smallest number to itself, and then has nothing to do.
                Err(_) if by == i32::MIN => {}
                Err(_) => self.shrink_frags(by.unsigned_abs())?,
            }
        } else {
            let len = self.linear.len();
            let new_len = len.checked_add_signed(by).filter(|&len| len >= ETH_HLEN);
            let new_len = new_len.ok_or(Errno::EINVAL)?;
            self.linear.move_end(by).ok_or(Errno::EINVAL)?;
            if new_len > len {
                self.linear.zero(len, new_len - len).ok_or(Errno::EINVAL)?;
            }
        }
        self.show_ctx();
        Ok(())
    }

    fn shrink_frags(&mut self, by: u32) -> Result<(), Errno> {
        if i64::from(by) > i64::from(self.len()) - i64::from(ETH_HLEN) {
            return Err(Errno::EINVAL);
        }
        let mut left = by;
        while left > 0 {
            let Some(last) = self.frags.last_mut() else { break };
            if left < last.len {
                last.resize(last.len - left);
                return Ok(());
            }
            left -= last.len;
            self.frags.pop();
        }
        let left = i32::try_from(left).map_err(|_| Errno::EINVAL)?;
        self.linear.move_end(-left).ok_or(Errno::EINVAL)
    }

    /// Copies packet bytes out of the linear part and the fragments, as `bpf_xdp_load_bytes`.
    ///
    /// # Errors
    /// `EFAULT` for an offset or size past 0xffff, `EINVAL` past the packet's end.
    pub fn load(&self, off: u32, len: u32) -> Result<Vec<u8>, Errno> {
        self.check(off, len)?;
        let inside = self.linear.len().saturating_sub(off).min(len);
        let mut bytes = match inside {
            0 => Vec::new(),
            _ => self.linear.read(off, inside).ok_or(Errno::EINVAL)?,
        };
        for (frag, at, part) in self.parts(off.saturating_sub(self.linear.len()), len - inside) {
            bytes.extend(frag.page.read_vec(at, part).map_err(|_| Errno::EINVAL)?);
        }
        Ok(bytes)
    }

    /// Copies bytes into the linear part and the fragments, as `bpf_xdp_store_bytes`.
    ///
    /// # Errors
    /// As [`XdpRun::load`].
    pub fn store(&mut self, off: u32, bytes: &[u8]) -> Result<(), Errno> {
        self.check(off, u32::try_from(bytes.len()).map_err(|_| Errno::EFAULT)?)?;
        let inside = self.linear.len().saturating_sub(off) as usize;
        let (linear, rest) = bytes.split_at(inside.min(bytes.len()));
        if !linear.is_empty() {
            self.linear.write(off, linear).ok_or(Errno::EINVAL)?;
        }
        let mut rest = rest;
        let skip = off.saturating_sub(self.linear.len());
        for (frag, at, part) in self.parts(skip, rest.len() as u32) {
            let (bytes, behind) = rest.split_at(rest.len().min(part as usize));
            frag.page.write(at, bytes).map_err(|_| Errno::EINVAL)?;
            rest = behind;
        }
        Ok(())
    }

    /// The parts of fragments that `len` bytes lie in, `skip` bytes behind the linear part: each
    /// with its offset in the fragment and its length.
    fn parts(&self, mut skip: u32, mut len: u32) -> impl Iterator<Item = (&Frag, u32, u32)> {
        self.frags.iter().filter_map(move |frag| {
            let at = skip.min(frag.len);
            let part = (frag.len - at).min(len);
            skip -= at;
            len -= part;
            (part > 0).then_some((frag, at, part))
        })
    }

    /// Where packet bytes lie; `None` where they do not lie in one piece.
    #[must_use]
    pub fn addr(&self, off: u32, len: u32) -> Option<GuestAddr> {
        self.check(off, len).ok()?;
        let linear = self.linear.len();
        if off < linear {
            return (off + len <= linear).then(|| self.linear.data_addr().checked_add(off))?;
        }
        let mut behind = off - linear;
        for frag in &self.frags {
            if behind < frag.len {
                return if behind + len <= frag.len { frag.page.at(behind) } else { None };
            }
            behind -= frag.len;
        }
        // The kernel gives the end of the linear part for nothing at the end.
        self.linear.data_addr().checked_add(linear).filter(|_| len == 0)
    }

    /// Brings the packet's first `len` bytes into the linear part, as `bpf_xdp_pull_data` does.
    ///
    /// # Errors
    /// `EINVAL` where the packet, or the linear part's room, is smaller.
    pub fn pull(&mut self, len: u32) -> Result<(), Errno> {
        if len > self.len() {
            return Err(Errno::EINVAL);
        }
        let have = self.linear.len();
        let Some(missing) = len.checked_sub(have).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        // What the tailroom lacks is taken from the headroom.
        let shift = missing.saturating_sub(self.linear.tailroom());
        let headroom = self.linear.headroom().saturating_sub(XDP_FRAME_BYTES);
        if shift > headroom {
            return Err(Errno::EINVAL);
        }
        let bytes = self.load(have, missing)?;
        if shift > 0 {
            self.linear.unshift(shift).ok_or(Errno::EINVAL)?;
        }
        let by = i32::try_from(missing).map_err(|_| Errno::EINVAL)?;
        self.linear.move_end(by).ok_or(Errno::EINVAL)?;
        self.linear.write(have, &bytes).ok_or(Errno::EINVAL)?;
        self.drop_first(missing);
        self.show_ctx();
        Ok(())
    }

    /// Takes bytes away from the first fragments.
    fn drop_first(&mut self, mut by: u32) {
        self.frags.retain_mut(|frag| {
            let gone = by.min(frag.len);
            by -= gone;
            let left = frag.len - gone;
            if gone > 0 && left > 0 {
                let moved = frag.page.copy_within(gone, 0, left);
                debug_assert!(moved.is_ok(), "a fragment is no longer than its page");
                frag.len = left;
                let shown = frag.page.set_bounds(0, left);
                debug_assert!(shown.is_ok(), "a fragment is no longer than its page");
            }
            left > 0
        });
    }

    /// The kernel's own struct of the frame as it is now: where programs see it.
    ///
    /// # Errors
    /// When guest memory is exhausted.
    pub fn kernel_struct(&mut self, world: &World) -> Result<GuestAddr, MemError> {
        let addr = |addr: GuestAddr| u64::from(addr);
        let fields = [
            ("data", addr(self.linear.data_addr())),
            ("data_end", addr(self.linear.end_addr())),
            ("data_meta", addr(self.linear.meta_addr())),
            ("data_hard_start", addr(self.linear.data_addr()) - u64::from(self.linear.data_off())),
            ("frame_sz", FRAME_BYTES.into()),
        ];
        let types = env::of(world).types();
        types.show(world.cage(), "xdp_buff", &fields, &mut self.kernel)
    }

    fn check(&self, off: u32, len: u32) -> Result<(), Errno> {
        if off > 0xffff || len > 0xffff {
            return Err(Errno::EFAULT);
        }
        if off + len > self.len() { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// Writes the context's fields where the program reads them.
    fn show_ctx(&self) {
        let fields = [
            (&DATA, self.linear.data_addr().0),
            (&DATA_END, self.linear.end_addr().0),
            (&DATA_META, self.linear.meta_addr().0),
            (&INGRESS_IFINDEX, self.ifindex),
        ];
        for (field, value) in fields {
            let stored = self.ctx.store::<u32>(field.off, value);
            debug_assert!(stored.is_ok(), "{} lies inside the context", field.name);
        }
    }
}

impl RunState for XdpRun {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn ctx_store(&mut self, _: &World, _: u32, _: u32, _: u64) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        let mut data = self.linear.visible();
        self.frags.iter().for_each(|frag| data.extend(frag.bytes()));
        let ctx = self.ctx_in.map(|mut ctx| {
            let mut set = |field: &CtxField, value: u32| {
                let place = ctx.iter_mut().skip(field.off as usize);
                place.zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
            };
            set(&DATA, self.linear.meta_len());
            set(&DATA_END, self.linear.meta_len() + self.linear.len());
            ctx.to_vec()
        });
        let meta_len = self.linear.meta_len();
        Ok(Output { retval: r0 as u32, data: Some(data), meta_len, ctx })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
