//! Program types: one file each. A file states the context's layout, the helpers admitted and what
//! return values mean, and turns test-run's input into the context that programs see.

pub mod cgroup_skb;
pub mod classic;
mod ctx;
pub mod described;
pub mod lwt;
pub mod packet;
pub mod sched;
pub mod seccomp;
pub mod skb;
pub mod socket_filter;
pub mod xdp;

use ubpf_vm::registry::ProgTypeDef;

/// Every program type that can be run.
pub const ALL: &[ProgTypeDef] = &[
    socket_filter::DEF,
    classic::DEF,
    seccomp::DEF,
    sched::CLS,
    sched::ACT,
    xdp::DEF,
    cgroup_skb::DEF,
    lwt::IN,
    lwt::OUT,
    lwt::XMIT,
    lwt::SEG6LOCAL,
];
