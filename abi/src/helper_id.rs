//! Numbers of helpers: the names and ages of all that the kernel has, emulated or not, so that
//! messages can name what is missing.

use crate::helper::HelperId;
use crate::kernel::Version;

macro_rules! helper_ids {
    ($($id:literal = $name:ident, $major:literal . $minor:literal;)*) => {
        impl HelperId {
            /// Every number that Linux 6.18 knows, ascending.
            pub const ALL: &'static [Self] = &[$(Self($id),)*];

            /// The name without the `bpf_` prefix; `None` for numbers that no kernel up to 6.18
            /// knows.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($id => Some(stringify!($name)),)* _ => None }
            }

            /// The name as C programs and the kernel's log write it, such as
            /// `bpf_map_lookup_elem`.
            #[must_use]
            pub const fn bpf_name(self) -> Option<&'static str> {
                match self.0 { $($id => Some(concat!("bpf_", stringify!($name))),)* _ => None }
            }

            /// The helper with that name, without the `bpf_` prefix.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self($id)),)* _ => None }
            }

            /// The kernel that brought it.
            #[must_use]
            pub const fn since(self) -> Option<Version> {
                match self.0 { $($id => Some(Version::new($major, $minor)),)* _ => None }
            }
        }
    };
}

helper_ids! {
    1 = map_lookup_elem, 3 . 19;
    2 = map_update_elem, 3 . 19;
    3 = map_delete_elem, 3 . 19;
    4 = probe_read, 4 . 1;
    5 = ktime_get_ns, 4 . 1;
    6 = trace_printk, 4 . 1;
    7 = get_prandom_u32, 4 . 1;
    8 = get_smp_processor_id, 4 . 1;
    9 = skb_store_bytes, 4 . 1;
    10 = l3_csum_replace, 4 . 1;
    11 = l4_csum_replace, 4 . 1;
    12 = tail_call, 4 . 2;
    13 = clone_redirect, 4 . 2;
    14 = get_current_pid_tgid, 4 . 2;
    15 = get_current_uid_gid, 4 . 2;
    16 = get_current_comm, 4 . 2;
    17 = get_cgroup_classid, 4 . 3;
    18 = skb_vlan_push, 4 . 3;
    19 = skb_vlan_pop, 4 . 3;
    20 = skb_get_tunnel_key, 4 . 3;
    21 = skb_set_tunnel_key, 4 . 3;
    22 = perf_event_read, 4 . 3;
    23 = redirect, 4 . 4;
    24 = get_route_realm, 4 . 4;
    25 = perf_event_output, 4 . 4;
    26 = skb_load_bytes, 4 . 5;
    27 = get_stackid, 4 . 6;
    28 = csum_diff, 4 . 6;
    29 = skb_get_tunnel_opt, 4 . 6;
    30 = skb_set_tunnel_opt, 4 . 6;
    31 = skb_change_proto, 4 . 8;
    32 = skb_change_type, 4 . 8;
    33 = skb_under_cgroup, 4 . 8;
    34 = get_hash_recalc, 4 . 8;
    35 = get_current_task, 4 . 8;
    36 = probe_write_user, 4 . 8;
    37 = current_task_under_cgroup, 4 . 9;
    38 = skb_change_tail, 4 . 9;
    39 = skb_pull_data, 4 . 9;
    40 = csum_update, 4 . 9;
    41 = set_hash_invalid, 4 . 9;
    42 = get_numa_node_id, 4 . 10;
    43 = skb_change_head, 4 . 10;
    44 = xdp_adjust_head, 4 . 10;
    45 = probe_read_str, 4 . 11;
    46 = get_socket_cookie, 4 . 12;
    47 = get_socket_uid, 4 . 12;
    48 = set_hash, 4 . 13;
    49 = setsockopt, 4 . 13;
    50 = skb_adjust_room, 4 . 13;
    51 = redirect_map, 4 . 14;
    52 = sk_redirect_map, 4 . 14;
    53 = sock_map_update, 4 . 14;
    54 = xdp_adjust_meta, 4 . 15;
    55 = perf_event_read_value, 4 . 15;
    56 = perf_prog_read_value, 4 . 15;
    57 = getsockopt, 4 . 15;
    58 = override_return, 4 . 16;
    59 = sock_ops_cb_flags_set, 4 . 16;
    60 = msg_redirect_map, 4 . 17;
    61 = msg_apply_bytes, 4 . 17;
    62 = msg_cork_bytes, 4 . 17;
    63 = msg_pull_data, 4 . 17;
    64 = bind, 4 . 17;
    65 = xdp_adjust_tail, 4 . 18;
    66 = skb_get_xfrm_state, 4 . 18;
    67 = get_stack, 4 . 18;
    68 = skb_load_bytes_relative, 4 . 18;
    69 = fib_lookup, 4 . 18;
    70 = sock_hash_update, 4 . 18;
    71 = msg_redirect_hash, 4 . 18;
    72 = sk_redirect_hash, 4 . 18;
    73 = lwt_push_encap, 4 . 18;
    74 = lwt_seg6_store_bytes, 4 . 18;
    75 = lwt_seg6_adjust_srh, 4 . 18;
    76 = lwt_seg6_action, 4 . 18;
    77 = rc_repeat, 4 . 18;
    78 = rc_keydown, 4 . 18;
    79 = skb_cgroup_id, 4 . 18;
    80 = get_current_cgroup_id, 4 . 18;
    81 = get_local_storage, 4 . 19;
    82 = sk_select_reuseport, 4 . 19;
    83 = skb_ancestor_cgroup_id, 4 . 19;
    84 = sk_lookup_tcp, 4 . 20;
    85 = sk_lookup_udp, 4 . 20;
    86 = sk_release, 4 . 20;
    87 = map_push_elem, 4 . 20;
    88 = map_pop_elem, 4 . 20;
    89 = map_peek_elem, 4 . 20;
    90 = msg_push_data, 4 . 20;
    91 = msg_pop_data, 5 . 0;
    92 = rc_pointer_rel, 5 . 0;
    93 = spin_lock, 5 . 1;
    94 = spin_unlock, 5 . 1;
    95 = sk_fullsock, 5 . 1;
    96 = tcp_sock, 5 . 1;
    97 = skb_ecn_set_ce, 5 . 1;
    98 = get_listener_sock, 5 . 1;
    99 = skc_lookup_tcp, 5 . 2;
    100 = tcp_check_syncookie, 5 . 2;
    101 = sysctl_get_name, 5 . 2;
    102 = sysctl_get_current_value, 5 . 2;
    103 = sysctl_get_new_value, 5 . 2;
    104 = sysctl_set_new_value, 5 . 2;
    105 = strtol, 5 . 2;
    106 = strtoul, 5 . 2;
    107 = sk_storage_get, 5 . 2;
    108 = sk_storage_delete, 5 . 2;
    109 = send_signal, 5 . 3;
    110 = tcp_gen_syncookie, 5 . 3;
    111 = skb_output, 5 . 5;
    112 = probe_read_user, 5 . 5;
    113 = probe_read_kernel, 5 . 5;
    114 = probe_read_user_str, 5 . 5;
    115 = probe_read_kernel_str, 5 . 5;
    116 = tcp_send_ack, 5 . 6;
    117 = send_signal_thread, 5 . 6;
    118 = jiffies64, 5 . 6;
    119 = read_branch_records, 5 . 6;
    120 = get_ns_current_pid_tgid, 5 . 7;
    121 = xdp_output, 5 . 7;
    122 = get_netns_cookie, 5 . 7;
    123 = get_current_ancestor_cgroup_id, 5 . 7;
    124 = sk_assign, 5 . 7;
    125 = ktime_get_boot_ns, 5 . 8;
    126 = seq_printf, 5 . 8;
    127 = seq_write, 5 . 8;
    128 = sk_cgroup_id, 5 . 8;
    129 = sk_ancestor_cgroup_id, 5 . 8;
    130 = ringbuf_output, 5 . 8;
    131 = ringbuf_reserve, 5 . 8;
    132 = ringbuf_submit, 5 . 8;
    133 = ringbuf_discard, 5 . 8;
    134 = ringbuf_query, 5 . 8;
    135 = csum_level, 5 . 8;
    136 = skc_to_tcp6_sock, 5 . 9;
    137 = skc_to_tcp_sock, 5 . 9;
    138 = skc_to_tcp_timewait_sock, 5 . 9;
    139 = skc_to_tcp_request_sock, 5 . 9;
    140 = skc_to_udp6_sock, 5 . 9;
    141 = get_task_stack, 5 . 9;
    142 = load_hdr_opt, 5 . 10;
    143 = store_hdr_opt, 5 . 10;
    144 = reserve_hdr_opt, 5 . 10;
    145 = inode_storage_get, 5 . 10;
    146 = inode_storage_delete, 5 . 10;
    147 = d_path, 5 . 10;
    148 = copy_from_user, 5 . 10;
    149 = snprintf_btf, 5 . 10;
    150 = seq_printf_btf, 5 . 10;
    151 = skb_cgroup_classid, 5 . 10;
    152 = redirect_neigh, 5 . 10;
    153 = per_cpu_ptr, 5 . 10;
    154 = this_cpu_ptr, 5 . 10;
    155 = redirect_peer, 5 . 10;
    156 = task_storage_get, 5 . 11;
    157 = task_storage_delete, 5 . 11;
    158 = get_current_task_btf, 5 . 11;
    159 = bprm_opts_set, 5 . 11;
    160 = ktime_get_coarse_ns, 5 . 11;
    161 = ima_inode_hash, 5 . 11;
    162 = sock_from_file, 5 . 11;
    163 = check_mtu, 5 . 12;
    164 = for_each_map_elem, 5 . 13;
    165 = snprintf, 5 . 13;
    166 = sys_bpf, 5 . 14;
    167 = btf_find_by_name_kind, 5 . 14;
    168 = sys_close, 5 . 14;
    169 = timer_init, 5 . 15;
    170 = timer_set_callback, 5 . 15;
    171 = timer_start, 5 . 15;
    172 = timer_cancel, 5 . 15;
    173 = get_func_ip, 5 . 15;
    174 = get_attach_cookie, 5 . 15;
    175 = task_pt_regs, 5 . 15;
    176 = get_branch_snapshot, 5 . 16;
    177 = trace_vprintk, 5 . 16;
    178 = skc_to_unix_sock, 5 . 16;
    179 = kallsyms_lookup_name, 5 . 16;
    180 = find_vma, 5 . 17;
    181 = loop, 5 . 17;
    182 = strncmp, 5 . 17;
    183 = get_func_arg, 5 . 17;
    184 = get_func_ret, 5 . 17;
    185 = get_func_arg_cnt, 5 . 17;
    186 = get_retval, 5 . 18;
    187 = set_retval, 5 . 18;
    188 = xdp_get_buff_len, 5 . 18;
    189 = xdp_load_bytes, 5 . 18;
    190 = xdp_store_bytes, 5 . 18;
    191 = copy_from_user_task, 5 . 18;
    192 = skb_set_tstamp, 5 . 18;
    193 = ima_file_hash, 5 . 18;
    194 = kptr_xchg, 5 . 19;
    195 = map_lookup_percpu_elem, 5 . 19;
    196 = skc_to_mptcp_sock, 5 . 19;
    197 = dynptr_from_mem, 5 . 19;
    198 = ringbuf_reserve_dynptr, 5 . 19;
    199 = ringbuf_submit_dynptr, 5 . 19;
    200 = ringbuf_discard_dynptr, 5 . 19;
    201 = dynptr_read, 5 . 19;
    202 = dynptr_write, 5 . 19;
    203 = dynptr_data, 5 . 19;
    204 = tcp_raw_gen_syncookie_ipv4, 6 . 0;
    205 = tcp_raw_gen_syncookie_ipv6, 6 . 0;
    206 = tcp_raw_check_syncookie_ipv4, 6 . 0;
    207 = tcp_raw_check_syncookie_ipv6, 6 . 0;
    208 = ktime_get_tai_ns, 6 . 1;
    209 = user_ringbuf_drain, 6 . 1;
    210 = cgrp_storage_get, 6 . 2;
    211 = cgrp_storage_delete, 6 . 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gaps_and_names_no_doubles() {
        for (i, id) in HelperId::ALL.iter().enumerate() {
            assert_eq!(id.0 as usize, i + 1);
            let doubles = HelperId::ALL.iter().filter(|other| other.name() == id.name());
            assert_eq!(doubles.count(), 1, "{:?}", id.name());
        }
        assert_eq!(HelperId(0).name(), None);
        assert_eq!(HelperId(212).since(), None);
    }
}
