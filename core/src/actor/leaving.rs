//! What goes with an owner that comes to its orderly end, and is to end in order too.
//!
//! A supervisor that is dropped is killed: a drop cannot wait. But where an actor has stopped, or main has returned, there
//! is somebody who can wait for what they leave behind. That one [collects](collect) it; whatever is dropped offers itself.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::pin::{Pin, pin};
use std::task::Poll;

thread_local! {
    /// What was offered so far, while somebody collects.
    static OFFERED: RefCell<Option<Vec<Leaving>>> = const { RefCell::new(None) };
}

/// Something whose last owner is gone: ended in one of two ways, by whoever has it now.
pub(crate) struct Leaving {
    pub(crate) in_order: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(crate) at_once: Box<dyn FnOnce() + Send>,
}

impl Leaving {
    /// Hands this to whoever collects on this thread; where nobody does it ends at once.
    pub(crate) fn offer(self) {
        let mut leaving = Some(self);
        // A thread that ends drops what it has kept when this is gone: nobody collects there.
        let _ = OFFERED.try_with(|offered| {
            if let Some(offered) = offered.borrow_mut().as_mut() {
                offered.extend(leaving.take());
            }
        });
        if let Some(leaving) = leaving {
            (leaving.at_once)();
        }
    }
}

/// Does something and returns with it what was dropped meanwhile. Where it panics that ends at once.
pub(crate) fn collect<R>(act: impl FnOnce() -> R) -> (R, Vec<Leaving>) {
    let outer = Outer(OFFERED.with(|offered| offered.replace(Some(Vec::new()))));
    let result = act();
    let left = OFFERED.with(|offered| offered.borrow_mut().as_mut().map(mem::take));
    drop(outer);
    (result, left.unwrap_or_default())
}

/// Polls a future to its end and returns with its output what it dropped as it ended; what it drops earlier ends at once.
pub(crate) async fn collect_at_end<F: Future>(future: F) -> (F::Output, Vec<Leaving>) {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let (polled, left) = collect(|| future.as_mut().poll(cx));
        match polled {
            Poll::Ready(output) => Poll::Ready((output, left)),
            Poll::Pending => {
                left.into_iter().for_each(|leaving| (leaving.at_once)());
                Poll::Pending
            }
        }
    })
    .await
}

/// Ends all of it in order, in the order in which it was dropped.
pub(crate) async fn end_in_order(left: Vec<Leaving>) {
    for leaving in left {
        leaving.in_order.await;
    }
}

/// Whoever collected before, which goes on when this one is through.
struct Outer(Option<Vec<Leaving>>);

impl Drop for Outer {
    fn drop(&mut self) {
        let left = OFFERED.with(|offered| offered.replace(self.0.take()));
        left.into_iter().flatten().for_each(|leaving| (leaving.at_once)());
    }
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, Mutex};

    use super::*;

    type Told = Arc<Mutex<Vec<&'static str>>>;

    struct Thing(Told);

    impl Drop for Thing {
        fn drop(&mut self) {
            let (order, once) = (self.0.clone(), self.0.clone());
            let leaving = Leaving {
                in_order: Box::pin(async move { order.lock().unwrap().push("in order") }),
                at_once: Box::new(move || once.lock().unwrap().push("at once")),
            };
            leaving.offer();
        }
    }

    fn told(told: &Told) -> Vec<&'static str> {
        told.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn what_is_dropped_at_the_end_ends_in_order_and_what_is_dropped_before_ends_at_once() {
        let all = Told::default();
        let ((), left) = collect_at_end(async {
            let (early, _late) = (Thing(all.clone()), Thing(all.clone()));
            drop(early);
            tokio::task::yield_now().await;
        })
        .await;
        assert_eq!(told(&all), ["at once"]);
        end_in_order(left).await;
        assert_eq!(told(&all), ["at once", "in order"]);
    }

    #[test]
    fn where_nobody_collects_or_the_end_is_a_panic_it_ends_at_once() {
        let all = Told::default();
        drop(Thing(all.clone()));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            collect(|| {
                let _thing = Thing(all.clone());
                panic!("told to panic");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(told(&all), ["at once", "at once"]);
        let ((), left) = collect(|| drop(collect(|| drop(Thing(all.clone())))));
        assert_eq!((left.len(), told(&all).len()), (0, 2), "the inner one had it, and let it go unended");
    }
}
