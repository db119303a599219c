use super::window;

/// How many loads there are: an idle worker has none outstanding, a full one has no room and isn't here.
const LOADS: usize = window::MAX;
const WORDS: usize = LOADS.div_ceil(64);

/// The workers that have room, fewest outstanding first, among equals the one that has waited longest.
///
/// One ring of workers per load and one bit that says whether there is any, so that no operation looks at more than a
/// few words, however many workers there are.
#[derive(Debug)]
pub(super) struct Loads {
    occupied: [u64; WORDS],
    rings: Box<[Ring; LOADS]>,
    /// By worker.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    load: Option<u32>,
    before: Option<u32>,
    after: Option<u32>,
}

impl Loads {
    pub(super) fn new() -> Self {
        Self { occupied: [0; WORDS], rings: Box::new([Ring::default(); LOADS]), links: Vec::new() }
    }

    /// The worker that gets the next task, and what it has outstanding.
    pub(super) fn least(&self) -> Option<(usize, usize)> {
        let word = self.occupied.iter().position(|&word| word != 0)?;
        let load = word * 64 + self.occupied[word].trailing_zeros() as usize;
        Some((self.rings[load].first? as usize, load))
    }

    /// Whether a worker has nothing to do.
    pub(super) fn any_idle(&self) -> bool {
        self.occupied[0] & 1 != 0
    }

    /// Says what a worker has outstanding if it has room, and `None` if it hasn't.
    pub(super) fn place(&mut self, worker: usize, load: Option<usize>) {
        if worker >= self.links.len() {
            self.links.resize(worker + 1, Link::default());
        }
        let load = load.map(|load| load as u32);
        if self.links[worker].load != load {
            self.unlink(worker);
            if let Some(load) = load {
                self.link(worker, load);
            }
        }
    }

    fn link(&mut self, worker: usize, load: u32) {
        let ring = &mut self.rings[load as usize];
        let before = ring.last.replace(worker as u32);
        match before {
            None => {
                ring.first = ring.last;
                self.occupied[load as usize / 64] |= 1 << (load % 64);
            }
            Some(before) => self.links[before as usize].after = ring.last,
        }
        self.links[worker] = Link { load: Some(load), before, after: None };
    }

    fn unlink(&mut self, worker: usize) {
        let Link { load, before, after } = std::mem::take(&mut self.links[worker]);
        let Some(load) = load else { return };
        let ring = &mut self.rings[load as usize];
        match before {
            None => ring.first = after,
            Some(before) => self.links[before as usize].after = after,
        }
        match after {
            None => ring.last = before,
            Some(after) => self.links[after as usize].before = before,
        }
        if ring.first.is_none() {
            self.occupied[load as usize / 64] &= !(1 << (load % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fewest_outstanding_first_and_ties_round_robin() {
        let mut loads = Loads::new();
        (0..3).for_each(|worker| loads.place(worker, Some(0)));
        let turns: Vec<_> = (0..7)
            .map(|_| {
                let (worker, load) = loads.least().unwrap();
                loads.place(worker, Some(load + 1));
                (worker, load)
            })
            .collect();
        assert_eq!(turns, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]);
    }

    #[test]
    fn a_worker_without_room_is_not_offered() {
        let mut loads = Loads::new();
        loads.place(7, Some(3));
        loads.place(2, Some(200));
        loads.place(7, None);
        assert_eq!(loads.least(), Some((2, 200)));
        loads.place(2, None);
        assert_eq!(loads.least(), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(steps in proptest::collection::vec((0_usize..9, 0_usize..LOADS + 20), 0..300)) {
            let mut loads = Loads::new();
            let mut list: Vec<(usize, usize, usize)> = Vec::new();
            for (turn, (worker, load)) in steps.into_iter().enumerate() {
                // Small loads often, so that there are ties.
                let load = Some(load % 7 * (load / 7 % 2) + load * (load / 100)).filter(|&load| load < LOADS);
                loads.place(worker, load);
                if list.iter().find(|entry| entry.2 == worker).map(|entry| entry.0) != load {
                    list.retain(|entry| entry.2 != worker);
                    list.extend(load.map(|load| (load, turn, worker)));
                }
                let least = list.iter().min().map(|&(load, _, worker)| (worker, load));
                prop_assert_eq!(loads.least(), least);
                prop_assert_eq!(loads.any_idle(), list.iter().any(|entry| entry.0 == 0));
            }
        }
    }
}
