//! What timers and work items call when a run has ended.

use std::ops::ControlFlow;
use ubpf_abi::Trap;
use ubpf_helpers::env;
use ubpf_vm::engine::{Call, Image, Thread};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::run::{Cpu, NoState};
use ubpf_vm::world::World;

/// Callbacks that one run may cause: a timer can start itself anew for ever.
const MAX_CALLS: u32 = 1 << 12;

/// Calls what has become due, in order.
///
/// # Errors
/// The trap that ended a callback.
pub fn call_due(world: &World, image: &dyn Image, thread: &mut Thread) -> Result<(), Trap> {
    let env = env::of(world);
    for _ in 0..MAX_CALLS {
        let due = env.timers().take_due(|clock| env.clock().horizon_ns(clock));
        let Some(expiry) = due else { break };
        let Some(func) = image.code().subprog_at(expiry.callback) else { continue };
        let key = key_of(world, expiry.map, expiry.value);
        let args = [expiry.map.into(), key, expiry.value.into(), 0, 0];
        image.call(thread, Call { world, state: &mut NoState, func, args }).result?;
    }
    Ok(())
}

/// Address of the key under which a map has the value at this address; 0 where it has none.
fn key_of(world: &World, map: GuestAddr, value: GuestAddr) -> u64 {
    let Some(map) = world.map_ref(map.into()) else { return 0 };
    let mut found = 0;
    let mut visit = |key: GuestAddr, other: GuestAddr| {
        if other != value {
            return Ok(ControlFlow::Continue(()));
        }
        found = key.into();
        Ok(ControlFlow::Break(()))
    };
    // A map that cannot be visited has no keys to show.
    let _ = map.for_each(Cpu(0), &mut visit);
    found
}
