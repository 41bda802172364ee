//! Maps in the kernel, made from the definitions an object holds.

use super::events::{PerfBuffer, RingBuffer};
use super::possible_cpus;
use super::shared::{Shared, page_bytes};
use super::sys::{self, MapBtf, MapCreate, MapFd};
use std::os::fd::{AsFd, BorrowedFd};
use ubpf_abi::Errno;
use ubpf_abi::btf::{Kind, essential_name};
use ubpf_abi::map::{DataSection, MapDef, MapInit, MapType};
use ubpf_abi::object::Object;

/// An element of a map: its key and, for each CPU that is compared, its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The value's bytes; for per-CPU types one for each possible CPU.
    pub values: Vec<Vec<u8>>,
}

/// Where a map's records for user space are read from.
enum Events {
    None,
    Ring(RingBuffer),
    Perf(PerfBuffer),
}

/// A map in the kernel.
pub struct KernelMap {
    fd: MapFd,
    def: MapDef,
    events: Events,
}

impl AsFd for KernelMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl KernelMap {
    /// Creates the map with its initial data, as libbpf does: read-only sections are frozen,
    /// perf event arrays get one buffer, on CPU 0.
    ///
    /// # Errors
    /// The kernel's error number; `EINVAL` for a type that does not exist.
    pub fn create(def: &MapDef, btf: Option<BorrowedFd<'_>>) -> Result<Self, Errno> {
        let inner = match &def.inner {
            Some(inner) => Some(Self::create(inner, btf)?),
            None => None,
        };
        let inner = inner.as_ref().map(AsFd::as_fd);
        let fd = MapFd::create(&MapCreate { btf: types(def, btf), ..request(def, inner)? })?;
        initialize(&fd, &def.init)?;
        let mut map = Self { fd, def: def.clone(), events: Events::None };
        map.listen()?;
        Ok(map)
    }

    /// Opens a buffer for its events, where it is a map that has some: on CPU 0.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn listen(&mut self) -> Result<(), Errno> {
        self.events = match self.def.map_type {
            Ok(MapType::Ringbuf) => {
                Events::Ring(RingBuffer::map(self.fd.as_fd(), self.def.max_entries)?)
            }
            Ok(MapType::PerfEventArray) => {
                let buffer = PerfBuffer::open()?;
                self.fd.update(&[0; 4], &sys::raw(buffer.as_fd()).to_le_bytes(), 0)?;
                Events::Perf(buffer)
            }
            _ => Events::None,
        };
        Ok(())
    }

    /// Creates a map of an object exactly as libbpf does, with the types it passes on and without
    /// them where the kernel does not take them. Nobody reads its events until
    /// [`KernelMap::listen`].
    ///
    /// # Errors
    /// The kernel's error number; `EINVAL` for a type that does not exist.
    pub fn like_libbpf(
        def: &MapDef,
        btf: Option<BorrowedFd<'_>>,
        object: &Object,
    ) -> Result<Self, Errno> {
        let inner = match &def.inner {
            Some(inner) => Some(Self::like_libbpf(inner, btf, object)?),
            None => None,
        };
        let mut ask = request(def, inner.as_ref().map(AsFd::as_fd))?;
        if ask.map_type == MapType::StructOps as u32 {
            let (value, size) = operations(def, object).ok_or(Errno::ESRCH)?;
            (ask.vmlinux_value, ask.value_size) = (value, size);
            ask.btf = btf.map(|fd| MapBtf { fd, key: 0, value: 0 });
        } else if def.map_type.is_ok_and(takes_types) {
            let (key, value) = (def.key_type, def.value_type);
            ask.btf = btf.filter(|_| key.or(value).is_some()).map(|fd| MapBtf {
                fd,
                key: key.map_or(0, |id| id.0),
                value: value.map_or(0, |id| id.0),
            });
        }
        let fd = MapFd::create(&ask).or_else(|errno| match ask.btf {
            Some(_) if ask.vmlinux_value == 0 => MapFd::create(&MapCreate { btf: None, ..ask }),
            _ => Err(errno),
        })?;
        if def.map_type == Ok(MapType::Arena) {
            // An arena has its address in user space from its first mapping on.
            drop(Shared::map(fd.as_fd(), 0, def.max_entries as usize * page_bytes(), true)?);
        }
        initialize(&fd, &def.init)?;
        Ok(Self { fd, def: def.clone(), events: Events::None })
    }

    /// What it was made from.
    #[must_use]
    pub const fn def(&self) -> &MapDef {
        &self.def
    }

    /// Bytes of one value as bpf(2) transfers it.
    fn stride(&self) -> usize {
        let bytes = self.def.value_size as usize;
        if self.def.map_type.is_ok_and(MapType::is_percpu) {
            bytes.next_multiple_of(8)
        } else {
            bytes
        }
    }

    /// The value of every CPU for `key`.
    ///
    /// # Errors
    /// The kernel's error number, `ENOENT` where there is none.
    pub fn lookup(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
        let value = self.fd.lookup(key, 0)?;
        let percpu = self.def.map_type.is_ok_and(MapType::is_percpu);
        let count = if percpu { possible_cpus() } else { 1 };
        let one = |chunk: &[u8]| chunk.iter().copied().take(self.def.value_size as usize).collect();
        Ok(value.chunks(self.stride().max(1)).take(count).map(one).collect())
    }

    /// Stores a value in the shape that bpf(2) takes: for per-CPU types one for each possible
    /// CPU, rounded up to 8 bytes.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.fd.update(key, value, flags)
    }

    /// Puts a program or map into the slot of a prog array or map of maps.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn set_slot(&self, index: u32, target: BorrowedFd<'_>) -> Result<(), Errno> {
        self.fd.update(&index.to_le_bytes(), &sys::raw(target).to_le_bytes(), 0)
    }

    /// Removes an element.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.fd.delete(key)
    }

    /// The element commands as bpf(2) has them, flags included.
    #[must_use]
    pub const fn raw(&self) -> &MapFd {
        &self.fd
    }

    /// Every key, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's error number; `EOPNOTSUPP` and the like where the type has no keys.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        loop {
            match self.fd.next_key(keys.last().map(Vec::as_slice)) {
                Ok(key) => keys.push(key),
                Err(Errno::ENOENT) => return Ok(keys),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Every element, sorted by key, so that dumps of equal maps are equal.
    ///
    /// # Errors
    /// The kernel's error number. Maps whose values are handles (programs, perf events, other
    /// maps) and ring buffers have no contents to compare: they give an empty list.
    pub fn dump(&self) -> Result<Vec<Element>, Errno> {
        if !has_contents(&self.def) {
            return Ok(Vec::new());
        }
        let mut elements = Vec::new();
        for key in self.keys()? {
            match self.lookup(&key) {
                Ok(values) => elements.push(Element { key, values }),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        elements.sort();
        Ok(elements)
    }

    /// Takes the records that programs have sent since the last call, oldest first.
    #[must_use]
    pub fn drain_events(&mut self) -> Vec<Vec<u8>> {
        match &mut self.events {
            Events::None => Vec::new(),
            Events::Ring(ring) => ring.drain(),
            Events::Perf(buffer) => buffer.drain(),
        }
    }
}

/// Whether a map holds plain bytes that user space can read.
#[must_use]
pub fn has_contents(def: &MapDef) -> bool {
    def.map_type.is_ok_and(|map_type| {
        matches!(
            map_type,
            MapType::Hash
                | MapType::Array
                | MapType::PercpuHash
                | MapType::PercpuArray
                | MapType::LruHash
                | MapType::LruPercpuHash
                | MapType::LpmTrie
        )
    })
}

/// What `BPF_MAP_CREATE` is asked for, without types.
fn request<'a>(def: &'a MapDef, inner: Option<BorrowedFd<'a>>) -> Result<MapCreate<'a>, Errno> {
    let map_type = def.map_type.map_err(|_| Errno::EINVAL)?;
    let max_entries = match (map_type, def.max_entries) {
        (MapType::PerfEventArray, 0) => u32::try_from(possible_cpus()).map_err(|_| Errno::E2BIG)?,
        (_, given) => given,
    };
    Ok(MapCreate {
        map_type: map_type as u32,
        key_size: def.key_size,
        value_size: def.value_size,
        max_entries,
        map_flags: def.flags.0,
        inner_map: inner,
        numa_node: def.numa_node,
        name: &def.name,
        map_extra: def.extra,
        ..MapCreate::default()
    })
}

/// Puts the contents of a data section in place.
fn initialize(fd: &MapFd, init: &MapInit) -> Result<(), Errno> {
    let MapInit::Data { section, bytes } = init else { return Ok(()) };
    if matches!(section, DataSection::StructOps | DataSection::Arena) {
        return Ok(());
    }
    fd.update(&[0; 4], bytes, 0)?;
    if matches!(section, DataSection::Rodata | DataSection::Kconfig) {
        fd.freeze()?;
    }
    Ok(())
}

/// Whether libbpf passes on the types of such a map's keys and values.
const fn takes_types(map_type: MapType) -> bool {
    use MapType::*;
    !matches!(
        map_type,
        PerfEventArray
            | CgroupArray
            | StackTrace
            | ArrayOfMaps
            | HashOfMaps
            | Devmap
            | DevmapHash
            | Cpumap
            | Xskmap
            | Sockmap
            | Sockhash
            | Queue
            | Stack
            | Arena
    )
}

/// The kernel's struct around the operations that a map holds, and its size.
fn operations(def: &MapDef, object: &Object) -> Option<(u32, u32)> {
    let (own, target) = (object.btf.as_deref()?, object.target_btf.as_deref()?);
    let name = str::from_utf8(essential_name(own.name_of(def.value_type?).as_bytes())).ok()?;
    let id = target.find(Kind::Struct, &format!("bpf_struct_ops_{name}"))?;
    Some((id.0, target.size_of(id).ok()?))
}

/// Whether the values belong to kernel objects, which takes their types.
fn is_local_storage(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage
    )
}

/// Key and value types, for the map types that take them. Plain values go without: the kernel
/// reads them only to find locks, timers and the like.
fn types<'a>(def: &MapDef, btf: Option<BorrowedFd<'a>>) -> Option<MapBtf<'a>> {
    let (fd, value) = (btf?, def.value_type?);
    let typed = has_contents(def) || def.map_type.is_ok_and(is_local_storage);
    if matches!(def.init, MapInit::Data { .. }) || !typed {
        return None;
    }
    Some(MapBtf { fd, key: def.key_type.map_or(0, |id| id.0), value: value.0 })
}
