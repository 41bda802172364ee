//! Maps, ours and the kernel's: the same definitions are refused with the same errors, and the
//! same histories of operations give the same results and contents.

mod create;
mod history;
mod twin;
