//! What maps hold: read for reports, and filled from `--map` files.

use ubpf::Instance;
use ubpf::abi::Errno;
use ubpf::abi::map::MapDef;
use ubpf::vm::map::Map;

/// The contents of one map.
#[derive(Clone, Debug)]
pub struct MapContents {
    /// What the map was made from.
    pub def: MapDef,
    /// Its elements, in the map's own order.
    pub entries: Vec<Entry>,
}

/// An element of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value, or values.
    pub value: Value,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One value.
    Shared(Vec<u8>),
    /// A value for each CPU, CPU 0 first.
    PerCpu(Vec<Vec<u8>>),
}

impl MapContents {
    /// The map's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.def.name
    }

    /// Reads a map; `None` for types without elements to read, such as ring buffers.
    #[must_use]
    pub fn read(map: &dyn Map) -> Option<Self> {
        let def = map.def().clone();
        let mut entries = Vec::new();
        for key in map.keys().ok()? {
            match map.user_lookup(&key, 0) {
                Ok(value) => entries.push(Entry { key, value: Value::of(&def, value) }),
                // An empty slot of a map that holds programs or maps.
                Err(Errno::ENOENT) => {}
                Err(_) => return None,
            }
        }
        Some(Self { def, entries })
    }

    /// Reads all maps of a world.
    #[must_use]
    pub fn read_all(instance: &Instance) -> Vec<Self> {
        instance.maps().filter_map(Self::read).collect()
    }
}

impl Entry {
    /// Whether its values are all zero, as an array's are from the start.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match &self.value {
            Value::Shared(value) => is_zero(value),
            Value::PerCpu(values) => values.iter().all(|value| is_zero(value)),
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

impl Value {
    /// A value as bpf(2) gives it: for per-CPU maps each CPU's, rounded up to 8 bytes.
    fn of(def: &MapDef, bytes: Vec<u8>) -> Self {
        if !def.map_type.is_ok_and(|t| t.is_percpu()) {
            return Self::Shared(bytes);
        }
        let size = def.value_size as usize;
        let values = bytes
            .chunks(size.next_multiple_of(8).max(1))
            .map(|value| value.get(..size).unwrap_or(value).to_vec());
        Self::PerCpu(values.collect())
    }
}
