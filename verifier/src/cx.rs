//! What a verification works on and never changes: the program, its host, the rules.

use crate::Options;
use crate::cfg::Cfg;
use crate::liveness::Liveness;
use crate::reason::Reason;
use crate::state::MapRef;
use crate::text::Text;
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapInit};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::ProgTypeDecl;
use ubpf_abi::program::Program;

/// The fixed part of a verification.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// The program.
    pub program: &'a Program,
    /// Its code, decoded.
    pub text: &'a Text,
    /// Its control-flow graph.
    pub cfg: &'a Cfg,
    /// Which registers matter where.
    pub live: &'a Liveness,
    /// The host it is meant for.
    pub platform: &'a dyn Platform,
    /// Its type.
    pub decl: &'a ProgTypeDecl,
    /// The rules.
    pub options: &'a Options,
}

impl<'a> Cx<'a> {
    /// The definition of the map that a pointer belongs to.
    ///
    /// # Errors
    /// When the program has no such map.
    pub fn map_def(&self, map: MapRef) -> Result<&'a MapDef, Reason> {
        let outer = self.program.maps.get(map.map.index());
        let def = if map.inner { outer.and_then(|m| m.inner.as_deref()) } else { outer };
        def.ok_or(Reason::Unsupported("maps of maps without a template"))
    }

    /// `size` bytes at `off` in the value of a map that nobody can change any more: a constant.
    #[must_use]
    pub fn frozen_value(&self, map: MapRef, off: i64, size: u32) -> Option<u64> {
        let def = self.map_def(map).ok().filter(|d| d.flags.has(MapFlags::RDONLY_PROG))?;
        let MapInit::Data { section: DataSection::Rodata | DataSection::Kconfig, bytes } =
            &def.init
        else {
            return None;
        };
        let start = usize::try_from(off).ok()?;
        let bytes = bytes.get(start..start.checked_add(size as usize)?)?;
        let mut value = [0; 8];
        value.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }
}
