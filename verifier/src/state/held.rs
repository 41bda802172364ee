//! What a path holds and must give back before it ends.

use super::State;
use super::reg::{MapRef, RefId};
use ubpf_isa::Pc;

/// Something acquired, with its place in the order of acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Its id. For a lock the identity of the pointer to what it lies in; 0 where there is one
    /// such thing only.
    pub id: RefId,
    /// Where it was acquired.
    pub at: Pc,
    /// What it is.
    pub what: Resource,
}

/// What can be acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A reference to an object.
    Reference,
    /// A lock.
    Lock {
        /// Its kind.
        kind: LockKind,
        /// What it lies in.
        place: LockPlace,
    },
    /// Interrupts are disabled.
    Irq,
}

/// Kinds of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// `bpf_spin_lock`.
    Spin,
    /// `bpf_res_spin_lock`.
    ResSpin,
    /// `bpf_res_spin_lock_irqsave`.
    ResSpinIrq,
}

/// What a lock lies in, beside the id of the pointer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockPlace {
    /// A value of this map.
    Map(MapRef),
    /// An object that the program allocated.
    Object,
}

impl Resource {
    /// A lock, not a reference.
    #[must_use]
    pub const fn is_lock(&self) -> bool {
        matches!(self, Self::Lock { .. })
    }
}

impl State {
    /// The references held, oldest first, without locks and the like.
    pub fn references(&self) -> impl DoubleEndedIterator<Item = &Acquired> {
        self.refs.iter().filter(|held| held.what == Resource::Reference)
    }

    /// The locks held, oldest first.
    pub fn locks(&self) -> impl DoubleEndedIterator<Item = &Acquired> {
        self.refs.iter().filter(|held| held.what.is_lock())
    }

    /// The disablings of interrupts that are in force, oldest first.
    pub fn irqs(&self) -> impl DoubleEndedIterator<Item = &Acquired> {
        self.refs.iter().filter(|held| held.what == Resource::Irq)
    }

    /// A lock is held.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locks().next().is_some()
    }

    /// Gives up the reference `id`; whether it was held.
    pub fn forget_reference(&mut self, id: RefId) -> bool {
        let at = self.refs.iter().position(|r| r.id == id && r.what == Resource::Reference);
        at.map(|at| self.refs.remove(at)).is_some()
    }
}
