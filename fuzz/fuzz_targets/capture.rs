//! Any bytes are a capture that is read to its end, or to where it is damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use ubpf::abi::prog_type::PacketLayer;
use ubpf_cli::input::capture::Capture;

fuzz_target!(|data: &[u8]| {
    for layer in [PacketLayer::Link, PacketLayer::Network, PacketLayer::Captured] {
        let bytes = Box::new(Cursor::new(data.to_vec()));
        let Ok(mut capture) = Capture::over("fuzz", bytes, None, layer) else { return };
        let mut packets = 0_usize;
        while let Ok(Some(item)) = capture.next_packet() {
            // Packets are copies, one at a time, of what is there.
            assert!(item.input.data.len() <= data.len() + 14);
            packets += 1;
        }
        assert!(packets <= data.len());
    }
});
