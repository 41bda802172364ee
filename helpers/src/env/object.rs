//! Kernel objects in guest memory, laid out by the types of the emulated kernel.

use std::sync::Arc;
use ubpf_abi::btf::value::{Place, Value, encode};
use ubpf_abi::btf::{Btf, Kind};
use ubpf_vm::mem::{Cage, GuestAddr, MemError, Perm, Region, RegionKind, RegionSpec};

/// Bytes of an object whose type is not known.
const OPAQUE_BYTES: usize = 8;

/// The types by which objects are laid out.
#[derive(Clone, Debug, Default)]
pub struct KernelTypes(Option<Arc<Btf>>);

impl KernelTypes {
    /// Those of `btf`; without it, objects are opaque.
    #[must_use]
    pub const fn new(btf: Option<Arc<Btf>>) -> Self {
        Self(btf)
    }

    /// The types, where they are known.
    #[must_use]
    pub const fn btf(&self) -> Option<&Arc<Btf>> {
        self.0.as_ref()
    }

    /// A `struct name` with these fields set by their paths, all others zero. Programs only read
    /// it. Fields that this kernel's struct does not have are left out.
    ///
    /// # Errors
    /// When guest memory is exhausted.
    pub fn object(
        &self,
        cage: &Arc<Cage>,
        name: &'static str,
        fields: &[(&str, u64)],
    ) -> Result<Region, MemError> {
        let bytes = self.bytes(name, fields);
        let spec = RegionSpec::new(bytes.len() as u64, RegionKind::KernelObject, name);
        let region = cage.alloc(spec.perm(Perm::Read))?;
        let written = region.write(0, &bytes);
        debug_assert!(written.is_ok(), "the region has the object's size");
        Ok(region)
    }

    /// The same, at the place of an earlier one where there is one.
    ///
    /// # Errors
    /// As [`KernelTypes::object`].
    pub fn show(
        &self,
        cage: &Arc<Cage>,
        name: &'static str,
        fields: &[(&str, u64)],
        place: &mut Option<Region>,
    ) -> Result<GuestAddr, MemError> {
        let region = match place {
            Some(region) => {
                let written = region.write(0, &self.bytes(name, fields));
                debug_assert!(written.is_ok(), "the region has the object's size");
                region
            }
            None => place.insert(self.object(cage, name, fields)?),
        };
        Ok(region.addr())
    }

    fn bytes(&self, name: &str, fields: &[(&str, u64)]) -> Vec<u8> {
        let known = self.0.as_deref().and_then(|btf| {
            let ty = btf.find(Kind::Struct, name)?;
            Some((btf, ty, btf.size_of(ty).ok()?))
        });
        let Some((btf, ty, size)) = known else { return vec![0; OPAQUE_BYTES] };
        let mut bytes = vec![0; size as usize];
        for (path, value) in fields {
            if let Ok(place) = Place::find(btf, ty, path) {
                // A field that has become narrower keeps its zeros.
                let _ = encode(btf, place, &Value::UInt((*value).into()), &mut bytes);
            }
        }
        bytes
    }
}
