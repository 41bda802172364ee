use super::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use ubpf_abi::Access;

fn cage() -> Arc<Cage> {
    Cage::new().expect("the host has 4 GiB of address space")
}

fn values(bytes: u64) -> RegionSpec {
    RegionSpec::new(bytes, RegionKind::MapValue, "stats")
}

#[test]
fn bounds_are_exact_to_the_byte() {
    let cage = cage();
    let region = cage.alloc(values(13)).unwrap();
    let end = u64::from(region.addr()) + 13;
    cage.write(region.addr(), &[7; 13]).unwrap();
    assert_eq!(cage.load::<u8>(end - 1), Ok(7));
    assert_eq!(cage.load::<u32>(end - 4), Ok(0x0707_0707));
    let fault = cage.load::<u32>(end - 3).unwrap_err();
    assert_eq!((fault.addr, fault.size, fault.access), (end - 3, 4, Access::Read));
    assert!(cage.write(end - 1, &[0, 0]).is_err());
    assert_eq!(cage.load::<u8>(end - 1), Ok(7), "a refused write writes nothing");
    assert!(cage.load::<u8>(u64::from(region.addr()) - 1).is_err());
}

#[test]
fn null_and_addresses_beyond_32_bits_fault() {
    let cage = cage();
    let region = cage.alloc(values(8)).unwrap();
    assert!(cage.load::<u8>(0_u64).is_err());
    assert!(cage.load::<u8>(u64::from(region.addr()) | 1 << 32).is_err());
    assert!(cage.store(u64::MAX, 1_u64).is_err());
    assert!(cage.read(0_u64, &mut []).is_ok());
}

#[test]
fn elements_do_not_reach_into_each_other() {
    let cage = cage();
    let spec = values(64).elements(Elements { stride: 16, bytes: 12 });
    let region = cage.alloc(spec).unwrap();
    let second = u64::from(region.at(16).unwrap());
    assert!(cage.store(second + 4, 1_u64).is_ok());
    assert!(cage.store(second + 8, 1_u64).is_err());
    assert!(cage.store(second - 4, 1_u32).is_err());
    assert!(region.store(8, 1_u64).is_ok(), "the owner is not bound by elements");
    let near = cage.describe(second + 13).unwrap();
    assert_eq!(near.to_string(), "1 bytes past the end of map value of 'stats' (12 bytes)");
}

#[test]
fn permissions_bind_programs_and_not_the_owner() {
    let cage = cage();
    let region = cage.alloc(values(8).perm(Perm::Read)).unwrap();
    assert!(cage.store(region.addr(), 1_u64).is_err());
    region.store(0, 0x0102_u64).unwrap();
    assert_eq!(cage.load::<u16>(region.addr()), Ok(0x0102));
    let epoch = cage.epoch();
    region.set_perm(Perm::ReadWrite);
    assert!(cage.epoch() > epoch);
    assert!(cage.store(region.addr(), 1_u64).is_ok());
    region.set_perm(Perm::Hooked);
    assert!(cage.store(region.addr(), 1_u64).is_err());
    assert_eq!(cage.hooked_off(u64::from(region.addr()) + 4), Some(4));
}

#[test]
fn a_packet_can_grow_at_both_ends() {
    let cage = cage();
    let region = cage.alloc(RegionSpec::new(512, RegionKind::Packet, "")).unwrap();
    region.set_bounds(256, 60).unwrap();
    let data = u64::from(region.at(256).unwrap());
    assert!(cage.load::<u8>(data - 1).is_err());
    assert!(cage.load::<u8>(data + 60).is_err());
    region.set_bounds(248, 70).unwrap();
    assert!(cage.store(data - 8, 1_u64).is_ok());
    assert!(cage.load::<u8>(data + 61).is_ok());
    assert!(region.set_bounds(500, 13).is_err());
}

#[test]
fn freed_memory_is_zero_when_it_comes_back() {
    let cage = cage();
    let region = cage.alloc(values(100_000)).unwrap();
    let addr = region.addr();
    region.fill(0, 100_000, 0xff).unwrap();
    drop(region);
    assert!(cage.load::<u8>(addr).is_err());
    let again = cage.alloc(values(200_000)).unwrap();
    assert_eq!(again.addr(), addr, "holes are joined, the lowest is taken");
    assert_eq!(again.read_vec(0, 200_000).unwrap(), vec![0; 200_000]);
}

#[test]
fn spaces_are_apart_and_full_ones_say_so() {
    let cage = cage();
    let user = cage.alloc(values(8).space(Space::User)).unwrap();
    let kernel = cage.alloc(values(8)).unwrap();
    assert!(USER_SPACE.contains(&user.addr().0));
    assert!(KERNEL_SPACE.contains(&kernel.addr().0));
    for bytes in [u64::MAX, 1 << 32, u64::from(u32::MAX), 0x7000_0000] {
        let error = cage.alloc(values(bytes)).unwrap_err();
        assert!(matches!(error, MemError::NoRoom { .. }), "{bytes}: {error}");
    }
    let elements = Elements { stride: 0, bytes: 0 };
    assert!(cage.alloc(values(8).elements(elements)).is_err());
}

#[test]
fn copies_may_overlap_and_comparison_sees_every_byte() {
    let cage = cage();
    let region = cage.alloc(values(200)).unwrap();
    let bytes: Vec<u8> = (0..150).collect();
    cage.write(region.addr(), &bytes).unwrap();
    cage.copy(region.addr(), region.at(7).unwrap(), 150).unwrap();
    assert_eq!(cage.equals(region.at(7).unwrap(), &bytes), Ok(true));
    cage.copy(region.at(7).unwrap(), region.addr(), 150).unwrap();
    assert_eq!(cage.read_vec(region.addr(), 150).unwrap(), bytes);
    cage.store(region.at(149).unwrap(), 0_u8).unwrap();
    assert_eq!(cage.equals(region.addr(), &bytes), Ok(false));
}

#[test]
fn atomic_cells_are_aligned_and_writable() {
    let cage = cage();
    let region = cage.alloc(values(16)).unwrap();
    cage.atomic_u64(region.at(8).unwrap()).unwrap().fetch_add(5, Ordering::SeqCst);
    assert_eq!(region.load::<u64>(8), Ok(5));
    assert!(cage.atomic_u64(region.at(4).unwrap()).is_err());
    assert!(cage.atomic_u32(region.at(4).unwrap()).is_ok());
    region.set_perm(Perm::Read);
    assert!(cage.atomic_u32(region.addr()).is_err());
}

#[test]
fn windows_check_the_whole_word() {
    let cage = cage();
    let region = cage.alloc(values(11)).unwrap();
    let start = u64::from(region.addr());
    let (view, window) = (cage.view(), cage.window(start + 3, Access::Write).unwrap());
    assert_eq!(view.store(&window, start + 3, 0x1122_3344_5566_7788_u64), Some(()));
    assert_eq!(view.store(&window, start + 4, 0_u64), None);
    assert_eq!(view.load::<u8>(&window, start + 10), Some(0x11));
    assert_eq!(view.load::<u16>(&window, start + 10), None);
    assert_eq!(view.load::<u8>(&window, start.wrapping_sub(1)), None);
    assert!(cage.window(start + 11, Access::Read).is_none());
    let small = cage.alloc(values(7)).unwrap();
    assert!(cage.window(small.addr().into(), Access::Read).is_none());
}

#[test]
fn a_thousand_cages_fit_in_a_process() {
    let cages: Vec<_> = (0..1000)
        .map(|_| {
            let cage = cage();
            let region = cage.alloc(values(64)).unwrap();
            region.store(0, 1_u8).unwrap();
            (cage, region)
        })
        .collect();
    assert!(cages.iter().all(|(cage, region)| cage.load::<u8>(region.addr()) == Ok(1)));
}
