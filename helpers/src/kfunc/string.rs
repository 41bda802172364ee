//! Strings of which nothing is known.

use super::set::COMMON;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_strcmp, since 6.17, "Compares two strings.", COMMON),
    kfunc!(bpf_strcasecmp, since 6.18, "Compares two strings, upper and lower case alike.", COMMON),
    kfunc!(bpf_strchr, since 6.17, "Finds a character.", COMMON),
    kfunc!(bpf_strchrnul, since 6.17, "Finds a character, or the end.", COMMON),
    kfunc!(bpf_strnchr, since 6.17, "Finds a character among the first ones.", COMMON),
    kfunc!(bpf_strrchr, since 6.17, "Finds the last one of a character.", COMMON),
    kfunc!(bpf_strlen, since 6.17, "Length of a string.", COMMON),
    kfunc!(bpf_strnlen, since 6.17, "Length of a string, up to a limit.", COMMON),
    kfunc!(bpf_strspn, since 6.17, "How many characters at the beginning are of a set.", COMMON),
    kfunc!(bpf_strcspn, since 6.17, "How many characters at the beginning are not of a set.", COMMON),
    kfunc!(bpf_strstr, since 6.17, "Finds a string in another.", COMMON),
    kfunc!(bpf_strnstr, since 6.17, "Finds a string in the beginning of another.", COMMON),
];
