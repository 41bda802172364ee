use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use ubpf_abi::btf::{
    Btf, BtfId, Builder, DeclTag, Def, Enumerator, Func, FwdKind, Int, IntEncoding, Kind, Linkage,
    Member, Param, SecVar, StrOff, Var,
};

/// One type of each kind, with references among the first `types`.
fn any_type(types: u32) -> impl Strategy<Value = Piece> {
    let id = move || (0..types).prop_map(BtfId);
    let member =
        move || {
            (any::<u8>(), id(), 0_u32..1 << 24, any::<u8>()).prop_map(|(n, ty, bit_off, bits)| {
                Member { name: StrOff(n.into()), ty, bit_off, bitfield_bits: bits }
            })
        };
    let linkage =
        || prop_oneof![Just(Linkage::Static), Just(Linkage::Global), Just(Linkage::Extern)];
    let fwd = prop_oneof![Just(FwdKind::Struct), Just(FwdKind::Union)];
    let component = prop_oneof![Just(None), (0..=i32::MAX as u32).prop_map(Some)];
    let size = || prop_oneof![Just(1_u32), Just(2), Just(4), Just(8)];
    let int = (size(), any::<u8>(), 0_usize..4).prop_map(|(bytes, bits, encoding)| {
        use IntEncoding::{Bool, Char, Signed, Unsigned};
        let encoding = [Unsigned, Signed, Char, Bool][encoding];
        let bits = bits.min((bytes * 8) as u8);
        Piece::Plain(Def::Int(Int { bytes, bits, bit_off: 0, encoding }))
    });
    let plain = prop_oneof![
        id().prop_map(Def::Ptr),
        id().prop_map(Def::Typedef),
        id().prop_map(Def::Const),
        id().prop_map(Def::Volatile),
        id().prop_map(Def::Restrict),
        (id(), any::<bool>()).prop_map(|(target, attribute)| Def::TypeTag { target, attribute }),
        (id(), linkage()).prop_map(|(proto, linkage)| Def::Func(Func { proto, linkage })),
        (id(), linkage()).prop_map(|(ty, linkage)| Def::Var(Var { ty, linkage })),
        (id(), component, any::<bool>()).prop_map(|(target, component, attribute)| {
            Def::DeclTag(DeclTag { target, component, attribute })
        }),
        fwd.prop_map(Def::Fwd),
        Just(Def::Float { bytes: 8 }),
    ];
    prop_oneof![
        int,
        plain.prop_map(Piece::Plain),
        (id(), id(), any::<u32>()).prop_map(|(elem, index, len)| Piece::Array(elem, index, len)),
        (any::<bool>(), any::<u32>(), vec(member(), 0..5))
            .prop_map(|(union, bytes, members)| Piece::Composite(union, bytes, members)),
        (size(), any::<bool>(), vec((any::<u8>(), any::<i32>()), 0..5))
            .prop_map(|(bytes, signed, values)| Piece::Enum(bytes, signed, values)),
        (size(), any::<bool>(), vec((any::<u8>(), any::<i64>()), 0..5))
            .prop_map(|(bytes, signed, values)| Piece::Enum64(bytes, signed, values)),
        (id(), vec((any::<u8>(), id()), 0..5)).prop_map(|(ret, params)| Piece::Proto(ret, params)),
        (any::<u32>(), vec((id(), any::<u32>(), any::<u32>()), 0..5))
            .prop_map(|(bytes, vars)| Piece::Datasec(bytes, vars)),
    ]
}

/// A type before it is in a BTF.
#[derive(Clone, Debug)]
enum Piece {
    Plain(Def),
    Array(BtfId, BtfId, u32),
    Composite(bool, u32, Vec<Member>),
    Enum(u32, bool, Vec<(u8, i32)>),
    Enum64(u32, bool, Vec<(u8, i64)>),
    Proto(BtfId, Vec<(u8, BtfId)>),
    Datasec(u32, Vec<(BtfId, u32, u32)>),
}

fn build(pieces: &[(u8, Piece)]) -> Btf {
    // Every name of the pieces lies inside.
    let mut strings = [b'x'; 257];
    (strings[0], strings[256]) = (0, 0);
    let mut b = Builder::with_strings(strings.to_vec());
    for (name, piece) in pieces {
        let name = StrOff((*name).into());
        match piece.clone() {
            Piece::Plain(def) => b.push(name, def),
            Piece::Array(elem, index, len) => b.array(elem, index, len),
            Piece::Composite(true, bytes, members) => b.union(name, bytes, true, members),
            Piece::Composite(false, bytes, members) => b.structure(name, bytes, true, members),
            Piece::Enum(bytes, signed, values) => {
                let values = values.into_iter().map(|(n, v)| Enumerator {
                    name: StrOff(n.into()),
                    value: if signed { v.into() } else { v.cast_unsigned().into() },
                });
                b.enumeration(name, bytes, signed, values)
            }
            Piece::Enum64(bytes, signed, values) => {
                let values = values.into_iter();
                let values = values.map(|(n, value)| Enumerator { name: StrOff(n.into()), value });
                b.enumeration64(name, bytes, signed, values)
            }
            Piece::Proto(ret, params) => {
                let params = params.into_iter();
                b.func_proto(ret, params.map(|(n, ty)| Param { name: StrOff(n.into()), ty }))
            }
            Piece::Datasec(bytes, vars) => {
                let vars = vars.into_iter();
                b.datasec(name, bytes, vars.map(|(ty, off, bytes)| SecVar { ty, off, bytes }))
            }
        };
    }
    b.finish()
}

/// Asks everything that can be asked; nothing may panic or hang.
fn ask_everything(btf: &Btf) {
    use ubpf_abi::btf::{c, value};
    let data = [0xff; 64];
    for (id, ty) in btf.types() {
        let _ = (btf.resolve(id), btf.size_of(id), btf.align_of(id), btf.is_packed(id));
        let _ = (c::define(btf, id), c::declare(btf, id, "x"));
        let _ = value::decode(btf, id, &data);
        let _ = value::Place::find(btf, id, "x[1].y");
        let _ = btf.decl_tags(id, None).count();
        let _ = btf.find(ty.kind(), btf.name_of(id));
    }
    let _ = c::dump(btf);
}

proptest! {
    #[test]
    fn parsing_inverts_encoding(pieces in vec((any::<u8>(), any_type(8)), 8..16)) {
        let btf = build(&pieces);
        let bytes = encode(&btf).unwrap();
        prop_assert_eq!(&parse(&bytes).unwrap(), &btf);
    }

    #[test]
    fn senseless_types_can_be_asked_anything(
        pieces in vec((any::<u8>(), any_type(8)), 8..16)
    ) {
        ask_everything(&build(&pieces));
    }

    #[test]
    fn damaged_bytes_never_panic(
        pieces in vec((any::<u8>(), any_type(8)), 8..16),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end: prop::sample::Index,
    ) {
        let mut bytes = encode(&build(&pieces)).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(btf) = parse(&bytes) {
            ask_everything(&btf);
        }
        let _ = parse(&bytes[..end.index(bytes.len())]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..256)) {
        let _ = (parse(&bytes), parse_ext(&bytes), parse_file(&bytes, None));
        let header = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        bytes.splice(..bytes.len().min(8), header);
        let _ = (parse(&bytes), parse_ext(&bytes), parse_file(&bytes, None));
    }

    #[test]
    fn ext_records_of_any_length_are_read(
        extra in 0_usize..4,
        records in vec((any::<u32>(), any::<u32>()), 1..5),
    ) {
        let (ext, expected) = ext_with_funcs(extra, &records);
        prop_assert_eq!(parse_ext(&ext).unwrap().func_info, expected);
    }
}

/// `.BTF.ext` with one section of functions, whose records have `extra` unknown words.
fn ext_with_funcs(extra: usize, records: &[(u32, u32)]) -> (Vec<u8>, Vec<Section<FuncInfo>>) {
    let record_bytes = (8 + extra * 4) as u32;
    let mut body = vec![record_bytes, 7, records.len() as u32];
    for &(insn_off, ty) in records {
        body.extend([insn_off, ty]);
        body.extend(std::iter::repeat_n(0xdead, extra));
    }
    let len = body.len() as u32 * 4;
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, len, len, 0].into_iter().chain(body) {
        bytes.extend(u32::to_le_bytes(word));
    }
    let records =
        records.iter().map(|&(insn_off, ty)| FuncInfo { insn_off, ty: BtfId(ty) }).collect();
    (bytes, vec![Section { name: StrOff(7), records }])
}

/// A small BTF with its bytes: `int`, and a pointer to it.
fn small() -> (Btf, Vec<u8>) {
    let mut b = Builder::new();
    let name = b.str("int");
    let int = Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Signed };
    let int = b.int(name, int);
    b.ptr(int);
    let btf = b.finish();
    let bytes = encode(&btf).unwrap();
    (btf, bytes)
}

/// Parses `small` with the bytes from `at` replaced.
fn patched(at: usize, bytes: &[u8]) -> String {
    let (_, mut small) = small();
    small[at..at + bytes.len()].copy_from_slice(bytes);
    parse(&small).unwrap_err().to_string()
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(
        patched(0, &[0xeb, 0x9f]),
        ".BTF header: big-endian BTF; compile with -target bpfel"
    );
    assert_eq!(patched(0, &[0, 0]), ".BTF header: magic number is 0x0000, not 0xeb9f");
    assert_eq!(patched(2, &[2]), ".BTF header: version 2 of the format, only 1 is known");
    assert_eq!(patched(4, &[23]), ".BTF header: header length 23 is too small or beyond the data");
    assert_eq!(
        patched(12, &[0xff; 4]),
        ".BTF header: types at 0x0 with 4294967295 bytes do not fit into 33 bytes"
    );
    assert_eq!(
        patched(24, &[9]),
        ".BTF type [1] at offset 0x0: name offset 0x9 is beyond the strings"
    );
    assert_eq!(
        patched(31, &[31]),
        ".BTF type [1] at offset 0x0: unknown kind 31; this ubpf knows BTF up to Linux 6.18"
    );
    assert_eq!(patched(36, &[33]), ".BTF type [1] at offset 0x0: bits of INT is 0x1000021");
    assert_eq!(
        patched(48, &[3]),
        ".BTF type [2] at offset 0x10: refers to type [3], which does not exist"
    );
    assert_eq!(patched(52, &[1]), ".BTF strings: the strings must begin and end with a zero byte");
}

#[test]
fn counts_are_bounded_by_the_section() {
    // A structure with 65535 members, of which none is there.
    assert_eq!(
        patched(44, &[0xff, 0xff, 0, 4]),
        ".BTF type [2] at offset 0x10: the data ends in the middle"
    );
    let (mut ext, _) = ext_with_funcs(0, &[(0, 1)]);
    ext[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = parse_ext(&ext).unwrap_err();
    assert_eq!(error.to_string(), ".BTF.ext func_info at offset 0x4: the data ends in the middle");
    ext[24..28].copy_from_slice(&6_u32.to_le_bytes());
    assert_eq!(parse_ext(&ext).unwrap_err().fault, Fault::RecordSize(6));
}

#[test]
fn split_btf_continues_its_base() {
    let (base, _) = small();
    let base = Arc::new(base);
    let mut b = Builder::split(Arc::clone(&base), Vec::new());
    let pair = b.str("pair");
    let first = Member { name: b.str("first"), ty: BtfId(2), bit_off: 0, bitfield_bits: 0 };
    let pair = b.structure(pair, 8, false, [first]);
    let split = b.finish();
    let parsed = parse_split(&encode(&split).unwrap(), base).unwrap();
    assert_eq!(parsed, split);
    assert_eq!((pair, parsed.end_id()), (BtfId(3), BtfId(4)));
    assert_eq!(parsed.find(Kind::Struct, "pair"), Some(pair));
    assert_eq!(parsed.find(Kind::Int, "int"), Some(BtfId(1)));
    assert_eq!(parsed.members(pair).len(), 1);
    assert_eq!(parsed.name(parsed.members(pair)[0].name), "first");
    assert_eq!(parsed.types().count(), 3);
    assert_eq!(parsed.own_types().count(), 1);
}
