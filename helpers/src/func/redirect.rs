//! Redirects through maps. Test runs do not carry them out: what counts is the verdict.

use super::group::XDP;
use crate::env::{self, Redirect};
use ubpf_abi::map::{MapOp, MapType};
use ubpf_vm::call::{CallCx, MapRef};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[helper!(51 redirect_map, since 4.14,
    "Sends the packet to the target in a map once the program returns this result.",
    groups: &[XDP], map_op: Some(MapOp::Redirect))];

/// `XDP_REDIRECT`.
const REDIRECT: u64 = 4;
/// `XDP_ABORTED`.
const ABORTED: u64 = 0;
/// The verdict for a key without a target, in the flags' lowest bits.
const DEFAULT_MASK: u64 = 3;
/// `BPF_F_BROADCAST`: to all devices of a map, whatever the key.
const BROADCAST: u64 = 1 << 3;
/// `BPF_F_EXCLUDE_INGRESS`: but not to the one it came from.
const EXCLUDE_INGRESS: u64 = 1 << 4;

fn redirect_map(cx: &mut CallCx<'_>, map: MapRef<'_>, key: u64, flags: u64) -> u64 {
    let to_many = match map.def().map_type {
        Ok(MapType::Devmap | MapType::DevmapHash) => BROADCAST | EXCLUDE_INGRESS,
        _ => 0,
    };
    if flags & !(DEFAULT_MASK | to_many) != 0 {
        return ABORTED;
    }
    let env = env::of(cx.world);
    if flags & BROADCAST != 0 {
        env.redirect(Redirect::All { map: map.addr() });
        return REDIRECT;
    }
    let key = key as u32;
    let Some(value) = map.lookup(cx.cpu, &key.to_le_bytes()) else {
        return flags & DEFAULT_MASK;
    };
    // Values of device maps begin with the device's index.
    let device = (to_many != 0).then(|| cx.cage().load::<u32>(value).ok()).flatten();
    env.redirect(device.map_or(Redirect::Entry { map: map.addr(), key }, Redirect::Device));
    REDIRECT
}
