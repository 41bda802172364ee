//! Helpers, by topic.

mod bprintf;
pub mod cgroup;
pub mod checksum;
pub mod classic;
pub mod control;
pub mod csum;
pub mod dynptr;
pub mod fib;
pub mod group;
pub mod kernel;
pub mod lwt;
pub mod map;
pub mod memory;
pub mod net;
pub mod packet;
pub mod perf;
pub mod redirect;
pub mod ringbuf;
pub mod skb;
mod sock;
pub mod socket;
pub mod sockmap;
pub mod string;
pub mod structs;
pub mod syncookie;
pub mod task;
pub mod time;
pub mod timer;
pub mod trace;
pub mod tracing;
pub mod tunnel;
pub mod xdp;

use ubpf_vm::registry::HelperDef;

/// Every helper of the kernel's list, by topic.
pub const ALL: &[&[HelperDef]] = &[
    map::ALL,
    ringbuf::ALL,
    perf::ALL,
    redirect::ALL,
    time::ALL,
    timer::ALL,
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
    cgroup::ALL,
    dynptr::ALL,
    kernel::ALL,
    lwt::ALL,
    socket::ALL,
    syncookie::ALL,
    sockmap::ALL,
    tracing::ALL,
    tunnel::ALL,
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;
    use ubpf_abi::helper::HelperId;

    #[test]
    fn every_helper_is_declared_once_by_its_name_and_age() {
        let (mut declared, mut wrong) = (BTreeSet::new(), Vec::new());
        for decl in ALL.iter().copied().flatten().map(|def| &def.decl) {
            assert!(declared.insert(decl.id), "{} is declared twice", decl.name);
            if (Some(decl.name), Some(decl.since)) != (decl.id.name(), decl.id.since()) {
                wrong.push((decl.id, decl.name, decl.since));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        let missing: Vec<_> = HelperId::ALL.iter().filter(|id| !declared.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
