//! A grant in the hands of its holder.

use std::sync::Arc;
use std::time::Duration;

use super::error::{LockError, Poison};
use super::handle::{Inner, message, nonsense, tell};
use super::protocol::{GiveBack, GiveBackAll, Granted, Hearer, Renew, Reply};
use super::table::Release;
use crate::actor::call::Call;
use crate::actor::fence::FencingToken;
use crate::actor::parcel::Parcel;
use crate::actor::party::Party;

/// A grant that is given back when this is dropped.
pub(super) struct Hold {
    pub(super) lock: Arc<Inner>,
    token: u64,
    /// Who was granted it; it may be given back by another.
    pub(super) party: Party,
    pub(super) poison: Option<Poison>,
    /// What goes back with it.
    pub(super) how: Release,
    pub(super) data: Option<Parcel>,
    /// Whether it was given back already.
    over: bool,
    /// Who is to hear that it was over, if this is dropped.
    hearer: Hearer,
}

impl Hold {
    pub(super) fn new(lock: Arc<Inner>, party: Party, granted: Granted) -> Self {
        let Granted { token, poison, .. } = granted;
        Self { lock, token, party, poison, how: Release::Done, data: None, over: false, hearer: Hearer::Listeners }
    }

    pub(super) fn number(&self) -> u64 {
        self.token
    }

    pub(super) fn token(&self) -> FencingToken {
        FencingToken { number: self.token, lock: self.lock.key() }
    }

    /// It was given back in another way.
    pub(super) fn close(&mut self) {
        self.over = true;
    }

    /// It is on its way back in another way, which may come to nothing.
    pub(super) fn is_on_its_way(&mut self) {
        self.hearer = Hearer::Nobody;
    }

    fn give_back(&self) -> GiveBack {
        GiveBack { token: self.token, how: self.how, data: self.data.clone(), hearer: self.hearer }
    }

    /// Gives it back and hears whether it was valid to the end.
    pub(super) async fn release(mut self) -> Result<(), LockError> {
        let asked = GiveBack { hearer: Hearer::Caller, ..self.give_back() };
        let call = Call::<Reply, LockError>::new(self.lock.to(), message(self.party, &asked));
        self.is_on_its_way();
        let reply = call.await?;
        self.close();
        if let Reply::Done = reply { Ok(()) } else { Err(nonsense()) }
    }

    /// Gives several back at once, or none of them with what was changed.
    pub(super) async fn release_all(mut holds: Vec<Self>) -> Result<(), LockError> {
        let Some(first) = holds.first() else { return Ok(()) };
        let (to, party) = (first.lock.to(), first.party);
        assert!(holds.iter().all(|hold| hold.lock.to() == to), "these are locks of several supervisors");
        if holds.iter().any(|hold| hold.how == Release::Unsaved) {
            // Each is given back as it was.
            holds.iter_mut().for_each(|hold| hold.data = None);
            return Err(LockError::Unsaved);
        }
        let grants = holds.iter().map(Self::give_back).collect();
        // Whoever is given back alone after all, is so without its data.
        for hold in &mut holds {
            hold.data = None;
            hold.is_on_its_way();
        }
        let call = Call::<Reply, LockError>::new(to, message(party, &GiveBackAll { grants }));
        let reply = call.await?;
        holds.iter_mut().for_each(Self::close);
        if let Reply::Done = reply { Ok(()) } else { Err(nonsense()) }
    }

    pub(super) async fn renew(&self, lease: Option<Duration>) -> Result<(), LockError> {
        let asked = Renew { token: self.token, lease };
        match Call::<Reply, LockError>::new(self.lock.to(), message(self.party, &asked)).await? {
            Reply::Done => Ok(()),
            _ => Err(nonsense()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.over {
            if std::thread::panicking() {
                self.how = Release::Panicked;
            }
            tell(self.lock.to(), self.party, &self.give_back());
        }
    }
}
