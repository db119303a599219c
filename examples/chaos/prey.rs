//! The workers that live, who kills them, and how soon it is known.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use procession::{Event, Events};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::dice::Dice;
use crate::figures::Times;
use crate::system::{self, Process};

/// The longest that a worker is stopped.
const FROZEN: u64 = 40;

/// Knows the workers by the events of their supervisor, and kills them.
#[derive(Clone, Debug)]
pub(crate) struct Prey {
    known: Arc<Mutex<Known>>,
    /// Changes with every death.
    deaths: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Known {
    /// Nobody else is meant by these, though ids are given anew.
    alive: Vec<Process>,
    /// When each was killed, who was.
    killed: HashMap<u32, Instant>,
    /// Those that were killed, or stopped, or both.
    hit: HashSet<u32>,
    hits: u64,
    /// Who has ended, and was not asked to.
    fallen: Vec<u32>,
    /// Whose place waits for another one, and since when.
    vacant: HashMap<String, Instant>,
    told_after: Vec<Duration>,
    back_after: Vec<Duration>,
    frozen: u64,
    missed: u64,
}

impl Prey {
    /// Follows these events for as long as this, or a clone, is there.
    pub(crate) fn follow(mut events: Events) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let (tell, deaths) = watch::channel(0);
        let weak = Arc::downgrade(&known);
        tokio::spawn(async move {
            loop {
                let event = events.next().await;
                let Some(known) = weak.upgrade() else { return };
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(event) => known.hear(event),
                    Err(lagged) => known.missed += lagged.missed,
                }
                tell.send_replace(known.fallen.len() as u64);
            }
        });
        Self { known, deaths }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills one, or stops it for a while after which it goes on or is killed; none where none is known to live.
    pub(crate) fn hunt(&self, dice: &mut Dice) -> Option<JoinHandle<()>> {
        let prey = {
            let mut known = self.lock();
            let at = dice.below(known.alive.len() as u64) as usize;
            if at >= known.alive.len() {
                return None;
            }
            known.alive.swap_remove(at)
        };
        let (stops, goes_on, millis) = (dice.is_in(1, 5), dice.is_in(1, 4), 1 + dice.below(FROZEN));
        let hunter = self.clone();
        if !stops {
            hunter.kill(&prey);
            return Some(tokio::spawn(async {}));
        }
        self.lock().hit.insert(prey.pid);
        self.lock().frozen += 1;
        Some(tokio::spawn(async move {
            let was_there = prey.is_alive() && system::freeze_if_there(prey.pid);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if was_there && goes_on {
                system::thaw_if_there(prey.pid);
                // It has been lucky, and is not any more.
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            hunter.kill(&prey);
        }))
    }

    /// Kills all who are known to live, and says how many these were.
    pub(crate) fn kill_all(&self) -> usize {
        let alive = std::mem::take(&mut self.lock().alive);
        for prey in &alive {
            self.kill(prey);
        }
        alive.len()
    }

    fn kill(&self, prey: &Process) {
        {
            let mut known = self.lock();
            known.hit.insert(prey.pid);
            known.hits += 1;
            // One that has ended by itself is not killed any more.
            if !prey.is_alive() {
                return;
            }
            known.killed.insert(prey.pid, Instant::now());
        }
        prey.kill();
    }

    /// Waits until so many live.
    pub(crate) async fn are_alive(&self, count: usize) {
        let mut deaths = self.deaths.clone();
        while self.lock().alive.len() < count && deaths.changed().await.is_ok() {}
    }

    /// Waits until so many have fallen since the begin.
    pub(crate) async fn have_fallen(&self, count: u64) {
        let mut deaths = self.deaths.clone();
        let _ = deaths.wait_for(|fallen| *fallen >= count).await;
    }

    pub(crate) fn fallen(&self) -> Vec<u32> {
        self.lock().fallen.clone()
    }

    pub(crate) fn was_hit(&self, pid: u32) -> bool {
        self.lock().hit.contains(&pid)
    }

    /// How many were hit, how many of them stopped, and how many events were missed.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let known = self.lock();
        (known.hits, known.frozen, known.missed)
    }

    /// From the kill to the event of it.
    pub(crate) fn told_after(&self) -> Times {
        Times::of(self.lock().told_after.clone())
    }

    /// From the kill to the event that another one is ready in its place.
    pub(crate) fn back_after(&self) -> Times {
        Times::of(self.lock().back_after.clone())
    }
}

impl Known {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Started { child, pid, .. } => {
                self.alive.extend(Process::open(pid));
                if let Some(killed) = self.vacant.remove(&child) {
                    self.back_after.push(killed.elapsed());
                }
            }
            Event::Exited { child, exit } => {
                self.alive.retain(|prey| prey.pid != exit.pid);
                if exit.is_orderly() {
                    return;
                }
                self.fallen.push(exit.pid);
                if let Some(killed) = self.killed.remove(&exit.pid) {
                    self.told_after.push(killed.elapsed());
                    self.vacant.insert(child, killed);
                }
            }
            _ => {}
        }
    }
}
