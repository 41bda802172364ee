//! Timers and work items in map values: what is to be called, and when.
//!
//! Nothing runs beside a program here. What is due is called when a run has ended, in the order in
//! which it became due; a virtual clock makes that the same every time.

use super::ClockId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_vm::mem::GuestAddr;

/// Timers by the address of their field.
#[derive(Debug, Default)]
pub struct Timers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    timers: BTreeMap<GuestAddr, Timer>,
    /// The one whose callback runs.
    running: Option<GuestAddr>,
    /// Counts the starts, so that timers due at the same time are called in order.
    starts: u64,
}

#[derive(Debug)]
struct Timer {
    map: GuestAddr,
    value: GuestAddr,
    clock: ClockId,
    callback: Option<u64>,
    /// When, and which start it was.
    due: Option<(u64, u64)>,
}

/// A callback that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The map that holds the value.
    pub map: GuestAddr,
    /// The value that holds the timer.
    pub value: GuestAddr,
    /// The subprogram to call, as programs know it.
    pub callback: u64,
}

impl Timers {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the timer at `at` ready, in a value of a map.
    ///
    /// # Errors
    /// `EBUSY` where it is already.
    pub fn init(
        &self,
        at: GuestAddr,
        map: GuestAddr,
        value: GuestAddr,
        clock: ClockId,
    ) -> Result<(), Errno> {
        let mut table = self.table();
        if table.timers.contains_key(&at) {
            return Err(Errno::EBUSY);
        }
        table.timers.insert(at, Timer { map, value, clock, callback: None, due: None });
        Ok(())
    }

    /// Says what it calls.
    ///
    /// # Errors
    /// `EINVAL` where it is not ready.
    pub fn set_callback(&self, at: GuestAddr, callback: u64) -> Result<(), Errno> {
        let mut table = self.table();
        let timer = table.timers.get_mut(&at).ok_or(Errno::EINVAL)?;
        timer.callback = Some(callback);
        Ok(())
    }

    /// Starts it. `due` is asked for the time, in nanoseconds of the timer's clock.
    ///
    /// # Errors
    /// `EINVAL` where it is not ready or calls nothing.
    pub fn start(&self, at: GuestAddr, due: impl FnOnce(ClockId) -> u64) -> Result<(), Errno> {
        let mut table = self.table();
        table.starts += 1;
        let start = table.starts;
        let timer = table.timers.get_mut(&at).ok_or(Errno::EINVAL)?;
        if timer.callback.is_none() {
            return Err(Errno::EINVAL);
        }
        timer.due = Some((due(timer.clock), start));
        Ok(())
    }

    /// Stops it, so that it calls nothing any more. Whether it had been started.
    ///
    /// # Errors
    /// `EINVAL` where it is not ready, `EDEADLK` while its own callback runs.
    pub fn cancel(&self, at: GuestAddr) -> Result<bool, Errno> {
        let mut table = self.table();
        if table.running == Some(at) {
            return Err(Errno::EDEADLK);
        }
        let timer = table.timers.get_mut(&at).ok_or(Errno::EINVAL)?;
        timer.callback = None;
        Ok(timer.due.take().is_some())
    }

    /// Forgets it, as its value is gone.
    pub fn forget(&self, at: GuestAddr) {
        self.table().timers.remove(&at);
    }

    /// Takes the callback that has been due for longest, and calls it running.
    #[must_use]
    pub fn take_due(&self, now: impl Fn(ClockId) -> u64) -> Option<Expiry> {
        let mut table = self.table();
        table.running = None;
        let due = table.timers.iter().filter_map(|(at, timer)| {
            let when = timer.due.filter(|(when, _)| *when <= now(timer.clock))?;
            Some((when, *at))
        });
        let (_, at) = due.min()?;
        table.running = Some(at);
        let timer = table.timers.get_mut(&at)?;
        timer.due = None;
        Some(Expiry { map: timer.map, value: timer.value, callback: timer.callback? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_called_in_order() {
        let timers = Timers::default();
        let at = GuestAddr;
        for n in 1..=3 {
            timers.init(at(n), at(100), at(n), ClockId::Monotonic).unwrap();
            assert_eq!(timers.start(at(n), |_| 0), Err(Errno::EINVAL));
            timers.set_callback(at(n), 7).unwrap();
        }
        assert_eq!(timers.init(at(1), at(100), at(1), ClockId::Boottime), Err(Errno::EBUSY));
        timers.start(at(1), |_| 30).unwrap();
        timers.start(at(2), |_| 10).unwrap();
        timers.start(at(3), |_| 10).unwrap();
        let next = || timers.take_due(|_| 20).map(|expiry| expiry.value.0);
        assert_eq!(next(), Some(2));
        assert_eq!(timers.cancel(at(2)), Err(Errno::EDEADLK));
        assert_eq!((next(), next()), (Some(3), None));
        assert_eq!(timers.cancel(at(2)), Ok(false));
        assert_eq!(timers.cancel(at(1)), Ok(true));
        assert_eq!(timers.start(at(1), |_| 0), Err(Errno::EINVAL));
        timers.forget(at(1));
        assert_eq!(timers.cancel(at(1)), Err(Errno::EINVAL));
    }
}
