//! Program types that run on a context struct, and those that can be verified but not run.
//!
//! A type moves out of here into a file of its own when its input is more than that.

mod cgroup;
pub(super) mod rows;
mod socket;
mod tracing;

use ubpf_abi::prog_type::ProgTypeDecl;
use ubpf_vm::registry::ProgTypeDef;

/// Every type that runs on its context, by family.
pub const ALL: &[&[ProgTypeDef]] = &[tracing::ALL, socket::ALL, cgroup::ALL];

/// Types of which only the description is known.
pub const DESCRIBED: &[ProgTypeDecl] = tracing::DESCRIBED;
