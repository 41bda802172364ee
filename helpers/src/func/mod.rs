//! Helpers, by topic.

pub mod csum;
pub mod group;
