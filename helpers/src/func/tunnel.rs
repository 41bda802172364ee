//! Tunnel metadata of a packet: what a collecting tunnel device would send it with.
//!
//! ```text
//!  struct bpf_tunnel_key
//!  0   id         4   remote address   20  tos   21  ttl   22  flags   24  label   28  local address
//! ```
//!
//! Older programs pass shorter structs, which end before the flags, the label, the local address,
//! or the last three words of the remote one.

use super::group::{LWT_XMIT, TC};
use super::skb::skb;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, CtxArg, Fail, MemRead, MemWrite};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(20 skb_get_tunnel_key, since 4.3,
        "Copies the packet's tunnel key.", groups: &[TC, LWT_XMIT]),
    helper!(21 skb_set_tunnel_key, since 4.3,
        "Gives the packet a tunnel key to be sent with.", groups: &[TC, LWT_XMIT]),
    helper!(29 skb_get_tunnel_opt, since 4.6,
        "Copies the packet's tunnel options.", groups: &[TC, LWT_XMIT]),
    helper!(30 skb_set_tunnel_opt, since 4.6,
        "Gives the packet tunnel options to be sent with.", groups: &[TC, LWT_XMIT]),
];

/// Bytes of the struct, and of its older forms.
const KEY_BYTES: usize = 44;
const BEFORE_LOCAL: u32 = 28;
const BEFORE_LABEL: u32 = 24;
const BEFORE_FLAGS: u32 = 22;
const IPV4_ONLY: u32 = 8;

/// Offsets of its fields.
const REMOTE: usize = 4;
const FLAGS: usize = 22;
const LABEL: usize = 24;
const LOCAL: usize = 28;

/// `BPF_F_TUNINFO_IPV6`.
const IPV6: u64 = 1 << 0;
/// Options of any kind are there, as `tunnel_flags` says it.
const OPTIONS_PRESENT: u16 = 0xd800;

/// Metadata that a program gave to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    ipv6: bool,
    /// As it was given, in its full form.
    key: [u8; KEY_BYTES],
    /// As `tunnel_flags` shows them.
    flags: u16,
    options: Vec<u8>,
}

impl Tunnel {
    /// Reads a key in any of its forms.
    fn new(key: &[u8], flags: u64) -> Result<Self, Errno> {
        const ZERO_CSUM_TX: u64 = 1 << 1;
        const DONT_FRAGMENT: u64 = 1 << 2;
        const SEQ_NUMBER: u64 = 1 << 3;
        const NO_TUNNEL_KEY: u64 = 1 << 4;
        /// The flags of `tunnel_flags`.
        const CSUM: u16 = 1 << 0;
        const KEY: u16 = 1 << 2;
        const SEQ: u16 = 1 << 3;
        const DF: u16 = 1 << 8;
        const NOCACHE: u16 = 1 << 13;
        const MAX_LABEL: u32 = 0xf_ffff;
        let known = IPV6 | ZERO_CSUM_TX | DONT_FRAGMENT | SEQ_NUMBER | NO_TUNNEL_KEY;
        if flags & !known != 0 {
            return Err(Errno::EINVAL);
        }
        let size = u32::try_from(key.len()).unwrap_or(u32::MAX);
        if key.len() != KEY_BYTES
            && !matches!(size, BEFORE_LOCAL | BEFORE_LABEL | BEFORE_FLAGS | IPV4_ONLY)
        {
            return Err(Errno::EINVAL);
        }
        let mut full = [0; KEY_BYTES];
        full.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let ipv6 = flags & IPV6 != 0;
        let label = u32::from_le_bytes(word(&full, LABEL));
        if (label != 0 && !ipv6) || word::<2>(&full, FLAGS) != [0; 2] {
            return Err(Errno::EINVAL);
        }
        put(&mut full, LABEL, &(label & MAX_LABEL).to_le_bytes());
        let mut shown = NOCACHE | KEY | CSUM;
        if flags & ZERO_CSUM_TX != 0 {
            shown &= !CSUM;
        }
        if flags & DONT_FRAGMENT != 0 {
            shown |= DF;
        }
        if flags & SEQ_NUMBER != 0 {
            shown |= SEQ;
        }
        if flags & NO_TUNNEL_KEY != 0 {
            shown &= !KEY;
        }
        Ok(Self { ipv6, key: full, flags: shown, options: Vec::new() })
    }

    /// The key as the receiving end would tell it: the addresses have changed places.
    fn received(&self, with_flags: bool) -> [u8; KEY_BYTES] {
        let mut key = self.key;
        let address_bytes = if self.ipv6 { 16 } else { 4 };
        for (to, from) in [(REMOTE, LOCAL), (LOCAL, REMOTE)] {
            let from = word::<16>(&self.key, from);
            put(&mut key, to, &[0; 16]);
            put(&mut key, to, from.get(..address_bytes).unwrap_or_default());
        }
        let options = if self.options.is_empty() { 0 } else { OPTIONS_PRESENT };
        let flags = if with_flags { self.flags | options } else { 0 };
        put(&mut key, FLAGS, &flags.to_be_bytes());
        key
    }
}

fn word<const N: usize>(key: &[u8; KEY_BYTES], off: usize) -> [u8; N] {
    let bytes = key.get(off..).and_then(<[u8]>::first_chunk);
    bytes.copied().unwrap_or([0; N])
}

fn put(key: &mut [u8; KEY_BYTES], off: usize, bytes: &[u8]) {
    key.iter_mut().skip(off).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Gives the program what there is, zeros behind it, and nothing but zeros with an error.
fn give(cx: &CallCx<'_>, to: &MemWrite, found: Result<&[u8], Errno>) -> Result<(), Fail> {
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    Ok(to.write(cx, found?).map_err(|_| Errno::EFAULT)?)
}

fn skb_get_tunnel_key(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    to: MemWrite,
    flags: u64,
) -> Result<(), Fail> {
    const WITH_FLAGS: u64 = 1 << 4;
    let key = match skb(cx)?.tunnel() {
        Some(tunnel) if flags & !(IPV6 | WITH_FLAGS) == 0 => {
            let fits = match to.len() {
                IPV4_ONLY => !tunnel.ipv6,
                BEFORE_LOCAL | BEFORE_LABEL | BEFORE_FLAGS => true,
                len => len as usize == KEY_BYTES,
            };
            match fits {
                _ if tunnel.ipv6 != (flags & IPV6 != 0) => Err(Errno::EPROTO),
                true => Ok(tunnel.received(flags & WITH_FLAGS != 0)),
                false => Err(Errno::EINVAL),
            }
        }
        _ => Err(Errno::EINVAL),
    };
    let len = to.len() as usize;
    let shown = key.as_ref().map(|key| key.get(..len).unwrap_or_default());
    give(cx, &to, shown.map_err(|errno| *errno))
}

fn skb_set_tunnel_key(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    key: MemRead,
    flags: u64,
) -> Result<(), Fail> {
    let key = key.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let tunnel = Tunnel::new(&key, flags)?;
    skb(cx)?.set_tunnel(tunnel);
    Ok(())
}

fn skb_get_tunnel_opt(cx: &mut CallCx<'_>, _: CtxArg, to: MemWrite) -> Result<u32, Fail> {
    let options = match skb(cx)?.tunnel() {
        Some(tunnel) if tunnel.options.is_empty() => Err(Errno::ENOENT),
        Some(tunnel) if tunnel.options.len() > to.len() as usize => Err(Errno::ENOMEM),
        Some(tunnel) => Ok(tunnel.options.clone()),
        None => Err(Errno::ENOENT),
    };
    give(cx, &to, options.as_deref().map_err(|errno| *errno))?;
    Ok(options.map_or(0, |options| options.len() as u32))
}

fn skb_set_tunnel_opt(cx: &mut CallCx<'_>, _: CtxArg, options: MemRead) -> Result<(), Fail> {
    const MAX_BYTES: u32 = 255;
    let bytes = options.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let tunnel = skb(cx)?.tunnel_mut().ok_or(Errno::EINVAL)?;
    if !options.len().is_multiple_of(4) {
        return Err(Errno::EINVAL.into());
    }
    if options.len() > MAX_BYTES {
        return Err(Errno::ENOMEM.into());
    }
    tunnel.options = bytes.to_vec();
    Ok(())
}
