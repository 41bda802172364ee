//! Sockets as helpers are handed them: those of the environment, and the ones that packets under
//! test-run bring.

use crate::env;
use crate::env::socket::{Socket, SocketId};
use crate::maps::local_storage::Owner;
use crate::prog_types::skb::Skb;
use ubpf_vm::call::CallCx;
use ubpf_vm::mem::GuestAddr;

/// `TCP_TIME_WAIT` and `TCP_NEW_SYN_RECV`: what is left or not yet there of a socket.
const PARTIAL: [u8; 2] = [6, 12];

/// The socket of the environment at an address.
pub(super) fn declared<'w>(cx: &CallCx<'w>, addr: GuestAddr) -> Option<(SocketId, &'w Socket)> {
    let sockets = env::of(cx.world).sockets();
    let id = sockets.at(addr)?;
    Some((id, sockets.socket(id)?))
}

/// Whether it is a full socket. Those of packets are.
pub(super) fn is_full(cx: &CallCx<'_>, addr: GuestAddr) -> bool {
    declared(cx, addr).is_none_or(|(_, socket)| !PARTIAL.contains(&socket.state))
}

/// Whom storage of the socket belongs to.
pub(super) fn owner(cx: &mut CallCx<'_>, addr: GuestAddr) -> Owner {
    if let Some((id, _)) = declared(cx, addr) {
        return Owner::Lasting(env::of(cx.world).sockets().cookie(id));
    }
    match cx.run.as_any_mut().downcast_ref::<Skb>() {
        Some(skb) if skb.sock() == addr => Owner::OfRun(skb.id()),
        _ => Owner::Lasting(u64::MAX),
    }
}
