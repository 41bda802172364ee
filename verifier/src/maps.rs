//! The maps that a program refers to: which fields their values have, and whether programs of its
//! kind may use them at all.

use crate::reason::{FieldReason, Reason, Rejection};
use crate::state::MapRef;
use crate::text::Text;
use ubpf_abi::btf::BtfId;
use ubpf_abi::fields::{FieldError, FieldKind, ObjectFields, Record};
use ubpf_abi::map::{MapDef, MapId, MapType};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::{Imm64, Insn};

/// Where the types of an object have fields with rules of their own.
#[derive(Debug, Default)]
pub struct Fields {
    object: ObjectFields,
    /// By map: what its types say, and those of the maps in it.
    maps: Vec<[Values; 2]>,
}

/// What the types of a map say of its values.
#[derive(Debug, Default)]
struct Values {
    /// The kernel has the map's types.
    typed: bool,
    record: Option<Record>,
}

impl Fields {
    /// Finds them.
    ///
    /// # Errors
    /// The kernel does not take the object's types. Loaders then go on without.
    pub fn of(program: &Program) -> Result<Self, FieldError> {
        let Some(own) = program.btf.as_deref() else { return Ok(Self::default()) };
        let kernel = program.target_btf.as_deref();
        let object = ObjectFields::of(own, kernel)?;
        // A map that the kernel does not take with its types is created without.
        let of_map = |def: &MapDef| match object.of_map(own, kernel, def) {
            Ok(record) => Values { typed: def.value_type.is_some(), record },
            Err(_) => Values::default(),
        };
        let of_both =
            |def: &MapDef| [of_map(def), def.inner.as_deref().map_or_else(Values::default, of_map)];
        let maps = program.maps.iter().map(of_both).collect();
        Ok(Self { object, maps })
    }

    /// The fields of a map's values.
    #[must_use]
    pub fn of_map(&self, map: MapRef) -> Option<&Record> {
        self.values_of(map)?.record.as_ref()
    }

    /// Whether the kernel has a map's types.
    #[must_use]
    pub fn has_types(&self, map: MapRef) -> bool {
        self.values_of(map).is_some_and(|values| values.typed)
    }

    fn values_of(&self, map: MapRef) -> Option<&Values> {
        let [outer, inner] = self.maps.get(map.map.index())?;
        Some(if map.inner { inner } else { outer })
    }

    /// The fields of a struct of the object.
    #[must_use]
    pub fn of_struct(&self, id: BtfId) -> Option<&Record> {
        self.object.of_struct(id)
    }
}

/// Checks the maps, in the order in which the code refers to them.
///
/// # Errors
/// A map that programs of this kind may not use.
pub fn check(program: &Program, text: &Text, fields: &Fields) -> Result<(), Rejection> {
    for (pc, insn) in text.insns() {
        let Insn::LdImm64 { imm: Imm64::MapFd(fd) | Imm64::MapValue { fd, .. }, .. } = insn else {
            continue;
        };
        let Ok(id) = u32::try_from(fd).map(MapId) else { continue };
        let Some(def) = program.maps.get(id.index()) else { continue };
        let record = fields.of_map(MapRef { map: id, inner: false, uid: 0 });
        check_map(program, def, record).map_err(|reason| Rejection::at(pc, reason))?;
    }
    Ok(())
}

fn check_map(program: &Program, def: &MapDef, record: Option<&Record>) -> Result<(), Reason> {
    let tracing = matches!(
        program.prog_type,
        ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
    );
    let has = |wanted: &dyn Fn(&FieldKind) -> bool| record.is_some_and(|r| r.has(wanted));
    if tracing && has(&|kind| kind.root().is_some()) {
        return Err(FieldReason::TracingProgram("bpf_{list_head,rb_root}").into());
    }
    if has(&FieldKind::is_lock) {
        if program.prog_type == ProgType::SocketFilter {
            return Err(FieldReason::SocketFilter.into());
        }
        if tracing {
            return Err(FieldReason::TracingProgram("bpf_spin_lock").into());
        }
    }
    if tracing && has(&|kind| *kind == FieldKind::Timer) {
        return Err(FieldReason::TracingProgram("bpf_timer").into());
    }
    if tracing && has(&|kind| *kind == FieldKind::Workqueue) {
        return Err(FieldReason::TracingProgram("bpf_wq").into());
    }
    if program.section.sleepable && !def.map_type.is_ok_and(may_sleep) {
        return Err(FieldReason::SleepableMap.into());
    }
    Ok(())
}

/// Whether programs that sleep may use maps of a type.
const fn may_sleep(map_type: MapType) -> bool {
    use MapType as M;
    matches!(
        map_type,
        M::Hash
            | M::LruHash
            | M::Array
            | M::PercpuHash
            | M::PercpuArray
            | M::LruPercpuHash
            | M::ArrayOfMaps
            | M::HashOfMaps
            | M::Ringbuf
            | M::UserRingbuf
            | M::InodeStorage
            | M::SkStorage
            | M::TaskStorage
            | M::CgrpStorage
            | M::Queue
            | M::Stack
            | M::Arena
    )
}
