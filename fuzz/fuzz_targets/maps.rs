//! Any map definition is a map or refused, and any operations on it answer.
//!
//! ```text
//! type, key bytes, value bytes, entries, flags · (operation, key length, value length, flags, bytes…)…
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;
use std::sync::LazyLock;
use ubpf::abi::Kernel;
use ubpf::abi::map::{MapDef, MapFlags, MapInit};
use ubpf::platform::env::{EnvConfig, Environment};
use ubpf::vm::mem::Cage;
use ubpf::vm::registry::Registry;
use ubpf::vm::run::Cpu;
use ubpf::vm::world::World;

static PLATFORM: LazyLock<Registry> = LazyLock::new(ubpf::linux);

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, key_size, value_size, entries, flags], mut rest)) = data.split_first_chunk()
    else {
        return;
    };
    let types = PLATFORM.map_types().count();
    let Some(def) = PLATFORM.map_types().nth(usize::from(kind) % types) else { return };
    let Ok(cage) = Cage::new() else { return };
    cage.set_limit(64 << 20);
    let environment = Box::new(Environment::new(EnvConfig::default()));
    let world = World::new(cage, Kernel::V6_18, 2, environment);
    let definition = MapDef {
        name: "fuzz".into(),
        map_type: Ok(def.decl.map_type),
        key_size: key_size.into(),
        value_size: value_size.into(),
        max_entries: if entries >= 0xf0 { 1 << (entries - 0xe0) } else { entries.into() },
        flags: MapFlags(if flags & 0x80 == 0 { flags.into() } else { 1 << (flags & 31) }),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    };
    let Ok(map) = (def.create)(&world, &definition) else { return };
    let mut last = None;
    while let Some((&[op, key_len, value_len, flags], behind)) = rest.split_first_chunk() {
        // Programs pass keys and values of the map's sizes; user space anything.
        let program = op & 0x10 != 0;
        let sizes = if program { (key_size, value_size) } else { (key_len, value_len) };
        let take = usize::from(sizes.0).min(behind.len());
        let (key, behind) = behind.split_at(take);
        let (value, behind) = behind.split_at(usize::from(sizes.1).min(behind.len()));
        rest = behind;
        if program && (key.len() != usize::from(key_size) || value.len() != usize::from(value_size))
        {
            return;
        }
        let (cpu, flags) = (Cpu(u32::from(flags >> 7)), u64::from(flags & 0x7f));
        match op {
            0x10..=0x13 => drop(map.lookup(cpu, key)),
            0x14..=0x17 => drop(map.update(cpu, key, value, flags)),
            0x18..=0x1b => drop(map.delete(cpu, key)),
            0x1c => drop(map.push(value, flags)),
            0x1d => drop(map.pop()),
            0x1e => drop(map.peek(value)),
            0x1f => {
                let mut visits = 0_u32;
                let _ = map.for_each(cpu, &mut |_, _| {
                    visits += 1;
                    Ok(if visits > 10_000 {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    })
                });
            }
            0x0 => drop(map.user_lookup(key, flags)),
            0x1..=0x3 => drop(map.user_update(key, value, flags)),
            0x4 => drop(map.user_delete(key)),
            0x5 => last = map.next_key(last.as_deref()).ok(),
            0x6 => drop(map.keys()),
            0x7 => drop(map.freeze()),
            _ => drop(map.drain_events()),
        }
    }
});
