//! A packet's linear part in guest memory: one region, of which programs see what is between the
//! metadata's start and the packet's end.
//!
//! ```text
//!  0          meta      data                 end           capacity
//!  ├ headroom ┼ metadata ┼ packet ────────────┼ tailroom ───┤
//!             └── visible to the program ─────┘
//! ```
//!
//! Bytes that fall out of view keep their contents; whoever makes the packet grow clears them.

use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_vm::mem::{Cage, GuestAddr, MemError, Region, RegionKind, RegionSpec};

/// A packet's linear part.
#[derive(Debug)]
pub struct Linear {
    region: Region,
    meta: u32,
    data: u32,
    end: u32,
}

impl Linear {
    /// A buffer of `capacity` bytes that holds `bytes`, of which the first `meta_len` are
    /// metadata, after `headroom` bytes.
    ///
    /// # Errors
    /// When guest memory is exhausted or the parts exceed the capacity.
    pub fn new(
        cage: &Arc<Cage>,
        capacity: u32,
        headroom: u32,
        meta_len: u32,
        bytes: &[u8],
    ) -> Result<Self, MemError> {
        let spec = RegionSpec::new(capacity.into(), RegionKind::Packet, "");
        let region = cage.alloc(spec)?;
        let what = "the packet does not fit its buffer";
        let misfit = || MemError::BadLayout { bytes: capacity.into(), what };
        let data = headroom.checked_add(meta_len).ok_or_else(misfit)?;
        let end = u32::try_from(bytes.len())
            .ok()
            .and_then(|len| headroom.checked_add(len))
            .ok_or_else(misfit)?;
        if data > end {
            return Err(misfit());
        }
        region.write(headroom, bytes).map_err(|_| misfit())?;
        let packet = Self { region, meta: headroom, data, end };
        packet.show()?;
        Ok(packet)
    }

    /// Bytes of the packet, without its metadata.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.end - self.data
    }

    /// Whether the packet has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of metadata in front of the packet.
    #[must_use]
    pub const fn meta_len(&self) -> u32 {
        self.data - self.meta
    }

    /// Bytes in front of the metadata.
    #[must_use]
    pub const fn headroom(&self) -> u32 {
        self.meta
    }

    /// Bytes behind the packet.
    #[must_use]
    pub const fn tailroom(&self) -> u32 {
        self.region.len() - self.end
    }

    /// Address of the metadata.
    #[must_use]
    pub const fn meta_addr(&self) -> GuestAddr {
        GuestAddr(self.region.addr().0 + self.meta)
    }

    /// Address of the packet's first byte.
    #[must_use]
    pub const fn data_addr(&self) -> GuestAddr {
        GuestAddr(self.region.addr().0 + self.data)
    }

    /// Address behind the packet's last byte.
    #[must_use]
    pub const fn end_addr(&self) -> GuestAddr {
        GuestAddr(self.region.addr().0 + self.end)
    }

    /// Where the packet begins in its buffer. Header offsets are kept relative to the buffer, so
    /// that they stay true when the packet's start moves.
    #[must_use]
    pub const fn data_off(&self) -> u32 {
        self.data
    }

    /// Copies packet bytes out, or `None` when they are not all there.
    #[must_use]
    pub fn read(&self, off: u32, len: u32) -> Option<Vec<u8>> {
        let at = self.locate(off, len)?;
        self.region.read_vec(at, len).ok()
    }

    /// Copies bytes out that begin `before` bytes in front of the packet, or `None` when they do
    /// not all lie between the buffer's start and the packet's end.
    #[must_use]
    pub fn read_before(&self, before: u32, len: u32) -> Option<Vec<u8>> {
        let at = self.data.checked_sub(before)?;
        let end = at.checked_add(len)?;
        if end > self.end {
            return None;
        }
        self.region.read_vec(at, len).ok()
    }

    /// The `N` packet bytes at `off`, or `None` when they are not all there.
    #[must_use]
    pub fn read_array<const N: usize>(&self, off: u32) -> Option<[u8; N]> {
        let at = self.locate(off, u32::try_from(N).ok()?)?;
        let mut bytes = [0; N];
        self.region.read(at, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Copies bytes into the packet, or `None`, and nothing is written, when they do not fit.
    #[must_use]
    pub fn write(&mut self, off: u32, bytes: &[u8]) -> Option<()> {
        let at = self.locate(off, u32::try_from(bytes.len()).ok()?)?;
        self.region.write(at, bytes).ok()
    }

    /// Copies bytes into the metadata, or `None`, and nothing is written, when they do not fit.
    #[must_use]
    pub fn write_meta(&mut self, off: u32, bytes: &[u8]) -> Option<()> {
        let end = off.checked_add(u32::try_from(bytes.len()).ok()?)?;
        let at = (end <= self.meta_len()).then_some(self.meta + off)?;
        self.region.write(at, bytes).ok()
    }

    /// The whole view, metadata first.
    #[must_use]
    pub fn visible(&self) -> Vec<u8> {
        self.region.read_vec(self.meta, self.end - self.meta).unwrap_or_default()
    }

    /// Moves bytes; the ranges may overlap, and may reach past the packet's end: what lies behind
    /// it in the buffer counts too. `None` when one of them leaves the buffer.
    #[must_use]
    pub fn copy_within(&mut self, from: u32, to: u32, len: u32) -> Option<()> {
        let (from, to) = (self.data.checked_add(from)?, self.data.checked_add(to)?);
        self.region.copy_within(from, to, len).ok()
    }

    /// Sets bytes to zero, also behind the packet's end. `None` when they leave the buffer.
    #[must_use]
    pub fn zero(&mut self, off: u32, len: u32) -> Option<()> {
        self.region.fill(self.data.checked_add(off)?, len, 0).ok()
    }

    /// Moves the packet's start `by` bytes forward, and where metadata would begin with it. `None`
    /// when it has fewer.
    #[must_use]
    pub fn hide_front(&mut self, by: u32) -> Option<()> {
        let data = self.data.checked_add(by)?;
        self.place(data, data, self.end)
    }

    /// Moves the packet's start `by` bytes into the headroom. `None` when there is less.
    #[must_use]
    pub fn show_front(&mut self, by: u32) -> Option<()> {
        let data = self.data.checked_sub(by)?;
        self.place(data, data, self.end)
    }

    /// Moves the packet's start and the metadata with it.
    #[must_use]
    pub fn move_head(&mut self, by: i32) -> Option<()> {
        let meta = self.meta.checked_add_signed(by)?;
        let data = self.data.checked_add_signed(by)?;
        if data > self.end {
            return None;
        }
        self.region.copy_within(self.meta, meta, self.meta_len()).ok()?;
        self.place(meta, data, self.end)
    }

    /// Moves the metadata's start.
    #[must_use]
    pub fn move_meta(&mut self, by: i32) -> Option<()> {
        let meta = self.meta.checked_add_signed(by)?;
        self.place(meta, self.data, self.end)
    }

    /// Moves the packet's end.
    #[must_use]
    pub fn move_end(&mut self, by: i32) -> Option<()> {
        let end = self.end.checked_add_signed(by)?;
        self.place(self.meta, self.data, end)
    }

    /// Moves everything `by` bytes towards the buffer's end, to gain headroom.
    ///
    /// # Errors
    /// `ENOMEM` when there is not so much tailroom.
    pub fn shift(&mut self, by: u32) -> Result<(), Errno> {
        if by > self.tailroom() {
            return Err(Errno::ENOMEM);
        }
        let moved = self.region.copy_within(self.meta, self.meta + by, self.end - self.meta);
        moved.map_err(|_| Errno::ENOMEM)?;
        self.place(self.meta + by, self.data + by, self.end + by).ok_or(Errno::ENOMEM)
    }

    /// Moves everything `by` bytes towards the buffer's start, to gain tailroom. `None` when there
    /// is not so much headroom.
    #[must_use]
    pub fn unshift(&mut self, by: u32) -> Option<()> {
        let meta = self.meta.checked_sub(by)?;
        self.region.copy_within(self.meta, meta, self.end - self.meta).ok()?;
        self.place(meta, self.data - by, self.end - by)
    }

    fn place(&mut self, meta: u32, data: u32, end: u32) -> Option<()> {
        if meta > data || data > end || end > self.region.len() {
            return None;
        }
        (self.meta, self.data, self.end) = (meta, data, end);
        self.show().ok()
    }

    fn show(&self) -> Result<(), MemError> {
        self.region.set_bounds(self.meta, self.end - self.meta)
    }

    fn locate(&self, off: u32, len: u32) -> Option<u32> {
        let end = off.checked_add(len)?;
        (end <= self.len()).then_some(self.data + off)
    }
}
