//! What a section's name says about the programs in it: libbpf's names, one table.
//!
//! A row ends in `+` where the name may stand alone or be followed by `/` and a target
//! (`kprobe`, `kprobe/do_exit`); other rows must match exactly. The first row that matches counts.

use ubpf_abi::object::SectionInfo;
use ubpf_abi::prog_type::{AttachType, ProgType};

/// One row: names of this form mean this.
#[derive(Clone, Copy, Debug)]
struct Rule {
    name: &'static str,
    prog_type: ProgType,
    attach_type: AttachType,
    mode: Mode,
}

/// What else a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    /// May sleep.
    Sleepable,
    /// Takes packets in fragments.
    Frags,
}

/// Programs with one hook, whose attach type is not given.
const NONE: AttachType = AttachType(0);

macro_rules! rules {
    (@mode) => { Mode::Plain };
    (@mode sleepable) => { Mode::Sleepable };
    (@mode frags) => { Mode::Frags };
    (@attach NONE) => { NONE };
    (@attach $attach:ident) => { AttachType::$attach };
    ($($name:literal => $prog_type:ident, $attach:ident $($mode:ident)?;)*) => {
        &[$(Rule {
            name: $name,
            prog_type: ProgType::$prog_type,
            attach_type: rules!(@attach $attach),
            mode: rules!(@mode $($mode)?),
        },)*]
    };
}

#[rustfmt::skip]
const RULES: &[Rule] = rules! {
    "socket" => SocketFilter, NONE;
    "sk_reuseport/migrate" => SkReuseport, SK_REUSEPORT_SELECT_OR_MIGRATE;
    "sk_reuseport" => SkReuseport, SK_REUSEPORT_SELECT;
    "kprobe+" => Kprobe, NONE;
    "uprobe+" => Kprobe, NONE;
    "uprobe.s+" => Kprobe, NONE sleepable;
    "kretprobe+" => Kprobe, NONE;
    "uretprobe+" => Kprobe, NONE;
    "uretprobe.s+" => Kprobe, NONE sleepable;
    "kprobe.multi+" => Kprobe, TRACE_KPROBE_MULTI;
    "kretprobe.multi+" => Kprobe, TRACE_KPROBE_MULTI;
    "kprobe.session+" => Kprobe, TRACE_KPROBE_SESSION;
    "uprobe.multi+" => Kprobe, TRACE_UPROBE_MULTI;
    "uretprobe.multi+" => Kprobe, TRACE_UPROBE_MULTI;
    "uprobe.session+" => Kprobe, TRACE_UPROBE_SESSION;
    "uprobe.multi.s+" => Kprobe, TRACE_UPROBE_MULTI sleepable;
    "uretprobe.multi.s+" => Kprobe, TRACE_UPROBE_MULTI sleepable;
    "uprobe.session.s+" => Kprobe, TRACE_UPROBE_SESSION sleepable;
    "ksyscall+" => Kprobe, NONE;
    "kretsyscall+" => Kprobe, NONE;
    "usdt+" => Kprobe, NONE;
    "usdt.s+" => Kprobe, NONE sleepable;
    "tc/ingress" => SchedCls, TCX_INGRESS;
    "tc/egress" => SchedCls, TCX_EGRESS;
    "tcx/ingress" => SchedCls, TCX_INGRESS;
    "tcx/egress" => SchedCls, TCX_EGRESS;
    "tc" => SchedCls, NONE;
    "classifier" => SchedCls, NONE;
    "action" => SchedAct, NONE;
    "netkit/primary" => SchedCls, NETKIT_PRIMARY;
    "netkit/peer" => SchedCls, NETKIT_PEER;
    "tracepoint+" => Tracepoint, NONE;
    "tp+" => Tracepoint, NONE;
    "raw_tracepoint+" => RawTracepoint, NONE;
    "raw_tp+" => RawTracepoint, NONE;
    "raw_tracepoint.w+" => RawTracepointWritable, NONE;
    "raw_tp.w+" => RawTracepointWritable, NONE;
    "tp_btf+" => Tracing, TRACE_RAW_TP;
    "fentry+" => Tracing, TRACE_FENTRY;
    "fmod_ret+" => Tracing, MODIFY_RETURN;
    "fexit+" => Tracing, TRACE_FEXIT;
    "fentry.s+" => Tracing, TRACE_FENTRY sleepable;
    "fmod_ret.s+" => Tracing, MODIFY_RETURN sleepable;
    "fexit.s+" => Tracing, TRACE_FEXIT sleepable;
    "fsession+" => Tracing, TRACE_FSESSION;
    "fsession.s+" => Tracing, TRACE_FSESSION sleepable;
    "freplace+" => Ext, NONE;
    "lsm+" => Lsm, LSM_MAC;
    "lsm.s+" => Lsm, LSM_MAC sleepable;
    "lsm_cgroup+" => Lsm, LSM_CGROUP;
    "iter+" => Tracing, TRACE_ITER;
    "iter.s+" => Tracing, TRACE_ITER sleepable;
    "syscall" => Syscall, NONE sleepable;
    "xdp.frags/devmap" => Xdp, XDP_DEVMAP frags;
    "xdp/devmap" => Xdp, XDP_DEVMAP;
    "xdp.frags/cpumap" => Xdp, XDP_CPUMAP frags;
    "xdp/cpumap" => Xdp, XDP_CPUMAP;
    "xdp.frags" => Xdp, XDP frags;
    "xdp" => Xdp, XDP;
    "perf_event" => PerfEvent, NONE;
    "lwt_in" => LwtIn, NONE;
    "lwt_out" => LwtOut, NONE;
    "lwt_xmit" => LwtXmit, NONE;
    "lwt_seg6local" => LwtSeg6local, NONE;
    "sockops" => SockOps, CGROUP_SOCK_OPS;
    "sk_skb/stream_parser" => SkSkb, SK_SKB_STREAM_PARSER;
    "sk_skb/stream_verdict" => SkSkb, SK_SKB_STREAM_VERDICT;
    "sk_skb/verdict" => SkSkb, SK_SKB_VERDICT;
    "sk_skb" => SkSkb, NONE;
    "sk_msg" => SkMsg, SK_MSG_VERDICT;
    "lirc_mode2" => LircMode2, LIRC_MODE2;
    "flow_dissector" => FlowDissector, FLOW_DISSECTOR;
    "cgroup_skb/ingress" => CgroupSkb, CGROUP_INET_INGRESS;
    "cgroup_skb/egress" => CgroupSkb, CGROUP_INET_EGRESS;
    "cgroup/skb" => CgroupSkb, NONE;
    "cgroup/sock_create" => CgroupSock, CGROUP_INET_SOCK_CREATE;
    "cgroup/sock_release" => CgroupSock, CGROUP_INET_SOCK_RELEASE;
    "cgroup/sock" => CgroupSock, CGROUP_INET_SOCK_CREATE;
    "cgroup/post_bind4" => CgroupSock, CGROUP_INET4_POST_BIND;
    "cgroup/post_bind6" => CgroupSock, CGROUP_INET6_POST_BIND;
    "cgroup/bind4" => CgroupSockAddr, CGROUP_INET4_BIND;
    "cgroup/bind6" => CgroupSockAddr, CGROUP_INET6_BIND;
    "cgroup/connect4" => CgroupSockAddr, CGROUP_INET4_CONNECT;
    "cgroup/connect6" => CgroupSockAddr, CGROUP_INET6_CONNECT;
    "cgroup/connect_unix" => CgroupSockAddr, CGROUP_UNIX_CONNECT;
    "cgroup/sendmsg4" => CgroupSockAddr, CGROUP_UDP4_SENDMSG;
    "cgroup/sendmsg6" => CgroupSockAddr, CGROUP_UDP6_SENDMSG;
    "cgroup/sendmsg_unix" => CgroupSockAddr, CGROUP_UNIX_SENDMSG;
    "cgroup/recvmsg4" => CgroupSockAddr, CGROUP_UDP4_RECVMSG;
    "cgroup/recvmsg6" => CgroupSockAddr, CGROUP_UDP6_RECVMSG;
    "cgroup/recvmsg_unix" => CgroupSockAddr, CGROUP_UNIX_RECVMSG;
    "cgroup/getpeername4" => CgroupSockAddr, CGROUP_INET4_GETPEERNAME;
    "cgroup/getpeername6" => CgroupSockAddr, CGROUP_INET6_GETPEERNAME;
    "cgroup/getpeername_unix" => CgroupSockAddr, CGROUP_UNIX_GETPEERNAME;
    "cgroup/getsockname4" => CgroupSockAddr, CGROUP_INET4_GETSOCKNAME;
    "cgroup/getsockname6" => CgroupSockAddr, CGROUP_INET6_GETSOCKNAME;
    "cgroup/getsockname_unix" => CgroupSockAddr, CGROUP_UNIX_GETSOCKNAME;
    "cgroup/sysctl" => CgroupSysctl, CGROUP_SYSCTL;
    "cgroup/getsockopt" => CgroupSockopt, CGROUP_GETSOCKOPT;
    "cgroup/setsockopt" => CgroupSockopt, CGROUP_SETSOCKOPT;
    "cgroup/dev" => CgroupDevice, CGROUP_DEVICE;
    "struct_ops+" => StructOps, NONE;
    "struct_ops.s+" => StructOps, NONE sleepable;
    "sk_lookup" => SkLookup, SK_LOOKUP;
    "netfilter" => Netfilter, NETFILTER;
};

/// What the name of a section of code means. A name that no row matches gives no program type.
#[must_use]
pub fn section_info(name: &str) -> SectionInfo {
    let (optional, name) = match name.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    let matched = RULES.iter().find_map(|rule| Some((rule, rule.target(name)?)));
    let Some((rule, target)) = matched else {
        return SectionInfo { optional, ..SectionInfo::default() };
    };
    SectionInfo {
        prog_type: Some(rule.prog_type),
        attach_type: rule.attach_type,
        target: target.map(str::to_owned),
        sleepable: rule.mode == Mode::Sleepable,
        frags: rule.mode == Mode::Frags,
        optional,
        ..SectionInfo::default()
    }
}

/// The program type of the row that a name without a match begins with: what libbpf before 1.0
/// would have taken `xdp_filter` for. Only good for advice.
pub(crate) fn resembling(name: &str) -> Option<ProgType> {
    let name = name.strip_prefix('?').unwrap_or(name);
    let row = |r: &&Rule| name.starts_with(r.name.trim_end_matches('+'));
    RULES.iter().find(row).map(|r| r.prog_type)
}

/// Every form of section name with the program type and attach type it gives, in the order in
/// which they are tried; a final `+` stands for an optional `/target`.
pub fn section_names() -> impl Iterator<Item = (&'static str, ProgType, AttachType)> {
    RULES.iter().map(|r| (r.name, r.prog_type, r.attach_type))
}

impl Rule {
    /// Whether `name` matches, and if so what follows the prefix.
    fn target<'n>(&self, name: &'n str) -> Option<Option<&'n str>> {
        match self.name.strip_suffix('+') {
            None => (name == self.name).then_some(None),
            Some(prefix) => match name.strip_prefix(prefix)? {
                "" => Some(None),
                rest => rest.strip_prefix('/').map(Some),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_a_slash() {
        let tp = section_info("tp/sched/sched_switch");
        assert_eq!(tp.prog_type, Some(ProgType::Tracepoint));
        assert_eq!(tp.target.as_deref(), Some("sched/sched_switch"));
        assert_eq!(section_info("tpx").prog_type, None);
        assert_eq!(section_info("xdp/devmap").attach_type, AttachType::XDP_DEVMAP);
        assert_eq!(section_info("xdp/other").prog_type, None);
    }

    #[test]
    fn variants_are_told_apart() {
        let info = section_info("?lsm.s/file_open");
        assert!(info.optional && info.sleepable);
        assert_eq!(info.prog_type, Some(ProgType::Lsm));
        assert!(section_info("xdp.frags/cpumap").frags);
        assert!(!section_info("xdp").frags);
        assert!(section_info("syscall").sleepable);
        assert_eq!(section_info("?custom").prog_type, None);
        assert!(section_info("?custom").optional);
    }

    #[test]
    fn old_names_give_no_type_but_advice() {
        assert_eq!(section_info("xdp_filter").prog_type, None);
        assert_eq!(resembling("xdp_filter"), Some(ProgType::Xdp));
        assert_eq!(resembling("?classifier/a"), Some(ProgType::SchedCls));
        assert_eq!(resembling("custom"), None);
    }

    #[test]
    fn every_row_can_be_reached() {
        for rule in RULES {
            let info = section_info(rule.name.trim_end_matches('+'));
            assert_eq!(info.prog_type, Some(rule.prog_type), "{}", rule.name);
            assert_eq!(info.attach_type, rule.attach_type, "{}", rule.name);
        }
    }
}
