"""Writes the example's packets: one DNS query, and a capture of mixed traffic."""

import struct

MAC = bytes.fromhex("020000000001 020000000002".replace(" ", ""))


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, target: str, protocol: int, payload: bytes, ttl: int = 64) -> bytes:
    addresses = bytes(int(part) for part in f"{source}.{target}".split("."))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0x4000, ttl, protocol, 0)
    check = checksum(head + addresses)
    return MAC + b"\x08\x00" + head[:10] + struct.pack("!H", check) + addresses + payload


def udp(source_port: int, target_port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def tcp(source_port: int, target_port: int, flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", source_port, target_port, 1, 0, 0x50, flags, 65535, 0, 0)


def pcap(packets: list[bytes]) -> bytes:
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for i, packet in enumerate(packets):
        out += struct.pack("<IIII", 1700000000, 12500 * i, len(packet), len(packet)) + packet
    return out


query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x07example\x03org\0" + b"\0\x01\0\x01"
dns = ipv4("192.0.2.10", "198.51.100.53", 17, udp(40000, 53, query))
arp = MAC + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20)
capture = [
    dns,
    ipv4("192.0.2.10", "198.51.100.80", 6, tcp(40001, 443, 0x02)),
    arp,
    ipv4("192.0.2.11", "198.51.100.7", 17, udp(123, 123, bytes(48))),
    ipv4("192.0.2.12", "198.51.100.80", 6, tcp(40002, 443, 0x10), ttl=1),
    ipv4("192.0.2.10", "198.51.100.99", 17, udp(40003, 4242, b"hello")),
]

if __name__ == "__main__":
    with open("dns.bin", "wb") as file:
        file.write(dns)
    with open("traffic.pcap", "wb") as file:
        file.write(pcap(capture))
