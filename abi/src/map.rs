//! Maps: the table of types, what a definition says, and what programs may do with each type.

use crate::btf::BtfId;
use crate::kernel::Version;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

macro_rules! map_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $major:literal . $minor:literal;)*) => {
        /// `enum bpf_map_type`, with the kernel's numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum MapType { $($(#[$doc])* $variant = $id,)* }

        impl MapType {
            /// Every type, by ascending number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The type with this number.
            #[must_use]
            pub const fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The name bpftool and libbpf use, such as `lru_hash`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type with that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|t| t.name() == name)
            }

            /// The kernel that brought it.
            #[must_use]
            pub const fn since(self) -> Version {
                match self { $(Self::$variant => Version::new($major, $minor),)* }
            }
        }
    };
}

map_types! {
    /// Hash table.
    Hash = 1, "hash", 3 . 19;
    /// Array.
    Array = 2, "array", 3 . 19;
    /// Programs to tail-call.
    ProgArray = 3, "prog_array", 4 . 2;
    /// Perf buffers, one a CPU.
    PerfEventArray = 4, "perf_event_array", 4 . 3;
    /// Hash table with a value a CPU.
    PercpuHash = 5, "percpu_hash", 4 . 6;
    /// Array with a value a CPU.
    PercpuArray = 6, "percpu_array", 4 . 6;
    /// Stack traces by id.
    StackTrace = 7, "stack_trace", 4 . 6;
    /// Cgroups by index.
    CgroupArray = 8, "cgroup_array", 4 . 8;
    /// Hash table that evicts.
    LruHash = 9, "lru_hash", 4 . 10;
    /// Hash table that evicts, with a value a CPU.
    LruPercpuHash = 10, "lru_percpu_hash", 4 . 10;
    /// Longest-prefix match.
    LpmTrie = 11, "lpm_trie", 4 . 11;
    /// Maps by index.
    ArrayOfMaps = 12, "array_of_maps", 4 . 12;
    /// Maps by key.
    HashOfMaps = 13, "hash_of_maps", 4 . 12;
    /// Net devices by index.
    Devmap = 14, "devmap", 4 . 14;
    /// Sockets by index.
    Sockmap = 15, "sockmap", 4 . 14;
    /// CPUs to redirect to.
    Cpumap = 16, "cpumap", 4 . 15;
    /// AF_XDP sockets.
    Xskmap = 17, "xskmap", 4 . 18;
    /// Sockets by key.
    Sockhash = 18, "sockhash", 4 . 18;
    /// Storage of a cgroup and attach type, deprecated.
    CgroupStorage = 19, "cgroup_storage", 4 . 19;
    /// Sockets to choose from.
    ReuseportSockarray = 20, "reuseport_sockarray", 4 . 19;
    /// The per-CPU form of `cgroup_storage`, deprecated.
    PercpuCgroupStorage = 21, "percpu_cgroup_storage", 4 . 20;
    /// First in, first out.
    Queue = 22, "queue", 4 . 20;
    /// Last in, first out.
    Stack = 23, "stack", 4 . 20;
    /// Storage of a socket.
    SkStorage = 24, "sk_storage", 5 . 2;
    /// Net devices by key.
    DevmapHash = 25, "devmap_hash", 5 . 4;
    /// Kernel operations implemented in BPF.
    StructOps = 26, "struct_ops", 5 . 6;
    /// Ring buffer to user space.
    Ringbuf = 27, "ringbuf", 5 . 8;
    /// Storage of an inode.
    InodeStorage = 28, "inode_storage", 5 . 10;
    /// Storage of a task.
    TaskStorage = 29, "task_storage", 5 . 11;
    /// Bloom filter.
    BloomFilter = 30, "bloom_filter", 5 . 16;
    /// Ring buffer from user space.
    UserRingbuf = 31, "user_ringbuf", 6 . 1;
    /// Storage of a cgroup.
    CgrpStorage = 32, "cgrp_storage", 6 . 2;
    /// Memory shared with user space.
    Arena = 33, "arena", 6 . 9;
}

impl MapType {
    /// Values exist once for each CPU.
    #[must_use]
    pub const fn is_percpu(self) -> bool {
        matches!(
            self,
            Self::PercpuHash | Self::PercpuArray | Self::LruPercpuHash | Self::PercpuCgroupStorage
        )
    }

    /// Values are references to other maps.
    #[must_use]
    pub const fn is_map_in_map(self) -> bool {
        matches!(self, Self::ArrayOfMaps | Self::HashOfMaps)
    }
}

impl fmt::Display for MapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Creation flags, the kernel's `BPF_F_*` for `BPF_MAP_CREATE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MapFlags(pub u32);

impl MapFlags {
    /// Hash elements are allocated one by one.
    pub const NO_PREALLOC: u32 = 1 << 0;
    /// LRU lists a CPU instead of a common one.
    pub const NO_COMMON_LRU: u32 = 1 << 1;
    /// `numa_node` counts.
    pub const NUMA_NODE: u32 = 1 << 2;
    /// User space may only read.
    pub const RDONLY: u32 = 1 << 3;
    /// User space may only write.
    pub const WRONLY: u32 = 1 << 4;
    /// Stack traces by build id.
    pub const STACK_BUILD_ID: u32 = 1 << 5;
    /// The hash seed is zero.
    pub const ZERO_SEED: u32 = 1 << 6;
    /// Programs may only read.
    pub const RDONLY_PROG: u32 = 1 << 7;
    /// Programs may only write.
    pub const WRONLY_PROG: u32 = 1 << 8;
    /// The map is a copy made for a child.
    pub const CLONE: u32 = 1 << 9;
    /// User space may map it.
    pub const MMAPABLE: u32 = 1 << 10;
    /// Perf events survive the program's closing.
    pub const PRESERVE_ELEMS: u32 = 1 << 11;
    /// Inner arrays may differ in `max_entries`.
    pub const INNER_MAP: u32 = 1 << 12;
    /// The struct_ops map is put into effect by a link.
    pub const LINK: u32 = 1 << 13;

    /// Whether all of these bits are set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}

/// Index of a map in its object's (and its programs') list of maps.
///
/// In the slots of a linked [`Program`](crate::program::Program) it stands where the kernel
/// expects a file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapId(pub u32);

impl MapId {
    /// As an index into the list of maps.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a map is in its object beside a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapInit {
    /// Empty, as created.
    Empty,
    /// A data section: the initial value of entry 0, all of it.
    Data {
        /// Which section it is.
        section: DataSection,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Statically initialised slots of a prog array or map of maps: index and name of the
    /// program, or the map.
    Slots(Vec<(u32, SlotTarget)>),
}

/// Which data section a map stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataSection {
    /// `.data` and `.data.*`.
    Data,
    /// `.bss` and `.bss.*`.
    Bss,
    /// `.rodata` and `.rodata.*`: frozen before the program is loaded.
    Rodata,
    /// `.kconfig`: filled from the kernel's configuration, frozen.
    Kconfig,
    /// One variable of `.struct_ops` or `.struct_ops.link`: its bytes in the object's layout,
    /// function pointers zero; [`StructOpsMember`](crate::object::StructOpsMember)s say which
    /// programs fill them.
    StructOps,
    /// `.addr_space.1`: the initial contents of an arena, at its start.
    Arena,
}

/// What a statically initialised slot refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotTarget {
    /// A program of the same object, by its function's name.
    Prog(String),
    /// A map of the same object.
    Map(MapId),
}

/// Everything an object says about a map, before any map exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// Name as the object gives it. Data sections are called as libbpf calls them to users:
    /// by section (`.rodata`, `.data.custom`), without the object's name in front.
    pub name: String,
    /// Type; a number where the object holds one that does not exist.
    pub map_type: Result<MapType, u32>,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value, for one CPU.
    pub value_size: u32,
    /// Entries at most; bytes for ring buffers.
    pub max_entries: u32,
    /// Creation flags.
    pub flags: MapFlags,
    /// `map_extra`, whose meaning depends on the type.
    pub extra: u64,
    /// NUMA node.
    pub numa_node: u32,
    /// Pinned by name (`LIBBPF_PIN_BY_NAME`).
    pub pin_by_name: bool,
    /// Key's type in the object's BTF.
    pub key_type: Option<BtfId>,
    /// Value's type in the object's BTF. For data sections the `DATASEC`.
    pub value_type: Option<BtfId>,
    /// What maps of maps hold: the template of the inner map.
    pub inner: Option<Box<MapDef>>,
    /// Initial contents.
    pub init: MapInit,
}

/// What a helper does to a map. A map type lists which of them it supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MapOp {
    /// `map_lookup_elem`.
    Lookup,
    /// `map_update_elem`.
    Update,
    /// `map_delete_elem`.
    Delete,
    /// `map_push_elem`.
    Push,
    /// `map_pop_elem`.
    Pop,
    /// `map_peek_elem`.
    Peek,
    /// `map_lookup_percpu_elem`.
    LookupPercpu,
    /// `for_each_map_elem`.
    ForEach,
    /// `tail_call`.
    TailCall,
    /// `perf_event_output`, `skb_output`, `xdp_output`.
    PerfOutput,
    /// `perf_event_read`, `perf_event_read_value`.
    PerfRead,
    /// `ringbuf_output`, `_reserve`, `_query`, `_reserve_dynptr`.
    Ringbuf,
    /// `user_ringbuf_drain`.
    UserRingbuf,
    /// `get_stackid`.
    StackId,
    /// `skb_under_cgroup`, `current_task_under_cgroup`.
    UnderCgroup,
    /// `get_local_storage`.
    LocalStorage,
    /// `redirect_map`.
    Redirect,
    /// `sk_redirect_map`, `msg_redirect_map`, `sock_map_update`.
    Sockmap,
    /// `sk_redirect_hash`, `msg_redirect_hash`, `sock_hash_update`.
    Sockhash,
    /// `sk_select_reuseport`.
    SelectReuseport,
    /// `sk_storage_get`, `_delete`.
    SkStorage,
    /// `inode_storage_get`, `_delete`.
    InodeStorage,
    /// `task_storage_get`, `_delete`.
    TaskStorage,
    /// `cgrp_storage_get`, `_delete`.
    CgrpStorage,
    /// `timer_init`.
    Timer,
}

/// What a map type is to everybody but the code that stores its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapTypeDecl {
    /// The type.
    pub map_type: MapType,
    /// What it is for, one sentence.
    pub doc: &'static str,
    /// Operations that programs may perform on it.
    pub ops: &'static [MapOp],
    /// `BPF_PSEUDO_MAP_VALUE` may take the address of its one value.
    pub direct_value: bool,
    /// Values may hold spin locks, timers, kptrs and the like.
    pub special_fields: bool,
}
