//! The kernel, rbpf, and native code.
#![allow(unsafe_code, reason = "native code and rbpf's are called without any checks")]

use crate::{Column, Contestant, packet, time};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use ubpf_abi::object::Object;
use ubpf_conformance::kernel::{KernelWorld, Loaded, LogLevel, TestInput};
use ubpf_conformance::objects::suite_dir;
use ubpf_isa::{Insn, Reg, Size, Slot, decode_all, encode_all};

/// Those that are here and take the program.
pub fn all(object: &Object, name: &str) -> Vec<Box<dyn Contestant>> {
    let mut all: Vec<Box<dyn Contestant>> = Vec::new();
    if let Some(kernel) = Kernel::new(object, name) {
        all.push(Box::new(kernel));
    }
    for (column, library) in [(Column::Native, &*SCALAR), (Column::NativeVector, &*VECTOR)] {
        if let Some(native) = library.as_ref().and_then(|l| Native::new(l, name, column)) {
            all.push(Box::new(native));
        }
    }
    for column in [Column::Rbpf, Column::RbpfInterp] {
        if let Some(rbpf) = Rbpf::new(object, name, column) {
            all.push(Box::new(rbpf));
        }
    }
    all
}

struct Kernel {
    program: Loaded,
    _world: KernelWorld,
    packet: Vec<u8>,
}

impl Kernel {
    fn new(object: &Object, name: &str) -> Option<Self> {
        let program = crate::ours::link(object, name);
        let btf = object.btf.as_deref().map(ubpf_loader::btf::encode).transpose().ok()?;
        let world = KernelWorld::create(&object.maps, btf.as_deref()).ok()?;
        for map in world.maps() {
            if map.def().name == "hash" || map.def().name == "lru" {
                for key in 0..64_u32 {
                    map.update(&key.to_le_bytes(), &[0; 8], 0).ok()?;
                }
            }
        }
        match world.load(&program, LogLevel::Brief) {
            Ok(program) => Some(Self { program, _world: world, packet: packet() }),
            Err(refused) => {
                println!("{name}: {refused}");
                None
            }
        }
    }

    fn test_run(&self, repeat: u32) -> (u32, f64) {
        let input = TestInput { data: &self.packet, repeat, ..TestInput::default() };
        let output = self.program.test_run(&input).expect("test-run takes the packet");
        (output.retval, output.duration_ns.into())
    }
}

impl Contestant for Kernel {
    fn column(&self) -> Column {
        Column::Kernel
    }

    fn result(&mut self) -> u32 {
        self.test_run(1).0
    }

    fn run(&mut self, times: u32) -> f64 {
        self.test_run(times).1
    }
}

/// What native functions and programs in rbpf get as their context.
#[repr(C)]
struct Packet {
    data: *mut u8,
    data_end: *mut u8,
}

impl Packet {
    fn of(bytes: &mut [u8]) -> Self {
        let range = bytes.as_mut_ptr_range();
        Self { data: range.start, data_end: range.end }
    }
}

type Function = extern "C" fn(&mut Packet) -> u32;

/// A shared library of the programs as native code.
struct Library(*mut libc::c_void);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

static SCALAR: LazyLock<Option<Library>> =
    LazyLock::new(|| Library::build("scalar", &["-fno-vectorize", "-fno-slp-vectorize"]));
static VECTOR: LazyLock<Option<Library>> = LazyLock::new(|| Library::build("vector", &[]));

impl Library {
    /// Compiles the programs for this machine; nothing where there is no clang.
    fn build(name: &str, options: &[&str]) -> Option<Self> {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{name}.so"));
        let clang = std::env::var("CLANG").unwrap_or_else(|_| String::from("clang-19"));
        let built = Command::new(clang)
            .args(["-O2", "-DNATIVE", "-shared", "-fPIC", "-o"])
            .arg(&out)
            .args(options)
            .arg(suite_dir("compare").join("compare.bpf.c"))
            .status();
        if !built.is_ok_and(|status| status.success()) {
            println!("no clang: native code ({name}) is left out");
            return None;
        }
        let path = std::ffi::CString::new(out.into_os_string().into_encoded_bytes()).ok()?;
        // SAFETY: the library was just built from C without initialisers.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        (!handle.is_null()).then_some(Self(handle))
    }

    fn function(&self, name: &str) -> Option<Function> {
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: the handle is that of an open library, which is never closed.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        // SAFETY: all functions of the library have this type.
        (!symbol.is_null()).then(|| unsafe { std::mem::transmute::<*mut _, Function>(symbol) })
    }
}

struct Native {
    column: Column,
    function: Function,
    packet: Vec<u8>,
}

impl Native {
    fn new(library: &Library, name: &str, column: Column) -> Option<Self> {
        Some(Self { column, function: library.function(name)?, packet: packet() })
    }
}

impl Contestant for Native {
    fn column(&self) -> Column {
        self.column
    }

    fn result(&mut self) -> u32 {
        (self.function)(&mut Packet::of(&mut self.packet))
    }

    fn run(&mut self, times: u32) -> f64 {
        let mut packet = Packet::of(&mut self.packet);
        time(times, || {
            black_box((self.function)(black_box(&mut packet)));
        })
    }
}

struct Rbpf {
    column: Column,
    vm: rbpf::EbpfVmRaw<'static>,
    packet: Vec<u8>,
}

impl Rbpf {
    /// rbpf knows neither maps nor contexts, so those programs only that have none; the loads of
    /// the packet's bounds become those of pointers.
    fn new(object: &Object, name: &str, column: Column) -> Option<Self> {
        let program = crate::ours::link(object, name);
        let uses_maps = program.slots.iter().any(|slot| slot.opcode == 0x18 && slot.src != 0);
        if uses_maps || name.starts_with("helper_") {
            return None;
        }
        let slots = wide_bounds(&program.slots);
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
        let mut vm = rbpf::EbpfVmRaw::new(Some(bytes.leak())).ok()?;
        if column == Column::Rbpf {
            vm.jit_compile().ok()?;
        }
        vm.register_allowed_memory(0..u64::MAX);
        let mut rbpf = Self { column, vm, packet: packet() };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rbpf.execute())).ok()??;
        Some(rbpf)
    }

    fn execute(&mut self) -> Option<u64> {
        let mut packet = Packet::of(&mut self.packet);
        // SAFETY: the two pointers are plain memory, which lives as long as the call.
        let ctx = unsafe {
            std::slice::from_raw_parts_mut((&raw mut packet).cast::<u8>(), size_of::<Packet>())
        };
        match self.column {
            // SAFETY: the verifier has accepted the program on such a packet.
            Column::Rbpf => unsafe { self.vm.execute_program_jit(ctx) }.ok(),
            _ => self.vm.execute_program(ctx).ok(),
        }
    }
}

/// Loads of `data` and `data_end`, which come first, as loads of pointers.
fn wide_bounds(slots: &[Slot]) -> Vec<Slot> {
    let mut insns: Vec<Insn> = decode_all(slots).filter_map(|(_, insn)| insn.ok()).collect();
    for insn in &mut insns {
        if let Insn::Load { size: size @ Size::W, base: Reg::R1, off, dst, .. } = insn {
            let is_last = *dst == Reg::R1;
            (*size, *off) = (Size::Dw, *off * 2);
            if is_last {
                break;
            }
        }
    }
    encode_all(&insns)
}

impl Contestant for Rbpf {
    fn column(&self) -> Column {
        self.column
    }

    fn result(&mut self) -> u32 {
        self.execute().map_or(0, |r0| r0 as u32)
    }

    fn run(&mut self, times: u32) -> f64 {
        time(times, || {
            black_box(self.execute());
        })
    }
}
