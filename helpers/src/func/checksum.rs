//! Checksums in packets.

use super::csum;
use super::group::{LWT, LWT_XMIT, TC, XDP};
use super::skb::skb;
use crate::prog_types::skb::Checksum;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, CtxArg, Fail, MemReadOrEmpty};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(10 l3_csum_replace, since 4.1,
        "Updates a network header's checksum after a value in it changed.",
        groups: &[TC, LWT_XMIT], changes_packet: true),
    helper!(11 l4_csum_replace, since 4.1,
        "Updates a transport header's checksum after a value it covers changed.",
        groups: &[TC, LWT_XMIT], changes_packet: true),
    helper!(28 csum_diff, since 4.6,
        "Difference of the sums of two buffers, added to a seed.",
        groups: &[TC, XDP, LWT], packet_access: true),
    helper!(40 csum_update, since 4.9,
        "Adds to the complete checksum that a device delivered.", groups: &[TC, LWT_XMIT]),
    helper!(135 csum_level, since 5.8,
        "Asks for, or changes, how many encapsulations have checksums that were found right.",
        groups: &[TC, LWT_XMIT]),
];

/// Bytes of the value that changed; 0 for a difference of sums.
const FIELD_MASK: u64 = 0xf;

/// The changed field's new contents.
fn replaced(field: u16, from: u64, to: u64, size: u64) -> Result<u16, Errno> {
    match size {
        0 if from == 0 => Ok(csum::replace_by_diff(field, to as u32)),
        2 => Ok(csum::replace_u16(field, from as u16, to as u16)),
        4 => Ok(csum::replace_u32(field, from as u32, to as u32)),
        _ => Err(Errno::EINVAL),
    }
}

/// The checksum field at `off`.
fn field(cx: &mut CallCx<'_>, off: u32) -> Result<u16, Fail> {
    if off > 0xffff || !off.is_multiple_of(2) {
        return Err(Errno::EFAULT.into());
    }
    let field = skb(cx)?.packet().read_array(off).ok_or(Errno::EFAULT)?;
    Ok(u16::from_le_bytes(field))
}

fn l3_csum_replace(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    off: u32,
    from: u64,
    to: u64,
    flags: u64,
) -> Result<(), Fail> {
    if flags & !FIELD_MASK != 0 {
        return Err(Errno::EINVAL.into());
    }
    let old = field(cx, off)?;
    let new = replaced(old, from, to, flags)?;
    Ok(skb(cx)?.store(off, &new.to_le_bytes(), false)?)
}

fn l4_csum_replace(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    off: u32,
    from: u64,
    to: u64,
    flags: u64,
) -> Result<(), Fail> {
    const PSEUDO_HDR: u64 = 1 << 4;
    const MARK_MANGLED_0: u64 = 1 << 5;
    const MARK_ENFORCE: u64 = 1 << 6;
    const IPV6: u64 = 1 << 7;
    /// What stands for a sum of 0 where 0 says that there is none.
    const MANGLED_0: u16 = 0xffff;
    if flags & !(PSEUDO_HDR | MARK_MANGLED_0 | MARK_ENFORCE | IPV6 | FIELD_MASK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let old = field(cx, off)?;
    let zero_is_none = flags & MARK_MANGLED_0 != 0;
    if zero_is_none && flags & MARK_ENFORCE == 0 && old == 0 {
        return Ok(());
    }
    let size = flags & FIELD_MASK;
    let new = match replaced(old, from, to, size)? {
        0 if zero_is_none => MANGLED_0,
        new => new,
    };
    let skb = skb(cx)?;
    skb.store(off, &new.to_le_bytes(), false)?;
    if let (Checksum::Complete(sum), true) = (skb.checksum(), flags & PSEUDO_HDR != 0) {
        let sum = match size {
            0 if flags & IPV6 != 0 => sum,
            0 => !csum::sub(to as u32, sum),
            2 => !csum::add(csum::sub(!sum, from as u16 as u32), to as u16 as u32),
            _ => !csum::add(csum::sub(!sum, from as u32), to as u32),
        };
        skb.set_checksum(Checksum::Complete(sum));
    }
    Ok(())
}

fn csum_diff(
    cx: &mut CallCx<'_>,
    from: Option<MemReadOrEmpty>,
    to: Option<MemReadOrEmpty>,
    seed: u32,
) -> Result<u32, Errno> {
    let sum_of = |memory: Option<MemReadOrEmpty>| {
        let bytes = memory.filter(|m| !m.is_empty()).map(|m| m.bytes(cx)).transpose();
        let bytes = bytes.map_err(|_| Errno::EFAULT)?;
        Ok::<_, Errno>(bytes.map(|bytes| csum::partial(&bytes, 0)))
    };
    let (from, to) = (sum_of(from)?, sum_of(to)?);
    let sum = to.map_or(seed, |to| csum::add(seed, to));
    let sum = from.map_or(sum, |from| csum::sub(sum, from));
    Ok(csum::to_16(sum).into())
}

fn csum_update(cx: &mut CallCx<'_>, _: CtxArg, diff: u32) -> Result<u32, Fail> {
    let skb = skb(cx)?;
    let Checksum::Complete(sum) = skb.checksum() else { return Err(Errno::ENOTSUPP.into()) };
    let sum = csum::add(sum, diff);
    skb.set_checksum(Checksum::Complete(sum));
    Ok(sum)
}

fn csum_level(cx: &mut CallCx<'_>, _: CtxArg, action: u64) -> Result<u32, Fail> {
    const QUERY: u64 = 0;
    const INCREASE: u64 = 1;
    const DECREASE: u64 = 2;
    const RESET: u64 = 3;
    const MAX_LEVEL: u8 = 3;
    let skb = skb(cx)?;
    let checksum = match (action, skb.checksum()) {
        (QUERY, Checksum::Unnecessary { level }) => return Ok(level.into()),
        (QUERY, _) => return Err(Errno::EACCES.into()),
        (INCREASE, Checksum::Unnecessary { level }) => {
            Checksum::Unnecessary { level: (level + 1).min(MAX_LEVEL) }
        }
        (INCREASE, Checksum::None) => Checksum::Unnecessary { level: 0 },
        (DECREASE, Checksum::Unnecessary { level: level @ 1.. }) => {
            Checksum::Unnecessary { level: level - 1 }
        }
        (DECREASE | RESET, Checksum::Unnecessary { .. }) => Checksum::None,
        (INCREASE | DECREASE | RESET, other) => other,
        _ => return Err(Errno::EINVAL.into()),
    };
    skb.set_checksum(checksum);
    Ok(0)
}
