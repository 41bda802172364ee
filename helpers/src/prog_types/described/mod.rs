//! Program types that can be verified but not run: their contexts, helpers and return values.
//!
//! A type moves out of here into a file of its own when something can make its context.

mod cgroup;
mod packet;
pub(super) mod rows;
mod socket;
mod tracing;

use ubpf_abi::prog_type::ProgTypeDecl;

/// Every description, by family.
pub const ALL: &[&[ProgTypeDecl]] = &[tracing::ALL, packet::ALL, socket::ALL, cgroup::ALL];
