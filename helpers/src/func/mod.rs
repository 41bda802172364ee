//! Helpers, by topic.

mod bprintf;
pub mod checksum;
pub mod control;
pub mod csum;
pub mod fib;
pub mod group;
pub mod map;
pub mod memory;
pub mod net;
pub mod perf;
pub mod redirect;
pub mod ringbuf;
pub mod skb;
pub mod string;
pub mod task;
pub mod time;
pub mod trace;
pub mod xdp;

use ubpf_vm::registry::HelperDef;

/// Every helper, by topic.
pub const ALL: &[&[HelperDef]] = &[
    map::ALL,
    ringbuf::ALL,
    perf::ALL,
    redirect::ALL,
    time::ALL,
    task::ALL,
    control::ALL,
    memory::ALL,
    string::ALL,
    trace::ALL,
    checksum::ALL,
    skb::ALL,
    net::ALL,
    fib::ALL,
    xdp::ALL,
];
