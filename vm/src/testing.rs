//! What the unit tests of several modules need.

use crate::map::Map;
use crate::mem::GuestAddr;
use crate::run::Cpu;
use crate::world::ProgId;
use std::any::Any;
use std::sync::{Arc, Mutex};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType};

/// A map that stores nothing: one slot for a program, and an address that it gives out.
pub(crate) struct FakeMap {
    def: MapDef,
    /// The program in slot 0.
    pub(crate) prog: Mutex<Option<ProgId>>,
    value: Option<GuestAddr>,
}

impl FakeMap {
    /// A map whose only value, of 16 bytes, lies at this address.
    pub(crate) fn new(name: &str, value: Option<GuestAddr>) -> Arc<Self> {
        let def = MapDef {
            name: String::from(name),
            map_type: Ok(MapType::Array),
            key_size: 4,
            value_size: 16,
            max_entries: 1,
            flags: MapFlags::default(),
            extra: 0,
            numa_node: 0,
            pin_by_name: false,
            key_type: None,
            value_type: None,
            inner: None,
            init: MapInit::Empty,
        };
        Arc::new(Self { def, prog: Mutex::new(None), value })
    }
}

impl Map for FakeMap {
    fn def(&self) -> &MapDef {
        &self.def
    }
    fn lookup(&self, _: Cpu, _: &[u8]) -> Option<GuestAddr> {
        None
    }
    fn update(&self, _: Cpu, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn delete(&self, _: Cpu, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn next_key(&self, _: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_lookup(&self, _: &[u8], _: u64) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_update(&self, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_delete(&self, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn freeze(&self) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn prog_at(&self, index: u32) -> Option<ProgId> {
        if index == 0 { *self.prog.lock().unwrap() } else { None }
    }
    fn direct_value(&self) -> Option<GuestAddr> {
        self.value
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
