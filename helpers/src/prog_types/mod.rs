//! Program types: one file each. A file states the context's layout, the helpers admitted and what
//! return values mean, and turns test-run's input into the context that programs see.

pub mod cgroup_skb;
pub mod classic;
pub mod context;
mod ctx;
pub mod described;
pub mod flow_dissector;
pub mod lwt;
pub mod netfilter;
pub mod packet;
pub mod sched;
pub mod seccomp;
pub mod sk_lookup;
pub mod skb;
pub mod socket_filter;
pub mod xdp;

use ubpf_vm::registry::ProgTypeDef;

/// The program types that run on more than their context struct.
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
    flow_dissector::DEF,
    sk_lookup::DEF,
    netfilter::DEF,
];
