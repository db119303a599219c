//! A value on its way, with what it refers to.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::node::Node;
use crate::router::Handles;
use crate::wire::budget::Budget;
use crate::wire::codec::{self, DecodeError, EncodeError, Handle, note_handle, noted_handles};
use crate::wire::content::Content;
use crate::wire::frame::PAYLOAD_LIMIT;

/// An encoded value and the handles in it: while it exists they count as held.
///
/// It may itself be a part of a message, whose receiver then has the value without having looked into it.
#[derive(Clone, Default)]
pub(crate) struct Parcel {
    pub(crate) bytes: Content,
    pub(crate) handles: Handles,
}

thread_local! {
    /// The handles of the message that this thread is decoding.
    static OPENED: RefCell<Handles> = const { RefCell::new(Handles::none()) };
}

impl Parcel {
    /// Encodes a value.
    ///
    /// # Errors
    /// Those of the codec; one is that the value is longer than a message may be.
    pub(crate) fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        Self::behind(&[], value)
    }

    /// Encodes a value behind bytes that are none.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn behind<T: Serialize + ?Sized>(head: &[u8], value: &T) -> Result<Self, EncodeError> {
        let (bytes, handles) = codec::encode_message_behind(head, value, PAYLOAD_LIMIT)?;
        Ok(Self { bytes, handles: if handles.is_empty() { Handles::none() } else { Node::here().hold(handles) } })
    }

    /// The same of a value whose type is known as a whole.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    #[inline]
    pub(crate) fn of<T: Serialize + 'static>(value: &T) -> Result<Self, EncodeError> {
        match codec::octets(value) {
            Some(octets) => Ok(Self { bytes: Content::copy_from_slice(octets), handles: Handles::none() }),
            None => Self::new(value),
        }
    }

    /// Encodes a value behind what is in `into` already, and holds what it refers to.
    ///
    /// # Errors
    /// As for [`new`](Self::new); `into` is as it was then.
    pub(crate) fn write<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<Handles, EncodeError> {
        let handles = codec::encode_message_into(value, PAYLOAD_LIMIT, into)?;
        Ok(if handles.is_empty() { Handles::none() } else { Node::here().hold(handles) })
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// Those of the codec.
    #[inline]
    pub(crate) fn open<T: DeserializeOwned + 'static>(&self) -> Result<T, DecodeError> {
        match codec::from_shared(&self.bytes) {
            Some(value) => Ok(value),
            None => Self::open_slice(&self.bytes, &self.handles),
        }
    }

    /// The same of bytes that somebody else has.
    ///
    /// # Errors
    /// Those of the codec.
    #[inline]
    pub(crate) fn open_slice<T: DeserializeOwned + 'static>(bytes: &[u8], handles: &Handles) -> Result<T, DecodeError> {
        if let Some(value) = codec::from_octets(bytes) {
            return Ok(value);
        }
        if handles.is_empty() {
            return codec::decode_slice(bytes, Budget::default());
        }
        struct Close(Handles);
        impl Drop for Close {
            fn drop(&mut self) {
                OPENED.replace(std::mem::take(&mut self.0));
            }
        }
        // Parcels nest.
        let _close = Close(OPENED.replace(handles.clone()));
        codec::decode_slice(bytes, Budget::default())
    }

    /// The bytes that it takes up.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// One of the handles of the message that this thread is decoding.
pub(crate) fn opened_handle(is_it: impl FnMut(&Handle) -> bool) -> Option<Handle> {
    let opened = OPENED.with_borrow(Handles::clone);
    let mut is_it = is_it;
    opened.list().iter().copied().find(|handle| is_it(handle))
}

/// As a part of a message: where its handles are among the message's, and its bytes.
#[derive(Serialize, Deserialize)]
struct Enclosed {
    first: u8,
    count: u8,
    bytes: Content,
}

impl Serialize for Parcel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = self.handles.list();
        // Where there are too many the message will be refused as a whole.
        let first = noted_handles().unwrap_or_default().min(255) as u8;
        let noted = list.iter().all(|&handle| note_handle(handle) || !handle.is_counted());
        if !noted {
            return Err(serde::ser::Error::custom("a value with handles in it travels in messages only"));
        }
        Enclosed { first, count: list.len().min(255) as u8, bytes: self.bytes.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Parcel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Enclosed { first, count, bytes } = Enclosed::deserialize(deserializer)?;
        if count == 0 {
            return Ok(Self { bytes, handles: Handles::default() });
        }
        let (first, count) = (usize::from(first), usize::from(count));
        let own = OPENED.with_borrow(|opened| opened.list().get(first..first + count).map(<[_]>::to_vec));
        let own = own.ok_or_else(|| D::Error::custom("the message has not the handles that a value in it names"))?;
        Ok(Self { bytes, handles: Node::here().hold(own) })
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} bytes, {:?})", self.bytes.len(), self.handles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::held::Held;
    use crate::router::NewEntry;
    use crate::wire::ids::{Destination, TypeHash};

    const KIND: u8 = 77;

    fn owner() -> Destination {
        let about =
            NewEntry { owner: 0, name: "a thing".into(), type_hash: TypeHash(1), capacity: 8, methods: Vec::new() };
        Node::here().with(|router| router.own(about)).1
    }

    fn holders(to: Destination) -> u64 {
        let handle = Handle { kind: KIND, node: to.node, actor: to.actor };
        Node::here().with(|router| router.holders(handle)).0
    }

    #[test]
    fn a_parcel_in_a_message_holds_what_is_its_own_and_no_more() {
        let (one, two) = (owner(), owner());
        let first = Parcel::new(&Held::<KIND>::new(one)).unwrap();
        let second = Parcel::new(&(7_u8, Held::<KIND>::new(two))).unwrap();
        assert_eq!((holders(one), holders(two)), (1, 1));
        let message = Parcel::new(&(first, Held::<KIND>::new(two), second)).unwrap();
        assert_eq!((holders(one), holders(two)), (1, 2));
        let (first, held, second): (Parcel, Held<KIND>, Parcel) = message.open().unwrap();
        drop(message);
        assert_eq!((holders(one), holders(two)), (1, 2));
        drop((held, first));
        assert_eq!((holders(one), holders(two)), (0, 1));
        let (seven, inner): (u8, Held<KIND>) = second.open().unwrap();
        assert_eq!((seven, inner.destination()), (7, two));
        drop(second);
        assert_eq!(holders(two), 1);
        drop(inner);
        assert_eq!(holders(two), 0);
    }

    #[test]
    fn a_parcel_whose_handles_did_not_come_along_is_refused() {
        let parcel = Parcel::new(&Held::<KIND>::new(owner())).unwrap();
        let message = Parcel::new(&parcel).unwrap();
        let bare = Parcel { bytes: message.bytes.clone(), handles: Handles::default() };
        assert!(bare.open::<Parcel>().is_err());
        assert!(codec::encode(&parcel, 1024).unwrap_err().to_string().contains("in messages only"));
    }

    #[test]
    fn a_parcel_without_handles_may_be_kept_anywhere() {
        let parcel = Parcel::new("text").unwrap();
        let bytes = codec::encode(&parcel, 1024).unwrap();
        let again: Parcel = codec::decode(&bytes, Budget::default()).unwrap();
        assert_eq!(again.open::<String>().unwrap(), "text");
    }
}
