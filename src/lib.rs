//! facade
pub use ubpf_abi as abi;
pub use ubpf_isa as isa;
pub use ubpf_abi::Kernel;
pub use ubpf_vm::run::Input;
