//! Congestion control, for programs that implement it.

use ubpf_abi::kfunc::KfuncSet;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(tcp_reno_ssthresh, since 5.13, "Reno's slow start threshold.", &[KfuncSet::StructOps]),
    kfunc!(tcp_reno_cong_avoid, since 5.13, "Reno's congestion avoidance.", &[KfuncSet::StructOps]),
    kfunc!(tcp_reno_undo_cwnd, since 5.13, "Reno's window after an undone loss.", &[KfuncSet::StructOps]),
    kfunc!(tcp_slow_start, since 5.13, "One step of slow start.", &[KfuncSet::StructOps]),
    kfunc!(tcp_cong_avoid_ai, since 5.13, "One step of additive increase.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_init, since 5.13, "CUBIC: a connection begins.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_recalc_ssthresh, since 5.13, "CUBIC: the slow start threshold.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_cong_avoid, since 5.13, "CUBIC: congestion avoidance.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_state, since 5.13, "CUBIC: the connection's state changes.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_cwnd_event, since 5.13, "CUBIC: something happened to the window.", &[KfuncSet::StructOps]),
    kfunc!(cubictcp_acked, since 5.13, "CUBIC: packets were acknowledged.", &[KfuncSet::StructOps]),
    kfunc!(bbr_init, since 5.13, "BBR: a connection begins.", &[KfuncSet::StructOps]),
    kfunc!(bbr_main, since 5.13, "BBR: the model is updated.", &[KfuncSet::StructOps]),
    kfunc!(bbr_sndbuf_expand, since 5.13, "BBR: how large the send buffer may grow.", &[KfuncSet::StructOps]),
    kfunc!(bbr_undo_cwnd, since 5.13, "BBR: the window after an undone loss.", &[KfuncSet::StructOps]),
    kfunc!(bbr_cwnd_event, since 5.13, "BBR: something happened to the window.", &[KfuncSet::StructOps]),
    kfunc!(bbr_ssthresh, since 5.13, "BBR: the slow start threshold.", &[KfuncSet::StructOps]),
    kfunc!(bbr_min_tso_segs, since 5.13, "BBR: how many segments to send together.", &[KfuncSet::StructOps]),
    kfunc!(bbr_set_state, since 5.13, "BBR: the connection's state changes.", &[KfuncSet::StructOps]),
];
