//! What a worker keeps between its tasks.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    static KEPT: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::new(HashMap::new());
}

/// Keeps a value for the tasks that this worker will run, one of each type; returns the one that was kept before.
///
/// For an init hook ([`PoolSpec::init`](crate::PoolSpec::init)) that opens a connection or loads a model. The value stays on the
/// thread that runs the tasks, so it need not be `Send`; it dies with the worker, and is dropped at its orderly end after the
/// exit hook.
pub fn keep_state<T: 'static>(value: T) -> Option<T> {
    let before = KEPT.with_borrow_mut(|kept| kept.insert(TypeId::of::<T>(), Box::new(value)));
    unboxed(before)
}

/// Lends the value of this type that the worker keeps; none where it keeps none, or it is lent already.
///
/// ```
/// # struct Model;
/// # impl Model { fn score(&mut self, _: &str) -> f64 { 0.5 } }
/// #[procession::task]
/// fn score(text: String) -> Option<f64> {
///     procession::with_state(|model: &mut Model| model.score(&text))
/// }
/// # procession::keep_state(Model);
/// # assert_eq!(score(String::new()), Some(0.5));
/// ```
pub fn with_state<T: 'static, R>(lend: impl FnOnce(&mut T) -> R) -> Option<R> {
    /// Gives it back, though the borrower panics; what was kept meanwhile stays.
    struct Lent<T: 'static>(Option<T>);
    impl<T: 'static> Drop for Lent<T> {
        fn drop(&mut self) {
            if let Some(value) = self.0.take() {
                KEPT.with_borrow_mut(|kept| {
                    kept.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(value));
                });
            }
        }
    }
    let mut lent = Lent(take_state::<T>());
    lent.0.as_mut().map(lend)
}

/// Takes the value of this type out: an exit hook may have to end it in its own way.
pub fn take_state<T: 'static>() -> Option<T> {
    unboxed(KEPT.with_borrow_mut(|kept| kept.remove(&TypeId::of::<T>())))
}

/// Drops all that is kept.
pub(super) fn clear() {
    // Outside the borrow: a drop may look at what is kept.
    drop(KEPT.take());
}

fn unboxed<T: 'static>(value: Option<Box<dyn Any>>) -> Option<T> {
    value.and_then(|value| value.downcast().ok()).map(|value| *value)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn one_value_of_each_type_is_kept_and_lent_to_one_at_a_time() {
        assert_eq!(with_state(|_: &mut u8| ()), None);
        assert_eq!(keep_state(1_u8), None);
        assert_eq!(keep_state("text"), None);
        assert_eq!(with_state(|n: &mut u8| std::mem::replace(n, 2)), Some(1));
        assert_eq!(with_state(|_: &mut u8| with_state(|_: &mut u8| ())), Some(None));
        assert_eq!(keep_state(3_u8), Some(2));
        assert_eq!(take_state::<u8>(), Some(3));
        assert_eq!(take_state::<u8>(), None);
        assert_eq!(take_state::<&str>(), Some("text"));
    }

    #[test]
    fn a_borrower_that_panics_gives_it_back_and_one_that_replaces_it_is_heard() {
        keep_state(1_u8);
        let panicked = catch_unwind(AssertUnwindSafe(|| with_state(|_: &mut u8| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(with_state(|n: &mut u8| keep_state(*n + 1)), Some(None));
        assert_eq!(take_state::<u8>(), Some(2));
    }
}
