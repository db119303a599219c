//! A line of requests in which some may have ended meanwhile.

use std::collections::VecDeque;

use super::calls::Calls;
use super::casts::is_light;
use super::record::CallKey;

/// Ended requests that a line may hold before it is looked through.
const SLACK: usize = 64;

/// Requests in their order. One that ends out of turn is skipped when its turn comes, or earlier if there are many.
#[derive(Debug, Default)]
pub(super) struct Line {
    keys: VecDeque<CallKey>,
    /// How many of the keys are of requests that have ended.
    gone: usize,
}

impl Line {
    /// Requests that have not ended.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - self.gone
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, key: CallKey) {
        self.keys.push_back(key);
    }

    /// The first request that has not ended; those before it are dropped.
    pub(super) fn front(&mut self, calls: &Calls) -> Option<CallKey> {
        while let Some(&key) = self.keys.front() {
            if is_light(key) || calls.get(key).is_some() {
                return Some(key);
            }
            self.keys.pop_front();
            self.gone = self.gone.saturating_sub(1);
        }
        None
    }

    /// The first request, which may have ended.
    #[inline]
    pub(super) fn first(&self) -> Option<CallKey> {
        self.keys.front().copied()
    }

    /// Takes the request that [`front`](Self::front) has found.
    pub(super) fn pop(&mut self) {
        self.keys.pop_front();
    }

    /// One of the requests, whose record is removed already, has ended out of turn.
    pub(super) fn ended(&mut self, calls: &Calls) {
        self.gone += 1;
        if self.gone > SLACK && self.gone * 2 > self.keys.len() {
            self.keys.retain(|key| is_light(*key) || calls.get(*key).is_some());
            self.gone = 0;
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = CallKey> {
        self.keys.iter().copied()
    }

    pub(super) fn into_keys(self) -> VecDeque<CallKey> {
        self.keys
    }

    /// Keys that are held, those of ended requests included.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.keys.len()
    }
}
