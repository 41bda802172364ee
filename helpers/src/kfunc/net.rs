//! Connections, packets and sockets.

use ubpf_abi::kfunc::KfuncFlag::{Acquire, Release, RetNull, TrustedArgs};
use ubpf_abi::kfunc::{KfuncOnly, KfuncSet, KfuncSpecial};
use ubpf_abi::prog_type::AttachType;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_skb_ct_alloc, since 6.1, "Makes an entry of the connection table, for an skb.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_skb_ct_lookup, since 5.18, "Finds an entry of the connection table, for an skb.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_xdp_ct_alloc, since 6.1, "Makes an entry of the connection table, for a frame.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_xdp_ct_lookup, since 5.18, "Finds an entry of the connection table, for a frame.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, RetNull]),
    kfunc!(bpf_ct_insert_entry, since 6.1, "Adds an entry to the connection table.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Acquire, Release, RetNull]),
    kfunc!(bpf_ct_release, since 5.18, "Gives a reference to an entry back.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[Release]),
    kfunc!(bpf_ct_set_timeout, since 6.1, "Sets the time that a new entry has.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_change_timeout, since 6.1, "Changes the time that an entry has.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_set_status, since 6.1, "Sets the status of a new entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_change_status, since 6.1, "Changes the status of an entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_ct_set_nat_info, since 6.1, "Sets the address translation of a new entry.", &[KfuncSet::Xdp, KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_xdp_get_xfrm_state, since 6.8, "Finds the state of an encrypted connection.", &[KfuncSet::Xdp], flags: &[Acquire, RetNull]),
    kfunc!(bpf_xdp_xfrm_state_release, since 6.8, "Gives a reference to such a state back.", &[KfuncSet::Xdp], flags: &[Release]),
    kfunc!(bpf_xdp_metadata_rx_timestamp, since 6.3, "When the device received the frame.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_metadata_rx_hash, since 6.3, "The hash that the device computed.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_metadata_rx_vlan_tag, since 6.8, "The tag that the device took off.", &[KfuncSet::Xdp], flags: &[TrustedArgs], special: Some(KfuncSpecial::DeviceBound)),
    kfunc!(bpf_xdp_pull_data, since 6.18, "Brings bytes of fragments into the linear part.", &[KfuncSet::Xdp], special: Some(KfuncSpecial::ChangesPacket)),
    kfunc!(bpf_sk_assign_tcp_reqsk, since 6.9, "Hands a connection that the program made to the kernel.", &[KfuncSet::Tc], flags: &[TrustedArgs]),
    kfunc!(bpf_sock_destroy, since 6.5, "Closes a socket.", &[KfuncSet::Tracing], flags: &[TrustedArgs], only: Some(KfuncOnly::At(&[AttachType::TRACE_ITER]))),
    kfunc!(bpf_sock_addr_set_sun_path, since 6.7, "Sets the path of a local socket's address.", &[KfuncSet::Cgroup]),
    kfunc!(bpf_sock_ops_enable_tx_tstamp, since 6.15, "Asks for the times of a packet's way out.", &[KfuncSet::Cgroup], flags: &[TrustedArgs]),
    kfunc!(bpf_kfunc_call_test_release, since 5.18, "For tests of references in maps.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Syscall], flags: &[Release]),
    kfunc!(bpf_kfunc_call_memb_release, since 5.19, "For tests of references in maps.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Syscall], flags: &[Release]),
];
