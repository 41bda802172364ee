//! Random types with fields in them: which of them the kernel takes, and which bytes of a map's
//! value programs may then touch.

use std::sync::Arc;
use ubpf_abi::btf::{
    Btf, BtfId, Builder, DeclTag, Def, FwdKind, Int, IntEncoding, Kind, Member, StrOff,
};
use ubpf_abi::fields::ObjectFields;
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType};
use ubpf_abi::object::Object;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_conformance::kernel::{KernelWorld, WorldError};
use ubpf_conformance::random::Random;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::{self, Outcome, Verifier};
use ubpf_isa::asm::assemble;
use ubpf_loader::{btf, btf_source};

/// Structs that are fields by their name, with their bytes.
const NAMED: [(&str, u32); 10] = [
    ("bpf_spin_lock", 4),
    ("bpf_res_spin_lock", 4),
    ("bpf_timer", 16),
    ("bpf_wq", 16),
    ("bpf_task_work", 8),
    ("bpf_list_head", 16),
    ("bpf_list_node", 24),
    ("bpf_rb_root", 16),
    ("bpf_rb_node", 32),
    ("bpf_refcount", 4),
];

const TAGS: [&str; 6] = ["kptr", "kptr_untrusted", "percpu_kptr", "uptr", "user", "kptr"];
const POINTEES: [&str; 5] = ["task_struct", "bpf_cpumask", "sk_buff", "own", "elem"];
const TYPES: [MapType; 6] = [
    MapType::Hash,
    MapType::Array,
    MapType::LruHash,
    MapType::PercpuHash,
    MapType::TaskStorage,
    MapType::PercpuArray,
];

/// A BTF in the making.
struct Types {
    random: Random,
    builder: Builder,
    int: BtfId,
    long: BtfId,
    char: BtfId,
    named: Vec<(BtfId, u32)>,
    pointees: Vec<BtfId>,
    /// Structs made so far, with their bytes.
    structs: Vec<(BtfId, u32)>,
    /// Members that should say what they contain.
    roots: Vec<(BtfId, u32)>,
}

impl Types {
    fn new(seed: u64) -> Self {
        let mut builder = Builder::new();
        let number = |builder: &mut Builder, name: &str, bytes: u32| {
            let name = builder.str(name);
            let bits = (bytes * 8) as u8;
            builder.int(name, Int { bytes, bits, bit_off: 0, encoding: IntEncoding::Signed })
        };
        let int = number(&mut builder, "int", 4);
        let long = number(&mut builder, "long", 8);
        let char = number(&mut builder, "char", 1);
        let mut types = Self {
            random: Random::new(seed),
            builder,
            int,
            long,
            char,
            named: Vec::new(),
            pointees: Vec::new(),
            structs: Vec::new(),
            roots: Vec::new(),
        };
        for (name, bytes) in NAMED {
            let id = types.opaque(name, bytes);
            types.named.push((id, bytes));
        }
        for name in POINTEES {
            let missing = name != "elem" && types.random.below(6) == 0;
            let name_off = types.builder.str(name);
            let id = if missing {
                types.builder.fwd(name_off, FwdKind::Struct)
            } else if name == "elem" {
                types.element()
            } else {
                types.opaque(name, 16)
            };
            types.pointees.push(id);
        }
        types
    }

    fn opaque(&mut self, name: &str, bytes: u32) -> BtfId {
        let member = self.builder.str("opaque");
        let elem =
            if bytes.is_multiple_of(8) { (self.long, bytes / 8) } else { (self.int, bytes / 4) };
        let array = self.builder.array(elem.0, self.int, elem.1);
        let name = self.builder.str(name);
        let member = Member { name: member, ty: array, bit_off: 0, bitfield_bits: 0 };
        self.builder.structure(name, bytes, false, [member])
    }

    /// What lists and trees contain: nodes, and now and then a list of its own.
    fn element(&mut self) -> BtfId {
        let (names, mut members, mut off) = (["l", "r", "c", "s", "h"], Vec::new(), 8);
        let kinds = [6, 8, 9, 0, 5];
        let mut heads = Vec::new();
        for (i, (name, kind)) in names.into_iter().zip(kinds).enumerate() {
            let wanted = if i < 3 { self.random.below(8) > 0 } else { self.random.below(6) == 0 };
            if !wanted {
                continue;
            }
            let (ty, bytes) = self.named[kind];
            let name = self.builder.str(name);
            if kind == 5 {
                heads.push(members.len() as u32);
            }
            members.push(Member { name, ty, bit_off: off * 8, bitfield_bits: 0 });
            off += bytes.next_multiple_of(8);
        }
        let name = self.builder.str("elem");
        let id = self.builder.structure(name, off, false, members);
        self.roots.extend(heads.into_iter().map(|member| (id, member)));
        id
    }

    /// Something that can be a member: its type and bytes.
    fn part(&mut self) -> (BtfId, u32) {
        match self.random.below(20) {
            0..=2 => (self.int, 4),
            3..=4 => (self.long, 8),
            5 => (self.char, 1),
            6..=11 => {
                let n = self.random.below(self.named.len());
                self.named[n]
            }
            12..=15 => self.pointer(),
            16 | 17 if !self.structs.is_empty() => {
                let n = self.random.below(self.structs.len());
                self.structs[n]
            }
            18 => {
                let (elem, bytes) = self.part();
                let len = self.random.pick(&[0, 1, 1, 2, 3, 6]);
                (self.builder.array(elem, self.int, len), bytes * len)
            }
            _ => {
                let (ty, bytes) = self.part();
                let name = self.builder.str("alias");
                let id = match self.random.below(3) {
                    0 => self.builder.typedef(name, ty),
                    1 => self.builder.push(StrOff::EMPTY, Def::Volatile(ty)),
                    _ => self.builder.push(StrOff::EMPTY, Def::Const(ty)),
                };
                (id, bytes)
            }
        }
    }

    fn pointer(&mut self) -> (BtfId, u32) {
        let mut to = self.random.pick(&self.pointees.clone());
        let tags = self.random.pick(&[0, 1, 1, 1, 1, 1, 1, 2]);
        for _ in 0..tags {
            let name = self.random.pick(&TAGS);
            let name = self.builder.str(name);
            to = self.builder.push(name, Def::TypeTag { target: to, attribute: false });
        }
        (self.builder.ptr(to), 8)
    }

    fn structure(&mut self, name: &str) {
        let (mut members, mut off, mut heads) = (Vec::new(), 0_u32, Vec::new());
        let bitfields = self.random.below(12) == 0;
        for i in 0..=self.random.below(5) as u32 {
            let (ty, bytes) = self.part();
            let align = if self.random.below(16) == 0 { 4 } else { 8 };
            off = off.next_multiple_of(if bytes < 8 { bytes.max(1) } else { align });
            let name = self.builder.str(&format!("m{i}"));
            if [self.named[5].0, self.named[7].0].contains(&ty) {
                heads.push((i, ty));
            }
            members.push(Member { name, ty, bit_off: off * 8, bitfield_bits: 0 });
            off += bytes;
        }
        if bitfields {
            let name = self.builder.str("bits");
            let bit_off = off * 8 + self.random.pick(&[0, 3]);
            members.push(Member { name, ty: self.int, bit_off, bitfield_bits: 2 });
            off += 4;
        }
        let name = self.builder.str(name);
        let bytes = off.next_multiple_of(8).max(8);
        let id = self.builder.structure(name, bytes, bitfields, members);
        for (member, ty) in heads {
            let node = if ty == self.named[5].0 { "l" } else { "r" };
            let good = format!("contains:elem:{node}");
            let tags = match self.random.below(12) {
                0 => vec![],
                1 => vec![good.clone(), good],
                2 => vec![String::from("contains:elem:c")],
                3 => vec![String::from("contains:nobody:l")],
                4 => vec![String::from("contains:elem")],
                _ => vec![good],
            };
            for tag in tags {
                let tag = self.builder.str(&tag);
                let of = DeclTag { target: id, component: Some(member), attribute: false };
                self.builder.decl_tag(tag, of);
            }
        }
        self.structs.push((id, bytes));
    }

    fn finish(mut self) -> (Btf, Vec<(BtfId, u32)>) {
        for i in 0..3 {
            self.structure(&format!("value{i}"));
        }
        for (target, member) in core::mem::take(&mut self.roots) {
            let tag = self.builder.str("contains:elem:l");
            let of = DeclTag { target, component: Some(member), attribute: false };
            self.builder.decl_tag(tag, of);
        }
        (self.builder.finish(), self.structs)
    }
}

fn map(map_type: MapType, key: BtfId, value: (BtfId, u32)) -> MapDef {
    let storage = map_type == MapType::TaskStorage;
    MapDef {
        name: String::from("map"),
        map_type: Ok(map_type),
        key_size: 4,
        value_size: value.1,
        max_entries: u32::from(!storage),
        flags: MapFlags(if storage { MapFlags::NO_PREALLOC } else { 0 }),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: Some(key),
        value_type: Some(value.0),
        inner: None,
        init: MapInit::Empty,
    }
}

#[test]
fn types_have_the_fields_that_the_kernel_finds() {
    skip_without_kernel!();
    const SEEDS: u64 = 300;
    let kernel = btf_source::target_btf(None).expect("it is well formed").expect("there is one");
    let verifier = Verifier::like_this_machine().expect("the kernel's BTF can be read");
    let (mut taken, mut loads, mut wrong) = (0, 0, Vec::new());
    for seed in 1..=SEEDS {
        let (own, structs) = Types::new(seed).finish();
        let int = own.find(Kind::Int, "int").expect("it was made");
        let encoded = btf::encode(&own).expect("it can be written");
        let theirs = match KernelWorld::create(&[], Some(&encoded)) {
            Ok(_) => Ok(()),
            Err(WorldError::Btf(refused)) => Err(refused.errno),
            Err(error) => panic!("{error}"),
        };
        let found = ObjectFields::of(&own, Some(&kernel));
        let ours = found.as_ref().map(drop).map_err(|error| error.errno());
        if ours != theirs {
            wrong.push(format!("seed {seed}: types {ours:?}, the kernel says {theirs:?}"));
            continue;
        }
        let own = Arc::new(own);
        let mut random = Random::new(seed ^ 0x5eed);
        for value in structs {
            let map_type = random.pick(&TYPES);
            let def = map(map_type, int, value);
            if let Ok(fields) = &found {
                taken += 1;
                let theirs = match KernelWorld::create(std::slice::from_ref(&def), Some(&encoded)) {
                    Err(WorldError::Map { errno, .. }) => Err(errno),
                    _ => Ok(()),
                };
                let ours = fields.of_map(&own, Some(&kernel), &def);
                let ours = ours.map(drop).map_err(|error| error.errno());
                // Of per-CPU types and storage the world above leaves the types out.
                if map_type != MapType::TaskStorage && ours != theirs {
                    wrong.push(format!(
                        "seed {seed} {map_type}: map {ours:?}, the kernel says {theirs:?}"
                    ));
                }
            }
            if map_type == MapType::TaskStorage {
                continue;
            }
            let object = Object {
                maps: Arc::from([def]),
                btf: Some(Arc::clone(&own)),
                target_btf: Some(Arc::clone(&kernel)),
                ..Object::default()
            };
            let world = KernelWorld::like_libbpf(&object);
            for _ in 0..4 {
                let size = random.pick(&[1, 4, 8]);
                let off = random.below(value.1 as usize / size) * size;
                let text = format!(
                    "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall 1\n\
                     if r0 == 0 goto out\nr1 = *(u{} *)(r0 + {off})\nout:\nr0 = 0\nexit",
                    size * 8
                );
                let slots = assemble(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
                let mut program = Program::from_slots(ProgType::SchedCls, slots);
                program.maps = Arc::clone(&object.maps);
                program.btf = object.btf.clone();
                program.target_btf = object.target_btf.clone();
                let name = format!("seed {seed} {map_type}");
                let pair = verdicts::pair(&name, &world, &Arc::new(program), &verifier);
                loads += 1;
                if pair.outcome() != Outcome::Agree {
                    wrong.push(format!("{pair}\n{text}"));
                }
            }
        }
    }
    println!("{SEEDS} sets of types, {taken} maps of taken ones, {loads} loads compared");
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}
