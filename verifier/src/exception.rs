//! Exceptions: a program may end at once, from any depth, and name the function that then says
//! what it returns.
//!
//! Nothing calls that function in the code; a tag of the entry's type names it.

use crate::reason::{ProtoReason, Reason};
use ubpf_abi::btf::Kind;
use ubpf_abi::program::Program;
use ubpf_isa::Pc;

/// What the tag begins with.
const TAG: &str = "exception_callback:";

/// Where the function begins that handles exceptions.
///
/// # Errors
/// The tag names none, or there are several.
pub fn callback(program: &Program) -> Result<Option<Pc>, Reason> {
    let entry = program.subprogs.first().and_then(|entry| entry.btf_func);
    let (Some(btf), Some(entry)) = (program.btf.as_deref(), entry) else { return Ok(None) };
    let mut names = btf.decl_tags(entry, None).filter_map(|tag| tag.strip_prefix(TAG));
    let Some(name) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(ProtoReason::ExceptionTags.into());
    }
    let Some(id) = btf.find(Kind::Func, name) else {
        return Err(ProtoReason::NoException(name.to_owned()).into());
    };
    let found = program.subprogs.iter().find(|subprog| subprog.btf_func == Some(id));
    found.map(|subprog| Some(subprog.start)).ok_or(ProtoReason::ExceptionNoCode.into())
}
