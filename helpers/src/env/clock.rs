//! Clocks: the host's, or a virtual one for runs that must repeat to the nanosecond.

use core::sync::atomic::{AtomicU64, Ordering};
use rustix::time::{ClockId as HostClock, DynamicClockId, clock_gettime, clock_gettime_dynamic};

/// Ticks a second (`CONFIG_HZ`) of the kernels that distributions ship.
const HZ: u64 = 250;
/// Where the 64-bit tick counter begins: five minutes before its low half wraps.
const INITIAL_JIFFIES: u64 = (1 << 32) - 300 * HZ;
const NS_PER_S: u64 = 1_000_000_000;

/// Where time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockConfig {
    /// The host's clocks, as the kernel's helpers give them.
    #[default]
    Host,
    /// Every clock stands at `start_ns` and advances by `step_ns` with each reading.
    Virtual {
        /// First reading, in nanoseconds.
        start_ns: u64,
        /// Advance per reading, in nanoseconds.
        step_ns: u64,
    },
}

/// Which clock is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockId {
    /// Since boot, without time spent suspended.
    Monotonic,
    /// The same with the tick's resolution.
    MonotonicCoarse,
    /// Since boot, with time spent suspended.
    Boottime,
    /// International atomic time.
    Tai,
}

/// The clocks of an environment.
#[derive(Debug)]
pub struct Clock {
    config: ClockConfig,
    readings: AtomicU64,
}

impl Clock {
    /// Clocks as `config` says.
    #[must_use]
    pub const fn new(config: ClockConfig) -> Self {
        Self { config, readings: AtomicU64::new(0) }
    }

    /// Nanoseconds on `clock`.
    pub fn now_ns(&self, clock: ClockId) -> u64 {
        match self.config {
            ClockConfig::Host => host_ns(clock),
            ClockConfig::Virtual { start_ns, step_ns } => {
                let readings = self.readings.fetch_add(1, Ordering::Relaxed);
                start_ns.wrapping_add(readings.wrapping_mul(step_ns))
            }
        }
    }

    /// The same without a reading, so that a virtual clock stands still.
    #[must_use]
    pub fn peek_ns(&self, clock: ClockId) -> u64 {
        match self.config {
            ClockConfig::Host => host_ns(clock),
            ClockConfig::Virtual { start_ns, step_ns } => {
                let readings = self.readings.load(Ordering::Relaxed);
                start_ns.wrapping_add(readings.wrapping_mul(step_ns))
            }
        }
    }

    /// Up to when timers are called at the end of a run. The kernel would call those that are due a
    /// moment later just then; a virtual clock says exactly what is due.
    #[must_use]
    pub fn horizon_ns(&self, clock: ClockId) -> u64 {
        const MOMENT_NS: u64 = 1_000_000;
        let moment_ns = match self.config {
            ClockConfig::Host => MOMENT_NS,
            ClockConfig::Virtual { .. } => 0,
        };
        self.peek_ns(clock).saturating_add(moment_ns)
    }

    /// Ticks, as the kernel counts them.
    pub fn jiffies(&self) -> u64 {
        let now_ns = self.now_ns(ClockId::MonotonicCoarse);
        INITIAL_JIFFIES.wrapping_add(now_ns / (NS_PER_S / HZ))
    }
}

fn host_ns(clock: ClockId) -> u64 {
    let now = match clock {
        ClockId::Monotonic => clock_gettime(HostClock::Monotonic),
        ClockId::MonotonicCoarse => clock_gettime(HostClock::MonotonicCoarse),
        ClockId::Boottime => clock_gettime(HostClock::Boottime),
        // Without leap seconds from the host, TAI is what the wall clock shows.
        ClockId::Tai => clock_gettime_dynamic(DynamicClockId::Tai)
            .unwrap_or_else(|_| clock_gettime(HostClock::Realtime)),
    };
    (now.tv_sec as u64).wrapping_mul(NS_PER_S).wrapping_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_advances_with_each_reading() {
        let clock = Clock::new(ClockConfig::Virtual { start_ns: 100, step_ns: 7 });
        assert_eq!(clock.now_ns(ClockId::Monotonic), 100);
        assert_eq!(clock.now_ns(ClockId::Boottime), 107);
        let stopped = Clock::new(ClockConfig::Virtual { start_ns: 4_000_000, step_ns: 0 });
        assert_eq!(stopped.jiffies(), INITIAL_JIFFIES + 1);
    }

    #[test]
    fn the_host_clock_does_not_go_backwards() {
        let clock = Clock::new(ClockConfig::Host);
        let before = clock.now_ns(ClockId::Monotonic);
        assert!(before > 0 && clock.now_ns(ClockId::Monotonic) >= before);
        assert!(clock.now_ns(ClockId::Boottime) >= before);
    }
}
