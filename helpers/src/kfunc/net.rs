//! Connections, packets and sockets.

use crate::func::xdp::frame;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Release, RetNull, TrustedArgs};
use ubpf_abi::kfunc::{KfuncOnly, KfuncSet, KfuncSpecial};
use ubpf_abi::prog_type::AttachType;
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::{CallCx, CtxArg, IntFail, Void};
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_skb_ct_alloc, since 6.1, "Makes an entry of the connection table, for an skb.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_skb_ct_lookup, since 5.18, "Finds an entry of the connection table, for an skb.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]; ct_lookup),
    kfunc!(bpf_xdp_ct_alloc, since 6.1, "Makes an entry of the connection table, for a frame.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_xdp_ct_lookup, since 5.18, "Finds an entry of the connection table, for a frame.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]; ct_lookup),
    kfunc!(bpf_ct_insert_entry, since 6.1, "Adds an entry to the connection table.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, Release, RetNull]),
    kfunc!(bpf_ct_release, since 5.18, "Gives a reference to an entry back.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Release]; ct_release),
    kfunc!(bpf_ct_set_timeout, since 6.1, "Sets the time that a new entry has.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_change_timeout, since 6.1, "Changes the time that an entry has.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_set_status, since 6.1, "Sets the status of a new entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_change_status, since 6.1, "Changes the status of an entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_set_nat_info, since 6.1, "Sets the address translation of a new entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_xdp_get_xfrm_state, since 6.8, "Finds the state of an encrypted connection.", &[KfuncSet::Xdp], flags: &[Acquire, RetNull]; get_xfrm_state),
    kfunc!(bpf_xdp_xfrm_state_release, since 6.8, "Gives a reference to such a state back.", &[KfuncSet::Xdp], flags: &[Release]; xfrm_state_release),
    kfunc!(bpf_xdp_metadata_rx_timestamp, since 6.3, "When the device received the frame.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_metadata_rx_hash, since 6.3, "The hash that the device computed.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_metadata_rx_vlan_tag, since 6.8, "The tag that the device took off.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_pull_data, since 6.18, "Brings bytes of fragments into the linear part.", &[KfuncSet::Xdp], special: Some(KfuncSpecial::ChangesPacket); xdp_pull_data),
    kfunc!(bpf_sk_assign_tcp_reqsk, since 6.9, "Hands a connection that the program made to the kernel.", &[KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_sock_destroy, since 6.5, "Closes a socket.", &[KfuncSet::Tracing], flags: &[TrustedArgs], only: Some(KfuncOnly::At(&[AttachType::TRACE_ITER]))),
    kfunc!(bpf_sock_addr_set_sun_path, since 6.7, "Sets the path of a local socket's address.", &[KfuncSet::Cgroup]),
    kfunc!(bpf_sock_ops_enable_tx_tstamp, since 6.15, "Asks for the times of a packet's way out.", &[KfuncSet::Cgroup], flags: &[TrustedArgs]),
    kfunc!(bpf_kfunc_call_test_release, since 5.18, "For tests of references in maps.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Syscall], flags: &[Release]),
    kfunc!(bpf_kfunc_call_memb_release, since 5.19, "For tests of references in maps.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Syscall], flags: &[Release]),
];

/// `struct bpf_ct_opts`, and its older form without a zone.
const CT_OPTS_BYTES: u32 = 16;
const CT_OPTS_OLD_BYTES: u32 = 12;

/// Why nothing is found in the connection table, which is empty.
fn not_found(opts: &[u8], opts_len: u32, tuple_len: u32) -> Errno {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const CURRENT_NETNS: i32 = -1;
    let byte = |at: usize| opts.get(at).copied().unwrap_or(0);
    let zone = byte(10) != 0 || byte(11) != 0;
    let reserved = match opts_len {
        CT_OPTS_BYTES => (13..16).any(|at| byte(at) != 0),
        CT_OPTS_OLD_BYTES => zone,
        _ => true,
    };
    let netns = opts.first_chunk().copied().map_or(0, i32::from_le_bytes);
    if reserved {
        Errno::EINVAL
    } else if !matches!(byte(8), TCP | UDP) {
        Errno::EPROTO
    } else if netns < CURRENT_NETNS {
        Errno::EINVAL
    } else if !matches!(tuple_len, 12 | 36) {
        Errno::EAFNOSUPPORT
    } else if netns >= 0 {
        Errno::ENONET
    } else {
        Errno::ENOENT
    }
}

fn ct_lookup(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    _tuple: u64,
    tuple_len: u32,
    opts: u64,
    opts_len: u32,
) -> Result<u64, Trap> {
    const ERROR: u64 = 4;
    let shown = opts_len.min(CT_OPTS_BYTES);
    let bytes = cx.cage().read_vec(opts, shown).map_err(|fault| cx.fault(fault))?;
    let error = not_found(&bytes, opts_len, tuple_len).to_ret() as u32;
    if opts_len >= 8 {
        let told = cx.cage().store(opts.wrapping_add(ERROR), error);
        told.map_err(|fault| cx.fault(fault))?;
    }
    Ok(0)
}

fn ct_release(_: &mut CallCx<'_>, _entry: u64) -> Void {
    Void
}

/// Nothing is encrypted here.
fn get_xfrm_state(cx: &mut CallCx<'_>, _: CtxArg, opts: u64, opts_len: u32) -> Result<u64, Trap> {
    /// `struct bpf_xfrm_state_opts`: the error comes first.
    const OPTS_BYTES: u32 = 36;
    const CURRENT_NETNS: i32 = -1;
    if opts_len < 4 {
        return Ok(0);
    }
    let netns: u32 = match opts_len {
        OPTS_BYTES => cx.cage().load(opts.wrapping_add(4)).map_err(|fault| cx.fault(fault))?,
        _ => 0,
    };
    let error = match netns.cast_signed() {
        _ if opts_len != OPTS_BYTES => Errno::EINVAL,
        netns if netns < CURRENT_NETNS => Errno::EINVAL,
        0.. => Errno::ENONET,
        _ => Errno::ENOENT,
    };
    let told = cx.cage().store(opts, error.to_ret() as u32);
    told.map_err(|fault| cx.fault(fault))?;
    Ok(0)
}

fn xfrm_state_release(_: &mut CallCx<'_>, _state: u64) -> Void {
    Void
}

fn xdp_pull_data(cx: &mut CallCx<'_>, _: CtxArg, len: u32) -> Result<(), IntFail> {
    Ok(frame(cx)?.pull(len)?)
}
