//! The windows that a running program looks at memory through.

use super::cage::Cage;
use super::memory::Window;
use ubpf_abi::Access;

/// A few windows for loads and as many for stores, replaced in turn.
///
/// Number 0 is always the stack's. Whoever makes an access guesses a number, tries that window,
/// and otherwise asks for the right one, which costs a look-up unless it is one of the others.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    loads: [Window; Self::COUNT],
    stores: [Window; Self::COUNT],
    /// The cage's epoch when they were good.
    epoch: u64,
    /// The one that was replaced last.
    victim: u8,
}

impl Windows {
    /// How many there are of each kind.
    pub const COUNT: usize = 4;

    /// Windows that all show the stack.
    #[must_use]
    pub fn new(cage: &Cage, stack: Window) -> Self {
        let (loads, stores) = ([stack; Self::COUNT], [stack; Self::COUNT]);
        Self { loads, stores, epoch: cage.epoch(), victim: 0 }
    }

    /// One for loads; of the number only the low bits count.
    #[inline(always)]
    #[must_use]
    pub const fn load(&self, number: u8) -> &Window {
        &self.loads[number as usize % Self::COUNT]
    }

    /// One for stores; of the number only the low bits count.
    #[inline(always)]
    #[must_use]
    pub const fn store(&self, number: u8) -> &Window {
        &self.stores[number as usize % Self::COUNT]
    }

    /// Says where the stack is.
    #[inline(always)]
    pub const fn set_stack(&mut self, stack: Window) {
        self.loads[0] = stack;
        self.stores[0] = stack;
    }

    /// The number of a window that shows the byte at `addr` to such accesses. `None` where
    /// programs may not make them, or where there is too little memory for a window.
    pub fn find(&mut self, cage: &Cage, addr: u64, access: Access) -> Option<u8> {
        let windows = match access {
            Access::Read => &mut self.loads,
            Access::Write => &mut self.stores,
        };
        if let Some(number) = windows.iter().position(|window| window.covers::<u8>(addr)) {
            return Some(number as u8);
        }
        let window = cage.window(addr, access)?;
        self.victim = self.victim % (Self::COUNT as u8 - 1) + 1;
        windows[usize::from(self.victim)] = window;
        Some(self.victim)
    }

    /// Forgets windows that may show what programs may not see any more.
    #[inline]
    pub fn refresh(&mut self, cage: &Cage) {
        if cage.epoch() != self.epoch {
            *self = Self::new(cage, self.loads[0]);
        }
    }
}
