//! The handles in a message, on its way.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::wire::codec::Handle;

/// The handles in a message or in an answer, in the order in which it has them. Most have none.
///
/// Whoever has a message outside the router holds what it refers to by a keeper, which lets go when it is dropped. The
/// router counts by itself and is given [bare](Self::bare) ones: a keeper that was dropped inside would call it.
#[derive(Clone, Default)]
pub(crate) struct Handles(Option<Arc<Inner>>);

struct Inner {
    list: Vec<Handle>,
    /// Only there to be dropped.
    keeper: Option<Box<dyn Any + Send + Sync>>,
}

impl Handles {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// These, and what holds them.
    pub(crate) fn kept(list: Vec<Handle>, keeper: Box<dyn Any + Send + Sync>) -> Self {
        Self(Some(Arc::new(Inner { list, keeper: Some(keeper) })))
    }

    /// The same without what holds them.
    pub(crate) fn bare(&self) -> Self {
        match &self.0 {
            Some(inner) if inner.keeper.is_some() => Self::from(inner.list.clone()),
            _ => self.clone(),
        }
    }

    #[inline]
    pub(crate) fn list(&self) -> &[Handle] {
        self.0.as_ref().map_or(&[], |inner| &inner.list)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list().is_empty()
    }
}

impl From<Vec<Handle>> for Handles {
    #[inline]
    fn from(list: Vec<Handle>) -> Self {
        if list.is_empty() { Self(None) } else { Self(Some(Arc::new(Inner { list, keeper: None }))) }
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list().fmt(f)
    }
}
