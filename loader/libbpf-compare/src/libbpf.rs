//! libbpf's view of an object, as plain values. All of the unsafe code of this crate is here.

use libbpf_sys as sys;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use ubpf_isa::Slot;

/// What the object is called.
const OBJECT_NAME: &str = "compare";

/// An object that libbpf has opened, and prepared as far as it goes without loading programs:
/// maps are created, instructions relocated.
pub struct Prepared {
    object: NonNull<sys::bpf_object>,
}

/// A program as libbpf would hand it to the kernel.
#[derive(Debug)]
pub struct Program {
    /// Function name.
    pub name: String,
    /// Section name.
    pub section: String,
    /// `enum bpf_prog_type`; 0 where the section name gives none.
    pub prog_type: u32,
    /// `enum bpf_attach_type`.
    pub attach_type: u32,
    /// Instructions, with file descriptors and BTF ids.
    pub slots: Vec<Slot>,
}

/// A map as libbpf would create it.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    /// Name; of data sections the section's.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
    /// Flags.
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// NUMA node.
    pub numa_node: u32,
    /// Path it is pinned at.
    pub pinned: bool,
    /// Types of the object's BTF.
    pub key_type: u32,
    /// Types of the object's BTF.
    pub value_type: u32,
    /// Initial value, of data sections.
    pub initial: Option<Vec<u8>>,
    /// Name, type, key size, value size and entries of the inner map.
    pub inner: Option<(u32, u32, u32, u32)>,
}

/// Keeps libbpf's own messages out of the report.
unsafe extern "C" fn silent(
    _: sys::libbpf_print_level,
    _: *const c_char,
    _: *mut sys::__va_list_tag,
) -> c_int {
    0
}

impl Prepared {
    /// Opens an object, asks for all its programs, and prepares it.
    ///
    /// # Errors
    /// Which step failed, with libbpf's error number.
    pub fn new(bytes: &[u8], quiet: bool) -> Result<(Self, Vec<Map>), String> {
        Self::for_target(bytes, None, quiet)
    }

    /// The same for a machine with the types of the BTF or ELF file `target`, where given.
    ///
    /// # Errors
    /// As for [`Prepared::new`].
    pub fn for_target(
        bytes: &[u8],
        target: Option<&CStr>,
        quiet: bool,
    ) -> Result<(Self, Vec<Map>), String> {
        if quiet {
            // SAFETY: `silent` has the signature that libbpf calls.
            unsafe { sys::libbpf_set_print(Some(silent)) };
        }
        let name = CString::new(OBJECT_NAME).map_err(|e| e.to_string())?;
        let pins = CString::new("/sys/fs/bpf/ubpf-compare").map_err(|e| e.to_string())?;
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as _,
            object_name: name.as_ptr(),
            pin_root_path: pins.as_ptr(),
            btf_custom_path: target.map_or(ptr::null(), CStr::as_ptr),
            ..Default::default()
        };
        // SAFETY: bytes, names and options outlive the call, which copies what it keeps.
        let object = unsafe {
            sys::bpf_object__open_mem(bytes.as_ptr().cast::<c_void>(), bytes.len() as _, &options)
        };
        let object = NonNull::new(object).ok_or_else(|| failed("open"))?;
        let prepared = Self { object };
        let maps = prepared.map_definitions();
        prepared.each_map(|map| {
            // SAFETY: `map` belongs to the open object. Pinning would change the machine.
            unsafe { sys::bpf_map__set_pin_path(map, ptr::null()) };
        });
        prepared.each_program(|program| {
            // SAFETY: `program` belongs to the open object.
            unsafe { sys::bpf_program__set_autoload(program, true) };
        });
        // SAFETY: the object is open and not yet loaded.
        if unsafe { sys::bpf_object__prepare(object.as_ptr()) } != 0 {
            return Err(failed("prepare"));
        }
        Ok((prepared, maps))
    }

    /// Programs in libbpf's order.
    #[must_use]
    pub fn programs(&self) -> Vec<Program> {
        let mut programs = Vec::new();
        self.each_program(|program| {
            // SAFETY: `program` belongs to the prepared object; its strings and instructions
            // live as long as that, and are copied here.
            let found = unsafe {
                let count = sys::bpf_program__insn_cnt(program) as usize;
                let insns = sys::bpf_program__insns(program).cast::<[u8; 8]>();
                let insns = std::slice::from_raw_parts(insns, count);
                Program {
                    name: text(sys::bpf_program__name(program)),
                    section: text(sys::bpf_program__section_name(program)),
                    prog_type: sys::bpf_program__type(program),
                    attach_type: sys::bpf_program__expected_attach_type(program),
                    slots: insns.iter().map(|&b| Slot::from_le_bytes(b)).collect(),
                }
            };
            programs.push(found);
        });
        programs
    }

    fn map_definitions(&self) -> Vec<Map> {
        let mut maps = Vec::new();
        self.each_map(|map| {
            // SAFETY: `map` belongs to the open object; its strings and its initial value live
            // as long as that, and are copied here. An inner map is only read.
            let found = unsafe {
                let mut size = 0;
                let initial = sys::bpf_map__initial_value(map, &mut size);
                let initial = NonNull::new(initial.cast::<u8>());
                let inner = NonNull::new(sys::bpf_map__inner_map(map));
                Map {
                    name: user_name(text(sys::bpf_map__name(map))),
                    map_type: sys::bpf_map__type(map),
                    key_size: sys::bpf_map__key_size(map),
                    value_size: sys::bpf_map__value_size(map),
                    max_entries: sys::bpf_map__max_entries(map),
                    flags: sys::bpf_map__map_flags(map),
                    extra: sys::bpf_map__map_extra(map),
                    numa_node: sys::bpf_map__numa_node(map),
                    pinned: !sys::bpf_map__pin_path(map).is_null(),
                    key_type: sys::bpf_map__btf_key_type_id(map),
                    value_type: sys::bpf_map__btf_value_type_id(map),
                    initial: initial
                        .map(|p| std::slice::from_raw_parts(p.as_ptr(), size as usize).to_vec()),
                    inner: inner.map(|inner| {
                        let inner = inner.as_ptr();
                        (
                            sys::bpf_map__type(inner),
                            sys::bpf_map__key_size(inner),
                            sys::bpf_map__value_size(inner),
                            sys::bpf_map__max_entries(inner),
                        )
                    }),
                }
            };
            maps.push(found);
        });
        maps
    }

    /// File descriptors of the maps, by which instructions refer to them.
    #[must_use]
    pub fn map_fds(&self) -> Vec<i32> {
        let mut fds = Vec::new();
        self.each_map(|map| {
            // SAFETY: `map` belongs to the prepared object.
            fds.push(unsafe { sys::bpf_map__fd(map) });
        });
        fds
    }

    /// The contents of a data section's map after preparation, when `.kconfig` is filled.
    #[must_use]
    pub fn initial_value(&self, name: &str) -> Option<Vec<u8>> {
        let mut value = None;
        self.each_map(|map| {
            // SAFETY: as in `map_definitions`.
            unsafe {
                if user_name(text(sys::bpf_map__name(map))) == name {
                    let mut size = 0;
                    let found = sys::bpf_map__initial_value(map, &mut size).cast::<u8>();
                    value = NonNull::new(found)
                        .map(|p| std::slice::from_raw_parts(p.as_ptr(), size as usize).to_vec());
                }
            }
        });
        value
    }

    fn each_program(&self, mut visit: impl FnMut(*mut sys::bpf_program)) {
        let mut at = ptr::null_mut();
        loop {
            // SAFETY: the object is open, `at` is null or one of its programs.
            at = unsafe { sys::bpf_object__next_program(self.object.as_ptr(), at) };
            if at.is_null() {
                return;
            }
            visit(at);
        }
    }

    fn each_map(&self, mut visit: impl FnMut(*mut sys::bpf_map)) {
        let mut at = ptr::null_mut();
        loop {
            // SAFETY: the object is open, `at` is null or one of its maps.
            at = unsafe { sys::bpf_object__next_map(self.object.as_ptr(), at) };
            if at.is_null() {
                return;
            }
            visit(at);
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the object was opened by `new` and is closed only here.
        unsafe { sys::bpf_object__close(self.object.as_ptr()) };
    }
}

/// libbpf puts the object's name in front of the names of plain data sections.
fn user_name(name: String) -> String {
    match name.strip_prefix(OBJECT_NAME) {
        Some(section) if section.starts_with('.') => section.to_owned(),
        _ => name,
    }
}

fn failed(step: &str) -> String {
    format!("libbpf fails to {step} it: {}", std::io::Error::last_os_error())
}

/// A copy of one of libbpf's strings; empty for null.
///
/// # Safety
/// `s` is null or points to a string that ends in zero.
unsafe fn text(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}
