use super::*;
use crate::btf::{Btf, Builder, Enumerator, Int, IntEncoding, Member, StrOff};
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

/// ```c
/// enum color { RED, BLUE = -2 };
/// struct s {
///     unsigned a : 3; int b : 5;      // byte 0
///     char name[7];                   // bytes 1..8
///     union { unsigned long long x; struct { unsigned lo, hi; }; };
///     enum color c; _Bool on[4];
/// };
/// ```
fn sample() -> (Btf, BtfId) {
    let mut b = Builder::new();
    let int = |bytes: u32, encoding| Int { bytes, bits: (bytes * 8) as u8, bit_off: 0, encoding };
    let n = b.str("unsigned int");
    let u32_ = b.int(n, int(4, IntEncoding::Unsigned));
    let n = b.str("int");
    let i32_ = b.int(n, int(4, IntEncoding::Signed));
    let n = b.str("char");
    let char_ = b.int(n, int(1, IntEncoding::Signed));
    let n = b.str("unsigned long long");
    let u64_ = b.int(n, int(8, IntEncoding::Unsigned));
    let n = b.str("_Bool");
    let bool_ = b.int(n, int(1, IntEncoding::Bool));
    let name = b.array(char_, i32_, 7);
    let on = b.array(bool_, i32_, 4);
    let red = Enumerator { name: b.str("RED"), value: 0 };
    let blue = Enumerator { name: b.str("BLUE"), value: -2 };
    let n = b.str("color");
    let color = b.enumeration(n, 4, true, [red, blue]);
    let member = |b: &mut Builder, name: &str, ty, bit_off, bitfield_bits| Member {
        name: b.str(name),
        ty,
        bit_off,
        bitfield_bits,
    };
    let halves = [member(&mut b, "lo", u32_, 0, 0), member(&mut b, "hi", u32_, 32, 0)];
    let halves = b.structure(StrOff::EMPTY, 8, false, halves);
    let views = [member(&mut b, "x", u64_, 0, 0), member(&mut b, "", halves, 0, 0)];
    let views = b.union(StrOff::EMPTY, 8, false, views);
    let members = [
        member(&mut b, "a", u32_, 0, 3),
        member(&mut b, "b", i32_, 3, 5),
        member(&mut b, "name", name, 8, 0),
        member(&mut b, "", views, 64, 0),
        member(&mut b, "c", color, 128, 0),
        member(&mut b, "on", on, 160, 0),
    ];
    let n = b.str("s");
    let s = b.structure(n, 24, true, members);
    (b.finish(), s)
}

const BYTES: [u8; 24] = [
    0b1111_0101,
    b'e',
    b't',
    b'h',
    b'0',
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    2,
    0,
    0,
    0,
    0xfe,
    0xff,
    0xff,
    0xff,
    1,
    0,
    0,
    1,
];

#[test]
fn values_print_as_initialisers() {
    let (btf, s) = sample();
    assert_eq!(
        decode(&btf, s, &BYTES).unwrap().to_string(),
        "{ .a = 5, .b = -2, .name = \"eth0\", .x = 8589934593, .lo = 1, .hi = 2, .c = BLUE, \
         .on = { true, false, false, true } }"
    );
}

#[test]
fn encoding_gives_the_bytes_back() {
    let (btf, s) = sample();
    let value = decode(&btf, s, &BYTES).unwrap();
    let mut bytes = [0; 24];
    encode(&btf, Place::whole(s), &value, &mut bytes).unwrap();
    assert_eq!(bytes, BYTES);
}

#[test]
fn fields_are_written_by_path() {
    let (btf, s) = sample();
    let mut bytes = [0; 24];
    let mut set = |path: &str, value| encode(&btf, Place::find(&btf, s, path)?, &value, &mut bytes);
    set("b", Value::Int(-16)).unwrap();
    set("hi", Value::UInt(7)).unwrap();
    set("on[2]", Value::Bool(true)).unwrap();
    set("c", Value::Str("BLUE".to_string())).unwrap();
    assert_eq!((bytes[0], bytes[12], bytes[22], bytes[16]), (0b1000_0000, 7, 1, 0xfe));
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let (btf, s) = sample();
    let mut bytes = [0; 24];
    let mut message = |path: &str, value: Value| {
        Place::find(&btf, s, path)
            .and_then(|place| encode(&btf, place, &value, &mut bytes))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message("a", Value::UInt(8)), "8 does not fit into 3 bits");
    assert_eq!(message("b", Value::Int(-17)), "-17 does not fit into 5 bits");
    assert_eq!(
        message("on[4]", Value::Bool(true)),
        "index 4 is out of range, type [7] has 4 elements"
    );
    assert_eq!(
        message("nope", Value::UInt(0)),
        "s has no member \"nope\"; it has a, b, name, c, on"
    );
    assert_eq!(
        message("c", Value::Str("GREEN".to_string())),
        "\"GREEN\" is not one of the enumeration's names: RED, BLUE"
    );
    assert_eq!(
        message("name", Value::Str("much too long".to_string())),
        "much too long does not fit into 56 bits"
    );
    assert_eq!(message("on[x]", Value::UInt(0)), "\"on[x]\" is not a path such as a.b[3]");
}

#[test]
fn short_data_is_refused() {
    let (btf, s) = sample();
    assert_eq!(decode(&btf, s, &BYTES[..23]), Err(ValueError::TooShort { needed: 24, have: 23 }));
}

#[test]
fn endless_empty_arrays_and_unions_in_unions_end() {
    let mut b = Builder::new();
    let empty = b.structure(StrOff::EMPTY, 0, false, []);
    let many = b.array(empty, BtfId::VOID, u32::MAX);
    let mut views = empty;
    for _ in 0..30 {
        let member = Member { name: StrOff::EMPTY, ty: views, bit_off: 0, bitfield_bits: 0 };
        views = b.union(StrOff::EMPTY, 0, false, [member, member]);
    }
    let btf = b.finish();
    assert!(matches!(decode(&btf, many, &[]), Err(ValueError::TooManyParts(_))));
    assert!(matches!(decode(&btf, views, &[]), Err(ValueError::TooManyParts(_))));
    assert!(matches!(Place::find(&btf, views, "x"), Err(ValueError::TooManyParts(_))));
}

proptest! {
    #[test]
    fn bits_read_back_as_written(off in 0_u64..64, bits in 1_u32..=128, value: u128) {
        let mut data = vec![0xa5; 24];
        bits::write(&mut data, off, bits, value).unwrap();
        let mask = u128::MAX >> (128 - bits);
        prop_assert_eq!(bits::read(&data, off, bits), Some(value & mask));
    }

    #[test]
    fn any_bytes_decode_and_encode_back(bytes: [u8; 24]) {
        let (btf, s) = sample();
        let value = decode(&btf, s, &bytes).unwrap();
        let mut back = bytes;
        match encode(&btf, Place::whole(s), &value, &mut back) {
            Ok(()) => prop_assert_eq!(back, bytes),
            // A `_Bool` that is neither 0 nor 1 can be shown but not written.
            Err(e) => prop_assert!(matches!(e, ValueError::OutOfRange { .. }), "{}", e),
        }
    }
}
