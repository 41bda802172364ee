//! What a run may still use: its budget, handed out in slices where the clock is to be looked at
//! between them.

use std::time::Instant;
use ubpf_abi::TrapKind;

/// Instructions between two looks at the clock.
const SLICE: i64 = 1 << 16;

/// Budget that has not been handed out.
#[derive(Debug)]
pub(super) struct Allowance {
    left: i64,
    granted: i64,
    deadline: Option<Instant>,
}

impl Allowance {
    /// Of this budget until this time.
    pub(super) fn new(budget: u64, deadline: Option<Instant>) -> Self {
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        let granted = if deadline.is_some() { budget.min(SLICE) } else { budget };
        Self { left: budget - granted, granted, deadline }
    }

    /// What has been handed out, the first slice at once.
    pub(super) const fn granted(&self) -> i64 {
        self.granted
    }

    /// What remains when `remaining`, which is negative, is filled up.
    ///
    /// # Errors
    /// That the budget is spent or the time is over.
    #[cold]
    pub(super) fn refill(&mut self, mut remaining: i64) -> Result<i64, TrapKind> {
        while remaining < 0 {
            if self.left == 0 {
                return Err(TrapKind::BudgetExhausted);
            }
            let slice = self.left.min(SLICE);
            self.left -= slice;
            self.granted += slice;
            remaining += slice;
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(TrapKind::HostLimit),
            _ => Ok(remaining),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn without_a_deadline_all_is_granted_at_once() {
        let mut all = Allowance::new(1 << 40, None);
        assert_eq!(all.granted(), 1 << 40);
        assert_eq!(all.refill(-1), Err(TrapKind::BudgetExhausted));
    }

    #[test]
    fn slices_add_up_to_the_budget() {
        let later = Instant::now() + Duration::from_secs(1000);
        let mut sliced = Allowance::new(3 * SLICE as u64, Some(later));
        assert_eq!(sliced.granted(), SLICE);
        assert_eq!(sliced.refill(-1), Ok(SLICE - 1));
        assert_eq!(sliced.refill(-1), Ok(SLICE - 1));
        assert_eq!(sliced.refill(-1), Err(TrapKind::BudgetExhausted));
        assert_eq!(sliced.granted(), 3 * SLICE);
        let over = Allowance::new(u64::MAX, Some(Instant::now())).refill(-1);
        assert_eq!(over, Err(TrapKind::HostLimit));
    }
}
