use super::*;
use crate::btf::{
    Array, BtfId, Builder, Def, Enumerator, FwdKind, Int, IntEncoding, Member, Param, StrOff,
};
use alloc::string::ToString;

struct Types {
    b: Builder,
    int: BtfId,
    char_: BtfId,
    u64_: BtfId,
}

fn types() -> Types {
    let mut b = Builder::new();
    let mut int = |name: &str, bytes: u32, encoding| {
        let name = b.str(name);
        b.int(name, Int { bytes, bits: (bytes * 8) as u8, bit_off: 0, encoding })
    };
    let ids = [
        int("int", 4, IntEncoding::Signed),
        int("char", 1, IntEncoding::Signed),
        // Rust's name, which is not C.
        int("u64", 8, IntEncoding::Unsigned),
    ];
    let [int, char_, u64_] = ids;
    Types { b, int, char_, u64_ }
}

impl Types {
    fn member(&mut self, name: &str, ty: BtfId, bit_off: u32, bitfield_bits: u8) -> Member {
        Member { name: self.b.str(name), ty, bit_off, bitfield_bits }
    }

    fn structure<const N: usize>(
        &mut self,
        name: &str,
        bytes: u32,
        members: [(&str, BtfId, u32, u8); N],
    ) -> BtfId {
        let members = members.map(|(name, ty, bit_off, bits)| self.member(name, ty, bit_off, bits));
        let name = self.b.str(name);
        self.b.structure(name, bytes, true, members)
    }

    fn define(self, id: BtfId) -> String {
        define(&self.b.finish(), id).unwrap()
    }

    /// The declarations of a dump, without the lines around them.
    fn dump(self) -> String {
        let text = dump(&self.b.finish()).unwrap();
        let (_, text) = text.split_once("#endif\n\n").unwrap();
        let (text, _) = text.split_once("#ifndef").unwrap();
        text.trim_end().to_string()
    }
}

#[test]
fn gaps_are_filled_and_bitfields_stay_where_they_are() {
    let mut t = types();
    let (int, char_, u64_) = (t.int, t.char_, t.u64_);
    let id = t.structure(
        "gaps",
        48,
        [
            ("a", char_, 0, 0),
            ("b", char_, 24, 0),
            ("c", int, 32, 3),
            ("d", int, 40, 5),
            ("e", u64_, 128, 0),
            ("f", char_, 192, 0),
        ],
    );
    assert_eq!(
        t.define(id),
        "struct gaps {\n\
         \tchar a;\n\
         \tchar: 8;\n\
         \tchar: 8;\n\
         \tchar b;\n\
         \tint c: 3;\n\
         \tchar: 5;\n\
         \tint d: 5;\n\
         \tchar: 3;\n\
         \tshort: 16;\n\
         \tlong long: 64;\n\
         \tunsigned long long e;\n\
         \tchar f;\n\
         \tchar: 8;\n\
         \tshort: 16;\n\
         \tint: 32;\n\
         \tlong long: 64;\n\
         \tlong long: 64;\n\
         }"
    );
}

#[test]
fn members_off_their_alignment_make_a_structure_packed() {
    let mut t = types();
    let (int, char_) = (t.int, t.char_);
    let id = t.structure("tight", 5, [("a", char_, 0, 0), ("b", int, 8, 0)]);
    assert_eq!(t.define(id), "struct tight {\n\tchar a;\n\tint b;\n} __attribute__((packed))");
}

#[test]
fn types_without_names_are_written_where_they_are_used() {
    let mut t = types();
    let (int, char_) = (t.int, t.char_);
    let inner = t.structure("", 4, [("x", int, 0, 0)]);
    let inner = [t.member("y", int, 0, 0), t.member("", inner, 0, 0)];
    let inner = t.b.union(StrOff::EMPTY, 4, false, inner);
    let names = t.b.array(char_, int, 4);
    let id = t.structure("outer", 8, [("", inner, 0, 0), ("names", names, 32, 0)]);
    assert_eq!(
        t.define(id),
        "struct outer {\n\
         \tunion {\n\
         \t\tint y;\n\
         \t\tstruct {\n\
         \t\t\tint x;\n\
         \t\t};\n\
         \t};\n\
         \tchar names[4];\n\
         }"
    );
}

#[test]
fn declarators_read_from_the_inside_out() {
    let mut t = types();
    let (int, char_) = (t.int, t.char_);
    let constant = t.b.push(StrOff::EMPTY, Def::Const(char_));
    let text = t.b.ptr(constant);
    let fixed = t.b.push(StrOff::EMPTY, Def::Const(text));
    let params = [
        Param { name: t.b.str("format"), ty: fixed },
        Param { name: StrOff::EMPTY, ty: BtfId::VOID },
    ];
    let proto = t.b.func_proto(BtfId::VOID, params);
    let ptr = t.b.ptr(proto);
    let table = t.b.array(ptr, int, 3);
    let to_table = t.b.ptr(table);
    let name = t.b.str("rcu");
    let tagged = t.b.push(name, Def::TypeTag { target: int, attribute: false });
    let to_tagged = t.b.ptr(tagged);
    let btf = t.b.finish();
    let declare = |id, name: &str| declare(&btf, id, name).unwrap();
    assert_eq!(declare(fixed, "p"), "const char *const p");
    assert_eq!(declare(ptr, "f"), "void (*f)(const char *const format, ...)");
    assert_eq!(declare(table, "t"), "void (*t[3])(const char *const format, ...)");
    assert_eq!(declare(to_table, "t"), "void (*(*t)[3])(const char *const format, ...)");
    assert_eq!(declare(to_table, ""), "void (*(*)[3])(const char *const format, ...)");
    assert_eq!(declare(to_tagged, "p"), "int __attribute__((btf_type_tag(\"rcu\"))) *p");
}

#[test]
fn what_is_needed_comes_first_and_pointers_need_only_a_name() {
    let mut t = types();
    let int = t.int;
    // struct list { struct node node; }; struct node { struct list *list; fn_t call; };
    // typedef int (*fn_t)(struct late *);  in the worst order.
    let list = t.b.next_id();
    let [node, to_list, fn_t, ptr, proto, to_late, late] =
        [1, 2, 3, 4, 5, 6, 7].map(|n| BtfId(list.0 + n));
    t.structure("list", 16, [("node", node, 0, 0)]);
    t.structure("node", 16, [("list", to_list, 0, 0), ("call", fn_t, 64, 0)]);
    t.b.ptr(list);
    let name = t.b.str("fn_t");
    t.b.typedef(name, ptr);
    t.b.ptr(proto);
    t.b.func_proto(int, [Param { name: StrOff::EMPTY, ty: to_late }]);
    t.b.ptr(late);
    t.structure("late", 4, [("x", int, 0, 0)]);
    assert_eq!(
        t.dump(),
        "struct late;\n\n\
         typedef int (*fn_t)(struct late *);\n\n\
         struct node {\n\tstruct list *list;\n\tfn_t call;\n};\n\n\
         struct list {\n\tstruct node node;\n};\n\n\
         struct late {\n\tint x;\n};"
    );
}

#[test]
fn names_used_twice_are_numbered_and_bad_ones_repaired() {
    let mut t = types();
    let int = t.int;
    t.structure("same", 4, [("x", int, 0, 0)]);
    t.structure("same", 4, [("class", int, 0, 0)]);
    t.structure("Option<u32>", 4, [("if", int, 0, 0)]);
    let [one, two] =
        [("ONE", -1), ("ONE", 2)].map(|(name, value)| Enumerator { name: t.b.str(name), value });
    t.b.enumeration(StrOff::EMPTY, 4, true, [one]);
    let name = t.b.str("wide");
    t.b.enumeration64(name, 8, false, [two]);
    let name = t.b.str("same");
    t.b.fwd(name, FwdKind::Struct);
    let name = t.b.str("same");
    t.b.fwd(name, FwdKind::Union);
    assert_eq!(
        t.dump(),
        "struct same {\n\tint x;\n};\n\n\
         struct same___2 {\n\tint class;\n};\n\n\
         struct _Option_u32_ {\n\tint _if;\n};\n\n\
         enum {\n\tONE = -1,\n};\n\n\
         enum wide {\n\tONE___2 = 2ULL,\n} __attribute__((mode(DI)));\n\n\
         struct same;\n\n\
         union same___3;"
    );
}

#[test]
fn hostile_types_are_refused() {
    let mut t = types();
    let me = t.b.next_id();
    t.structure("me", 8, [("me", me, 0, 0)]);
    assert!(dump(&t.b.finish()).is_err(), "a structure that contains itself");

    let mut t = types();
    let mut inner = t.structure("", 0, []);
    for _ in 0..30 {
        inner = t.structure("", 0, [("a", inner, 0, 0), ("b", inner, 0, 0)]);
    }
    let name = t.b.str("big");
    t.b.typedef(name, inner);
    assert_eq!(dump(&t.b.finish()), Err(CError::TooLong));

    let mut t = types();
    let mut chain = t.int;
    for _ in 0..100_000 {
        chain = t.b.ptr(chain);
    }
    let name = t.b.str("long_chain");
    let chain = t.b.typedef(name, chain);
    let btf = t.b.finish();
    assert!(matches!(dump(&btf), Err(CError::Type(_))));
    assert!(matches!(define(&btf, chain), Err(CError::Type(_))));

    let mut t = types();
    let tag = t.b.str("x\"))) int injected; //");
    let tagged = t.b.push(tag, Def::TypeTag { target: t.int, attribute: true });
    let array = Array { elem: tagged, index: t.int, len: 2 };
    let array = t.b.push(StrOff::EMPTY, Def::Array(array));
    assert_eq!(declare(&t.b.finish(), array, "a"), Ok("int a[2]".to_string()));
}
