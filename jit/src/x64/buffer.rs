//! Where machine code grows: bytes, labels, and jumps whose size is decided at the end.
//!
//! dynasm writes every jump to a label in its long form. It is taken back and noted instead, and
//! when all is known a jump gets as few bytes as its distance needs: all begin short, and those
//! that do not reach grow until nothing changes. So does the padding in front of loops.

use dynasmrt::components::LabelRegistry;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{AssemblyOffset, DynamicLabel, DynasmApi, DynasmLabelApi};

/// Machine code in the making.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Only gives out labels.
    registry: LabelRegistry,
    labels: Vec<Bound>,
    /// In the order of their places.
    fixups: Vec<Fixup>,
}

/// A label's place: so many bytes and fixups are in front of it.
#[derive(Clone, Copy)]
struct Bound {
    bytes: u32,
    fixups: u32,
}

impl Bound {
    const NOT_YET: Self = Self { bytes: u32::MAX, fixups: u32::MAX };
}

/// Something of which only the place in the bytes is known.
#[derive(Clone, Copy)]
struct Fixup {
    at: u32,
    what: What,
    /// Bytes that it takes.
    size: u8,
}

#[derive(Clone, Copy)]
enum What {
    Jump(u32),
    /// The low half of the opcode says when.
    JumpIf(u8, u32),
    Call(u32),
    /// Padding to a multiple.
    Align(u8),
}

const SHORT: u8 = 2;
const LONG_JUMP: u8 = 5;
const LONG_JUMP_IF: u8 = 6;

/// A label that was never bound, or code that no jump can cross.
#[derive(Debug, thiserror::Error)]
#[error("a jump leads nowhere, or too far")]
pub(super) struct Unreachable;

/// Assembled code, and where its labels are.
pub(super) struct Finished {
    pub(super) code: Vec<u8>,
    labels: Vec<Bound>,
    /// Bytes that the fixups up to each take.
    taken: Vec<u32>,
}

impl Finished {
    /// Where a label is.
    pub(super) fn offset(&self, label: DynamicLabel) -> Result<AssemblyOffset, Unreachable> {
        let bound = self.labels.get(label.get_id()).ok_or(Unreachable)?;
        place(*bound, &self.taken).map(|at| AssemblyOffset(at as usize)).ok_or(Unreachable)
    }
}

fn place(bound: Bound, taken: &[u32]) -> Option<u32> {
    Some(bound.bytes + taken.get(bound.fixups as usize)?)
}

impl Buffer {
    pub(super) fn with_capacity(bytes: usize, labels: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            registry: LabelRegistry::new(),
            labels: Vec::with_capacity(labels),
            fixups: Vec::with_capacity(labels),
        }
    }

    pub(super) fn new_dynamic_label(&mut self) -> DynamicLabel {
        self.labels.push(Bound::NOT_YET);
        self.registry.new_dynamic_label()
    }

    /// Pads to a multiple of so many bytes, with instructions that do nothing.
    pub(super) fn pad(&mut self, multiple: u8) {
        self.fixup(What::Align(multiple), 0);
    }

    fn fixup(&mut self, what: What, size: u8) {
        self.fixups.push(Fixup { at: self.bytes.len() as u32, what, size });
    }

    /// Decides the sizes of all fixups, and puts everything together.
    pub(super) fn finish(mut self) -> Result<Finished, Unreachable> {
        let mut taken = Vec::with_capacity(self.fixups.len() + 1);
        loop {
            self.add_up(&mut taken);
            if !self.grow(&taken)? {
                break;
            }
        }
        let total = self.bytes.len() + taken.last().copied().unwrap_or(0) as usize;
        let mut code = Vec::with_capacity(total);
        let mut from = 0;
        for fixup in &self.fixups {
            code.extend_from_slice(self.bytes.get(from..fixup.at as usize).unwrap_or_default());
            from = fixup.at as usize;
            self.write(fixup, &taken, &mut code)?;
        }
        code.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
        Ok(Finished { code, labels: self.labels, taken })
    }

    /// Adds up what the fixups take, and finds out how much padding is needed.
    fn add_up(&mut self, taken: &mut Vec<u32>) {
        taken.clear();
        let mut sum = 0;
        taken.push(sum);
        for fixup in &mut self.fixups {
            if let What::Align(multiple) = fixup.what {
                fixup.size = ((fixup.at + sum).wrapping_neg() % u32::from(multiple)) as u8;
            }
            sum += u32::from(fixup.size);
            taken.push(sum);
        }
    }

    /// Makes those jumps long that do not reach, and says whether there were any.
    fn grow(&mut self, taken: &[u32]) -> Result<bool, Unreachable> {
        let mut grown = false;
        for (index, fixup) in self.fixups.iter_mut().enumerate() {
            let (label, long) = match fixup.what {
                What::Jump(label) => (label, LONG_JUMP),
                What::JumpIf(_, label) => (label, LONG_JUMP_IF),
                What::Call(_) | What::Align(_) => continue,
            };
            if fixup.size == SHORT {
                let to = place(self.labels[label as usize], taken).ok_or(Unreachable)?;
                let from = fixup.at + taken[index + 1];
                if i8::try_from(i64::from(to) - i64::from(from)).is_err() {
                    fixup.size = long;
                    grown = true;
                }
            }
        }
        Ok(grown)
    }

    fn write(&self, fixup: &Fixup, taken: &[u32], code: &mut Vec<u8>) -> Result<(), Unreachable> {
        let distance = |label: u32| {
            let to = place(self.labels[label as usize], taken).ok_or(Unreachable)?;
            let from = code.len() as i64 + i64::from(fixup.size);
            i32::try_from(i64::from(to) - from).map_err(|_| Unreachable)
        };
        match fixup.what {
            What::Jump(label) if fixup.size == SHORT => {
                let distance = distance(label)?;
                code.extend([0xeb, distance as u8]);
            }
            What::JumpIf(when, label) if fixup.size == SHORT => {
                let distance = distance(label)?;
                code.extend([0x70 | when, distance as u8]);
            }
            What::Jump(label) => {
                let distance = distance(label)?;
                code.push(0xe9);
                code.extend(distance.to_le_bytes());
            }
            What::JumpIf(when, label) => {
                let distance = distance(label)?;
                code.extend([0x0f, 0x80 | when]);
                code.extend(distance.to_le_bytes());
            }
            What::Call(label) => {
                let distance = distance(label)?;
                code.push(0xe8);
                code.extend(distance.to_le_bytes());
            }
            What::Align(_) => do_nothing(fixup.size.into(), code),
        }
        Ok(())
    }
}

/// So many bytes that do nothing, in as few instructions as possible.
fn do_nothing(mut bytes: usize, code: &mut Vec<u8>) {
    const NOPS: [&[u8]; 9] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
        &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    ];
    while bytes > 0 {
        let nop = NOPS[bytes.min(NOPS.len()) - 1];
        code.extend_from_slice(nop);
        bytes -= nop.len();
    }
}

impl Extend<u8> for Buffer {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

impl<'a> Extend<&'a u8> for Buffer {
    fn extend<T: IntoIterator<Item = &'a u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

impl DynasmApi for Buffer {
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.bytes.len())
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn align(&mut self, multiple: usize, _with: u8) {
        self.pad(multiple as u8);
    }

    #[inline]
    fn push_i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn push_i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// Of labels there are only dynamic ones.
impl DynasmLabelApi for Buffer {
    type Relocation = X64Relocation;

    #[inline]
    fn dynamic_label(&mut self, id: DynamicLabel) {
        let bound = Bound { bytes: self.bytes.len() as u32, fixups: self.fixups.len() as u32 };
        if let Some(label) = self.labels.get_mut(id.get_id()) {
            *label = bound;
        }
    }

    /// Takes back the jump that was just written.
    fn dynamic_relocation(
        &mut self,
        id: DynamicLabel,
        _target_offset: isize,
        _field_offset: u8,
        _ref_offset: u8,
        _kind: X64Relocation,
    ) {
        let label = id.get_id() as u32;
        let len = self.bytes.len();
        let (what, size, written) = match self.bytes.as_slice() {
            [.., 0xe9, _, _, _, _] => (What::Jump(label), SHORT, 5),
            [.., 0xe8, _, _, _, _] => (What::Call(label), LONG_JUMP, 5),
            [.., 0x0f, when, _, _, _, _] => (What::JumpIf(when & 0xf, label), SHORT, 6),
            _ => unreachable!("a jump was just written"),
        };
        self.bytes.truncate(len - written);
        self.fixup(what, size);
    }

    fn local_label(&mut self, name: &'static str) {
        unreachable!("no code has the local label {name}")
    }

    fn global_label(&mut self, name: &'static str) {
        unreachable!("no code has the global label {name}")
    }

    fn forward_relocation(&mut self, name: &'static str, _: isize, _: u8, _: u8, _: X64Relocation) {
        self.local_label(name);
    }

    fn backward_relocation(
        &mut self,
        name: &'static str,
        _: isize,
        _: u8,
        _: u8,
        _: X64Relocation,
    ) {
        self.local_label(name);
    }

    fn global_relocation(&mut self, name: &'static str, _: isize, _: u8, _: u8, _: X64Relocation) {
        self.global_label(name);
    }

    fn value_relocation(&mut self, _: usize, _: u8, _: u8, _: X64Relocation) {
        unreachable!("no code refers to fixed places")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynasmrt::dynasm;

    #[test]
    fn jumps_are_as_long_as_they_must_be() {
        for (between, expected) in [(0, 2), (127, 2), (128, 5), (1000, 5)] {
            let mut buffer = Buffer::with_capacity(0, 0);
            let (over, back) = (buffer.new_dynamic_label(), buffer.new_dynamic_label());
            dynasm!(buffer ; .arch x64 ; =>back ; jmp =>over);
            (0..between).for_each(|_| buffer.push(0x90));
            dynasm!(buffer ; .arch x64 ; =>over ; jne =>back ; call =>over);
            let finished = buffer.finish().unwrap();
            let over = finished.offset(over).unwrap().0;
            assert_eq!(over, expected + between);
            let target = match finished.code[0] {
                0xeb => 2 + finished.code[1] as i8 as usize,
                _ => 5 + i32::from_le_bytes(finished.code[1..5].try_into().unwrap()) as usize,
            };
            assert_eq!(target, over);
        }
    }

    #[test]
    fn labels_lie_on_the_right_side_of_what_is_between_them() {
        let mut buffer = Buffer::with_capacity(0, 0);
        let labels: [_; 3] = core::array::from_fn(|_| buffer.new_dynamic_label());
        dynasm!(buffer ; .arch x64 ; =>labels[0] ; jmp =>labels[2] ; =>labels[1]);
        buffer.pad(16);
        dynasm!(buffer ; .arch x64 ; =>labels[2] ; ret);
        let finished = buffer.finish().unwrap();
        assert_eq!(labels.map(|l| finished.offset(l).unwrap().0), [0, 2, 16]);
        assert_eq!(finished.code[..2], [0xeb, 14]);
    }
}
