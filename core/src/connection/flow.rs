//! Credit: how much a sender may have on its way to one mailbox.
//!
//! The sender's half is [`Credit`], the receiver's half is [`Window`]. Both count *units* (see [`cost`]): a message may
//! be sent while its cost fits into what is left of the window, or while nothing else is outstanding, so that one
//! message larger than the window passes alone. The receiver returns units when a message leaves the mailbox, batched
//! at half a window, and at once when the mailbox holds nothing of that sender, so a sender that waits is never
//! forgotten. It grows the window of a sender that fills it while the mailbox keeps up. Pure: nothing here waits.

/// Bytes that one further unit pays for.
const UNIT: usize = 64 << 10;

/// The units of a message: one, and one more for each 64 KiB of payload.
pub(crate) fn cost(payload: usize) -> u32 {
    1 + (payload / UNIT) as u32
}

/// What a sender knows of its route to one mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    window: u32,
    outstanding: u32,
}

impl Credit {
    pub(crate) fn new(window: u32) -> Self {
        Self { window, outstanding: 0 }
    }

    /// Whether a message of this cost may be sent now.
    pub(crate) fn allows(&self, cost: u32) -> bool {
        fits(self.window, self.outstanding, cost)
    }

    /// Counts a message as sent.
    pub(crate) fn spend(&mut self, cost: u32) {
        debug_assert!(self.allows(cost));
        self.outstanding += cost;
    }

    /// Takes units back; an error where more come back than were sent.
    pub(crate) fn refill(&mut self, returned: u32, window: u32) -> Result<(), OverCredit> {
        self.outstanding = self.outstanding.checked_sub(returned).ok_or(OverCredit)?;
        self.window = window.max(1);
        Ok(())
    }

    /// Units that were sent and have not come back.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding
    }
}

/// What a mailbox knows of one sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    size: u32,
    /// The largest size ever told: a sender that has not heard of a smaller one yet keeps within it.
    told: u32,
    /// Units that the sender counts as outstanding, as far as this side can know.
    outstanding: u32,
    /// Of those, units whose messages have left the mailbox and that were not returned yet.
    owed: u32,
    /// Whether the sender has used all of its window since the last grant.
    filled: bool,
}

/// A return of units to a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) returned: u32,
    pub(crate) window: u32,
    /// The window that the sender has, if it has not used all of it.
    ample: u32,
}

impl Grant {
    /// Whether the sender may have stopped for want of it. So many units were returned `before` that it does not know of yet.
    pub(crate) fn is_pressing(self, before: u32) -> bool {
        self.returned.saturating_add(before).saturating_mul(2) >= self.ample
    }
}

/// A peer sent, or returned, more than it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverCredit;

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self { size, told: size, outstanding: 0, owed: 0, filled: false }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Units of this sender that are in the mailbox.
    pub(crate) fn held(&self) -> u32 {
        self.outstanding - self.owed
    }

    /// Whether a message of this cost may come in.
    pub(crate) fn allows(&self, cost: u32) -> bool {
        fits(self.told, self.outstanding, cost)
    }

    /// Takes a message into the mailbox.
    pub(crate) fn admit(&mut self, cost: u32) -> Result<(), OverCredit> {
        if !self.allows(cost) {
            return Err(OverCredit);
        }
        self.outstanding += cost;
        self.filled |= self.outstanding >= self.size;
        Ok(())
    }

    /// A message has left the mailbox. `wanted` is the size that the receiver would like the window to have when the
    /// sender fills it; the window doubles toward it, or falls to it.
    pub(crate) fn release(&mut self, cost: u32, wanted: u32) -> Option<Grant> {
        self.owed += cost;
        debug_assert!(self.owed <= self.outstanding);
        if self.owed * 2 < self.size && self.held() > 0 {
            return None;
        }
        let ample = if self.filled { 0 } else { self.size.min(wanted) };
        if wanted < self.size {
            self.size = wanted.max(1);
        } else if self.filled {
            self.size = (self.size * 2).min(wanted).max(1);
        }
        self.told = self.told.max(self.size);
        self.filled = false;
        self.flush().map(|grant| Grant { ample, ..grant })
    }

    /// Returns at once what is owed, if anything.
    pub(crate) fn flush(&mut self) -> Option<Grant> {
        let returned = std::mem::take(&mut self.owed);
        self.outstanding -= returned;
        (returned > 0).then_some(Grant { returned, window: self.size, ample: 0 })
    }
}

fn fits(window: u32, outstanding: u32, cost: u32) -> bool {
    outstanding == 0 || outstanding.saturating_add(cost) <= window
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_message_costs_one_unit_and_each_64_kib_one_more() {
        assert_eq!(cost(0), 1);
        assert_eq!(cost(UNIT - 1), 1);
        assert_eq!(cost(UNIT), 2);
        assert_eq!(cost(16 << 20), 257);
    }

    #[test]
    fn a_message_larger_than_the_window_passes_alone() {
        let mut credit = Credit::new(8);
        assert!(credit.allows(257));
        credit.spend(257);
        assert!(!credit.allows(1));
        credit.refill(257, 8).unwrap();
        credit.spend(1);
        assert!(!credit.allows(257));
    }

    #[test]
    fn a_sender_that_overdraws_is_found_out() {
        let mut window = Window::new(2);
        window.admit(1).unwrap();
        window.admit(1).unwrap();
        assert_eq!(window.admit(1), Err(OverCredit));
    }

    #[test]
    fn units_that_were_never_sent_cannot_come_back() {
        let mut credit = Credit::new(2);
        credit.spend(1);
        assert_eq!(credit.refill(2, 2), Err(OverCredit));
    }

    #[test]
    fn the_window_grows_only_for_a_sender_that_fills_it() {
        let mut window = Window::new(8);
        window.admit(1).unwrap();
        assert_eq!(window.release(1, 256), Some(Grant { returned: 1, window: 8, ample: 8 }));
        for _ in 0..8 {
            window.admit(1).unwrap();
        }
        assert_eq!((0..4).find_map(|_| window.release(1, 256)), Some(Grant { returned: 4, window: 16, ample: 0 }));
    }

    #[test]
    fn what_is_returned_is_pressing_from_half_of_a_window_on_and_when_all_of_it_was_used() {
        let mut window = Window::new(8);
        window.admit(1).unwrap();
        let one = window.release(1, 256).unwrap();
        assert!(!one.is_pressing(0) && !one.is_pressing(2));
        assert!(one.is_pressing(3));
        for _ in 0..8 {
            window.admit(1).unwrap();
        }
        assert!((0..4).find_map(|_| window.release(1, 256)).unwrap().is_pressing(0));
    }

    /// What it knows, what it has to send, what is on the wire, and the grants on their way back.
    type Sender = (Credit, VecDeque<u32>, VecDeque<u32>, VecDeque<Grant>);

    /// Senders, their wires, one mailbox: what the two halves do together under any schedule.
    #[derive(Debug)]
    struct Model {
        senders: Vec<Sender>,
        windows: Vec<Window>,
        mailbox: VecDeque<(usize, u32)>,
        wanted: u32,
    }

    impl Model {
        fn step(&mut self, sender: usize, what: u8) {
            let n = self.senders.len();
            let (credit, unsent, wire, grants) = &mut self.senders[sender % n];
            match what % 5 {
                0 | 1 => {
                    if unsent.front().is_some_and(|&cost| credit.allows(cost)) {
                        let cost = unsent.pop_front().unwrap();
                        credit.spend(cost);
                        wire.push_back(cost);
                    }
                }
                2 => {
                    if let Some(cost) = wire.pop_front() {
                        self.windows[sender % n].admit(cost).expect("a sender within its credit is never refused");
                        self.mailbox.push_back((sender % n, cost));
                    }
                }
                3 => {
                    if let Some((from, cost)) = self.mailbox.pop_front()
                        && let Some(grant) = self.windows[from].release(cost, self.wanted)
                    {
                        self.senders[from].3.push_back(grant);
                    }
                }
                _ => {
                    if let Some(grant) = grants.pop_front() {
                        credit.refill(grant.returned, grant.window).expect("what comes back was sent");
                    }
                }
            }
        }

        fn held(&self) -> u32 {
            self.mailbox.iter().map(|(_, cost)| cost).sum()
        }
    }

    proptest! {
        #[test]
        fn every_message_arrives_and_the_mailbox_stays_within_its_windows(
            costs in proptest::collection::vec(proptest::collection::vec(1_u32..40, 0..60), 1..6),
            schedule in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..2000),
            initial in 1_u32..16,
            wanted in proptest::collection::vec(1_u32..64, 1..5),
        ) {
            let total: usize = costs.iter().map(Vec::len).sum();
            let mut model = Model {
                windows: vec![Window::new(initial); costs.len()],
                senders: costs
                    .into_iter()
                    .map(|costs| (Credit::new(initial), costs.into(), VecDeque::new(), VecDeque::new()))
                    .collect(),
                mailbox: VecDeque::new(),
                wanted: wanted[0],
            };
            let bound: u32 = model.senders.len() as u32 * 64;
            for (i, &(sender, what)) in schedule.iter().enumerate() {
                model.wanted = wanted[i / 50 % wanted.len()];
                model.step(sender, what);
                prop_assert!(model.held() <= bound);
            }
            // Whatever happened, a fair schedule brings everything home: no sender is ever stuck.
            for _ in 0..total * 4 + 10 {
                for sender in 0..model.senders.len() {
                    for what in 0..5 {
                        model.step(sender, what);
                    }
                }
                while !model.mailbox.is_empty() {
                    model.step(0, 3);
                }
            }
            for (credit, unsent, wire, grants) in &model.senders {
                prop_assert!(unsent.is_empty() && wire.is_empty() && grants.is_empty());
                prop_assert_eq!(credit.outstanding(), 0);
            }
        }
    }
}
