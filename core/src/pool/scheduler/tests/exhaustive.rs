//! Small pools in every order of events that is possible, up to a depth: two workers, three tasks, one death, one cancel, one
//! taking back, one long wait.
//!
//! What must hold in each of them is what the random lives hold to; here nothing is left to chance.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::lives::{Event, World};
use super::*;

/// How many events of each kind may still come.
#[derive(Clone, Copy, Debug)]
struct Left {
    deaths: u32,
    cancels: u32,
    takings: u32,
    waits: u32,
}

fn world(began: Instant, chunk: Chunk, terms: Terms, path: &[Event]) -> World {
    let mut world = World::new(began, 2, Rules { chunk, ..Rules::default() });
    world.act();
    world.handle(Event::Submit { count: 3, terms });
    path.iter().for_each(|event| world.handle(event.clone()));
    world
}

/// What can happen next. Picks are by place among those that fit: a second one is the first where there is only one.
fn events(left: Left) -> impl Iterator<Item = (Event, Left)> {
    let both = || 0..2_usize;
    let always = both()
        .map(|pick| Event::Start { pick, fails: false })
        .chain(both().map(|pick| Event::Finish { pick, count: 1 }))
        .chain(both().map(Event::Deliver))
        .map(move |event| (event, left));
    let death = both().filter(move |_| left.deaths > 0).map(Event::Die);
    let deaths = death.map(move |event| (event, Left { deaths: left.deaths - 1, ..left }));
    let hows = [Cancel::Tell, Cancel::Within(Duration::ZERO)];
    let cancel = (0..3).flat_map(move |pick| hows.map(|how| Event::Cancel { pick, how }));
    let cancels =
        cancel.filter(move |_| left.cancels > 0).map(move |event| (event, Left { cancels: left.cancels - 1, ..left }));
    let taking = (0..4).filter(move |_| left.takings > 0).map(Event::TakeBack);
    let takings = taking.map(move |event| (event, Left { takings: left.takings - 1, ..left }));
    let wait = (0..left.waits.min(1)).map(|_| Event::Pass(6 * MS));
    let waits = wait.map(move |event| (event, Left { waits: left.waits - 1, ..left }));
    always.chain(deaths).chain(cancels).chain(takings).chain(waits)
}

/// Goes through all orders of events and ends each pool that comes of them; how many there were.
fn explore(chunk: Chunk, terms: Terms, depth: usize) -> usize {
    let began = Instant::now();
    let mut seen = HashSet::new();
    let mut level = vec![(Vec::new(), Left { deaths: 1, cancels: 1, takings: 1, waits: 1 })];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (path, left) in level {
            for (event, left) in events(left) {
                let path: Vec<_> = path.iter().cloned().chain([event]).collect();
                let world = world(began, chunk, terms, &path);
                // Orders that come to the same go on as one.
                if seen.insert(key(&world, left)) {
                    world.finish();
                    next.push((path, left));
                }
            }
        }
        level = next;
    }
    seen.len()
}

/// The world's whole state: all begin at the same time.
fn key(world: &World, left: Left) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{world:?}{left:?}").hash(&mut hasher);
    hasher.finish()
}

fn depth() -> usize {
    if cfg!(debug_assertions) { 4 } else { 7 }
}

#[test]
fn every_order_of_events_keeps_what_is_promised_of_tasks_sent_one_by_one() {
    assert!(explore(Chunk::ONE, Terms::default(), depth()) > 200);
}

#[test]
fn every_order_of_events_keeps_what_is_promised_of_tasks_in_chunks() {
    assert!(explore(Chunk::Fixed(3), Terms::default(), depth()) > 200);
    assert!(explore(Chunk::Fixed(2), idempotent(2), depth()) > 200);
}
