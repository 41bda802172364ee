//! The running kernel's BTF, compared with what bpftool says about it.

use ubpf_loader::btf::{encode, parse};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

#[test]
fn encoding_gives_the_kernels_bytes_back() {
    let Ok(bytes) = std::fs::read(VMLINUX) else {
        eprintln!("SKIPPED: {VMLINUX} cannot be read");
        return;
    };
    let start = std::time::Instant::now();
    let btf = parse(&bytes).expect("the kernel's own BTF parses");
    println!("parsed {} types in {:?}", btf.end_id().0 - 1, start.elapsed());
    let start = std::time::Instant::now();
    let found = btf.find_flavors("task_struct").count();
    println!("name index in {:?}, {found} task_structs", start.elapsed());
    assert!(encode(&btf).expect("fits the format") == bytes, "parse and encode are inverse");
}
