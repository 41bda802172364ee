//! What a run looks like: for people and for machines.

pub mod packet;
