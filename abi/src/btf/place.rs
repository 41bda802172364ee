//! Filling in what compilers leave to the loader: where variables lie in their sections.

use super::Btf;
use super::types::{BtfId, Def, SecVar};

impl Btf {
    /// Gives a section its size and its variables their offsets, in the order of
    /// [`Btf::vars`], and sorts them by offset. Sections of a base stay as they are, as do
    /// variables past the end of `offs` and types that are not sections.
    pub fn place_vars(&mut self, section: BtfId, bytes: u32, offs: &[u32]) {
        let Some(at) = section.0.checked_sub(self.first_id) else {
            return;
        };
        let Some(Def::Datasec(datasec)) = self.types.get_mut(at as usize).map(|t| &mut t.def)
        else {
            return;
        };
        datasec.bytes = bytes;
        let vars: &mut [SecVar] = datasec.vars.of_mut(&mut self.vars);
        for (var, &off) in vars.iter_mut().zip(offs) {
            var.off = off;
        }
        vars.sort_by_key(|v| v.off);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, Linkage, Var};
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn variables_move_to_their_places_and_are_sorted() {
        let mut b = Builder::new();
        let name = b.str(".data");
        let ty = Var { ty: BtfId(0), linkage: Linkage::Global };
        let (x, y) = (b.var(name, ty), b.var(name, ty));
        let var = |ty| SecVar { ty, off: 0, bytes: 4 };
        let section = b.datasec(name, 0, [var(x), var(y)]);
        let mut btf = b.finish();
        btf.place_vars(section, 8, &[4, 0]);
        assert_eq!(btf.size_of(section), Ok(8));
        let placed: Vec<_> = btf.vars(section).iter().map(|v| (v.ty, v.off)).collect();
        assert_eq!(placed, [(y, 0), (x, 4)]);
        btf.place_vars(x, 8, &[4]);
        btf.place_vars(BtfId(99), 8, &[4]);
    }
}
