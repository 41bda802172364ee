"""Compiles the filters with libpcap, makes the packets, and writes what libpcap's bpf_filter says.

Whoever changes a filter or a packet runs this on a machine with libpcap; the tests need only what
it writes: packets.pcap (one file a link type), and filters.txt, a line a filter:

    LINK <tab> EXPRESSION <tab> N,code jt jf k,… <tab> RESULTS

where RESULTS are bpf_filter's return values for the packets of that link type, in order, runs of
equal ones as COUNTxVALUE.
"""

import ctypes
import ctypes.util
import itertools
import random
import struct

pcap = ctypes.CDLL(ctypes.util.find_library("pcap") or "libpcap.so.0.8")


class Insn(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint), ("insns", ctypes.POINTER(Insn))]


pcap.pcap_open_dead.restype = ctypes.c_void_p
pcap.pcap_geterr.restype = ctypes.c_char_p
pcap.pcap_geterr.argtypes = [ctypes.c_void_p]
pcap.pcap_compile.argtypes = [
    ctypes.c_void_p, ctypes.POINTER(Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint]
pcap.bpf_filter.restype = ctypes.c_uint
pcap.bpf_filter.argtypes = [ctypes.POINTER(Insn), ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]

# Names, what libpcap calls them, what files call them.
LINKS = {"EN10MB": (1, 1), "RAW": (12, 101), "LINUX_SLL": (113, 113), "IEEE802_11": (105, 105), "PPP": (9, 9)}

# ---------------------------------------------------------------- packets

A4, B4, C4 = bytes([10, 1, 2, 3]), bytes([192, 0, 2, 80]), bytes([224, 0, 0, 5])
A6, B6 = bytes.fromhex("20010db8000000010000000000000003"), bytes.fromhex("20010db8000000020000000000000050")
M6 = bytes.fromhex("ff020000000000000000000000000001")
MAC_A, MAC_B = bytes.fromhex("020000000003"), bytes.fromhex("020000000050")
BCAST, MCAST = b"\xff" * 6, bytes.fromhex("01005e000005")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip4(proto, payload, src=A4, dst=B4, tos=0, ttl=64, frag=0x4000, options=b"", ident=1):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident, frag, ttl, proto, 0)
    check = checksum(head + src + dst + options)
    return head[:10] + struct.pack("!H", check) + src + dst + options + payload


def ip6(nxt, payload, src=A6, dst=B6, tc=0, flow=0, hops=64):
    return struct.pack("!IHBB", 6 << 28 | tc << 20 | flow, len(payload), nxt, hops) + src + dst + payload


def udp(sport, dport, payload=b"x" * 12):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(sport, dport, flags=0x10, options=b"", payload=b""):
    return struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000, (5 + len(options) // 4) << 4, flags, 512, 0, 0) + options + payload


def icmp(kind, code=0, rest=b"\0\1\0\1" + b"p" * 16):
    return struct.pack("!BBH", kind, code, 0) + rest


def eth(ethertype, payload, dst=MAC_B, src=MAC_A):
    return dst + src + struct.pack("!H", ethertype) + payload


def vlan(tci, ethertype, payload):
    return struct.pack("!HH", tci, ethertype) + payload


def network():
    """Packets from the network header on: (ethertype, bytes)."""
    v4, v6 = 0x800, 0x86DD
    for sport, dport in [(40000, 53), (53, 40000), (67, 68), (123, 123), (5000, 5001), (1, 65535), (33434, 7)]:
        yield v4, ip4(17, udp(sport, dport))
        yield v6, ip6(17, udp(sport, dport))
    for flags in [0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x29, 0x00, 0xC2]:
        yield v4, ip4(6, tcp(41000, 80, flags))
    yield v4, ip4(6, tcp(80, 41000, 0x18, payload=b"HTTP/1.1 200 OK\r\n"))
    yield v4, ip4(6, tcp(41000, 443, 0x18, options=b"\1\1\x08\x0a" + b"t" * 8, payload=b"\x16\x03\x01"))
    yield v6, ip6(6, tcp(41000, 80, 0x02))
    yield v6, ip6(6, tcp(443, 41000, 0x18, payload=b"y" * 300))
    yield v4, ip4(6, tcp(22, 6000, 0x18, payload=b"SSH-2.0"), options=b"\x94\4\0\0" + b"\1" * 8)
    for kind in [0, 3, 5, 8, 11, 13]:
        yield v4, ip4(1, icmp(kind))
    for kind in [1, 128, 129, 133, 134, 135, 136]:
        yield v6, ip6(58, icmp(kind), dst=M6 if kind > 132 else B6)
    yield v4, ip4(2, icmp(0x16), dst=C4, options=b"\x94\4\0\0", ttl=1)
    for proto in [4, 41, 46, 47, 50, 51, 88, 89, 103, 112, 132, 136, 253]:
        yield v4, ip4(proto, b"\0" * 4 + bytes(range(28)))
    yield v4, ip4(132, struct.pack("!HHII", 2905, 2905, 1, 0) + b"\1\0\0\4")
    yield v6, ip6(132, struct.pack("!HHII", 2905, 3868, 1, 0) + b"\1\0\0\4")
    # Fragments: first, middle, last.
    yield v4, ip4(17, udp(40000, 53), frag=0x2000)
    yield v4, ip4(17, b"f" * 24, frag=0x2003)
    yield v4, ip4(17, b"f" * 9, frag=0x0006)
    yield v6, ip6(44, struct.pack("!BBHI", 17, 0, 0x0001, 9) + udp(40000, 53))
    yield v6, ip6(44, struct.pack("!BBHI", 6, 0, 0x0028, 9) + b"f" * 20)
    # Extension headers.
    yield v6, ip6(0, b"\6\0\5\2\0\0\1\0" + tcp(41000, 80, 2))
    yield v6, ip6(60, b"\x11\0\1\4\0\0\0\0" + udp(5353, 5353), dst=M6)
    yield v6, ip6(43, b"\x3a\2\0\0\0\0\0\0" + B6 + icmp(128))
    # Tunnels.
    yield v4, ip4(4, ip4(6, tcp(1, 80)))
    yield v4, ip4(41, ip6(17, udp(9, 53)))
    yield v4, ip4(47, b"\0\0\x08\0" + ip4(17, udp(9, 53)))
    yield v4, ip4(17, udp(40000, 4789, b"\x08\0\0\0\0\0\x2a\0" + eth(v4, ip4(6, tcp(1, 80)))))
    yield v4, ip4(17, udp(2152, 2152, b"\x30\xff\0\x20\0\0\0\1" + ip4(17, udp(9, 53))))
    # Odd ones.
    yield v4, ip4(17, udp(40000, 53), tos=0xB8, ttl=1)
    yield v4, ip4(6, tcp(1, 80), src=B4, dst=A4)
    yield v4, ip4(17, udp(68, 67), src=b"\0" * 4, dst=b"\xff" * 4)
    yield v4, ip4(6, b"\0\x50")
    yield v4, ip4(6, b"")
    yield v6, ip6(59, b"")
    yield v4, ip4(17, udp(7, 9, b"z" * 1400))
    yield v4, ip4(17, udp(7, 9, b"z" * 8900))
    yield v6, ip6(17, udp(53, 9), tc=0xB8, flow=0x12345, hops=1)
    yield v4, b"\x4f" + ip4(17, udp(40000, 53))[1:]
    yield v4, b"\x65" + ip4(6, tcp(1, 80))[1:]
    yield v4, ip4(17, udp(40000, 53))[:19]


def arp(op):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + MAC_A + A4 + b"\0" * 6 + B4


def frames():
    yield from (eth(kind, payload) for kind, payload in network())
    yield eth(0x806, arp(1), dst=BCAST)
    yield eth(0x806, arp(2))
    yield eth(0x8035, arp(3))
    yield eth(0x800, ip4(2, icmp(0x11), dst=C4), dst=MCAST)
    inner = ip4(17, udp(40000, 53))
    yield eth(0x8100, vlan(0x2005, 0x800, inner))
    yield eth(0x8100, vlan(0x0064, 0x86DD, ip6(6, tcp(1, 80))))
    yield eth(0x88A8, vlan(0x0064, 0x8100, vlan(0x0005, 0x800, inner)))
    yield eth(0x8100, vlan(0x0FFF, 0x806, arp(1)))
    yield eth(0x9100, vlan(1, 0x800, inner))
    yield eth(0x8847, struct.pack("!I", 100 << 12 | 0x140) + inner)
    yield eth(0x8847, struct.pack("!II", 1024 << 12 | 64, 200 << 12 | 0x140) + inner)
    yield eth(0x8863, b"\x11\x09\0\0\0\0")
    yield eth(0x8864, b"\x11\0\0\x27" + struct.pack("!H", len(inner) + 2) + b"\0\x21" + inner)
    yield eth(0x88CC, b"\2\7\4" + MAC_A)
    yield eth(0x888E, b"\1\1\0\0")
    yield eth(0x88F7, b"\0\2\0\x2c" + b"\0" * 40)
    yield eth(0x0026, b"\x42\x42\3" + b"\0" * 35, dst=bytes.fromhex("0180c2000000"))
    yield eth(0x0020, b"\xaa\xaa\3\0\0\0\x08\0" + inner[:24])
    yield eth(0x0020, b"\xe0\xe0\3" + b"\xff\xff" + b"\0" * 27)
    yield eth(0x0020, b"\xff\xff" + b"\0" * 30)
    yield eth(0x0020, b"\xfe\xfe\3\x83" + b"\0" * 28)
    yield eth(0x6003, b"d" * 50)
    yield eth(0x809B, b"a" * 50)
    yield eth(0xFFFF, b"")
    for size in [0, 1, 6, 12, 13, 14, 15, 20, 33, 34]:
        yield eth(0x800, inner)[:size]
    rng = random.Random(7)
    for size in [60, 61, 100, 257, 1514]:
        yield bytes(rng.randrange(256) for _ in range(size))


def sll():
    for kind, payload in network():
        for pkttype in ([0, 4] if len(payload) < 40 else [0]):
            yield struct.pack("!HHH8sH", pkttype, 1, 6, MAC_A, kind) + payload
    yield struct.pack("!HHH8sH", 1, 1, 6, MAC_A, 0x806) + arp(1)


def wifi():
    for kind, payload in itertools.islice(network(), 0, None, 4):
        yield b"\x08\x01\0\0" + MAC_B + MAC_A + BCAST + b"\x10\0" + b"\xaa\xaa\3\0\0\0" + struct.pack("!H", kind) + payload
    yield b"\x80\0\0\0" + BCAST + MAC_A + MAC_A + b"\0\0" + b"\0" * 24
    yield b"\x40\0\0\0" + BCAST + MAC_A + BCAST + b"\0\0" + b"\0\0"
    yield b"\xd4\0\0\0" + MAC_A
    yield b"\xb4\0\0\0" + MAC_B + MAC_A


def ppp():
    for kind, payload in itertools.islice(network(), 0, None, 3):
        yield b"\xff\x03" + (b"\0\x21" if kind == 0x800 else b"\0\x57") + payload
    yield b"\xff\x03\xc0\x21\1\1\0\4"


# Of each link type, (bytes, how long the packet was on the wire): some are cut short.
def packets(link):
    make = {"EN10MB": frames, "RAW": lambda: (p for _, p in network()), "LINUX_SLL": sll, "IEEE802_11": wifi, "PPP": ppp}[link]
    whole = [(p, len(p)) for p in make()]
    cut = [(p[:n], len(p)) for p, _ in whole[::9] for n in (40, 68) if n < len(p)]
    return whole + cut


# ---------------------------------------------------------------- filters

GENERAL = """
ip
ip6
tcp
udp
icmp
icmp6
sctp
igmp
pim
vrrp
ah
esp
ip or ip6
not ip
port 53
port 80 or port 443
src port 53
dst port 53
tcp port 80
tcp src port 80
tcp dst port 443
udp port 123
udp dst port 67
sctp port 2905
portrange 0-1023
portrange 5000-6000
tcp portrange 20-25
udp src portrange 40000-50000
host 10.1.2.3
src host 10.1.2.3
dst host 192.0.2.80
host 10.1.2.3 and port 53
net 10.0.0.0/8
src net 192.0.2.0/24
dst net 10.1.0.0/16
not net 10.0.0.0/8
net 224.0.0.0/4
ip host 192.0.2.80 and not tcp
host 2001:db8:0:1::3
src host 2001:db8:0:1::3
ip6 net 2001:db8::/32
dst net 2001:db8:0:2::/64
ip6 dst host ff02::1
ip proto 17
ip proto 47
ip6 proto 58
proto 6
ip[0] & 0xf != 5
ip[8] < 5
ip[6:2] & 0x1fff != 0
ip[6:2] & 0x3fff = 0
ip[1] & 0xfc = 0xb8
ip[2:2] > 576
ip[12:4] = 0x0a010203
ip[16:4] & 0xffffff00 = 0xc0000200
ip[9] * 2 = 34
ip[8] + ip[9] > 80
ip[2:2] - 20 >= 32
ip[9] / 2 = 8
ip[9] % 5 = 2
ip[9] << 4 = 0x110
ip[2:2] >> 5 = 1
ip[1] | ip[8] = 64
ip[0] ^ 0x45 = 0
-ip[9] < -10
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack = 0
tcp[13] = 0x18
tcp[tcpflags] = tcp-ack
tcp[12] & 0xf0 > 0x50
tcp[14:2] < 1024
tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x48545450
udp[4:2] > 20
udp[8:4] = 0x78787878
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[icmptype] = icmp-unreach
icmp[4:2] = 1
icmp6[icmp6type] = icmp6-neighborsolicit
ip6[6] = 44
ip6[7] = 1
ip6[40] = 128
ip6[0:4] & 0x0fffff = 0x12345
ip6 and ip6[4:2] > 100
ip multicast
ip6 multicast
ip broadcast
less 64
greater 1000
len > 500
len <= 100 and udp
len = 50 or len = 71
(tcp or udp) and port 53 and host 10.1.2.3
(udp and port 53) or (tcp and (port 80 or port 443)) or icmp
tcp and not port 80 and not port 443
ip and (tcp port 80 or udp port 53) and net 10.0.0.0/8 and not host 1.2.3.4
host 10.1.2.3 and host 192.0.2.80 and (port 53 or port 123 or port 67 or port 7)
src 10.1.2.3 and dst 192.0.2.80 and src port 40000 and dst port 53
port 53 or port 67 or port 68 or port 69 or port 123 or port 137 or port 138 or port 161 or port 162 or port 514 or port 520 or port 1812
host 10.0.0.1 or host 10.0.0.2 or host 10.0.0.3 or host 10.0.0.4 or host 10.0.0.5 or host 10.0.0.6 or host 10.0.0.7 or host 10.1.2.3
not (port 22 or port 80) and not icmp and not igmp
tcp[2:2] = 80 or udp[2:2] = 53
(ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2) != 0
udp and ip[6:2] & 0x1fff = 0 and udp[2:2] > 1024 and udp[2:2] < 10000
ip and ip[9] = 6 and tcp[0:2] > 1024 and tcp[2:2] < 1024 and tcp[13] & 2 = 2
tcp and (tcp[0:4] = 0x01000050 or tcp[13] & 7 != 0)
ip proto 4 and ip[20] & 0xf0 = 0x40
ip proto \\icmp and ip[8] >= 64
ip[((ip[0] & 0xf) << 2):2] = 40000
ip[ip[0] & 0xf] = 6
ip[len - 20] != 0
ip[2:2] = len
ip[2:2] + 14 = len
"""
ETHERNET = """
arp
rarp
arp or rarp
arp[6:2] = 1
arp[14:4] = 0x0a010203
arp host 10.1.2.3
ether host 02:00:00:00:00:03
ether src 02:00:00:00:00:03
ether dst ff:ff:ff:ff:ff:ff
ether broadcast
ether multicast
multicast
broadcast
not broadcast and not multicast
ether[0] & 1 = 1
ether[0:4] = 0x02000000 and ether[4:2] = 0x50
ether[12:2] = 0x88cc
ether[6] * 2 = 4
ether proto 0x88cc
ether proto 0x888e
ether proto 0x8864
ether proto \\ip
ether proto \\arp
ether proto 0x0800 and ether src 02:00:00:00:00:03
vlan
vlan 5
vlan 100
vlan and ip
vlan 5 and udp
vlan 5 and udp port 53
vlan and vlan
vlan 100 and vlan 5 and host 10.1.2.3
vlan and arp
vlan or ip
not vlan
mpls
mpls 100
mpls 1024 and mpls 200
mpls and host 10.1.2.3
mpls and udp port 53
pppoed
pppoes
pppoes 0x27
pppoes and ip
pppoes and udp port 53
pppoes 39 and host 192.0.2.80
iso
clnp
isis
esis
stp
ipx
netbeui
atalk
aarp
decnet
lat
llc
llc u
llc s
geneve
geneve 42
ether[20] = 64 and ether[23] = 17
ether[-1] = 0
link[0] = 2
link[len - 1] = 0x78
dst host 192.0.2.80 and ether dst 02:00:00:00:00:50
(arp or icmp or icmp6) and ether src 02:00:00:00:00:03
tcp or udp or icmp or arp or icmp6 or sctp or igmp or stp
"""
SLL = "inbound|outbound|arp|link[0:2] = 4|link[14:2] = 0x800|ether proto 0x806".split("|")
WIFI = """
type mgt
type mgt subtype beacon
type ctl
type ctl subtype rts
type data
type data and ip
wlan host 02:00:00:00:00:03
wlan addr1 02:00:00:00:00:50
wlan addr2 02:00:00:00:00:03
wlan ra ff:ff:ff:ff:ff:ff
wlan[0] & 0xfc = 0x80
dir tods
dir fromds
dir nods
""".split("\n")
PPP = ["proto 0xc021", "link[2:2] = 0x21", "link[0] = 0xff and tcp", "ppp proto 0x57"]

# By hand: what libpcap never compiles, and results that are numbers. Not here: indirect loads whose
# offset wraps round, which libpcap's bpf_filter refuses and the kernel does.
BY_HAND = [
    ("A of arithmetic", [(0x30, 0, 0, 0), (0x24, 0, 0, 0x01010101), (0xA4, 0, 0, 0xDEADBEEF), (0x16, 0, 0, 0)]),
    ("division by X", [(0x80, 0, 0, 0), (0x07, 0, 0, 0), (0x00, 0, 0, 0xFFFFFFFF), (0x3C, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("division by a byte that may be 0", [(0x30, 0, 0, 6), (0x07, 0, 0, 0), (0x00, 0, 0, 1000), (0x3C, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("modulo", [(0x30, 0, 0, 20), (0x07, 0, 0, 0), (0x80, 0, 0, 0), (0x9C, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("negation", [(0x80, 0, 0, 0), (0x84, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("memory", [(0x28, 0, 0, 12), (0x02, 0, 0, 15), (0x81, 0, 0, 0), (0x03, 0, 0, 0), (0x60, 0, 0, 0), (0x61, 0, 0, 15), (0x0C, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("header length", [(0xB1, 0, 0, 14), (0x87, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("indirect past the end", [(0x81, 0, 0, 0), (0x50, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("unsigned comparison", [(0x20, 0, 0, 0), (0x25, 0, 1, 0x7FFFFFFF), (0x06, 0, 0, 1), (0x06, 0, 0, 2)]),
    ("comparison with X", [(0x81, 0, 0, 0), (0x30, 0, 0, 0), (0x2D, 0, 1, 0), (0x06, 0, 0, 1), (0x3D, 0, 1, 0), (0x06, 0, 0, 2), (0x4D, 0, 1, 0), (0x06, 0, 0, 3), (0x06, 0, 0, 4)]),
    ("shifts", [(0x20, 0, 0, 2), (0x64, 0, 0, 5), (0x74, 0, 0, 3), (0x16, 0, 0, 0)]),
    ("shift by X", [(0x00, 0, 0, 5), (0x07, 0, 0, 0), (0x20, 0, 0, 2), (0x6C, 0, 0, 0), (0x7C, 0, 0, 0), (0x16, 0, 0, 0)]),
    ("snapshot of 96 bytes", [(0x06, 0, 0, 96)]),
    ("everything", [(0x06, 0, 0, 0xFFFFFFFF)]),
    ("nothing", [(0x06, 0, 0, 0)]),
    ("jumps", [(0x05, 0, 0, 2), (0x06, 0, 0, 1), (0x06, 0, 0, 2), (0x15, 0, 0, 0), (0x06, 0, 0, 3)]),
]


def compile(handle, text, optimise):
    program = Program()
    if pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), optimise, 0) != 0:
        return None
    return [(i.code, i.jt, i.jf, i.k) for i in program.insns[: program.len]]


def results(insns, inputs):
    array = (Insn * len(insns))(*insns)
    values = [pcap.bpf_filter(array, bytes_, wire, len(bytes_)) for bytes_, wire in inputs]
    return " ".join(f"{len(list(run))}x{value}" for value, run in itertools.groupby(values))


def lines(text):
    return [line for line in (text if isinstance(text, list) else text.split("\n")) if line]


expressions = {
    "EN10MB": lines(GENERAL) + lines(ETHERNET),
    "RAW": lines(GENERAL),
    "LINUX_SLL": lines(GENERAL)[::4] + SLL,
    "IEEE802_11": lines(GENERAL)[::6] + lines(WIFI),
    "PPP": lines(GENERAL)[::6] + PPP,
}
with open("filters.txt", "w") as out:
    for link, (dlt, linktype) in LINKS.items():
        inputs = packets(link)
        with open(f"{link.lower()}.pcap", "wb") as capture:
            capture.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype))
            for i, (data, wire) in enumerate(inputs):
                capture.write(struct.pack("<IIII", 1700000000 + i, 1000 * i, len(data), wire) + data)
        handle = pcap.pcap_open_dead(dlt, 262144)
        filters = {}
        for optimise in (1, 0):
            for text in expressions[link]:
                insns = compile(handle, text, optimise)
                if insns is None:
                    continue
                # As libpcap compiles them without optimising, where that differs.
                if insns not in filters.values():
                    filters[text if optimise else f"{text} (unoptimised)"] = insns
        if link == "EN10MB":
            filters.update(BY_HAND)
        for text, insns in filters.items():
            numbers = ",".join(" ".join(map(str, insn)) for insn in insns)
            out.write(f"{link}\t{text}\t{len(insns)},{numbers}\t{results(insns, inputs)}\n")
        print(link, len(filters), "filters", len(inputs), "packets")
