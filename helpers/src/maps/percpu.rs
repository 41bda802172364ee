//! Values of which each CPU has its own: rows of a slab, all CPUs of an element side by side.

use super::slab::{Holds, Reserve, Slab};
use super::special::Special;
use ubpf_abi::Errno;
use ubpf_abi::map::MapDef;
use ubpf_vm::map::MapLayout;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// Values by element and CPU.
pub(super) struct PercpuValues {
    slab: Slab,
    cpus: u32,
}

impl PercpuValues {
    /// Room for the values of `elements` elements.
    ///
    /// # Errors
    /// `ENOMEM` when they do not fit into the cage.
    pub(super) fn new(
        world: &World,
        def: &MapDef,
        elements: u32,
        reserve: Reserve,
    ) -> Result<Self, Errno> {
        let cpus = world.cpus();
        let rows = u64::from(elements) * u64::from(cpus);
        let slab = Slab::new(world.cage(), def, Holds::Values, def.value_size, rows, reserve)?;
        let slab = slab.with_fields(Special::of(world, def));
        Ok(Self { slab, cpus })
    }

    #[inline]
    fn row(&self, element: u32, Cpu(cpu): Cpu) -> Option<u32> {
        if cpu >= self.cpus {
            return None;
        }
        element.checked_mul(self.cpus)?.checked_add(cpu)
    }

    /// Where the values of so many elements are; they were reserved at once.
    pub(super) fn layout(&self, entries: u32) -> Option<MapLayout> {
        let (values, cpu_stride) = (self.slab.addr(0)?, self.slab.stride());
        let stride = cpu_stride.checked_mul(self.cpus)?;
        Some(MapLayout { values, entries, stride, cpu_stride })
    }

    /// Bytes of one element's values as user space transfers them.
    pub(super) const fn user_bytes(&self) -> usize {
        self.slab.stride() as usize * self.cpus as usize
    }

    /// Address of a CPU's value; `None` for a CPU that does not exist.
    #[inline]
    pub(super) fn addr(&self, element: u32, cpu: Cpu) -> Option<GuestAddr> {
        self.slab.addr(self.row(element, cpu)?)
    }

    fn each_cpu(&self, element: u32) -> impl Iterator<Item = Result<u32, Errno>> {
        let row = move |cpu| self.row(element, Cpu(cpu)).ok_or(Errno::EINVAL);
        (0..self.cpus).map(row)
    }

    /// Stores one CPU's value.
    pub(super) fn set(&self, element: u32, cpu: Cpu, value: &[u8]) -> Result<(), Errno> {
        let row = self.row(element, cpu).ok_or(Errno::EINVAL)?;
        self.slab.write(row, value)?;
        self.slab.free_fields(row)
    }

    /// Gives a new element its values: `value` on this CPU, zeros on the others.
    pub(super) fn init(&self, element: u32, cpu: Cpu, value: &[u8]) -> Result<(), Errno> {
        for row in self.each_cpu(element) {
            let row = row?;
            self.slab.ensure(row)?;
            self.slab.clear(row)?;
        }
        self.set(element, cpu, value)
    }

    /// Stores all CPUs' values, each in the size of a row.
    pub(super) fn set_all(&self, element: u32, values: &[u8]) -> Result<(), Errno> {
        let values = values.chunks(self.slab.stride() as usize);
        for (row, value) in self.each_cpu(element).zip(values) {
            let row = row?;
            self.slab.ensure(row)?;
            self.slab.write(row, value)?;
            self.slab.free_fields(row)?;
        }
        Ok(())
    }

    /// The fields of the values.
    pub(super) const fn special(&self) -> &Special {
        self.slab.special()
    }

    /// Copies all CPUs' values out, each in the size of a row.
    pub(super) fn get_all(&self, element: u32) -> Result<Vec<u8>, Errno> {
        let mut values = vec![0; self.user_bytes()];
        let chunks = values.chunks_mut(self.slab.stride() as usize);
        for (row, value) in self.each_cpu(element).zip(chunks) {
            self.slab.read(row?, value)?;
        }
        Ok(values)
    }
}
