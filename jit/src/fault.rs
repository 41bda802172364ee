//! Faults in generated code: they end the run, not the process.
//!
//! Code that trusts the verifier makes accesses that nothing checks. Should the verifier err, such
//! an access may reach a page of the cage, or of the guards around it, that is not there, and the
//! machine raises a signal. The handler here knows the images by their addresses: when the
//! instruction is one of theirs and the address lies in their cage, it goes on at the image's
//! *landing*, which ends the run with a trap. So it does where the kernel has no address to give,
//! because the machine looks for no page at one that is not canonical. Everything else is none of
//! its business and goes to whoever handled the signal before.
//!
//! A landing is entered with all registers as they were at the fault, but `rsi`, the address of
//! the instruction, and `rdx`, the guest address, which is negative in the guard before the cage,
//! or [`UNKNOWN_ADDR`].
//!
//! What the `unsafe` code relies on, and who upholds it:
//!
//! 1. A [`Watch`] names code that lives at least as long as it does: [`Native`](crate::image::Native)
//!    owns both. So while an image runs, no other watch covers its addresses.
//! 2. The landing belongs to that code, and takes over from any instruction that accesses
//!    memory.
//! 3. The handler does what may be done in one: it reads atomics and changes the context that it
//!    was given. It takes no locks and allocates nothing. Slots are never freed.
#![allow(unsafe_code)]

use core::ops::Range;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// Bytes in front of guest address 0, and behind the last one, in which a fault is the program's:
/// what a 16-bit offset and an access can bridge.
const GUARD_BYTES: usize = 1 << 16;
/// Bytes that guest addresses can name.
const CAGE_BYTES: usize = 1 << 32;

/// In place of the guest address of a fault of which the kernel gives none. No cage or guard has
/// it, and it is the same after a shift to the left and back, as entries without a run need it.
pub(crate) const UNKNOWN_ADDR: u64 = (1 << 62) - 1;

/// Code whose faults end its run, as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: &'static Slot,
}

/// One image. `start` is 0 where there is none.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    landing: AtomicUsize,
    /// Host address of guest address 0.
    host_base: AtomicUsize,
}

const SLOTS: usize = 64;

/// Some slots, and where there are more.
struct Chunk {
    slots: [Slot; SLOTS],
    next: AtomicPtr<Chunk>,
}

static FIRST: Chunk = Chunk::new();
/// Held by those who change slots.
static WRITERS: Mutex<()> = Mutex::new(());

impl Slot {
    const fn new() -> Self {
        let [start, end, landing, host_base] = [const { AtomicUsize::new(0) }; 4];
        Self { start, end, landing, host_base }
    }

    /// Where to go on when the instruction at `ip` faulted at `addr`, if that is known, with the
    /// guest address.
    fn landing(&self, ip: usize, addr: Option<usize>) -> Option<(usize, u64)> {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Relaxed);
        let landing = self.landing.load(Ordering::Relaxed);
        let host_base = self.host_base.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        // Another thread may be filling the slot for an image that does not run yet.
        let whole = self.start.load(Ordering::Relaxed) == start;
        let mine = whole && start != 0 && (start..end).contains(&ip);
        if !mine {
            return None;
        }
        let Some(addr) = addr else {
            return Some((landing, UNKNOWN_ADDR));
        };
        let first = host_base.wrapping_sub(GUARD_BYTES);
        let in_cage = addr.wrapping_sub(first) < CAGE_BYTES + 2 * GUARD_BYTES;
        in_cage.then(|| (landing, addr.wrapping_sub(host_base) as u64))
    }
}

impl Chunk {
    const fn new() -> Self {
        let slots = [const { Slot::new() }; SLOTS];
        Self { slots, next: AtomicPtr::new(core::ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: what is stored there was leaked, see `free_slot`.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

fn chunks() -> impl Iterator<Item = &'static Chunk> {
    core::iter::successors(Some(&FIRST), |chunk| chunk.next())
}

/// A slot that nobody uses. There are never more than images that lived at one time.
fn free_slot() -> &'static Slot {
    let mut last = &FIRST;
    for chunk in chunks() {
        let free = |slot: &&Slot| slot.start.load(Ordering::Relaxed) == 0;
        if let Some(slot) = chunk.slots.iter().find(free) {
            return slot;
        }
        last = chunk;
    }
    let chunk: &'static mut Chunk = Box::leak(Box::new(Chunk::new()));
    last.next.store(&raw mut *chunk, Ordering::Release);
    // Nobody else uses it before the writers' lock is given back.
    match last.next() {
        Some(chunk) => &chunk.slots[0],
        None => &FIRST.slots[0],
    }
}

impl Watch {
    /// Watches the code at these addresses, whose cage has guest address 0 at `host_base`. `None`
    /// where nothing handles faults: on machines without generated code, and where the system
    /// does not let us.
    pub(crate) fn new(code: Range<usize>, host_base: usize, landing: usize) -> Option<Self> {
        let _writer = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        if !handler::install() {
            return None;
        }
        let slot = free_slot();
        slot.end.store(code.end, Ordering::Relaxed);
        slot.landing.store(landing, Ordering::Relaxed);
        slot.host_base.store(host_base, Ordering::Relaxed);
        slot.start.store(code.start, Ordering::Release);
        Some(Self { slot })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _writer = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        self.slot.start.store(0, Ordering::Release);
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod handler {
    /// There is no generated code here.
    pub(super) const fn install() -> bool {
        false
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod handler {
    use super::chunks;
    use core::ffi::{c_int, c_void};
    use core::mem::MaybeUninit;
    use core::ptr;
    use libc::{REG_RDX, REG_RIP, REG_RSI, SA_ONSTACK, SA_SIGINFO, SI_KERNEL};
    use libc::{SIGBUS, SIGSEGV, sigaction, siginfo_t, ucontext_t};
    use std::sync::OnceLock;

    /// Who handled the signals before.
    static BEFORE: OnceLock<[sigaction; 2]> = OnceLock::new();
    const SIGNALS: [c_int; 2] = [SIGSEGV, SIGBUS];

    /// Puts the handler in place, once; whether it is.
    pub(super) fn install() -> bool {
        static INSTALLED: OnceLock<bool> = OnceLock::new();
        *INSTALLED.get_or_init(|| {
            let before = SIGNALS.map(current);
            let [Some(on_segv), Some(on_bus)] = before else { return false };
            BEFORE.get_or_init(|| [on_segv, on_bus]);
            SIGNALS.into_iter().all(replace)
        })
    }

    fn current(signal: c_int) -> Option<sigaction> {
        let mut action = MaybeUninit::uninit();
        // SAFETY: nothing is changed, and `action` has room for the answer.
        let done = unsafe { sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0;
        // SAFETY: the call succeeded, so it filled the answer in.
        done.then(|| unsafe { action.assume_init() })
    }

    fn replace(signal: c_int) -> bool {
        // SAFETY: all zeroes is a valid action, with an empty mask.
        let mut action: sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        // SAFETY: the handler has the type that `SA_SIGINFO` asks for, and does nothing that may
        // not be done in one (invariant 3).
        unsafe { sigaction(signal, &raw const action, ptr::null_mut()) == 0 }
    }

    /// The handler.
    extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the system hands over a filled-in `siginfo_t`, with an address for these signals,
        // and the context that it restores when the handler returns.
        let (code, addr, registers) = unsafe {
            let context = &mut *context.cast::<ucontext_t>();
            ((*info).si_code, (*info).si_addr().addr(), &mut context.uc_mcontext.gregs)
        };
        // Of protection and stack faults, the machine tells the kernel no address.
        let addr = (code != SI_KERNEL).then_some(addr);
        let ip = registers[REG_RIP as usize] as usize;
        let slots = chunks().flat_map(|chunk| &chunk.slots);
        match slots.filter_map(|slot| slot.landing(ip, addr)).next() {
            Some((landing, guest)) => {
                registers[REG_RSI as usize] = ip as i64;
                registers[REG_RDX as usize] = guest as i64;
                registers[REG_RIP as usize] = landing as i64;
            }
            None => pass_on(signal, info, context),
        }
    }

    /// Lets the handler before us have the signal. Where there was none, the instruction is
    /// executed again and the system does what it does.
    fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let index = usize::from(signal == SIGBUS);
        let before = BEFORE.get().map(|before| before[index]);
        match before {
            Some(action) if action.sa_sigaction > libc::SIG_IGN => {
                // SAFETY: it was installed as a handler of this signal, of the type that its
                // flags say, and gets what we got.
                unsafe {
                    if action.sa_flags & SA_SIGINFO == 0 {
                        let handler: extern "C" fn(c_int) =
                            core::mem::transmute(action.sa_sigaction);
                        handler(signal);
                    } else {
                        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                            core::mem::transmute(action.sa_sigaction);
                        handler(signal, info, context);
                    }
                }
            }
            _ => {
                // SAFETY: gives the signal its default action back.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use super::*;
    use crate::code::Executable;
    use dynasmrt::{AssemblyOffset, DynasmApi, dynasm};
    use std::process::Command;
    use ubpf_vm::mem::Cage;

    /// Loads the word at its argument, or gives the guest address of a fault.
    struct Loader {
        _watch: Watch,
        pages: Executable,
        cage: std::sync::Arc<Cage>,
        by_frame: AssemblyOffset,
    }

    impl Loader {
        fn new() -> Self {
            let mut ops = dynasmrt::VecAssembler::<dynasmrt::x64::X64Relocation>::new(0);
            dynasm!(ops ; .arch x64 ; mov rcx, rbp ; mov rax, [rdi] ; ret);
            let by_frame = ops.offset();
            dynasm!(ops ; .arch x64 ; mov rcx, rbp ; mov rbp, rdi ; mov rax, [rbp] ; mov rbp, rcx ; ret);
            let landing = ops.offset();
            dynasm!(ops ; .arch x64 ; mov rbp, rcx ; mov rax, rdx ; ret);
            let pages = Executable::new(&ops.finalize().expect("valid code")).expect("pages");
            let cage = Cage::new().expect("address space");
            let start = pages.at(AssemblyOffset(0)).addr();
            let code = start..start + pages.bytes().len();
            let landing = pages.at(landing).addr();
            let base = cage.host_base().as_ptr().addr();
            let watch = Watch::new(code, base, landing).expect("signals can be handled");
            Self { _watch: watch, pages, cage, by_frame }
        }

        fn load(&self, host: usize) -> u64 {
            self.load_at(AssemblyOffset(0), host)
        }

        /// The same with the address in the frame pointer, which the machine takes for an access
        /// to the stack.
        fn load_by_frame(&self, host: usize) -> u64 {
            self.load_at(self.by_frame, host)
        }

        fn load_at(&self, entry: AssemblyOffset, host: usize) -> u64 {
            // SAFETY: the code was assembled above and has this type. What it loads faults, or
            // belongs to the caller.
            let code: extern "C" fn(usize) -> u64 =
                unsafe { core::mem::transmute(self.pages.at(entry)) };
            code(host)
        }

        fn base(&self) -> usize {
            self.cage.host_base().as_ptr().addr()
        }
    }

    #[test]
    fn faults_in_the_cage_land_in_every_thread_and_world() {
        let loaders: Vec<Loader> = (0..SLOTS + 3).map(|_| Loader::new()).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for loader in &loaders {
                        let base = loader.base();
                        assert_eq!(loader.load(base + 0x1234), 0x1234);
                        assert_eq!(loader.load(base - 8), (-8_i64).cast_unsigned());
                        assert_eq!(loader.load(base + CAGE_BYTES + 5), CAGE_BYTES as u64 + 5);
                    }
                });
            }
        });
        let word = 42_u64;
        assert_eq!(loaders[0].load((&raw const word).addr()), 42);
    }

    #[test]
    fn faults_without_an_address_land_as_well() {
        let loader = Loader::new();
        for host in [1 << 63, 1 << 62, 0x7fff_ffff_ffff_ffff, loader.base() | 1 << 60] {
            assert_eq!(loader.load(host), UNKNOWN_ADDR);
            assert_eq!(loader.load_by_frame(host), UNKNOWN_ADDR);
        }
        assert_eq!(loader.load_by_frame(loader.base() + 0x1234), 0x1234);
        // Entries without a run give it on in 63 bits.
        assert_eq!((UNKNOWN_ADDR << 1).cast_signed() >> 1, UNKNOWN_ADDR.cast_signed());
    }

    #[test]
    fn other_faults_end_the_process_as_before() {
        const CHILD: &str = "UBPF_TEST_FAULT";
        if let Some(which) = std::env::var_os(CHILD) {
            let loader = Loader::new();
            let other = Cage::new().expect("address space");
            // Not in the cage of the code, or not in its code.
            let host = other.host_base().as_ptr();
            if which == "data" {
                loader.load(host.addr());
            } else {
                // SAFETY: it faults, which is the point.
                unsafe { loader.cage.host_base().as_ptr().read_volatile() };
            }
            std::process::exit(0);
        }
        for which in ["data", "code"] {
            let name = "fault::tests::other_faults_end_the_process_as_before";
            let child = Command::new(std::env::current_exe().expect("a path"))
                .args(["--exact", name, "--test-threads=1"])
                .env(CHILD, which)
                .output()
                .expect("this test runs again");
            let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
            assert_eq!(signal, Some(libc::SIGSEGV), "{which}: {child:?}");
        }
    }
}
