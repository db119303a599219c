use std::cell::{Cell, RefCell};

use serde::Serialize;

use super::{EncodeError, encode_into, encode_payload};
use crate::wire::content::Content;
use crate::wire::ids::{ActorId, NodeId};

/// The most handles that one message may hold.
pub(crate) const MAX_HANDLES: usize = 255;

/// The name of something outside a message that a value inside it refers to: an actor, a queue, a lock, a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Handle {
    /// In what role it is referred to.
    pub(crate) kind: u8,
    /// The process that has it.
    pub(crate) node: NodeId,
    /// Its number there; 56 bits of it travel.
    pub(crate) actor: ActorId,
}

impl Handle {
    /// The kind of a plain address, which keeps nothing alive.
    pub(crate) const ADDRESS: u8 = 1;
    /// The kind of shared memory, whose number only the processes at both ends of a connection know.
    pub(crate) const MEMORY: u8 = 6;

    /// Whether those who hold it are counted.
    pub(crate) fn is_counted(self) -> bool {
        self.kind != Self::ADDRESS
    }
}

/// Encodes a message, and collects the handles that its values [note](note_handle) meanwhile, in order, a repeated one
/// as often as it occurs.
///
/// # Errors
/// Those of [`encode`], and [`EncodeError::TooManyHandles`].
///
/// # Panics
/// Where the value's own `Serialize` does. The handles noted so far are forgotten.
pub(crate) fn encode_message<T: Serialize + ?Sized>(
    value: &T,
    limit: usize,
) -> Result<(Content, Vec<Handle>), EncodeError> {
    encode_message_behind(&[], value, limit)
}

/// The same behind bytes that are no value.
///
/// # Errors
/// As for [`encode_message`].
///
/// # Panics
/// As for [`encode_message`].
pub(crate) fn encode_message_behind<T: Serialize + ?Sized>(
    head: &[u8],
    value: &T,
    limit: usize,
) -> Result<(Content, Vec<Handle>), EncodeError> {
    let scope = EncodeScope::open();
    let bytes = encode_payload(head, value, limit)?;
    Ok((bytes, scope.close()?))
}

/// The same behind what is in `into` already, which an error leaves as it was.
///
/// # Errors
/// As for [`encode_message`].
///
/// # Panics
/// As for [`encode_message`]; nothing is left in `into` then.
pub(crate) fn encode_message_into<T: Serialize + ?Sized>(
    value: &T,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<Vec<Handle>, EncodeError> {
    let from = into.len();
    let scope = EncodeScope::open();
    encode_into(value, limit, into)?;
    scope.close().inspect_err(|_| into.truncate(from))
}

/// Notes a handle in the message that this thread is encoding; says whether there is one.
///
/// For the `Serialize` of a handle: where the answer is `false` the value would leave the process untracked, so that it
/// has to refuse.
pub(crate) fn note_handle(handle: Handle) -> bool {
    let Some(begin) = BEGIN.get() else { return false };
    NOTED
        .try_with(|noted| {
            let mut noted = noted.borrow_mut();
            // One past the limit is kept as the sign that there were too many; the rest is not, so that nothing grows.
            if noted.len() - begin <= MAX_HANDLES {
                noted.push(handle);
            }
            COUNT.set(noted.len());
        })
        .is_ok()
}

/// The same, once for each handle however often it is noted.
pub(crate) fn note_handle_once(handle: Handle) -> bool {
    let known = BEGIN.get().and_then(|begin| NOTED.try_with(|noted| noted.borrow()[begin..].contains(&handle)).ok());
    known.unwrap_or(false) || note_handle(handle)
}

/// How many handles the message that this thread is encoding has so far; none where there is no message.
pub(crate) fn noted_handles() -> Option<usize> {
    BEGIN.get().map(|begin| COUNT.get() - begin)
}

/// The time in which a message is encoded on this thread.
///
/// Scopes nest: a `Serialize` that encodes a message of its own has its own handles, and the outer message goes on after
/// it. A scope ends where it is dropped, so an unwinding one leaves nothing behind.
#[derive(Debug)]
pub(crate) struct EncodeScope {
    begin: usize,
    outer: Option<usize>,
}

// Most messages have no handle: so a scope opens and closes by two numbers alone, which a thread needs not take down at its
// end.
thread_local! {
    /// Where what the innermost open scope has noted begins.
    static BEGIN: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many handles all open scopes have noted.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// These.
    static NOTED: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

impl EncodeScope {
    /// Begins to collect.
    #[inline]
    pub(crate) fn open() -> Self {
        let begin = COUNT.get();
        Self { begin, outer: BEGIN.replace(Some(begin)) }
    }

    /// Ends, with what was noted.
    ///
    /// # Errors
    /// [`EncodeError::TooManyHandles`].
    #[inline]
    pub(crate) fn close(self) -> Result<Vec<Handle>, EncodeError> {
        match COUNT.get() - self.begin {
            0 => Ok(Vec::new()),
            1..=MAX_HANDLES => Ok(self.forget()),
            _ => Err(EncodeError::TooManyHandles { limit: MAX_HANDLES }),
        }
    }

    /// Takes out what was noted.
    fn forget(&self) -> Vec<Handle> {
        COUNT.set(self.begin);
        // A scope that outlives its thread's storage has nothing left to give back.
        NOTED.try_with(|noted| noted.borrow_mut().split_off(self.begin)).unwrap_or_default()
    }
}

impl Drop for EncodeScope {
    #[inline]
    fn drop(&mut self) {
        BEGIN.set(self.outer);
        if COUNT.get() > self.begin {
            drop(self.forget());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::{Serializer, ser::Error};

    use super::*;
    use crate::wire::codec::encode;

    fn handle(id: u64) -> Handle {
        Handle { kind: 1, node: NodeId(9), actor: ActorId(id) }
    }

    /// A handle that serialises as its id.
    struct Address(u64);

    impl Serialize for Address {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if !note_handle(handle(self.0)) {
                return Err(S::Error::custom("an address travels in messages only"));
            }
            serializer.serialize_u64(self.0)
        }
    }

    /// Encodes a message of its own while it is serialised.
    struct Envelope(Vec<Address>);

    impl Serialize for Envelope {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let (bytes, handles) = encode_message(&self.0, 64).map_err(S::Error::custom)?;
            assert_eq!(ids(&handles), self.0.iter().map(|address| address.0).collect::<Vec<_>>());
            serializer.serialize_bytes(&bytes)
        }
    }

    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }

    fn ids(handles: &[Handle]) -> Vec<u64> {
        handles.iter().map(|handle| handle.actor.0).collect()
    }

    #[test]
    fn handles_are_noted_in_order_and_as_often_as_they_occur() {
        let message = (Address(3), "x", vec![Some(Address(1)), None, Some(Address(3))]);
        let (bytes, handles) = encode_message(&message, 64).unwrap();
        assert_eq!(ids(&handles), [3, 1, 3]);
        assert_eq!(&bytes[..], [3, 1, b'x', 3, 1, 1, 0, 1, 3]);
    }

    #[test]
    fn a_handle_outside_a_message_is_told_so() {
        assert!(!note_handle(handle(1)));
        let refused = encode(&Address(1), 64).unwrap_err();
        assert_eq!(refused, EncodeError::Serialize("an address travels in messages only".to_owned()));
    }

    #[test]
    fn a_nested_message_keeps_its_handles_to_itself() {
        let message = (Address(1), Envelope(vec![Address(2), Address(3)]), Address(4));
        assert_eq!(ids(&encode_message(&message, 64).unwrap().1), [1, 4]);
    }

    #[test]
    fn a_scope_is_closed_after_an_error() {
        let message = (Address(1), "longer than the limit");
        assert_eq!(encode_message(&message, 4).unwrap_err(), EncodeError::TooLarge { limit: 4 });
        assert!(!note_handle(handle(1)));
    }

    #[test]
    fn a_scope_is_closed_after_a_panic_and_the_outer_one_goes_on() {
        let outer = EncodeScope::open();
        assert!(note_handle(handle(1)));
        let panicked = catch_unwind(AssertUnwindSafe(|| encode_message(&(Address(2), Panics), 64)));
        assert!(panicked.is_err());
        assert!(note_handle(handle(3)));
        assert_eq!(ids(&outer.close().unwrap()), [1, 3]);
        assert!(!note_handle(handle(1)));
    }

    #[test]
    fn a_message_with_255_handles_passes_and_one_with_more_is_refused() {
        let addresses = |n| (0..n).map(Address).collect::<Vec<_>>();
        assert_eq!(encode_message(&addresses(255), 1024).unwrap().1.len(), 255);
        for n in [256, 257, 10_000] {
            let refused = encode_message(&addresses(n), 1 << 20).unwrap_err();
            assert_eq!(refused, EncodeError::TooManyHandles { limit: 255 });
        }
    }
}
