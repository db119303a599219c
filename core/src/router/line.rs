//! A line of requests in which some may have ended meanwhile.

use std::collections::VecDeque;

use super::calls::Calls;
use super::casts::LightCast;
use super::record::CallKey;

/// Ended requests that a line may hold before it is looked through.
const SLACK: usize = 64;
/// Stands for a cast without a record: no record has this key.
const CAST: CallKey = 0;

/// Requests in their order. One that ends out of turn is skipped when its turn comes, or earlier if there are many.
#[derive(Debug, Default)]
pub(super) struct Line {
    keys: VecDeque<CallKey>,
    /// How many of the keys are of requests that have ended.
    gone: usize,
    /// Casts without a record, in their order: each [`CAST`] is the place of one. They do not end out of turn.
    casts: VecDeque<LightCast>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Request(CallKey),
    Cast,
}

impl Line {
    /// Requests that have not ended.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - self.gone
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, key: CallKey) {
        self.keys.push_back(key);
    }

    #[inline]
    pub(super) fn push_cast(&mut self, cast: LightCast) {
        self.keys.push_back(CAST);
        self.casts.push_back(cast);
    }

    /// The first request that has not ended; those before it are dropped.
    #[inline]
    pub(super) fn front(&mut self, calls: &Calls) -> Option<Turn> {
        while let Some(&key) = self.keys.front() {
            if key == CAST {
                return Some(Turn::Cast);
            }
            if calls.get(key).is_some() {
                return Some(Turn::Request(key));
            }
            self.keys.pop_front();
            self.gone = self.gone.saturating_sub(1);
        }
        None
    }

    /// Takes the request that [`front`](Self::front) has found.
    pub(super) fn pop(&mut self) {
        self.keys.pop_front();
    }

    /// Takes the first, if it is a cast without a record.
    #[inline]
    pub(super) fn pop_cast(&mut self) -> Option<LightCast> {
        self.keys.pop_front_if(|key| *key == CAST)?;
        self.casts.pop_front()
    }

    /// The first, if it is a cast without a record.
    pub(super) fn first_cast(&self) -> Option<&LightCast> {
        self.casts.front().filter(|_| self.keys.front() == Some(&CAST))
    }

    /// Casts without a record, wherever they stand.
    pub(super) fn casts(&self) -> &VecDeque<LightCast> {
        &self.casts
    }

    /// One of the requests, whose record is removed already, has ended out of turn.
    pub(super) fn ended(&mut self, calls: &Calls) {
        self.gone += 1;
        if self.gone > SLACK && self.gone * 2 > self.keys.len() {
            self.keys.retain(|key| *key == CAST || calls.get(*key).is_some());
            self.gone = 0;
        }
    }

    /// Requests that have a record.
    pub(super) fn keys(&self) -> impl Iterator<Item = CallKey> {
        self.keys.iter().copied().filter(|key| *key != CAST)
    }

    /// The same of a line that is no more.
    pub(super) fn into_keys(self) -> impl Iterator<Item = CallKey> {
        self.keys.into_iter().filter(|key| *key != CAST)
    }

    /// Keys that are held, those of ended requests included.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.keys.len()
    }
}
