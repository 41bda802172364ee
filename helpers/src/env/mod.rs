//! The environment: what programs can ask the emulated kernel about that is neither their input
//! nor a map.
//!
//! An [`EnvConfig`] says what it shall be, an [`Environment`] is it. The defaults are what a
//! program sees under test-run: the host's clocks, the calling task, the loopback device alone and
//! an empty routing table. Random numbers and cookies are the exception: they begin at the same
//! point in every world, so that runs can be repeated.

mod clock;
mod heap;
mod net;
mod object;
mod redirect;
mod rng;
pub mod socket;
mod task;
mod timers;
mod trace;

pub use clock::{Clock, ClockConfig, ClockId};
pub use heap::Heap;
pub use net::{Device, Route};
pub use object::KernelTypes;
pub use redirect::Redirect;
pub use rng::{Rng, mix};
pub use socket::{Socket, Sockets};
pub use task::Task;
pub use timers::{Expiry, Timers};
pub use trace::TraceLog;

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use ubpf_abi::btf::Btf;
use ubpf_abi::fields::{ObjectFields, Record};
use ubpf_abi::map::MapDef;
use ubpf_vm::mem::{Cage, GuestAddr, MemError, Region};
use ubpf_vm::world::World;

/// Interface index of the loopback device, where test-run's packets come from.
pub const LOOPBACK: u32 = 1;

/// What an environment shall be.
#[derive(Clone, Debug)]
pub struct EnvConfig {
    /// Where time comes from.
    pub clock: ClockConfig,
    /// What random numbers begin with.
    pub seed: u64,
    /// Possible CPUs.
    pub cpus: u32,
    /// The current task.
    pub task: Task,
    /// Network devices; test-run needs one with index [`LOOPBACK`].
    pub devices: Vec<Device>,
    /// The network namespace's cookie.
    pub netns_cookie: u64,
    /// Routes that `bpf_fib_lookup` finds.
    pub routes: Vec<Route>,
    /// Sockets that look-ups find.
    pub sockets: Vec<Socket>,
    /// The types by which kernel objects are laid out.
    pub types: KernelTypes,
    /// The programs' own types, by which their objects are laid out.
    pub program_types: Option<Arc<Btf>>,
}

impl Default for EnvConfig {
    fn default() -> Self {
        Self {
            clock: ClockConfig::default(),
            seed: 0,
            cpus: 1,
            task: Task::current(),
            devices: vec![Device::loopback()],
            netns_cookie: 1,
            routes: Vec::new(),
            sockets: Vec::new(),
            types: KernelTypes::default(),
            program_types: None,
        }
    }
}

/// The environment of a world.
#[derive(Debug)]
pub struct Environment {
    clock: Clock,
    rng: Mutex<Rng>,
    task: Task,
    task_object: OnceLock<Region>,
    devices: Vec<Device>,
    netns_cookie: u64,
    routes: Vec<Route>,
    sockets: Sockets,
    types: KernelTypes,
    program_types: Option<Arc<Btf>>,
    fields: OnceLock<ObjectFields>,
    heap: Heap,
    timers: Arc<Timers>,
    next_cookie: AtomicU64,
    next_run: AtomicU64,
    trace: Mutex<TraceLog>,
    redirect: Mutex<Option<Redirect>>,
    hash_seed: u64,
}

impl Environment {
    /// The environment that `config` describes.
    #[must_use]
    pub fn new(config: EnvConfig) -> Self {
        const FIRST_COOKIE: u64 = 1;
        let next_cookie = FIRST_COOKIE + config.sockets.len() as u64;
        Self {
            clock: Clock::new(config.clock),
            rng: Mutex::new(Rng::new(config.seed)),
            task: config.task,
            task_object: OnceLock::new(),
            devices: config.devices,
            netns_cookie: config.netns_cookie,
            routes: config.routes,
            sockets: Sockets::new(config.sockets, FIRST_COOKIE),
            types: config.types,
            program_types: config.program_types,
            fields: OnceLock::new(),
            heap: Heap::default(),
            timers: Arc::default(),
            next_cookie: AtomicU64::new(next_cookie),
            next_run: AtomicU64::new(0),
            trace: Mutex::new(TraceLog::default()),
            redirect: Mutex::new(None),
            hash_seed: Rng::new(!config.seed).next(),
        }
    }

    /// The clocks.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The next random number.
    pub fn random(&self) -> u32 {
        (lock(&self.rng).next() >> 32) as u32
    }

    /// What hashes of flows and pointers are made with.
    #[must_use]
    pub const fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    /// The current task.
    #[must_use]
    pub const fn task(&self) -> &Task {
        &self.task
    }

    /// Where programs see the current task, as the kernel's struct.
    ///
    /// # Errors
    /// When guest memory is exhausted.
    pub fn current_task(&self, cage: &Arc<Cage>) -> Result<GuestAddr, MemError> {
        if self.task_object.get().is_none() {
            let object = self.task.object(&self.types, cage)?;
            // Where another thread was faster, its object counts and this one is given back.
            let _ = self.task_object.set(object);
        }
        let object = self.task_object.get();
        object.map(Region::addr).ok_or(MemError::BadLayout { bytes: 0, what: "no task" })
    }

    /// The network devices.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The network device with this index.
    #[must_use]
    pub fn device(&self, ifindex: u32) -> Option<&Device> {
        self.devices.iter().find(|d| d.ifindex == ifindex)
    }

    /// The network namespace's cookie.
    #[must_use]
    pub const fn netns_cookie(&self) -> u64 {
        self.netns_cookie
    }

    /// The routing table.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The sockets that look-ups find.
    #[must_use]
    pub const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// The types by which kernel objects are laid out.
    #[must_use]
    pub const fn types(&self) -> &KernelTypes {
        &self.types
    }

    /// The programs' own types.
    #[must_use]
    pub const fn program_types(&self) -> Option<&Arc<Btf>> {
        self.program_types.as_ref()
    }

    /// The fields with rules of their own that a map's values have, by the programs' types.
    #[must_use]
    pub fn fields_of(&self, def: &MapDef) -> Option<Record> {
        let (own, kernel) = (self.program_types.as_deref()?, self.types.btf().map(|btf| &**btf));
        let fields = self.fields.get_or_init(|| {
            // The kernel does not take types with fields that are wrong; then there are none.
            ObjectFields::of(own, kernel).unwrap_or_default()
        });
        fields.of_map(own, kernel, def).ok().flatten()
    }

    /// Timers and work items.
    #[must_use]
    pub const fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// Objects that programs made.
    #[must_use]
    pub const fn heap(&self) -> &Heap {
        &self.heap
    }

    /// A new socket's cookie.
    pub fn next_socket_cookie(&self) -> u64 {
        self.next_cookie.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that no other run of the world has.
    pub fn next_run(&self) -> u64 {
        self.next_run.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes where a program wants its packet sent, should it return that verdict.
    pub fn redirect(&self, to: Redirect) {
        *lock(&self.redirect) = Some(to);
    }

    /// Takes where the program last wanted its packet sent.
    pub fn take_redirect(&self) -> Option<Redirect> {
        lock(&self.redirect).take()
    }

    /// Appends to the trace log what one `bpf_trace_printk` wrote.
    pub fn trace(&self, text: Vec<u8>) {
        lock(&self.trace).push(text);
    }

    /// Takes what programs wrote to the trace log, oldest first.
    pub fn drain_trace(&self) -> Vec<Vec<u8>> {
        lock(&self.trace).drain()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The environment of `world`; the default one where the world was made with something else.
#[must_use]
pub fn of(world: &World) -> &Environment {
    static DEFAULT: LazyLock<Environment> =
        LazyLock::new(|| Environment::new(EnvConfig::default()));
    world.environment().unwrap_or(&DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let numbers = |seed| {
            let env = Environment::new(EnvConfig { seed, ..EnvConfig::default() });
            [env.random(), env.random(), env.random()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn only_the_loopback_device_is_there_by_default() {
        let env = Environment::new(EnvConfig::default());
        assert_eq!(env.device(LOOPBACK).map(|d| (d.mtu, d.address)), Some((65536, [0; 6])));
        assert_eq!(env.device(2), None);
    }

    #[test]
    fn socket_cookies_are_never_reused() {
        let env = Environment::new(EnvConfig::default());
        assert_eq!((env.next_socket_cookie(), env.next_socket_cookie()), (1, 2));
    }
}
