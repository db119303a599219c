//! One bit that one task waits for and anybody sets.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A notification that is kept until it is taken, however often it is given. One task waits at a time.
///
/// Of tokio's `Notify` with one waiter: but what waits is no future that is put into a list and taken out of it, once for each
/// time that a task goes to sleep.
#[derive(Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    /// The task that was the last to wait, which may have gone on since.
    waiting: Mutex<Option<Waker>>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets it, and wakes who waits.
    pub(crate) fn notify_one(&self) {
        // Where it was set already, whoever did so has woken them.
        if !self.is_set.swap(true, Ordering::AcqRel)
            && let Some(waker) = &*self.waiting()
        {
            waker.wake_by_ref();
        }
    }

    /// Takes it; whether it was set.
    pub(crate) fn take(&self) -> bool {
        self.is_set.load(Ordering::Relaxed) && self.is_set.swap(false, Ordering::AcqRel)
    }

    /// Takes it as soon as it is set.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.take() {
            return Poll::Ready(());
        }
        let old = {
            let mut waiting = self.waiting();
            match &*waiting {
                Some(waker) if waker.will_wake(cx.waker()) => None,
                _ => waiting.replace(cx.waker().clone()),
            }
        };
        // A waker may hold a task, and that anything: not dropped in there.
        drop(old);
        // By who has seen no waker yet. A read that does not write would not be ordered with what they write.
        if self.is_set.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until it is set, and takes it.
    ///
    /// # Cancellation
    /// Safe: it stays set.
    pub(crate) async fn notified(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.is_set.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_is_kept_until_it_is_taken_and_wakes_once_until_then() {
        let (signal, count) = (Signal::new(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        signal.notify_one();
        assert!(signal.poll(&cx).is_ready(), "it came before anybody waited");
        assert!(signal.poll(&cx).is_pending());
        signal.notify_one();
        signal.notify_one();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(signal.take());
        assert!(!signal.take() && signal.poll(&cx).is_pending());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_signal_is_lost_between_threads() {
        let (there, back) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (other, answer) = (there.clone(), back.clone());
        let answering = tokio::spawn(async move {
            for _ in 0..5000 {
                other.notified().await;
                answer.notify_one();
            }
        });
        for _ in 0..5000 {
            there.notify_one();
            back.notified().await;
        }
        answering.await.unwrap();
    }
}
