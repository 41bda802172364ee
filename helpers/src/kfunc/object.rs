//! Objects of the program's own, and what they are kept in.

use super::set::GENERIC;
use crate::env;
use ubpf_abi::btf::BtfId;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{CallCx, Callback, IntFail, Void};
use ubpf_vm::kfunc;
use ubpf_vm::mem::{Fault, GuestAddr, Perm};
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_obj_new_impl, since 6.2, "Makes an object.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ObjNew { percpu: false }); obj_new),
    kfunc!(bpf_obj_drop_impl, since 6.2, "Gives an object back.", GENERIC, flags: &[Release], special: Some(KfuncSpecial::ObjDrop { percpu: false }); obj_drop),
    kfunc!(bpf_percpu_obj_new_impl, since 6.7, "Makes an object for each CPU.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ObjNew { percpu: true }); percpu_obj_new),
    kfunc!(bpf_percpu_obj_drop_impl, since 6.7, "Gives an object of each CPU back.", GENERIC, flags: &[Release], special: Some(KfuncSpecial::ObjDrop { percpu: true }); obj_drop),
    kfunc!(bpf_refcount_acquire_impl, since 6.4, "Takes one more reference to an object.", GENERIC, flags: &[Acquire, RetNull, Rcu], special: Some(KfuncSpecial::RefcountAcquire); refcount_acquire),
    kfunc!(bpf_list_push_front_impl, since 6.2, "Puts an object at the front of a list.", GENERIC, special: Some(KfuncSpecial::ListPush); list_push_front),
    kfunc!(bpf_list_push_back_impl, since 6.2, "Puts an object at the back of a list.", GENERIC, special: Some(KfuncSpecial::ListPush); list_push_back),
    kfunc!(bpf_list_pop_front, since 6.2, "Takes the first object of a list.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ListPop); list_pop_front),
    kfunc!(bpf_list_pop_back, since 6.2, "Takes the last object of a list.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ListPop); list_pop_back),
    kfunc!(bpf_list_front, since 6.16, "Shows the first object of a list.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::ListPeek); list_front),
    kfunc!(bpf_list_back, since 6.16, "Shows the last object of a list.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::ListPeek); list_back),
    kfunc!(bpf_rbtree_add_impl, since 6.3, "Puts an object into a tree.", GENERIC, special: Some(KfuncSpecial::RbtreeAdd); rbtree_add),
    kfunc!(bpf_rbtree_remove, since 6.3, "Takes an object out of a tree.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::RbtreeRemove); rbtree_remove),
    kfunc!(bpf_rbtree_first, since 6.3, "Shows the first node of a tree.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek); rbtree_first),
    kfunc!(bpf_rbtree_root, since 6.16, "Shows the root of a tree.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
    kfunc!(bpf_rbtree_left, since 6.16, "Shows a node's left child.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
    kfunc!(bpf_rbtree_right, since 6.16, "Shows a node's right child.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
];

/// A new object of one of the program's types; 0 where there is no room.
fn make(cx: &CallCx<'_>, type_id: u64, copies: u32) -> u64 {
    let env = env::of(cx.world);
    let ty = u32::try_from(type_id).ok().map(BtfId);
    let bytes = env.program_types().zip(ty).and_then(|(btf, ty)| btf.size_of(ty).ok());
    let addr = bytes.and_then(|bytes| {
        env.heap().alloc(cx.cage(), "object", bytes, copies, Perm::ReadWrite).ok()
    });
    addr.map_or(0, u64::from)
}

fn obj_new(cx: &mut CallCx<'_>, type_id: u64, _meta: u64) -> u64 {
    make(cx, type_id, 1)
}

fn percpu_obj_new(cx: &mut CallCx<'_>, type_id: u64, _meta: u64) -> u64 {
    make(cx, type_id, cx.world.cpus())
}

/// An address that fits the cage.
fn guest(addr: u64) -> GuestAddr {
    GuestAddr(u32::try_from(addr).unwrap_or(0))
}

fn obj_drop(cx: &mut CallCx<'_>, object: u64, _meta: u64) -> Void {
    env::of(cx.world).heap().release(guest(object));
    Void
}

fn refcount_acquire(cx: &mut CallCx<'_>, object: u64, _meta: u64) -> u64 {
    let acquired = env::of(cx.world).heap().acquire(guest(object));
    if acquired { object } else { 0 }
}

/// `struct bpf_list_head`, and the first words of `struct bpf_list_node`: the next and the one
/// before. A head that has never been used is zero.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NEXT: u32 = 0;
    const PREV: u32 = 8;
    /// In nodes: the head of the list that they are in.
    const OWNER: u32 = 16;

    fn get(self, cx: &CallCx<'_>, word: u32) -> Result<Self, Fault> {
        Ok(Self(cx.cage().load::<u64>(self.0.wrapping_add(word))? as u32))
    }

    fn set(self, cx: &CallCx<'_>, word: u32, to: Self) -> Result<(), Fault> {
        cx.cage().store(self.0.wrapping_add(word), u64::from(to.0))
    }

    fn join(self, cx: &CallCx<'_>, next: Self) -> Result<(), Fault> {
        self.set(cx, Self::NEXT, next)?;
        next.set(cx, Self::PREV, self)
    }

    /// The head, made to lead to itself where it was never used.
    fn begun(self, cx: &CallCx<'_>) -> Result<Self, Fault> {
        if self.get(cx, Self::NEXT)? == Self(0) {
            self.join(cx, self)?;
        }
        Ok(self)
    }

    fn push(self, cx: &CallCx<'_>, node: Self, at_end: bool) -> Result<bool, Fault> {
        let head = self.begun(cx)?;
        if node.get(cx, Self::OWNER)? != Self(0) {
            return Ok(false);
        }
        let before = if at_end { head.get(cx, Self::PREV)? } else { head };
        let after = before.get(cx, Self::NEXT)?;
        before.join(cx, node)?;
        node.join(cx, after)?;
        node.set(cx, Self::OWNER, head)?;
        Ok(true)
    }

    /// The node at an end.
    fn peek(self, cx: &CallCx<'_>, word: u32) -> Result<Option<Self>, Fault> {
        let node = self.begun(cx)?.get(cx, word)?;
        Ok((node != self).then_some(node))
    }

    fn pop(self, cx: &CallCx<'_>, word: u32) -> Result<Option<Self>, Fault> {
        let Some(node) = self.peek(cx, word)? else { return Ok(None) };
        node.get(cx, Self::PREV)?.join(cx, node.get(cx, Self::NEXT)?)?;
        node.join(cx, node)?;
        node.set(cx, Self::OWNER, Self(0))?;
        Ok(Some(node))
    }
}

/// Puts a node into a list. A node that is in one already is given back, as its caller owns it no
/// more.
fn push(cx: &CallCx<'_>, head: u64, node: u64, off: u64, at_end: bool) -> Result<(), IntFail> {
    let (head, link) = (Link(guest(head).0), Link(guest(node).0));
    let pushed = head.push(cx, link, at_end).map_err(|fault| cx.fault(fault))?;
    if !pushed {
        env::of(cx.world).heap().release(guest(node.wrapping_sub(off)));
        return Err(Errno::EINVAL.into());
    }
    Ok(())
}

fn list_push_front(
    cx: &mut CallCx<'_>,
    head: u64,
    node: u64,
    _meta: u64,
    off: u64,
) -> Result<(), IntFail> {
    push(cx, head, node, off, false)
}

fn list_push_back(
    cx: &mut CallCx<'_>,
    head: u64,
    node: u64,
    _meta: u64,
    off: u64,
) -> Result<(), IntFail> {
    push(cx, head, node, off, true)
}

fn shown(cx: &CallCx<'_>, node: Result<Option<Link>, Fault>) -> Result<u64, Trap> {
    let node = node.map_err(|fault| cx.fault(fault))?;
    Ok(node.map_or(0, |link| link.0.into()))
}

fn list_pop_front(cx: &mut CallCx<'_>, head: u64) -> Result<u64, Trap> {
    shown(cx, Link(guest(head).0).pop(cx, Link::NEXT))
}

fn list_pop_back(cx: &mut CallCx<'_>, head: u64) -> Result<u64, Trap> {
    shown(cx, Link(guest(head).0).pop(cx, Link::PREV))
}

fn list_front(cx: &mut CallCx<'_>, head: u64) -> Result<u64, Trap> {
    shown(cx, Link(guest(head).0).peek(cx, Link::NEXT))
}

fn list_back(cx: &mut CallCx<'_>, head: u64) -> Result<u64, Trap> {
    shown(cx, Link(guest(head).0).peek(cx, Link::PREV))
}

/// Words of `struct bpf_rb_root` and `struct bpf_rb_node`. A tree is kept as the list of its nodes
/// in order: the root leads to the first one.
mod tree {
    /// In the root: the first node.
    pub const FIRST: u32 = 8;
    /// In nodes: the next one.
    pub const NEXT: u32 = 8;
    /// In nodes: the root of the tree that they are in.
    pub const OWNER: u32 = 24;
}

fn rbtree_add(
    cx: &mut CallCx<'_>,
    root: u64,
    node: u64,
    less: Callback<callback::RbtreeLess>,
    _meta: u64,
    off: u64,
) -> Result<(), IntFail> {
    let (root, link) = (Link(guest(root).0), Link(guest(node).0));
    let owner = link.get(cx, tree::OWNER).map_err(|fault| cx.fault(fault))?;
    if owner != Link(0) {
        env::of(cx.world).heap().release(guest(node.wrapping_sub(off)));
        return Err(Errno::EINVAL.into());
    }
    // In front of the first node that the new one is less than.
    let (mut before, mut word) = (root, tree::FIRST);
    loop {
        let other = before.get(cx, word).map_err(|fault| cx.fault(fault))?;
        if other == Link(0) || less.call(cx, [link.0.into(), other.0.into(), 0, 0, 0])? != 0 {
            break;
        }
        (before, word) = (other, tree::NEXT);
    }
    let insert = || {
        link.set(cx, tree::NEXT, before.get(cx, word)?)?;
        before.set(cx, word, link)?;
        link.set(cx, tree::OWNER, root)
    };
    Ok(insert().map_err(|fault| cx.fault(fault))?)
}

fn rbtree_remove(cx: &mut CallCx<'_>, root: u64, node: u64) -> Result<u64, Trap> {
    let (root, link) = (Link(guest(root).0), Link(guest(node).0));
    let remove = || {
        if link.get(cx, tree::OWNER)? != root {
            return Ok(0);
        }
        let (mut before, mut word) = (root, tree::FIRST);
        loop {
            let other = before.get(cx, word)?;
            if other == link {
                break;
            }
            if other == Link(0) {
                return Ok(0);
            }
            (before, word) = (other, tree::NEXT);
        }
        before.set(cx, word, link.get(cx, tree::NEXT)?)?;
        link.set(cx, tree::NEXT, Link(0))?;
        link.set(cx, tree::OWNER, Link(0))?;
        Ok(link.0.into())
    };
    remove().map_err(|fault| cx.fault(fault))
}

fn rbtree_first(cx: &mut CallCx<'_>, root: u64) -> Result<u64, Trap> {
    let first = Link(guest(root).0).get(cx, tree::FIRST);
    Ok(first.map_err(|fault| cx.fault(fault))?.0.into())
}
