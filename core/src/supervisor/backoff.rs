use std::time::Duration;

/// How long a supervisor waits before it starts a failed child again.
///
/// The first restart is made at once, since most failures do not come back. If the child fails again, the wait is
/// `initial`, and for each further failure in a row `factor` times as long, up to `max`. A child that has lived for
/// `reset_after` begins anew. `jitter` spreads the waits of children that failed together: with 0.2 a wait is up to a
/// fifth shorter or longer, yet never above `max`.
///
/// ```text
/// restart   1    2      3       4       5       ..  10
/// wait      0    50 ms  100 ms  200 ms  400 ms  ..  10 s      (the default, without jitter)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
    reset_after: Duration,
}

impl Backoff {
    /// No wait is longer, so that a point in time plus a wait is always a point in time.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// Waits from `initial` up to `max`, doubling, with the default jitter and reset.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, factor: 2.0, jitter: 0.2, reset_after: Duration::from_secs(30) }
    }

    /// No waits: each restart is made at once, and only the supervisor's intensity ends a crash loop.
    #[must_use]
    pub const fn none() -> Self {
        Self::new(Duration::ZERO, Duration::ZERO)
    }

    /// How much longer each wait is than the one before; at least 1.
    #[must_use]
    pub const fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// The part of a wait, from 0 to 1, by which it may be shorter or longer.
    #[must_use]
    pub const fn jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// How long a child must have been ready for its earlier failures to be forgotten.
    #[must_use]
    pub const fn reset_after(self, reset_after: Duration) -> Self {
        Self { reset_after, ..self }
    }

    /// Whether these waits make sense; a supervisor refuses to start with others.
    ///
    /// # Errors
    /// The first of the values that does not.
    pub(crate) fn check(&self) -> Result<(), BadBackoff> {
        if !(self.factor >= 1.0 && self.factor.is_finite()) {
            return Err(BadBackoff::Factor { factor: self.factor });
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(BadBackoff::Jitter { jitter: self.jitter });
        }
        if self.initial > self.max {
            return Err(BadBackoff::InitialAboveMax { initial: self.initial, max: self.max });
        }
        Ok(())
    }

    /// The wait before restart `attempt` of a row, counted from 1. Total: values that [`check`](Self::check) refuses
    /// give a wait of at most `max` too.
    pub(crate) fn delay(&self, attempt: u32, rng: &mut SplitMix64) -> Duration {
        // Zero times an infinite power would be no number.
        if attempt <= 1 || self.initial.is_zero() {
            return Duration::ZERO;
        }
        let power = i32::try_from(attempt - 2).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.factor.powi(power);
        // Room is left for the jitter below `max`: cutting it off there would put half of all long waits on one instant.
        let highest = self.max.as_secs_f64() / (1.0 + self.jitter);
        let spread = 1.0 + self.jitter * (2.0 * rng.unit() - 1.0);
        let longest = self.max.min(Self::LONGEST);
        Duration::try_from_secs_f64(grown.min(highest) * spread).unwrap_or(longest).min(longest)
    }

    /// Whether a child that was ready for `lived` begins anew.
    pub(crate) fn forgets_after(&self, lived: Duration) -> bool {
        lived >= self.reset_after
    }
}

impl Default for Backoff {
    /// At once, then from 50 ms doubling up to 10 s, a fifth of jitter, forgotten after 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(10))
    }
}

/// Why a [`Backoff`] cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBackoff {
    /// The waits would shrink.
    #[error("backoff factor is {factor}, and must be a number of at least 1")]
    Factor {
        /// What was given.
        factor: f64,
    },
    /// A wait would be negative.
    #[error("backoff jitter is {jitter}, and must be from 0 to 1")]
    Jitter {
        /// What was given.
        jitter: f64,
    },
    /// The first wait would be longer than the longest.
    #[error("initial backoff {initial:?} is longer than the longest, {max:?}")]
    InitialAboveMax {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
    },
}

/// A small random generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators"): enough to spread
/// waits, the same again for the same seed, and not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, and without, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delays(backoff: Backoff, attempts: std::ops::RangeInclusive<u32>) -> Vec<u128> {
        let mut rng = SplitMix64::new(7);
        attempts.map(|attempt| backoff.delay(attempt, &mut rng).as_millis()).collect()
    }

    #[test]
    fn first_restart_is_at_once_then_the_wait_doubles_up_to_max() {
        assert_eq!(
            delays(Backoff::default().jitter(0.0), 0..=12),
            [0, 0, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]
        );
    }

    #[test]
    fn none_never_waits() {
        let mut rng = SplitMix64::new(1);
        for attempt in [0, 1, 2, 3, 100, 5_000, u32::MAX] {
            assert_eq!(Backoff::none().delay(attempt, &mut rng), Duration::ZERO);
        }
    }

    #[test]
    fn factor_one_waits_the_same_each_time() {
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1)).factor(1.0).jitter(0.0);
        assert_eq!(delays(backoff, 1..=5), [0, 5, 5, 5, 5]);
    }

    #[test]
    fn jitter_stays_within_its_part_and_uses_all_of_it() {
        let mut rng = SplitMix64::new(3);
        let waits: Vec<_> = (0..1_000).map(|_| Backoff::default().delay(4, &mut rng).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (0.16..=0.24).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 0.17) && waits.iter().any(|wait| *wait > 0.23));
    }

    #[test]
    fn longest_waits_are_spread_too() {
        let mut rng = SplitMix64::new(3);
        let waits: std::collections::BTreeSet<_> = (0..1_000).map(|_| Backoff::default().delay(50, &mut rng)).collect();
        assert_eq!(waits.len(), 1_000, "no two at the same instant");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(10) && *wait > Duration::from_secs(6)));
    }

    #[test]
    fn same_seed_gives_the_same_waits() {
        assert_eq!(delays(Backoff::default(), 1..=20), delays(Backoff::default(), 1..=20));
    }

    #[test]
    fn life_of_reset_after_begins_anew() {
        let backoff = Backoff::default().reset_after(Duration::from_secs(2));
        assert!(!backoff.forgets_after(Duration::from_millis(1_999)));
        assert!(backoff.forgets_after(Duration::from_secs(2)));
    }

    #[test]
    fn bad_values_are_named() {
        assert_eq!(Backoff::default().check(), Ok(()));
        assert_eq!(Backoff::none().check(), Ok(()));
        let said = |backoff: Backoff| backoff.check().unwrap_err().to_string();
        assert_eq!(said(Backoff::default().factor(0.5)), "backoff factor is 0.5, and must be a number of at least 1");
        assert_eq!(
            said(Backoff::default().factor(f64::NAN)),
            "backoff factor is NaN, and must be a number of at least 1"
        );
        assert!(said(Backoff::default().factor(f64::INFINITY)).contains("inf"));
        assert_eq!(said(Backoff::default().jitter(1.5)), "backoff jitter is 1.5, and must be from 0 to 1");
        assert!(said(Backoff::default().jitter(f64::NAN)).contains("NaN"));
        assert_eq!(
            said(Backoff::new(Duration::from_secs(2), Duration::from_secs(1))),
            "initial backoff 2s is longer than the longest, 1s"
        );
    }

    #[test]
    fn generator_gives_the_published_numbers() {
        let mut rng = SplitMix64::new(1_234_567);
        assert_eq!(
            [0; 3].map(|_| rng.next()),
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    proptest! {
        #[test]
        fn any_values_give_a_wait_of_at_most_max(
            initial in any::<Duration>(), max in any::<Duration>(), factor in any::<f64>(), jitter in any::<f64>(),
            attempt in any::<u32>(), seed in any::<u64>(),
        ) {
            let backoff = Backoff::new(initial, max).factor(factor).jitter(jitter);
            let wait = backoff.delay(attempt, &mut SplitMix64::new(seed));
            prop_assert!(wait <= max && wait <= Backoff::LONGEST);
        }

        #[test]
        fn waits_do_not_shrink_without_jitter(attempt in 1_u32..5_000, factor in 1.0_f64..10.0) {
            let backoff = Backoff::default().factor(factor).jitter(0.0);
            let mut rng = SplitMix64::new(0);
            prop_assert!(backoff.delay(attempt, &mut rng) <= backoff.delay(attempt + 1, &mut rng));
        }
    }
}
