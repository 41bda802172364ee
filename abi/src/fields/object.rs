//! The fields of all structs of an object, and of its maps.

use super::find::{self, Wanted};
use super::{FieldError, FieldKind, KptrKind, KptrTo, Record};
use crate::btf::{Btf, BtfId, Def, Type};
use crate::map::{MapDef, MapFlags, MapInit, MapType};
use alloc::collections::{BTreeMap, BTreeSet};

/// Bytes in a page.
const PAGE_BYTES: u32 = 4096;

/// The structs of an object that have fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFields {
    structs: BTreeMap<BtfId, Record>,
}

impl ObjectFields {
    /// Finds them. `kernel` is the kernel's BTF, which says what kptrs point to.
    ///
    /// # Errors
    /// A struct whose fields the kernel does not take: it refuses the object's whole BTF then.
    pub fn of(own: &Btf, kernel: Option<&Btf>) -> Result<Self, FieldError> {
        let mut structs = BTreeMap::new();
        let mut parts: BTreeSet<BtfId> = find::named(own).collect();
        if own.own_types().any(|(_, ty)| matches!(ty.def, Def::TypeTag { .. })) {
            let is_kptr = |ty: &Type| {
                matches!(ty.def, Def::Ptr(_) | Def::Volatile(_)) && find::is_kptr(own, ty)
            };
            parts.extend(own.own_types().filter(|(_, ty)| is_kptr(ty)).map(|(id, _)| id));
        }
        if parts.is_empty() {
            return Ok(Self::default());
        }
        for (id, ty) in own.own_types() {
            let Def::Struct(composite) = ty.def else { continue };
            if !own.members(id).iter().any(|member| parts.contains(&member.ty)) {
                continue;
            }
            let record = find::record(own, kernel, id, Wanted::Struct, composite.bytes)?;
            structs.insert(id, record.ok_or(FieldError::Misplaced)?);
        }
        let fields = Self { structs };
        for record in fields.structs.values() {
            fields.check_owners(own, record)?;
        }
        Ok(fields)
    }

    /// The fields of a struct.
    #[must_use]
    pub fn of_struct(&self, id: BtfId) -> Option<&Record> {
        self.structs.get(&id)
    }

    /// The fields of a map's values; `None` where they have none, or where the kernel does not
    /// take them and creates the map all the same.
    ///
    /// # Errors
    /// The kernel does not create the map with these types. Loaders then create it without, and
    /// its values have no fields.
    pub fn of_map(
        &self,
        own: &Btf,
        kernel: Option<&Btf>,
        def: &MapDef,
    ) -> Result<Option<Record>, FieldError> {
        let (Ok(map_type), Some(value)) = (def.map_type, def.value_type) else { return Ok(None) };
        if !takes_types(map_type) || matches!(def.init, MapInit::Slots(_)) {
            return Ok(None);
        }
        let (value, _) = own.resolve(value).map_err(|_| FieldError::MapShape)?;
        let record = find::record(own, kernel, value, Wanted::MapValue, def.value_size);
        let record = record.ok().flatten();
        if let Some(record) = &record {
            check_map(record, map_type, def.flags)?;
            self.check_owners(own, record)?;
        }
        check_key(own, def, map_type)?;
        Ok(record)
    }

    /// Values that own others must not be able to do so in a circle.
    fn check_owners(&self, own: &Btf, record: &Record) -> Result<(), FieldError> {
        let is_element = record.has(FieldKind::is_node);
        for field in record.fields() {
            if let FieldKind::Kptr(kptr) = field.kind
                && kptr.kind == KptrKind::User
            {
                let KptrTo::Own(id) = kptr.to else { return Err(FieldError::UserPointer) };
                match own.size_of(id) {
                    Ok(1..=PAGE_BYTES) => {}
                    Ok(0) | Err(_) => return Err(FieldError::UserPointer),
                    Ok(_) => return Err(FieldError::UserPage),
                }
            }
            let Some(root) = field.kind.root() else { continue };
            let elements = self.of_struct(root.value).ok_or(FieldError::Misplaced)?;
            if is_element && elements.has(|kind| kind.root().is_some()) {
                return Err(FieldError::Cycle);
            }
        }
        Ok(())
    }
}

/// Whether loaders hand the types of such a map to the kernel.
const fn takes_types(map_type: MapType) -> bool {
    !matches!(
        map_type,
        MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::StackTrace
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Devmap
            | MapType::DevmapHash
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::Queue
            | MapType::Stack
            | MapType::Arena
            | MapType::StructOps
    )
}

fn check_map(record: &Record, map_type: MapType, flags: MapFlags) -> Result<(), FieldError> {
    if flags.0 & (MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG) != 0 {
        return Err(FieldError::MapFlags);
    }
    let allowed = |kind: &FieldKind| {
        use MapType as M;
        let storage =
            matches!(map_type, M::SkStorage | M::InodeStorage | M::TaskStorage | M::CgrpStorage);
        match kind {
            FieldKind::SpinLock | FieldKind::ResSpinLock => {
                storage || matches!(map_type, M::Hash | M::Array | M::CgroupStorage)
            }
            FieldKind::Timer
            | FieldKind::Workqueue
            | FieldKind::TaskWork
            | FieldKind::ListHead(_)
            | FieldKind::RbRoot(_) => matches!(map_type, M::Hash | M::LruHash | M::Array),
            FieldKind::Kptr(kptr) if kptr.kind == KptrKind::User => map_type == M::TaskStorage,
            FieldKind::Kptr(_) | FieldKind::Refcount => {
                storage
                    || matches!(
                        map_type,
                        M::Hash
                            | M::PercpuHash
                            | M::LruHash
                            | M::LruPercpuHash
                            | M::Array
                            | M::PercpuArray
                    )
            }
            FieldKind::ListNode | FieldKind::RbNode => false,
        }
    };
    if record.has(|kind| !allowed(kind)) { Err(FieldError::MapType) } else { Ok(()) }
}

/// Arrays and storage take keys that are 32-bit integers, tries keys that are structs.
fn check_key(own: &Btf, def: &MapDef, map_type: MapType) -> Result<(), FieldError> {
    let Some(key) = def.key_type.filter(|id| !id.is_void()) else { return Ok(()) };
    let key = own.resolve(key).map_err(|_| FieldError::MapShape)?.1;
    let number = matches!(key.def, Def::Int(int) if int.bits == 32 && int.bit_off == 0);
    let fits = match map_type {
        MapType::Array
        | MapType::PercpuArray
        | MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => number,
        MapType::LpmTrie => matches!(key.def, Def::Struct(_)),
        _ => true,
    };
    if fits { Ok(()) } else { Err(FieldError::MapShape) }
}
