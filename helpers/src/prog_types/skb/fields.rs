//! `struct __sk_buff`: one table of its fields, from which each program type takes its own layout
//! by naming what differs.

use ubpf_abi::Version;
use ubpf_abi::ctx::{
    CtxAccess, CtxField,
    CtxFieldKind::{self, FlowKeys, PacketData, PacketEnd, PacketMeta, Scalar, SockOrNull},
    CtxLayout,
    CtxWidth::{self, Any, NarrowLoads, Whole},
};

/// Bytes of the struct.
pub const BYTES: usize = 192;

macro_rules! fields {
    ($($id:ident = $name:literal $off:literal [$elem:literal x $count:literal]
        $kind:ident $width:ident $access:ident, $major:literal . $minor:literal;)*) => {
        /// A field of `struct __sk_buff`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the table below says what they are")]
        pub enum Field { $($id,)* }

        impl Field {
            const COUNT: usize = [$(Self::$id,)*].len();

            /// Where it begins in the struct.
            #[must_use]
            pub const fn off(self) -> u32 {
                match self { $(Self::$id => $off,)* }
            }
        }

        /// The fields with the access that most types allow.
        const COMMON: [CtxField; Field::COUNT] = [$(
            field($name, $off, $elem, $count, $kind, $width, CtxAccess::$access,
                Version::new($major, $minor)),
        )*];
    };
}

fields! {
//  field            name             off  [elem x count] kind  loads narrower?  access  since
    Len            = "len"              0  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    PktType        = "pkt_type"         4  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    Mark           = "mark"             8  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    QueueMapping   = "queue_mapping"   12  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    Protocol       = "protocol"        16  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    VlanPresent    = "vlan_present"    20  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    VlanTci        = "vlan_tci"        24  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    VlanProto      = "vlan_proto"      28  [4 x 1] Scalar     NarrowLoads Read,      4 . 2;
    Priority       = "priority"        32  [4 x 1] Scalar     NarrowLoads Read,      4 . 1;
    IngressIfindex = "ingress_ifindex" 36  [4 x 1] Scalar     NarrowLoads Read,      4 . 2;
    Ifindex        = "ifindex"         40  [4 x 1] Scalar     NarrowLoads Read,      4 . 2;
    TcIndex        = "tc_index"        44  [4 x 1] Scalar     NarrowLoads Read,      4 . 2;
    Cb             = "cb"              48  [4 x 5] Scalar     Any         ReadWrite, 4 . 2;
    Hash           = "hash"            68  [4 x 1] Scalar     NarrowLoads Read,      4 . 3;
    TcClassid      = "tc_classid"      72  [4 x 1] Scalar     NarrowLoads None,      4 . 3;
    Data           = "data"            76  [4 x 1] PacketData Whole       None,      4 . 7;
    DataEnd        = "data_end"        80  [4 x 1] PacketEnd  Whole       None,      4 . 7;
    NapiId         = "napi_id"         84  [4 x 1] Scalar     NarrowLoads Read,      4 . 12;
    Family         = "family"          88  [4 x 1] Scalar     NarrowLoads None,      4 . 14;
    RemoteIp4      = "remote_ip4"      92  [4 x 1] Scalar     Whole       None,      4 . 14;
    LocalIp4       = "local_ip4"       96  [4 x 1] Scalar     Whole       None,      4 . 14;
    RemoteIp6      = "remote_ip6"     100  [4 x 4] Scalar     Whole       None,      4 . 14;
    LocalIp6       = "local_ip6"      116  [4 x 4] Scalar     Whole       None,      4 . 14;
    RemotePort     = "remote_port"    132  [4 x 1] Scalar     NarrowLoads None,      4 . 14;
    LocalPort      = "local_port"     136  [4 x 1] Scalar     NarrowLoads None,      4 . 14;
    DataMeta       = "data_meta"      140  [4 x 1] PacketMeta Whole       None,      4 . 15;
    FlowKeys       = "flow_keys"      144  [8 x 1] FlowKeys   Whole       None,      4 . 20;
    Tstamp         = "tstamp"         152  [8 x 1] Scalar     Whole       None,      5 . 0;
    WireLen        = "wire_len"       160  [4 x 1] Scalar     NarrowLoads None,      5 . 0;
    GsoSegs        = "gso_segs"       164  [4 x 1] Scalar     NarrowLoads Read,      5 . 1;
    Sk             = "sk"             168  [8 x 1] SockOrNull Whole       Read,      5 . 1;
    GsoSize        = "gso_size"       176  [4 x 1] Scalar     NarrowLoads Read,      5 . 7;
    TstampType     = "tstamp_type"    180  [1 x 1] Scalar     Whole       None,      5 . 18;
    Hwtstamp       = "hwtstamp"       184  [8 x 1] Scalar     Whole       None,      5 . 16;
}

#[expect(clippy::too_many_arguments, reason = "one for each column of the table")]
const fn field(
    name: &'static str,
    off: u32,
    elem_size: u32,
    count: u32,
    kind: CtxFieldKind,
    width: CtxWidth,
    access: CtxAccess,
    since: Version,
) -> CtxField {
    CtxField {
        name,
        off,
        size: elem_size * count,
        elem_size,
        kind,
        access,
        width,
        attach_types: &[],
        since,
    }
}

/// The fields of a type that allows `access` where it differs from what most types allow.
pub const fn fields(access: &[(Field, CtxAccess)]) -> [CtxField; Field::COUNT] {
    let mut rows = COMMON;
    let mut at = 0;
    while at < access.len() {
        rows[access[at].0 as usize].access = access[at].1;
        at += 1;
    }
    rows
}

/// The fields of a type that allows what `access` names and nothing else.
pub const fn only(access: &[(Field, CtxAccess)]) -> [CtxField; Field::COUNT] {
    let mut rows = fields(&[]);
    let mut at = 0;
    while at < rows.len() {
        rows[at].access = CtxAccess::None;
        at += 1;
    }
    at = 0;
    while at < access.len() {
        rows[access[at].0 as usize].access = access[at].1;
        at += 1;
    }
    rows
}

/// The struct with these fields.
pub const fn layout(fields: &'static [CtxField]) -> CtxLayout {
    CtxLayout { name: "__sk_buff", size: BYTES as u32, fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_each_other_inside_the_struct() {
        for pair in COMMON.windows(2) {
            assert!(pair[0].off + pair[0].size <= pair[1].off, "{}", pair[1].name);
        }
        let last = &COMMON[COMMON.len() - 1];
        assert_eq!((last.off + last.size) as usize, BYTES);
    }

    #[test]
    fn differences_touch_the_named_fields_alone() {
        let rows = fields(&[(Field::Mark, CtxAccess::ReadWrite)]);
        for (row, common) in rows.iter().zip(&COMMON) {
            assert_eq!(row.access != common.access, row.name == "mark");
        }
    }
}
