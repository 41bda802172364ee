//! `--map NAME=FILE`: maps filled before the first run.
//!
//! JSON has the shape of `--dump-maps`: a list of `{"key": hex, "value": hex}`, per-CPU values
//! as a list. TOML has keys and values by their types in the object's BTF:
//!
//! ```toml
//! [[entry]]
//! key = { addr = 0x0100000a, port = 80 }
//! value = { allow = true, name = "web" }
//!
//! [[entry]]
//! key = 7
//! values = [{ hits = 1 }, { hits = 2 }]     # one a CPU
//! ```
//!
//! A ring from user space takes a list of records, each a text of hex.
//!
//! Fields that a file does not mention are zero; variables of a data section keep their values.

use crate::args::MapFile;
use crate::failure::Failure;
use crate::files;
use crate::input::hex;
use serde::Deserialize;
use serde_json::Value as Json;
use thiserror::Error;
use ubpf::Instance;
use ubpf::abi::Errno;
use ubpf::abi::btf::value::{Place, Value, ValueError, encode};
use ubpf::abi::btf::{Btf, BtfId};
use ubpf::abi::map::{MapDef, MapInit, MapType};
use ubpf::abi::nearest::nearest;
use ubpf::vm::map::Map;

/// Why an element cannot be stored.
#[derive(Debug, Error)]
enum FillError {
    #[error("the file is neither a list of entries nor a table with `entry`")]
    Shape,
    #[error("entry {0} does not have the shape of an entry")]
    Entry(usize, #[source] serde_json::Error),
    #[error("entry {0}: {1} is not hex of {2} bytes")]
    Hex(usize, &'static str, u32),
    #[error("entry {0}: {1} cannot be encoded")]
    Value(usize, &'static str, #[source] ValueError),
    #[error("entry {0}: the object does not say the type of the map's {1}; use JSON with hex")]
    NoType(usize, &'static str),
    #[error("entry {0}: give `value`, or for per-CPU maps `values` with one for each of {1} CPUs")]
    Cpus(usize, u32),
    #[error("the file is not a list of records")]
    Records,
    #[error("record {0} is not a text of hex")]
    Record(usize),
    #[error("entry {0} is refused")]
    Refused(usize, #[source] Errno),
}

/// Bytes in hex: one value, or one a CPU.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HexEntry {
    key: String,
    value: HexValue,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum HexValue {
    Shared(String),
    PerCpu(Vec<String>),
}

/// Typed values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedEntry {
    #[serde(default)]
    key: Json,
    value: Option<Json>,
    values: Option<Vec<Json>>,
}

/// Fills the maps that the command line names, or sends records through those that are rings.
///
/// # Errors
/// A map or file is not there, or an element does not fit the map.
pub fn fill(instance: &Instance, files: &[MapFile]) -> Result<(), Failure> {
    for MapFile { name, file } in files {
        let table = files::read_table(file)?;
        let filler = Filler::of(instance, name)?;
        filler.fill(&table).map_err(|e| {
            let file = files::name(file);
            Failure::unusable(format!("cannot fill map {name} from {file}")).because(e)
        })?;
    }
    Ok(())
}

/// A key and a value, as bpf(2) takes them.
pub type Element = (Vec<u8>, Vec<u8>);

/// Keys and values as bpf(2) takes them, for the entries of a map that a table describes.
///
/// # Errors
/// There is no such map, or an entry does not fit it.
pub fn entries(instance: &Instance, name: &str, table: &Json) -> Result<Vec<Element>, Failure> {
    let read = Filler::of(instance, name)?.entries(table);
    read.map_err(|e| Failure::unusable(format!("entries of map {name}")).because(e))
}

struct Filler<'a> {
    map: &'a dyn Map,
    btf: Option<&'a Btf>,
    cpus: u32,
}

impl<'a> Filler<'a> {
    fn of(instance: &'a Instance, name: &str) -> Result<Self, Failure> {
        let map = instance.map(name).ok_or_else(|| {
            let known: Vec<&str> = instance.maps().map(|map| map.def().name.as_str()).collect();
            let known = match nearest(name, known.iter().copied()) {
                Some(near) => format!("is {near} meant?"),
                None if known.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", known.join(", ")),
            };
            Failure::unusable(format!("the object has no map called {name}")).hint(known)
        })?;
        let btf = instance.program().btf.as_deref();
        Ok(Self { map, btf, cpus: instance.world().cpus() })
    }

    fn fill(&self, table: &Json) -> Result<(), FillError> {
        if self.def().map_type == Ok(MapType::UserRingbuf) {
            return self.send(table);
        }
        for (at, (key, value)) in (1..).zip(self.entries(table)?) {
            let stored = self.map.user_update(&key, &value, 0);
            stored.map_err(|e| FillError::Refused(at, e))?;
        }
        Ok(())
    }

    /// Sends records, hex of any length, through a ring.
    fn send(&self, table: &Json) -> Result<(), FillError> {
        for (at, record) in (1..).zip(table.as_array().ok_or(FillError::Records)?) {
            let text = record.as_str().ok_or(FillError::Record(at))?;
            let bytes = hex::parse(text).map_err(|_| FillError::Record(at))?;
            self.map.push(&bytes, 0).map_err(|e| FillError::Refused(at, e))?;
        }
        Ok(())
    }

    /// All entries; they are counted from 1.
    fn entries(&self, table: &Json) -> Result<Vec<Element>, FillError> {
        let hex = |entries: &[Json]| {
            (1..).zip(entries).map(|(at, entry)| self.hex_entry(at, entry)).collect()
        };
        let typed = |entries: &[Json]| {
            (1..).zip(entries).map(|(at, entry)| self.typed_entry(at, entry)).collect()
        };
        match table {
            Json::Array(entries) => hex(entries),
            Json::Object(table) => match (table.get(&self.map.def().name), table.get("entry")) {
                (Some(Json::Array(entries)), _) => hex(entries),
                (_, Some(Json::Array(entries))) => typed(entries),
                _ => Err(FillError::Shape),
            },
            _ => Err(FillError::Shape),
        }
    }

    fn hex_entry(&self, at: usize, entry: &Json) -> Result<Element, FillError> {
        let entry = HexEntry::deserialize(entry).map_err(|e| FillError::Entry(at, e))?;
        let def = self.def();
        let key = bytes(at, "key", &entry.key, def.key_size)?;
        let values = match &entry.value {
            HexValue::Shared(value) => vec![bytes(at, "value", value, def.value_size)?],
            HexValue::PerCpu(values) => values
                .iter()
                .map(|value| bytes(at, "value", value, def.value_size))
                .collect::<Result<_, _>>()?,
        };
        Ok((key, self.joined(at, values)?))
    }

    fn typed_entry(&self, at: usize, entry: &Json) -> Result<Element, FillError> {
        let entry = TypedEntry::deserialize(entry).map_err(|e| FillError::Entry(at, e))?;
        let def = self.def();
        let is_data = matches!(def.init, MapInit::Data { .. });
        let key = if is_data {
            vec![0; def.key_size as usize]
        } else {
            let mut key = vec![0; def.key_size as usize];
            self.encode(at, "key", def.key_type, &entry.key, &mut key)?;
            key
        };
        let values = match (&entry.value, &entry.values) {
            (Some(value), None) => std::slice::from_ref(value),
            (None, Some(values)) => values.as_slice(),
            _ => return Err(FillError::Cpus(at, self.cpus)),
        };
        let values = values
            .iter()
            .map(|value| {
                let mut bytes = match is_data {
                    true => self.map.user_lookup(&key, 0).unwrap_or_default(),
                    false => Vec::new(),
                };
                bytes.resize(def.value_size as usize, 0);
                self.encode(at, "value", def.value_type, value, &mut bytes)?;
                Ok(bytes)
            })
            .collect::<Result<_, _>>()?;
        Ok((key, self.joined(at, values)?))
    }

    /// A value as bpf(2) takes it. One for all CPUs does for each of them.
    fn joined(&self, at: usize, values: Vec<Vec<u8>>) -> Result<Vec<u8>, FillError> {
        let percpu = self.def().map_type.is_ok_and(|t| t.is_percpu());
        let cpus = if percpu { self.cpus as usize } else { 1 };
        if values.len() != cpus && values.len() != 1 {
            return Err(FillError::Cpus(at, self.cpus));
        }
        let mut joined = Vec::new();
        for value in values.iter().cycle().take(cpus) {
            joined.extend(value);
            if percpu {
                joined.resize(joined.len().next_multiple_of(8), 0);
            }
        }
        Ok(joined)
    }

    fn encode(
        &self,
        at: usize,
        what: &'static str,
        ty: Option<BtfId>,
        value: &Json,
        bytes: &mut [u8],
    ) -> Result<(), FillError> {
        let known = self.btf.zip(ty.filter(|ty| !ty.is_void()));
        let (btf, ty) = known.ok_or(FillError::NoType(at, what))?;
        let failed = |e| FillError::Value(at, what, e);
        encode(btf, Place::whole(ty), &typed(value), bytes).map_err(failed)
    }

    fn def(&self) -> &MapDef {
        self.map.def()
    }
}

fn bytes(at: usize, what: &'static str, text: &str, size: u32) -> Result<Vec<u8>, FillError> {
    hex::parse(text)
        .ok()
        .filter(|bytes| bytes.len() == size as usize)
        .ok_or(FillError::Hex(at, what, size))
}

/// A value without type, as the tree that is encoded by one.
fn typed(value: &Json) -> Value {
    match value {
        Json::Null => Value::Struct(Vec::new()),
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Value::UInt(n.into()),
            (_, Some(n)) => Value::Int(n.into()),
            _ => Value::Float(n.as_f64().unwrap_or(0.0)),
        },
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(typed).collect()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), typed(value)));
            Value::Struct(fields.collect())
        }
    }
}
