//! The packets as a capture, for `ubpf run --ctx` and for looking at.

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use std::time::Duration;
use ubpf_conformance::objects::suite_dir;
use ubpf_conformance::packets::corpus;

#[test]
fn the_capture_holds_the_packets() {
    let path = suite_dir("object").join("packets.pcap");
    if std::env::var_os("UBPF_BLESS").is_some() {
        let header = PcapHeader { snaplen: 1 << 17, ..PcapHeader::default() };
        let mut writer =
            PcapWriter::with_header(Vec::new(), header).expect("vectors take everything");
        for (second, packet) in (0..).zip(corpus()) {
            let len = u32::try_from(packet.bytes.len()).expect("packets are small");
            let record = PcapPacket::new(Duration::from_secs(second), len, &packet.bytes);
            writer.write_packet(&record).expect("vectors take everything");
        }
        std::fs::write(&path, writer.into_writer()).expect("the suite is writable");
    }
    let file = std::fs::read(&path).expect("the capture exists");
    let mut reader = PcapReader::new(file.as_slice()).expect("it is a capture");
    for packet in corpus() {
        let record = reader.next_packet().expect("a record for each packet").expect("a record");
        assert!(record.data == packet.bytes, "{}: run with UBPF_BLESS=1", packet.name);
    }
    assert!(reader.next_packet().is_none(), "no more than the packets");
}
