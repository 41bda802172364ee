//! Runs with `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`: the packet arrives with its whole sum, helpers
//! keep it or do not, and test-run fails where it does not fit in the end.

use ubpf::Input;
use ubpf_conformance::emulated::engine_like_this_machine;
use ubpf_conformance::kernel::{KernelWorld, LogLevel, TestInput, pin_to_cpu_0};
use ubpf_conformance::{objects, packets, skip_without_kernel};

const CHECKSUM_COMPLETE: u32 = 1 << 2;

#[test]
fn sums_are_kept_and_judged_as_the_kernel_does() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let path = objects::suite_dir("helpers").join("complete.bpf.o");
    let object = engine.load(&std::fs::read(path).expect("the probe is there")).expect("loads");
    let (mut compared, mut wrong) = (0, Vec::new());
    for (_, function) in object.programs() {
        let module = engine.prepare(&object, &function.name).expect("the probe links");
        let world = KernelWorld::create(&object.maps, None).expect("the maps can be made");
        let kernel = world.load(module.program(), LogLevel::None).expect("the kernel takes it");
        let mut ubpf = engine.instantiate(&module).expect("ubpf takes it");
        for packet in packets::corpus() {
            let data = &packet.bytes;
            let input = TestInput {
                data,
                data_out_bytes: data.len() + 4096,
                repeat: 1,
                flags: CHECKSUM_COMPLETE,
                ..TestInput::default()
            };
            let expected = kernel.test_run(&input).map(|out| (out.retval, out.data));
            let input = Input { data: data.clone(), flags: CHECKSUM_COMPLETE, ..Input::default() };
            let actual = match ubpf.run(&input) {
                Ok(outcome) => Ok((outcome.output.retval, outcome.output.data.unwrap_or_default())),
                Err(ubpf::RunError::Input(refused)) => Err(refused.errno),
                Err(trapped) => panic!("{}: {trapped}", function.name),
            };
            compared += 1;
            let seen = |bytes: Vec<u8>| bytes.get(..512).map(<[u8]>::to_vec);
            let in_kernel = world.map(".bss").expect("it has variables").lookup(&[0; 4]);
            let in_kernel = in_kernel.expect("they can be read").into_iter().next();
            let in_ubpf = ubpf.map(".bss").expect("it has variables").user_lookup(&[0; 4], 0);
            let sums = (in_kernel.and_then(seen), in_ubpf.ok().and_then(seen));
            if expected != actual || sums.0 != sums.1 {
                let what = format!("{} on {}", function.name, packet.name);
                wrong.push(format!("{what}:\n  {expected:02x?}\n  {actual:02x?}\n  {sums:02x?}"));
            }
        }
    }
    println!("{compared} runs compared");
    assert!(compared > 0 && wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}
