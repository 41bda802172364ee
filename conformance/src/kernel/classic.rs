//! Classic filters in the kernel: on a pair of sockets that only this process has, and through
//! seccomp's check, which is made to fail before anything is attached.
#![allow(unsafe_code)]

use super::sys::last_errno;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use ubpf_abi::Errno;
use ubpf_isa::cbpf::SockFilter;

/// A socket with a filter, and its peer.
#[derive(Debug)]
pub struct Filtered {
    sender: UnixDatagram,
    receiver: UnixDatagram,
}

/// Calls `f` with the kernel's form of a filter.
fn with_program<T>(insns: &[SockFilter], f: impl FnOnce(*const libc::sock_fprog) -> T) -> T {
    let mut insns: Vec<libc::sock_filter> = insns
        .iter()
        .map(|&SockFilter { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k })
        .collect();
    // The kernel refuses longer ones, of whatever length.
    let len = u16::try_from(insns.len()).unwrap_or(u16::MAX);
    let program = libc::sock_fprog { len, filter: insns.as_mut_ptr() };
    f(&raw const program)
}

impl Filtered {
    /// Makes the pair and attaches the filter to one of them.
    ///
    /// # Errors
    /// The kernel's error number: `EINVAL` for a filter that is not valid.
    pub fn new(insns: &[SockFilter]) -> Result<Self, Errno> {
        let pair = || -> io::Result<_> {
            let (sender, receiver) = UnixDatagram::pair()?;
            receiver.set_nonblocking(true)?;
            Ok((sender, receiver))
        };
        let (sender, receiver) = pair().map_err(|_| last_errno())?;
        let attached = with_program(insns, |program| {
            // SAFETY: `program` and the instructions it points to live through the call, and both
            // lengths are theirs.
            unsafe {
                libc::setsockopt(
                    receiver.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_ATTACH_FILTER,
                    program.cast(),
                    size_of::<libc::sock_fprog>() as libc::socklen_t,
                )
            }
        });
        if attached == 0 { Ok(Self { sender, receiver }) } else { Err(last_errno()) }
    }

    /// Sends a packet through the filter: how many of its bytes arrive, or `None` when it is
    /// dropped.
    ///
    /// # Errors
    /// The sockets'.
    pub fn pass(&self, packet: &[u8]) -> io::Result<Option<usize>> {
        self.sender.send(packet)?;
        let mut buffer = vec![0; packet.len()];
        match self.receiver.recv(&mut buffer) {
            Ok(len) => Ok(Some(len)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Whether seccomp takes the filter. Nothing is attached: the filter is asked for together with a
/// descriptor that the process may not have, which the kernel notices after its check.
///
/// The limit on descriptors is the process's, and zero meanwhile.
///
/// # Errors
/// The kernel's error number: `EINVAL` for a filter that is not valid.
pub fn check_seccomp(insns: &[SockFilter]) -> Result<(), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(last_errno());
    }
    let none = libc::rlimit { rlim_cur: 0, ..limit };
    // SAFETY: `none` lives through the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) } != 0 {
        return Err(last_errno());
    }
    let answer = with_program(insns, |program| {
        // SAFETY: `program` and the instructions it points to live through the call.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                program,
            )
        };
        assert!(ret < 0, "no descriptor may be had, but the filter was attached");
        last_errno()
    });
    // SAFETY: `limit` lives through the call.
    let restored = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(restored, 0, "the limit was this before");
    if answer == Errno(libc::EMFILE as u16) { Ok(()) } else { Err(answer) }
}
