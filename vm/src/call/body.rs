//! From a typed function to a declaration and a [`HelperFn`](super::HelperFn): the machinery
//! behind [`helper!`](crate::helper!).

use super::CallCx;
use super::arg::{ArgReader, ArgShape, HelperArg};
use super::ret::HelperRet;
use ubpf_abi::Trap;
use ubpf_abi::helper::{Arg, ArgKind, HelperId, Ret};
use ubpf_abi::kernel::Version;
use ubpf_abi::limits::MAX_ARGS;

/// Parameter types of a helper, as a tuple.
pub trait ArgList {
    /// What the verifier demands, register by register.
    const ARGS: &'static [Arg];
}

/// A function that can be a helper's body; `L` is the [`ArgList`] of its parameters.
pub trait HelperBody<'a, L>: Copy {
    /// Its result.
    type Ret: HelperRet;

    /// Reads the registers and calls it.
    ///
    /// # Errors
    /// The trap of a forbidden argument, or its own.
    fn invoke(self, regs: Registers, cx: &mut CallCx<'a>) -> Result<u64, Trap>;
}

/// The registers of one call, and of which helper.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    helper: HelperId,
    values: [u64; 5],
}

/// Calls a helper's function: what the closures of [`helper!`](crate::helper!) do.
///
/// # Errors
/// The trap of a forbidden argument, or the function's own.
#[inline(always)]
pub fn invoke<'a, L, F: HelperBody<'a, L>>(
    func: F,
    helper: HelperId,
    cx: &mut CallCx<'a>,
    values: [u64; 5],
) -> Result<u64, Trap> {
    func.invoke(Registers { helper, values }, cx)
}

/// What the verifier knows about a function.
#[must_use]
pub const fn signature_of<L: ArgList, F: HelperBody<'static, L>>(_: &F) -> (&'static [Arg], Ret) {
    (L::ARGS, <F::Ret as HelperRet>::RET)
}

/// What the verifier demands of parameters of these types.
#[must_use]
pub const fn args_of<L: ArgList>() -> &'static [Arg] {
    L::ARGS
}

/// What the verifier knows about a result of this type.
#[must_use]
pub const fn ret_of<R: HelperRet>() -> Ret {
    R::RET
}

/// `3.19` as a version.
///
/// # Panics
/// At compile time, when it is not two numbers with a dot between.
#[must_use]
pub const fn version(text: &str) -> Version {
    let text = text.as_bytes();
    let (mut numbers, mut dots, mut at) = ([0_u8; 2], 0, 0);
    while at < text.len() {
        match text[at] {
            b'.' => dots += 1,
            digit @ b'0'..=b'9' => numbers[dots] = numbers[dots] * 10 + (digit - b'0'),
            _ => panic!("a kernel version is two numbers, such as 6.18"),
        }
        at += 1;
    }
    assert!(dots == 1, "a kernel version is two numbers, such as 6.18");
    Version::new(numbers[0], numbers[1])
}

/// Registers of a parameter list, one after the other, and how many there are.
const fn flatten(list: &[(Arg, Option<Arg>)]) -> ([Arg; MAX_ARGS], usize) {
    let mut args = [Arg::new(ArgKind::Anything); MAX_ARGS];
    let (mut count, mut at) = (0, 0);
    while at < list.len() {
        let (arg, size) = list[at];
        args[count] = arg;
        count += 1;
        if let Some(size) = size {
            args[count] = size;
            count += 1;
        }
        at += 1;
    }
    (args, count)
}

macro_rules! bodies {
    ($(($($arg:ident)*))*) => {$(
        impl<$($arg: ArgShape),*> ArgList for ($($arg,)*) {
            const ARGS: &'static [Arg] = {
                let flat: &'static ([Arg; MAX_ARGS], usize) =
                    &const { flatten(&[$(($arg::ARG, $arg::SIZE)),*]) };
                flat.0.split_at(flat.1).0
            };
        }

        impl<'a, F, R, $($arg,)*> HelperBody<'a, ($($arg,)*)> for F
        where
            F: Copy + Fn(&mut CallCx<'a> $(, $arg)*) -> R,
            R: HelperRet,
            $($arg: HelperArg<'a>,)*
        {
            type Ret = R;

            #[inline(always)]
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn invoke(self, regs: Registers, cx: &mut CallCx<'a>) -> Result<u64, Trap> {
                let mut regs = ArgReader::new(cx, regs.helper, regs.values);
                $(let $arg = $arg::read(&mut regs)?;)*
                self(cx $(, $arg)*).into_r0()
            }
        }
    )*};
}
bodies!(() (A) (A B) (A B C) (A B C D) (A B C D E));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CtxArg, MapKey, MapRef, MapValue, MemRead, MemWriteOrEmpty, Released, Sock};
    use ubpf_abi::helper::{MemAccess, MemSize, RetKind};

    #[test]
    fn versions_are_read_as_two_numbers() {
        assert_eq!(version("6.1"), Version::new(6, 1));
        assert_eq!(version("6.10"), Version::new(6, 10));
    }

    #[test]
    fn memory_takes_two_registers_and_the_rest_one() {
        let args = args_of::<(CtxArg, MapRef, u64, MemRead)>();
        assert_eq!(args.len(), 5);
        assert_eq!(args[1], Arg::new(ArgKind::MapPtr));
        assert_eq!(args[4], Arg::new(ArgKind::Size { zero_ok: false }));
        let args = args_of::<(Option<MemWriteOrEmpty>,)>();
        let (access, size) = (MemAccess::WriteUninit, MemSize::NextArg);
        assert_eq!(args[0], Arg::new(ArgKind::Mem { access, size, aligned: false }).or_null());
        assert_eq!(args[1], Arg::new(ArgKind::Size { zero_ok: true }));
    }

    #[test]
    fn wrappers_set_flags() {
        assert!(args_of::<(Released<Sock>,)>()[0].release);
        assert!(args_of::<(MapRef, Option<MapKey>)>()[1].nullable);
        let ret = ret_of::<Option<MapValue>>();
        assert_eq!((ret.kind, ret.nullable, ret.acquire), (RetKind::MapValue, true, false));
    }
}
