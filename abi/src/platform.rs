//! The look-ups through which verifier and loader see the host, and nothing else of it.

use crate::helper::{HelperDecl, HelperId};
use crate::kfunc::KfuncDecl;
use crate::map::{MapType, MapTypeDecl};
use crate::prog_type::{ProgType, ProgTypeDecl};

/// What exists on the host that a program is meant for.
///
/// `ubpf-vm`'s registry implements it; tests may pass a fake.
pub trait Platform {
    /// The helper with this number.
    fn helper(&self, id: HelperId) -> Option<&HelperDecl>;
    /// The kernel function of this name.
    fn kfunc(&self, name: &str) -> Option<&KfuncDecl>;
    /// The map type.
    fn map_type(&self, map_type: MapType) -> Option<&MapTypeDecl>;
    /// The program type.
    fn prog_type(&self, prog_type: ProgType) -> Option<&ProgTypeDecl>;
}
