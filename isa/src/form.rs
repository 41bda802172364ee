//! The table spread over the 256 opcode bytes, at compile time, for decoding.

use crate::opcode::{Opcode, Source};
use crate::table::{ROWS, Row, Use};

/// The forms of each opcode byte; none where the byte is no instruction.
pub(crate) const BY_OPCODE: &[&[Form]; 256] = &by_opcode();

/// A row in one of its opcode bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) row: &'static Row,
    opcode: Opcode,
    /// The bits of [`fields`] that are no operand.
    mask: u64,
    /// What they hold.
    value: u64,
}

impl Form {
    const fn new(row: &'static Row, opcode: Opcode) -> Self {
        let is_reg = matches!(opcode.source(), Source::Reg);
        let dst = fixed_bits(row.dst, true);
        let src = fixed_bits(row.src, is_reg);
        let off = fixed_bits(row.off, true);
        let imm = fixed_bits(row.imm, !is_reg);
        Self {
            row,
            opcode,
            mask: fields(dst.0 as u8, src.0 as u8, off.0 as i16, imm.0),
            value: fields(dst.1 as u8, src.1 as u8, off.1 as i16, imm.1),
        }
    }

    /// Whether a slot with this opcode byte and these [`fields`] is of this form: selecting
    /// fields hold what they should and reserved ones are zero.
    pub(crate) const fn matches(&self, fields: u64) -> bool {
        fields & self.mask == self.value
    }
}

/// All bits of a field or none, depending on whether they are fixed, and the value fixed to.
const fn fixed_bits(usage: Use, named_by_source: bool) -> (i32, i32) {
    match usage {
        Use::Operand => (0, 0),
        Use::BySource if named_by_source => (0, 0),
        Use::Zero | Use::BySource => (-1, 0),
        Use::Is(value) => (-1, value),
    }
}

/// The fields of a slot side by side, to compare them all at once.
pub(crate) const fn fields(dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    dst as u64
        | (src as u64) << 8
        | (off.cast_unsigned() as u64) << 16
        | (imm.cast_unsigned() as u64) << 32
}

const FORM_COUNT: usize = {
    let mut count = 0;
    let mut byte = 0;
    while byte < 256 {
        let mut row = 0;
        while row < ROWS.len() {
            count += ROWS[row].covers(Opcode(byte as u8)) as usize;
            row += 1;
        }
        byte += 1;
    }
    count
};

/// All forms, by opcode byte and then in the order of their rows.
const FORMS: &[Form; FORM_COUNT] = &{
    let mut forms = [Form::new(ROWS[0], ROWS[0].code); FORM_COUNT];
    let mut next = 0;
    let mut byte = 0;
    while byte < 256 {
        let opcode = Opcode(byte as u8);
        let mut row = 0;
        while row < ROWS.len() {
            if ROWS[row].covers(opcode) {
                forms[next] = Form::new(ROWS[row], opcode);
                next += 1;
            }
            row += 1;
        }
        byte += 1;
    }
    forms
};

const fn by_opcode() -> [&'static [Form]; 256] {
    let mut map: [&[Form]; 256] = [&[]; 256];
    let mut rest: &[Form] = FORMS;
    let mut byte = 0;
    while byte < map.len() {
        let mut count = 0;
        while count < rest.len() && rest[count].opcode.0 as usize == byte {
            count += 1;
        }
        let (forms, others) = rest.split_at(count);
        map[byte] = forms;
        rest = others;
        byte += 1;
    }
    assert!(rest.is_empty(), "every form has an opcode byte");
    map
}
