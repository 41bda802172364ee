//! Classic filters as objects: one program, `filter`, whose source lines are the filter's listing.
//!
//! What it is translated to depends on the type that it runs as, so linking does that.

use crate::error::{LoadError, LoadErrorKind as Kind};
use std::sync::Arc;
use ubpf_abi::btf::Builder;
use ubpf_abi::object::{Function, Object, SectionInfo};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{LineInfo, Program};
use ubpf_isa::cbpf::{self, Filter, SockFilter, Target};
use ubpf_isa::encode_all;

/// The name of the program, and of the file that its lines are in.
const NAME: &str = "filter";
const FILE: &str = "filter.cbpf";

/// Reads a filter. Whether it is a valid one is for linking to say.
pub(crate) fn load(bytes: &[u8]) -> Result<Object, LoadError> {
    // Text that begins like a filter is meant as one.
    let begins = |byte: &u8| matches!(byte, b'0'..=b'9' | b'{' | b'(');
    let insns = match cbpf::parse(bytes) {
        Ok(insns) if looks_classic(&insns) => insns,
        Err(e) if bytes.trim_ascii_start().first().is_some_and(begins) => {
            return Err(Kind::FilterText(e).into());
        }
        _ => return Err(Kind::NeitherElfNorFilter.into()),
    };
    let seccomp = Filter::check(&insns).is_ok_and(|filter| filter.is_seccomp());
    let prog_type = if seccomp { ProgType::Seccomp } else { ProgType::Classic };
    let entry = SectionInfo { prog_type: Some(prog_type), ..SectionInfo::default() };
    let function = Function {
        name: NAME.to_owned(),
        section: prog_type.name().to_owned(),
        entry: Some(entry),
        global: true,
        slots: Vec::new(),
        classic: Some(insns.into()),
        refs: Vec::new(),
        lines: Vec::new(),
        btf_func: None,
        failed_relos: Vec::new(),
    };
    // Filters run whatever their licence: they are data to the kernel.
    Ok(Object { license: "GPL".to_owned(), functions: vec![function], ..Object::default() })
}

/// Whether bytes that could be anything are instructions: no code has more than eight bits.
fn looks_classic(insns: &[SockFilter]) -> bool {
    !insns.is_empty() && insns.iter().all(|insn| insn.code <= 0xff)
}

/// Checks the filter and translates it for this type.
pub(crate) fn link(
    object: &Object,
    function: &Function,
    insns: &[SockFilter],
    prog_type: ProgType,
) -> Result<Program, LoadError> {
    let target = match prog_type {
        ProgType::Classic => Target::Classic,
        ProgType::Seccomp => Target::Seccomp,
        // Those that have the packet loads of classic BPF.
        ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct | ProgType::CgroupSkb => {
            Target::SkBuff
        }
        other => return Err(Kind::ClassicType(other).into()),
    };
    let filter = Filter::check(insns).map_err(Kind::Classic)?;
    let translation = filter.translate(target).map_err(Kind::Classic)?;
    let mut btf = Builder::new();
    let file_off = btf.str(FILE).0;
    let starts = translation.starts.iter().zip(filter.listing());
    let lines = (1..).zip(starts).map(|(line, (&slot, text))| LineInfo {
        slot,
        file_off,
        line_off: btf.str(&text).0,
        line,
        column: 0,
    });
    let mut lines: Vec<LineInfo> = lines.collect();
    // Of those that became nothing, the lines would cover what follows them.
    lines.reverse();
    lines.dedup_by_key(|line| line.slot);
    lines.reverse();
    let program = Program::from_slots(prog_type, encode_all(&translation.insns));
    let subprogs = program.subprogs.into_iter();
    Ok(Program {
        name: function.name.clone(),
        section: function.entry.clone().unwrap_or_default(),
        license: object.license.clone(),
        subprogs: subprogs
            .map(|subprog| ubpf_abi::program::Subprog { name: function.name.clone(), ..subprog })
            .collect(),
        lines,
        btf: Some(Arc::new(btf.finish())),
        ..program
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prog_type(text: &str) -> Option<ProgType> {
        let object = load(text.as_bytes()).unwrap();
        object.functions[0].entry.as_ref().unwrap().prog_type
    }

    #[test]
    fn filters_of_system_calls_are_told_apart() {
        assert_eq!(prog_type("1,6 0 0 262144"), Some(ProgType::Classic));
        assert_eq!(prog_type("1,6 0 0 2147418112"), Some(ProgType::Seccomp));
    }

    #[test]
    fn what_is_no_filter_is_said_to_be_neither() {
        for bytes in [&b""[..], b"#include <linux/bpf.h>", b"\x89PNG\r\n\x1a\n"] {
            let error = load(bytes).unwrap_err();
            assert!(matches!(error.kind(), Kind::NeitherElfNorFilter), "{error}");
        }
        let error = load(b"1\n6 0 0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a classic filter that cannot be read: record 2: expected `code jt jf k`"
        );
    }

    #[test]
    fn every_instruction_keeps_its_line() {
        let object = load(b"4,40 0 0 12,21 0 1 2048,6 0 0 65535,6 0 0 0").unwrap();
        let program = crate::link(&object, 0, None).unwrap();
        let btf = program.btf.as_ref().unwrap();
        let lines: Vec<_> = program.lines.iter().map(|line| (line.slot, line.line)).collect();
        assert_eq!(lines, [(3, 1), (4, 2), (5, 3), (7, 4)]);
        let text = btf.string(ubpf_abi::btf::StrOff(program.lines[0].line_off));
        assert_eq!(text, Some("(000) ldh      [12]"));
    }

    #[test]
    fn types_without_packet_loads_are_refused() {
        let object = load(b"1,6 0 0 1").unwrap();
        let error = crate::link(&object, 0, Some(ProgType::Xdp)).unwrap_err();
        assert_eq!(error.to_string(), "a classic filter cannot run as xdp");
    }
}
