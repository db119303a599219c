//! How far a pool has come, again and again.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use tokio::time::{Interval, MissedTickBehavior};

use super::inbox::Shared;

/// The time over which a rate is taken.
const LATELY: Duration = Duration::from_secs(10);

/// How far a pool has come at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolProgress {
    /// Tasks that have a value.
    pub done: u64,
    /// Tasks that have ended without one, or with an error of their own.
    pub failed: u64,
    /// Tasks that workers have.
    pub running: u64,
    /// Tasks that wait.
    pub queued: u64,
    /// Tasks that end in a second, over the last ten of them.
    pub rate: f64,
    /// How long the rest will take at that rate; none where nothing has ended lately.
    pub left: Option<Duration>,
}

/// How far a pool has come, again and again until it is over: its last item is the end.
///
/// It does not keep the pool alive.
///
/// # Cancellation
/// Dropping it does nothing to the pool.
#[must_use = "a stream does nothing unless it is polled"]
pub struct ProgressStream {
    shared: Arc<Shared>,
    every: Interval,
    total: Option<u64>,
    /// What had ended then.
    samples: VecDeque<(Instant, u64)>,
    /// Done when the pool is over; none once that was said.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ProgressStream {
    pub(super) fn new(shared: Arc<Shared>, every: Duration) -> Self {
        let mut every = tokio::time::interval(every.clamp(Duration::from_millis(1), LATELY));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ending = shared.clone();
        let over = Box::pin(async move { drop(ending.ended().await) });
        Self { shared, every, total: None, samples: VecDeque::new(), over: Some(over) }
    }

    /// Estimates what is left of so many tasks in all; else of those that the pool has been given so far.
    pub fn total(mut self, tasks: u64) -> Self {
        self.total = Some(tasks);
        self
    }

    /// The next state; none after the pool's end.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn next(&mut self) -> Option<PoolProgress> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<PoolProgress>> {
        let Some(over) = &mut self.over else { return Poll::Ready(None) };
        if over.as_mut().poll(cx).is_ready() {
            self.over = None;
        } else if self.every.poll_tick(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Some(self.look(Instant::now())))
    }

    fn look(&mut self, now: Instant) -> PoolProgress {
        let (done, failed) = self.shared.counts();
        let (queued, running) = (self.shared.queued() as u64, self.shared.running());
        let ended = done + failed;
        self.samples.push_back((now, ended));
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= LATELY) {
            self.samples.pop_front();
        }
        let rate = rate(&self.samples);
        let rest = self.total.map_or(queued + running, |total| total.saturating_sub(ended));
        PoolProgress { done, failed, running, queued, rate, left: left(rest, rate) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
fn rate(samples: &VecDeque<(Instant, u64)>) -> f64 {
    let (Some((from, before)), Some((to, after))) = (samples.front(), samples.back()) else { return 0.0 };
    let seconds = to.duration_since(*from).as_secs_f64();
    if seconds > 0.0 { (after - before) as f64 / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
fn left(rest: u64, rate: f64) -> Option<Duration> {
    if rest == 0 {
        return Some(Duration::ZERO);
    }
    Duration::try_from_secs_f64(rest as f64 / rate).ok()
}

impl Stream for ProgressStream {
    type Item = PoolProgress;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").field("pool", &self.shared).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_rate() {
        let began = Instant::now();
        let samples = VecDeque::from([(began, 10), (began + Duration::from_secs(5), 30)]);
        let rate = rate(&samples);
        assert!((rate - 4.0).abs() < 1e-9, "{rate}");
        assert_eq!(left(8, rate), Some(Duration::from_secs(2)));
        assert_eq!(left(0, 0.0), Some(Duration::ZERO));
        assert_eq!(left(8, 0.0), None);
    }
}
