//! Which helpers take which types of maps, in which types of programs: every combination, against
//! the kernel.

use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::cases::CaseFile;
use ubpf_conformance::verdicts::{Outcome, Summary, Verifier};

/// A map of each type that needs no types of its own.
const MAPS: &str = "\
map hash hash 4 8 4
map array array 4 8 4
map programs prog_array 4 4 4
map perf perf_event_array 4 4 2
map percpu_hash percpu_hash 4 8 4
map percpu_array percpu_array 4 8 4
map stacks stack_trace 4 800 4
map cgroups cgroup_array 4 4 4
map lru lru_hash 4 8 4
map percpu_lru lru_percpu_hash 4 8 4
map trie lpm_trie 8 8 4 flags=1
map arrays array_of_maps 4 4 4 inner=hash
map hashes hash_of_maps 4 4 4 inner=array
map devices devmap 4 4 4
map device_hash devmap_hash 4 4 4
map sockets sockmap 4 8 4
map socket_hash sockhash 4 8 4
map cpus cpumap 4 4 4
map xsks xskmap 4 4 4
map storage cgroup_storage 16 8 0
map percpu_storage percpu_cgroup_storage 16 8 0
map reuseport reuseport_sockarray 4 4 4
map queue queue 0 8 4
map stack stack 0 8 4
map ring ringbuf 0 0 4096
map filter bloom_filter 0 8 4
map user_ring user_ringbuf 0 0 4096
";

/// Helpers with what they need beside the map; `r6` is the context, and the top 32 bytes of the
/// stack are zero.
const HELPERS: [(&str, &str); 25] = [
    ("map_lookup_elem", "r1 = MAP|r2 = r10|r2 += -16"),
    ("map_update_elem", "r1 = MAP|r2 = r10|r2 += -16|r3 = r10|r3 += -32|r4 = 0"),
    ("map_delete_elem", "r1 = MAP|r2 = r10|r2 += -16"),
    ("map_push_elem", "r1 = MAP|r2 = r10|r2 += -16|r3 = 0"),
    ("map_pop_elem", "r1 = MAP|r2 = r10|r2 += -16"),
    ("map_peek_elem", "r1 = MAP|r2 = r10|r2 += -16"),
    ("map_lookup_percpu_elem", "r1 = MAP|r2 = r10|r2 += -16|r3 = 0"),
    ("tail_call", "r1 = r6|r2 = MAP|r3 = 0"),
    ("perf_event_output", "r1 = r6|r2 = MAP|r3 = 0|r4 = r10|r4 += -16|r5 = 8"),
    ("perf_event_read", "r1 = MAP|r2 = 0"),
    ("perf_event_read_value", "r1 = MAP|r2 = 0|r3 = r10|r3 += -32|r4 = 24"),
    ("get_stackid", "r1 = r6|r2 = MAP|r3 = 0"),
    ("skb_under_cgroup", "r1 = r6|r2 = MAP|r3 = 0"),
    ("current_task_under_cgroup", "r1 = MAP|r2 = 0"),
    ("redirect_map", "r1 = MAP|r2 = 0|r3 = 0"),
    ("sk_redirect_map", "r1 = r6|r2 = MAP|r3 = 0|r4 = 0"),
    ("sk_redirect_hash", "r1 = r6|r2 = MAP|r3 = r10|r3 += -16|r4 = 0"),
    ("msg_redirect_map", "r1 = r6|r2 = MAP|r3 = 0|r4 = 0"),
    ("msg_redirect_hash", "r1 = r6|r2 = MAP|r3 = r10|r3 += -16|r4 = 0"),
    ("sock_map_update", "r1 = r6|r2 = MAP|r3 = r10|r3 += -16|r4 = 0"),
    ("sock_hash_update", "r1 = r6|r2 = MAP|r3 = r10|r3 += -16|r4 = 0"),
    ("sk_select_reuseport", "r1 = r6|r2 = MAP|r3 = r10|r3 += -16|r4 = 0"),
    ("get_local_storage", "r1 = MAP|r2 = 0"),
    ("ringbuf_output", "r1 = MAP|r2 = r10|r2 += -16|r3 = 8|r4 = 0"),
    ("ringbuf_query", "r1 = MAP|r2 = 0"),
];

const TYPES: [&str; 8] = [
    "type sched_cls",
    "type kprobe",
    "type sk_skb",
    "type sk_msg\nattach sk_msg_verdict",
    "type sock_ops\nattach cgroup_sock_ops",
    "type sk_reuseport\nattach sk_reuseport_select",
    "type cgroup_sock_addr\nattach cgroup_inet4_bind",
    "type perf_event",
];

/// A program of the type that calls the helper with the map.
fn case(kind: &str, helper: &str, arguments: &str, map: &str) -> String {
    let arguments = arguments.replace('|', "\n    ").replace("MAP", &format!("map[fd:{map}]"));
    format!(
        "{MAPS}\ncase {helper} {map}\n{kind}\n    r6 = r1\n    *(u64 *)(r10 - 8) = 0\n    \
         *(u64 *)(r10 - 16) = 0\n    *(u64 *)(r10 - 24) = 0\n    *(u64 *)(r10 - 32) = 0\n    \
         {arguments}\n    call {helper}\n    r0 = 1\n    exit\n"
    )
}

#[test]
fn helpers_take_the_maps_that_the_kernels_take() {
    skip_without_kernel!();
    let verifier = Verifier::like_this_machine().expect("the kernel's BTF is well formed");
    let maps = || MAPS.lines().filter_map(|line| line.split(' ').nth(1));
    let (mut summary, mut wrong) = (Summary::default(), Vec::new());
    let world = || CaseFile::parse(MAPS, None).expect("maps").world().expect("the maps exist");
    let mut shared = world();
    for kind in TYPES {
        for (helper, arguments) in HELPERS {
            for map in maps() {
                let text = case(kind, helper, arguments, map);
                let file = CaseFile::parse(&text, None).expect("it is a case");
                let case = &file.cases[0];
                let comparison = case.compare(kind, &shared, &verifier);
                // Such a map belongs to the first program that names it.
                if ["programs", "devices", "cpus"].contains(&map) {
                    shared = world();
                }
                summary.add(&comparison);
                if comparison.outcome() != Outcome::Agree {
                    wrong.push(comparison.to_string());
                }
            }
        }
    }
    println!("{summary}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
