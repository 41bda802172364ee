//! What maps hold: read for reports, and filled from `--map` files.

use ubpf::Instance;
use ubpf::abi::Errno;
use ubpf::abi::map::MapDef;
use ubpf::vm::map::Map;
use ubpf::vm::world::World;

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
    /// What the value stands for: in a prog array, the program's name.
    pub label: Option<String>,
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
    fn read(map: &dyn Map, world: &World) -> Option<Self> {
        let def = map.def().clone();
        let mut entries = Vec::new();
        for key in map.keys().ok()? {
            match map.user_lookup(&key, 0) {
                Ok(bytes) => {
                    let label = program(map, &key, world);
                    entries.push(Entry { key, value: Value::of(&def, bytes), label });
                }
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
        let world = instance.world();
        instance.maps().filter_map(|map| Self::read(map, world)).collect()
    }
}

/// The name of the program in a slot of a prog array.
fn program(map: &dyn Map, key: &[u8], world: &World) -> Option<String> {
    let index = u32::from_le_bytes(key.try_into().ok()?);
    let image = world.prog(map.prog_at(index)?)?;
    Some(image.code().program().name.clone())
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
