//! Time, random numbers, and where a program runs.

use super::group::{BASE, CGROUP_SOCK, CGROUP_SYSCTL, NET, SK_REUSEPORT, TCP_CA};
use crate::env::{self, ClockId};
use ubpf_vm::call::CallCx;
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(5 ktime_get_ns, since 4.1,
        "Nanoseconds since boot, without time spent suspended.", groups: &[BASE]),
    helper!(7 get_prandom_u32, since 4.1,
        "A random number, not for secrets.", groups: &[BASE]),
    helper!(8 get_smp_processor_id, since 4.1,
        "Number of the CPU the program runs on.", groups: &[BASE]),
    helper!(42 get_numa_node_id, since 4.10,
        "Number of the NUMA node the program runs on.", groups: &[BASE]),
    helper!(118 jiffies64, since 5.6,
        "The 64-bit tick counter.", groups: &[BASE]),
    helper!(125 ktime_get_boot_ns, since 5.8,
        "Nanoseconds since boot, with time spent suspended.", groups: &[BASE]),
    helper!(160 ktime_get_coarse_ns, since 5.11,
        "Nanoseconds since boot, with the tick's resolution.",
        groups: &[NET, SK_REUSEPORT, CGROUP_SOCK, CGROUP_SYSCTL, TCP_CA]),
    helper!(208 ktime_get_tai_ns, since 6.1,
        "Nanoseconds of international atomic time.", groups: &[BASE]),
];

fn ktime_get_ns(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).clock().now_ns(ClockId::Monotonic)
}

fn get_prandom_u32(cx: &mut CallCx<'_>) -> u32 {
    env::of(cx.world).random()
}

fn get_smp_processor_id(cx: &mut CallCx<'_>) -> u32 {
    cx.cpu.0
}

/// Emulated CPUs are all on one node.
fn get_numa_node_id(_: &mut CallCx<'_>) -> u32 {
    0
}

fn jiffies64(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).clock().jiffies()
}

fn ktime_get_boot_ns(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).clock().now_ns(ClockId::Boottime)
}

fn ktime_get_coarse_ns(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).clock().now_ns(ClockId::MonotonicCoarse)
}

fn ktime_get_tai_ns(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).clock().now_ns(ClockId::Tai)
}
