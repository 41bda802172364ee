//! All that the walk believes of registers, to be held against executions.
//!
//! What is noted of a place is what holds of every state that came there. It is claimed of every
//! execution, so the walk must not prune by what mattered: with claims, a state stands for another
//! only when it includes it whole. Such a walk can be much longer than the one that judges, so it
//! is one of its own, and given up when it gets too long.

use super::seen::region;
use crate::domain::{Bounds, Scalar};
use crate::state::{Reg, State};
use ubpf_abi::verified::{Claim, Claims, Region};
use ubpf_isa::{Pc, Reg as Name, RegSet};

/// Instructions after which the walk is given up.
pub const MAX_INSNS: u32 = 200_000;
/// Slots of the largest program of which claims are noted: each has a kilobyte of them.
pub const MAX_SLOTS: usize = 1 << 14;

/// What is believed of one register.
#[derive(Clone, Copy, Debug, Default)]
enum Belief {
    /// Nothing came by yet.
    #[default]
    None,
    Number(Scalar),
    Pointer {
        region: Region,
        nullable: bool,
    },
    /// Different things.
    Any,
}

/// What is believed at every slot.
#[derive(Debug)]
pub struct Beliefs {
    slots: Vec<Option<Box<[Belief; Name::COUNT]>>>,
}

impl Beliefs {
    /// Nothing yet, of `slots` slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![None; slots] }
    }

    /// Notes a state that comes to `pc`, in which the registers of `live` matter.
    pub fn note(&mut self, pc: Pc, live: RegSet, state: &State) {
        let Some(slot) = self.slots.get_mut(pc.index()) else { return };
        let beliefs = slot.get_or_insert_default();
        for reg in Name::all() {
            let value = &state.frame().regs[reg.index()];
            let new = match value {
                _ if !live.contains(reg) && reg != Name::FP => Belief::Any,
                Reg::Uninit => Belief::Any,
                Reg::Number(n) => Belief::Number(n.value),
                Reg::Pointer(p) => {
                    let region = region(p, 0, state.depth());
                    Belief::Pointer { region, nullable: p.nullable }
                }
            };
            let belief = &mut beliefs[reg.index()];
            *belief = belief.join(new);
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn claims(&self) -> Claims {
        let mut claims = Claims::default();
        for slot in &self.slots {
            claims.starts.push(claims.claims.len() as u32);
            let Some(beliefs) = slot else { continue };
            let known = Name::all().filter_map(|reg| Some((reg, beliefs[reg.index()].claim()?)));
            claims.claims.extend(known);
        }
        claims.starts.push(claims.claims.len() as u32);
        claims
    }
}

impl Belief {
    fn join(self, new: Self) -> Self {
        match (self, new) {
            (Self::None, new) => new,
            (Self::Number(a), Self::Number(b)) => Self::Number(union(&a, &b)),
            (
                Self::Pointer { region: a, nullable: x },
                Self::Pointer { region: b, nullable: y },
            ) => Self::Pointer { region: a.join(b), nullable: x || y },
            _ => Self::Any,
        }
    }

    const fn claim(&self) -> Option<Claim> {
        match *self {
            Self::None | Self::Any => None,
            Self::Pointer { region, nullable } => Some(Claim::Pointer { region, nullable }),
            Self::Number(n) => Some(Claim::Number {
                value: n.bits.value(),
                mask: n.bits.mask(),
                unsigned: (n.full.umin, n.full.umax),
                signed: (n.full.smin, n.full.smax),
                low: (n.low.umin as u32, n.low.umax as u32),
                low_signed: (n.low.smin as i32, n.low.smax as i32),
            }),
        }
    }
}

fn union(a: &Scalar, b: &Scalar) -> Scalar {
    Scalar { bits: a.bits.union(b.bits), full: hull(a.full, b.full), low: hull(a.low, b.low) }
}

fn hull<W: crate::domain::width::Width>(a: Bounds<W>, b: Bounds<W>) -> Bounds<W> {
    let mut hull = a;
    hull.umin = a.umin.min(b.umin);
    hull.umax = a.umax.max(b.umax);
    hull.smin = a.smin.min(b.smin);
    hull.smax = a.smax.max(b.smax);
    hull
}
