//! Why a question about a type has no answer.

use super::types::{BtfId, Kind};

/// A query met a type that cannot answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// No type has this id.
    #[error("BTF has no type {0}")]
    Unknown(BtfId),
    /// Types refer to each other in a circle, or nest deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("BTF type {0} contains itself or nests too deeply")]
    TooDeep(BtfId),
    /// The kind has no size: functions, forward declarations, `void`.
    #[error("BTF type {id} is a {kind}, which has no size")]
    NoSize {
        /// Which type.
        id: BtfId,
        /// Its kind.
        kind: Kind,
    },
    /// An array is larger than 4 GiB.
    #[error("BTF type {0} is larger than 4 GiB")]
    TooLarge(BtfId),
}
