//! Printing to the trace log.

use super::bprintf::{self, Args, Text};
use super::group::BASE;
use crate::env;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, MemRead, MemReadOrEmpty, Unchecked};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(6 trace_printk, since 4.1,
        "Prints up to three arguments to the trace log.", groups: &[BASE], gpl_only: true),
    helper!(177 trace_vprintk, since 5.16,
        "Prints up to twelve arguments to the trace log.", groups: &[BASE], gpl_only: true),
];

/// Bytes of one line in the log, its final zero included.
const MAX_LINE_BYTES: usize = 1024;

fn trace_printk(
    cx: &mut CallCx<'_>,
    format: MemRead,
    arg1: Unchecked,
    arg2: Unchecked,
    arg3: Unchecked,
) -> Result<u32, Errno> {
    print(cx, &format, &Args::new(&[arg1.0, arg2.0, arg3.0]))
}

fn trace_vprintk(
    cx: &mut CallCx<'_>,
    format: MemRead,
    args: Option<MemReadOrEmpty>,
) -> Result<u32, Errno> {
    let args = Args::read(cx, args)?;
    print(cx, &format, &args)
}

/// Prints a line, cut to the log's width; gives the length it would have had.
fn print(cx: &CallCx<'_>, format: &MemRead, args: &Args) -> Result<u32, Errno> {
    let format = format.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let end = format.iter().position(|&b| b == 0).ok_or(Errno::EINVAL)?;
    let text: Text = bprintf::format(cx, format.get(..end).unwrap_or_default(), args)?;
    let fits = text.len().min(MAX_LINE_BYTES - 1);
    env::of(cx.world).trace(text.get(..fits).unwrap_or_default().to_vec());
    Ok(text.len() as u32)
}
