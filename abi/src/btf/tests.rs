use super::*;

fn int(bytes: u32) -> Int {
    Int { bytes, bits: (bytes * 8) as u8, bit_off: 0, encoding: IntEncoding::Unsigned }
}

#[test]
fn flavors_end_at_the_last_separator() {
    for (name, essential) in [
        ("task_struct", "task_struct"),
        ("task_struct___mine", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("x___", "x___"),
        ("x____y", "x____y"),
        ("", ""),
    ] {
        assert_eq!(essential_name(name.as_bytes()), essential.as_bytes(), "{name}");
    }
}

#[test]
fn types_are_found_by_exact_name_and_by_flavor() {
    let mut b = Builder::new();
    let (foo, flavored, bar) = (b.str("foo"), b.str("foo___2"), b.str("bar"));
    let first = b.structure(foo, 0, false, []);
    let second = b.structure(flavored, 0, false, []);
    let third = b.typedef(foo, first);
    b.typedef(bar, first);
    b.push(foo, Def::TypeTag { target: first, attribute: false });
    let btf = b.finish();
    assert_eq!(btf.find_all("foo").collect::<Vec<_>>(), [first, third]);
    assert_eq!(btf.find_flavors("foo___any").collect::<Vec<_>>(), [first, second, third]);
    assert_eq!(btf.find(Kind::Typedef, "foo"), Some(third));
    assert_eq!(btf.find(Kind::Union, "foo"), None);
    assert_eq!(btf.find_all("fo").count(), 0);
}

#[test]
fn tags_belong_to_a_type_or_to_a_part_of_it() {
    let mut b = Builder::new();
    let (whole, part) = (b.str("whole"), b.str("part"));
    let target = b.structure(StrOff::EMPTY, 0, false, []);
    for (tag, component) in [(part, Some(1)), (whole, None), (part, Some(0))] {
        b.decl_tag(tag, DeclTag { target, component, attribute: false });
    }
    let btf = b.finish();
    assert_eq!(btf.decl_tags(target, None).collect::<Vec<_>>(), ["whole"]);
    assert_eq!(btf.decl_tags(target, Some(1)).collect::<Vec<_>>(), ["part"]);
    assert_eq!(btf.decl_tags(target, Some(2)).count(), 0);
    assert_eq!(btf.decl_tags(BtfId(9), None).count(), 0);
}

#[test]
fn sizes_go_through_modifiers_and_arrays() {
    let mut b = Builder::new();
    let (name, u16_) = (b.str("u16"), b.int(StrOff::EMPTY, int(2)));
    let constant = b.push(StrOff::EMPTY, Def::Const(u16_));
    let named = b.typedef(name, constant);
    let row = b.array(named, u16_, 3);
    let grid = b.array(row, u16_, 5);
    let var = b.var(name, Var { ty: grid, linkage: Linkage::Global });
    let huge = b.array(grid, u16_, u32::MAX);
    let func = b.func_proto(BtfId::VOID, []);
    let btf = b.finish();
    assert_eq!(btf.size_of(var), Ok(30));
    assert_eq!(btf.align_of(var), Ok(2));
    assert_eq!(btf.size_of(huge), Err(TypeError::TooLarge(huge)));
    assert_eq!(btf.size_of(func), Err(TypeError::NoSize { id: func, kind: Kind::FuncProto }));
    assert_eq!(btf.size_of(BtfId(99)), Err(TypeError::Unknown(BtfId(99))));
    assert_eq!(btf.resolve(named).map(|(id, _)| id), Ok(u16_));
}

#[test]
fn circles_are_flagged() {
    let mut b = Builder::new();
    let me = b.next_id();
    b.push(StrOff::EMPTY, Def::Const(me));
    let array = b.next_id();
    b.array(array, me, 1);
    let structure = b.next_id();
    let member = Member { name: StrOff::EMPTY, ty: structure, bit_off: 0, bitfield_bits: 0 };
    b.structure(StrOff::EMPTY, 8, false, [member]);
    let btf = b.finish();
    assert_eq!(btf.resolve(me), Err(TypeError::TooDeep(me)));
    assert_eq!(btf.size_of(array), Err(TypeError::TooDeep(array)));
    assert_eq!(btf.size_of(structure), Ok(8));
    assert!(matches!(btf.align_of(structure), Err(TypeError::TooDeep(_))));
}

#[test]
fn structures_are_packed_when_alignment_says_otherwise() {
    let mut b = Builder::new();
    let (u8_, u32_) = (b.int(StrOff::EMPTY, int(1)), b.int(StrOff::EMPTY, int(4)));
    let member =
        |ty, bit_off, bitfield_bits| Member { name: StrOff::EMPTY, ty, bit_off, bitfield_bits };
    let mut make = |bytes, members: [Member; 2]| b.structure(StrOff::EMPTY, bytes, true, members);
    let natural = make(8, [member(u8_, 0, 0), member(u32_, 32, 0)]);
    let displaced = make(5, [member(u8_, 0, 0), member(u32_, 8, 0)]);
    let odd_size = make(5, [member(u32_, 0, 0), member(u8_, 32, 0)]);
    let crossing = make(8, [member(u32_, 0, 30), member(u32_, 30, 4)]);
    let btf = b.finish();
    for (id, is_packed, align) in
        [(natural, false, 4), (displaced, true, 1), (odd_size, true, 1), (crossing, true, 1)]
    {
        assert_eq!((btf.is_packed(id), btf.align_of(id)), (Ok(is_packed), Ok(align)), "{id}");
    }
}

#[test]
fn strings_are_bounded() {
    let mut bytes = alloc::vec![b'x'; MAX_STRING_BYTES + 3];
    bytes[0] = 0;
    *bytes.last_mut().unwrap() = 0;
    bytes.extend([0xff, 0]);
    let end = bytes.len() as u32;
    let btf = Builder::with_strings(bytes).finish();
    assert_eq!(btf.string(StrOff(1)), None, "one byte too long");
    assert_eq!(btf.string(StrOff(2)).map(str::len), Some(MAX_STRING_BYTES));
    assert_eq!(btf.string(StrOff(end - 2)), None, "not UTF-8");
    assert_eq!(btf.string_bytes(StrOff(end - 2)), Some(&[0xff][..]));
    assert_eq!(btf.string(StrOff(end)), None, "past the end");
    assert_eq!(btf.string(StrOff(0)), Some(""));
}
