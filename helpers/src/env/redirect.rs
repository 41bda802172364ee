//! Where packets are sent. Test runs do not carry redirects out; hosts may want to know.

use ubpf_vm::mem::GuestAddr;

/// Where a program wants its packet sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Redirect {
    /// Out of, or into, the device with this index.
    Device(u32),
    /// To what a map holds under a key: a CPU or a socket.
    Entry {
        /// The map, by the address that programs know it by.
        map: GuestAddr,
        /// The key.
        key: u32,
    },
    /// To all devices of a map.
    All {
        /// The map, by the address that programs know it by.
        map: GuestAddr,
    },
}
