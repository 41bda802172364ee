//! What the kernel's verifier lets a program type do, found by asking it with tiny programs.

use super::prog::{Loaded, LogLevel, ProgLoad, Refused};
use ubpf_abi::helper::HelperId;
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_isa::Slot;

/// A program type at one of its attach types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The type.
    pub prog_type: ProgType,
    /// The expected attach type.
    pub attach_type: AttachType,
}

/// Whether a program type may call a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It may, under a licence compatible with the GPL.
    GplOnly,
    /// It may not.
    Refused,
}

/// Direction of a context access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtxAccess {
    /// A load into a register.
    Load,
    /// A store from a register.
    Store,
}

const fn slot(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Slot {
    Slot { opcode, dst, src, off, imm }
}

/// What programs that user space runs must be.
const F_SLEEPABLE: u32 = 1 << 4;

const EXIT: Slot = slot(0x95, 0, 0, 0, 0);

impl Subject {
    /// The subject with no attach type.
    #[must_use]
    pub const fn of(prog_type: ProgType) -> Self {
        Self { prog_type, attach_type: AttachType(0) }
    }

    fn load(self, slots: &[Slot], license: &str, level: LogLevel) -> Result<Loaded, Refused> {
        let spec = ProgLoad {
            prog_type: self.prog_type.id(),
            expected_attach_type: self.attach_type.0,
            prog_flags: if self.prog_type == ProgType::Syscall { F_SLEEPABLE } else { 0 },
            license,
            slots,
            ..ProgLoad::default()
        };
        Loaded::load(&spec, level)
    }

    /// Whether it may call this helper. Arguments do not matter: the kernel looks at them after
    /// it has looked the helper up.
    #[must_use]
    pub fn admits(self, helper: HelperId) -> Admission {
        let call = slot(0x85, 0, 0, 0, helper.0.cast_signed());
        let program = [call, slot(0xb7, 0, 0, 0, 0), EXIT];
        let refused_with = |license, reasons: &[&str]| {
            let result = self.load(&program, license, LogLevel::Brief);
            result.is_err_and(|refused| reasons.iter().any(|r| refused.log.contains(r)))
        };
        if refused_with("GPL", &["cannot use helper", "unknown func", "invalid func"]) {
            Admission::Refused
        } else if refused_with("Proprietary", &["cannot call GPL"]) {
            Admission::GplOnly
        } else {
            Admission::Admitted
        }
    }

    /// Whether it may access `size` bytes (1, 2, 4 or 8) at `off` of its context.
    #[must_use]
    pub fn may_access(self, access: CtxAccess, off: i16, size: u32) -> bool {
        let size_bits = match size {
            1 => 0x10,
            2 => 0x08,
            4 => 0x00,
            _ => 0x18,
        };
        let zero = slot(0xb7, 2, 0, 0, 0);
        let access = match access {
            CtxAccess::Load => slot(0x61 | size_bits, 2, 1, off, 0),
            CtxAccess::Store => slot(0x63 | size_bits, 1, 2, off, 0),
        };
        // Every type may return 1.
        self.load(&[zero, access, slot(0xb7, 0, 0, 0, 1), EXIT], "GPL", LogLevel::None).is_ok()
    }
}
