//! Maps as a host reads and fills them.

use ubpf_abi::Errno;
use ubpf_abi::map::MapDef;
use ubpf_vm::map::Map;

/// A map of an instance, as a host uses it: copies in and out, as bpf(2) makes them.
///
/// ```
/// # use ubpf::{Engine, Input};
/// let engine = Engine::builder().build();
/// let object = engine.load(&std::fs::read("examples/guard.bpf.o")?)?;
/// let mut instance = engine.instantiate(&engine.verify(&object, "guard")?)?;
///
/// // Programs and hosts see the same map.
/// let blocked = instance.open_map("blocked")?;
/// blocked.insert(&53_u16.to_le_bytes(), &0_u64.to_le_bytes())?;
/// assert_eq!(blocked.len()?, 1);
///
/// let packet = std::fs::read("examples/dns.bin")?;
/// assert_eq!(instance.run(&Input::packet(packet))?.output.retval, 1); // XDP_DROP
///
/// for (key, value) in instance.open_map("blocked")?.iter()? {
///     println!("port {key:?} blocked {value:?} times");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct MapHandle<'a> {
    map: &'a dyn Map,
}

impl<'a> MapHandle<'a> {
    pub(crate) const fn new(map: &'a dyn Map) -> Self {
        Self { map }
    }

    /// What it was made from: type, sizes, flags.
    #[must_use]
    pub fn def(self) -> &'a MapDef {
        self.map.def()
    }

    /// The value under a key; of per-CPU maps all CPUs' values one after the other, each padded
    /// to 8 bytes.
    ///
    /// # Errors
    /// As bpf(2), but for a key that is not there.
    pub fn get(self, key: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        match self.map.user_lookup(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Stores a value under a key, whether there was one or not.
    ///
    /// # Errors
    /// As bpf(2): `E2BIG` for a map that is full, `EINVAL` for a key or value of the wrong size.
    pub fn insert(self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.map.user_update(key, value, 0)
    }

    /// Removes what is stored under a key, and says whether there was something.
    ///
    /// # Errors
    /// As bpf(2), but for a key that is not there.
    pub fn remove(self, key: &[u8]) -> Result<bool, Errno> {
        match self.map.user_delete(key) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Its keys, as they are now.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the type has no keys, or none whose values can be read.
    pub fn keys(self) -> Result<Vec<Vec<u8>>, Errno> {
        self.map.keys()
    }

    /// How many elements it has.
    ///
    /// # Errors
    /// As [`MapHandle::keys`].
    pub fn len(self) -> Result<usize, Errno> {
        self.keys().map(|keys| keys.len())
    }

    /// Whether it has no elements.
    ///
    /// # Errors
    /// As [`MapHandle::keys`].
    pub fn is_empty(self) -> Result<bool, Errno> {
        self.len().map(|len| len == 0)
    }

    /// Its elements: the keys that there are now, with the values they have when they are
    /// reached. Elements that go meanwhile are left out.
    ///
    /// # Errors
    /// As [`MapHandle::keys`].
    pub fn iter(self) -> Result<impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<'a>, Errno> {
        let keys = self.keys()?.into_iter();
        Ok(keys.filter_map(move |key| {
            let value = self.get(&key).ok().flatten()?;
            Some((key, value))
        }))
    }

    /// The map as helpers and tools see it.
    #[must_use]
    pub fn as_map(self) -> &'a dyn Map {
        self.map
    }
}
