//! Rows of equal size in guest memory: where maps keep values and keys.
//!
//! A row has one address for good, and stays readable after its element is deleted until it is
//! given to another: the guarantee that RCU gives programs in the kernel. Memory is reserved in
//! the cage and committed by the operating system page by page as rows are written.

use super::special::Special;
use std::sync::{Arc, OnceLock};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags};
use ubpf_vm::mem::{Cage, Elements, GuestAddr, KERNEL_SPACE, Perm, Region, RegionKind, RegionSpec};

/// When rows get their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserve {
    /// All at once, when the map is created; a map that does not fit fails then.
    AtOnce,
    /// In chunks as they are needed, for maps that may be defined far larger than they get; a
    /// map that no longer fits fails in an update.
    Lazily,
}

/// What a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Keys, which programs only read.
    Keys,
    /// Values, which programs use as the map's flags allow.
    Values,
}

/// Rows of `row_bytes`, each of which begins at a multiple of 8.
pub(super) struct Slab {
    cage: Arc<Cage>,
    label: Arc<str>,
    kind: RegionKind,
    perm: Perm,
    elements: Elements,
    special: Special,
    rows: u32,
    store: Store,
}

enum Store {
    Whole(Region),
    Chunks { shift: u32, chunks: Box<[OnceLock<Region>]> },
}

/// Bytes that one lazily reserved chunk has at least.
const CHUNK_BYTES: u32 = 1 << 20;

impl Slab {
    /// A slab of `rows` rows for the map `def`.
    ///
    /// # Errors
    /// `E2BIG` for rows of 2 GiB and more; `ENOMEM` when they do not fit into the cage.
    pub(super) fn new(
        cage: &Arc<Cage>,
        def: &MapDef,
        holds: Holds,
        row_bytes: u32,
        rows: u64,
        reserve: Reserve,
    ) -> Result<Self, Errno> {
        let stride = row_bytes.checked_next_multiple_of(8).ok_or(Errno::E2BIG)?;
        let rows32 = u32::try_from(rows).map_err(|_| Errno::ENOMEM)?;
        let (kind, perm) = match holds {
            Holds::Keys => (RegionKind::MapKey, Perm::Read),
            Holds::Values => (RegionKind::MapValue, value_perm(def.flags)),
        };
        let mut slab = Self {
            cage: Arc::clone(cage),
            label: def.name.as_str().into(),
            kind,
            perm,
            elements: Elements { stride, bytes: row_bytes },
            special: Special::default(),
            rows: rows32,
            store: Store::Chunks { shift: 0, chunks: Box::default() },
        };
        slab.store = match reserve {
            Reserve::AtOnce => Store::Whole(slab.region(rows * u64::from(stride))?),
            Reserve::Lazily => {
                let shift = CHUNK_BYTES.div_ceil(stride).next_power_of_two().trailing_zeros();
                let wanted = rows32.div_ceil(1 << shift);
                // More chunks than the cage has room for could never be filled.
                let fit = (KERNEL_SPACE.end - KERNEL_SPACE.start) / CHUNK_BYTES;
                let chunks = (0..wanted.min(fit)).map(|_| OnceLock::new()).collect();
                Store::Chunks { shift, chunks }
            }
        };
        Ok(slab)
    }

    /// The same rows, as values with these fields.
    pub(super) fn with_fields(self, special: Special) -> Self {
        Self { special, ..self }
    }

    /// The fields of the rows.
    pub(super) const fn special(&self) -> &Special {
        &self.special
    }

    fn region(&self, bytes: u64) -> Result<Region, Errno> {
        let spec = RegionSpec::new(bytes, self.kind, Arc::clone(&self.label))
            .perm(self.perm)
            .elements(self.elements);
        self.cage.alloc(spec).map_err(|_| Errno::ENOMEM)
    }

    /// Sees to it that the row has an address.
    ///
    /// # Errors
    /// `ENOMEM` when the cage is full.
    #[inline]
    pub(super) fn ensure(&self, row: u32) -> Result<(), Errno> {
        let Store::Chunks { shift, chunks } = &self.store else {
            return Ok(());
        };
        let chunk = chunks.get((row >> shift) as usize).ok_or(Errno::ENOMEM)?;
        if chunk.get().is_none() {
            let first = row >> shift << shift;
            let rows = (self.rows - first).min(1 << shift);
            let region = self.region(u64::from(rows) * u64::from(self.elements.stride))?;
            // Where another thread was faster, its chunk counts and this one is given back.
            let _ = chunk.set(region);
        }
        Ok(())
    }

    /// The region that holds the row, and the row's offset in it.
    #[inline]
    fn place(&self, row: u32) -> Option<(&Region, u32)> {
        let (region, index) = match &self.store {
            Store::Whole(region) => (region, row),
            Store::Chunks { shift, chunks } => {
                let region = chunks.get((row >> shift) as usize)?.get()?;
                (region, row & ((1 << shift) - 1))
            }
        };
        Some((region, index.checked_mul(self.elements.stride)?))
    }

    /// Address of the row, or `None` where it has none yet.
    #[inline]
    pub(super) fn addr(&self, row: u32) -> Option<GuestAddr> {
        let (region, off) = self.place(row)?;
        region.addr().checked_add(off)
    }

    /// Copies the row's first bytes out, its fields as zeros.
    pub(super) fn read(&self, row: u32, into: &mut [u8]) -> Result<(), Errno> {
        let (region, off) = self.place(row).ok_or(Errno::EFAULT)?;
        region.read(off, into).map_err(|_| Errno::EFAULT)?;
        self.special.hide(into);
        Ok(())
    }

    /// Copies to the row's first bytes, around its fields.
    #[inline]
    pub(super) fn write(&self, row: u32, from: &[u8]) -> Result<(), Errno> {
        let (region, off) = self.place(row).ok_or(Errno::EFAULT)?;
        self.special.write(region, off, from).map_err(|_| Errno::EFAULT)
    }

    /// Makes the row's fields zero, as those of a new element.
    #[inline]
    pub(super) fn init_fields(&self, row: u32) -> Result<(), Errno> {
        let (region, off) = self.place(row).ok_or(Errno::EFAULT)?;
        self.special.init(region, off).map_err(|_| Errno::EFAULT)
    }

    /// Gives up what the row's fields hold.
    #[inline]
    pub(super) fn free_fields(&self, row: u32) -> Result<(), Errno> {
        let (region, off) = self.place(row).ok_or(Errno::EFAULT)?;
        self.special.free(region, off).map_err(|_| Errno::EFAULT)
    }

    /// Sets the row to zero; what rounds it up to a multiple of 8 keeps its bytes.
    pub(super) fn clear(&self, row: u32) -> Result<(), Errno> {
        let (region, off) = self.place(row).ok_or(Errno::EFAULT)?;
        region.fill(off, self.elements.bytes, 0).map_err(|_| Errno::EFAULT)
    }

    /// Whether the row begins with these bytes.
    #[inline]
    pub(super) fn starts_with(&self, row: u32, bytes: &[u8]) -> bool {
        let Some((region, mut off)) = self.place(row) else {
            return false;
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            if region.load::<u64>(off) != Ok(u64::from_le_bytes(*word)) {
                return false;
            }
            off += 8;
        }
        rest.iter().zip(off..).all(|(&byte, off)| region.load::<u8>(off) == Ok(byte))
    }

    /// Bytes of a row that belong to it.
    pub(super) const fn row_bytes(&self) -> u32 {
        self.elements.bytes
    }

    /// Bytes from one row to the next: a row rounded up to a multiple of 8.
    pub(super) const fn stride(&self) -> u32 {
        self.elements.stride
    }
}

/// What programs may do with values of a map with these flags.
fn value_perm(flags: MapFlags) -> Perm {
    if flags.has(MapFlags::RDONLY_PROG) {
        Perm::Read
    } else if flags.has(MapFlags::WRONLY_PROG) {
        Perm::Write
    } else {
        Perm::ReadWrite
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::{Holds, Reserve, Slab};
    use ubpf_abi::Errno;
    use ubpf_abi::map::MapType;
    use ubpf_vm::mem::Cage;

    #[test]
    fn rows_lie_at_multiples_of_eight() {
        let cage = Cage::new().unwrap();
        let def = def(MapType::Hash, 5, 12, 100);
        for reserve in [Reserve::AtOnce, Reserve::Lazily] {
            let slab = Slab::new(&cage, &def, Holds::Values, 12, 100, reserve).unwrap();
            for row in [0, 1, 99] {
                slab.ensure(row).unwrap();
            }
            let (first, last) = (slab.addr(0).unwrap(), slab.addr(99).unwrap());
            assert_eq!(last.0 - first.0, 99 * 16);
            slab.write(1, b"hello world!").unwrap();
            assert!(slab.starts_with(1, b"hello world!"));
            assert!(!slab.starts_with(1, b"hello world?"));
            assert!(!slab.starts_with(0, b"hello"));
            slab.clear(1).unwrap();
            assert!(slab.starts_with(1, &[0; 12]));
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_or_deferred() {
        let cage = Cage::new().unwrap();
        let def = def(MapType::Hash, 4, 1 << 20, 1 << 20);
        let new = |reserve| Slab::new(&cage, &def, Holds::Values, 1 << 20, 1 << 20, reserve);
        assert_eq!(new(Reserve::AtOnce).err(), Some(Errno::ENOMEM));
        let lazy = new(Reserve::Lazily).unwrap();
        assert!(lazy.addr(7).is_none());
        lazy.ensure(7).unwrap();
        assert!(lazy.addr(7).is_some());
        assert_eq!(lazy.ensure(1 << 19), Err(Errno::ENOMEM));
    }
}
