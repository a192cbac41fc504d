//! Endless retries that become rarer: exponential, capped, jittered, reset on success.

use std::time::Duration;

/// Shape of a back-off.
#[derive(Clone, Copy, Debug)]
pub struct BackoffConfig {
    /// The first wait.
    pub first: Duration,
    /// The longest wait, before jitter.
    pub longest: Duration,
}

/// Counts failures and says how long to wait. Pure: the random number comes from outside.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// A back-off with no failure yet.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Backoff {
        Backoff { config, failures: 0 }
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts one failure and answers the wait before the next try: `first * 2^n`, at most `longest`, times a factor
    /// between 0.75 and 1.25 taken from `random` (any number), so that printers behind one plug do not come back in step.
    pub fn fail(&mut self, random: u32) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let wait = self.config.first.saturating_mul(1 << doublings).min(self.config.longest);
        wait * (750 + random % 501) / 1000
    }

    /// Forgets all failures.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over_after_success() {
        let config = BackoffConfig { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
        let mut backoff = Backoff::new(config);
        let waits: Vec<u64> = (0..40).map(|_| backoff.fail(250).as_secs()).collect();
        assert_eq!(&waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        backoff.succeed();
        assert_eq!(backoff.fail(250), Duration::from_secs(1));
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let config = BackoffConfig { first: Duration::from_secs(20), longest: Duration::from_secs(20) };
        for random in [0, 1, 250, 499, 500, 501, u32::MAX] {
            let wait = Backoff::new(config).fail(random);
            assert!(wait >= Duration::from_secs(15) && wait <= Duration::from_secs(25), "{wait:?}");
        }
    }
}
