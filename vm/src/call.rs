//! Helper calls: what a helper sees of the machine, and how its typed arguments are read.

use crate::run::{Cpu, RunState};
use crate::world::World;
use ubpf_abi::Trap;
use ubpf_isa::Pc;

/// A helper's body: argument registers in, `r0` out, or a trap that ends the run.
pub type HelperFn = fn(&mut CallCx<'_>, [u64; 5]) -> Result<u64, Trap>;

/// What a helper sees.
pub struct CallCx<'a> {
    /// The emulated kernel.
    pub world: &'a World,
    /// The program type's state of this run.
    pub run: &'a mut dyn RunState,
    /// The CPU the program runs on.
    pub cpu: Cpu,
    /// The call instruction.
    pub pc: Pc,
    /// The way back into the program.
    pub guest: &'a mut dyn Guest,
}

/// The engine, as a helper sees it: it can call subprograms of the running program.
pub trait Guest {
    /// Calls the subprogram at guest code address `func`, as loaded by a wide load, with these
    /// arguments.
    ///
    /// # Errors
    /// The trap that ended it.
    fn call(&mut self, cx: GuestCall<'_>, func: u64, args: [u64; 5]) -> Result<u64, Trap>;
}

/// The parts of a [`CallCx`] that a callback runs with.
pub struct GuestCall<'a> {
    /// The emulated kernel.
    pub world: &'a World,
    /// The program type's state of this run.
    pub run: &'a mut dyn RunState,
    /// The CPU the program runs on.
    pub cpu: Cpu,
}

impl CallCx<'_> {
    /// Calls back into the program.
    ///
    /// # Errors
    /// The trap that ended the callback.
    pub fn call_guest(&mut self, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let cx = GuestCall {
            world: self.world,
            run: self.run,
            cpu: self.cpu,
        };
        self.guest.call(cx, func, args)
    }
}
