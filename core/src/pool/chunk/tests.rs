//! A worker and its supervisor at the two ends of the same memory, step by step, in every order and in many random ones.

use proptest::prelude::*;

use super::*;
use crate::shm::chunk::{Head, Kind, memory};

/// A step of the worker: what it does between two moments at which it may be stopped, or die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Claim,
    Run(usize),
    Put(usize),
    Publish(usize),
    /// It has answered that the chunk is over.
    Over,
}

/// What the supervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Work,
    Collect,
    TakeBack,
    Look,
}

/// What became of a task, as the supervisor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    TakenBack,
    Died,
}

struct World {
    chunks: SentChunks,
    id: ChunkId,
    places: Places,
    next: Next,
    at: usize,
    /// How often each task was run.
    runs: Vec<u32>,
    told: Vec<Option<Told>>,
    /// The task whose result is too long for the place, and ends the chunk.
    too_long: Option<usize>,
    began: Instant,
    now: Instant,
}

impl World {
    fn new(tasks: usize, too_long: Option<usize>) -> Self {
        Self::within(memory::places(), tasks, too_long)
    }

    /// In memory that others had before.
    fn within(places: Places, tasks: usize, too_long: Option<usize>) -> Self {
        let began = Instant::now();
        let mut chunks = SentChunks::default();
        let ran_on = Arc::new(RanOn { name: "w".to_owned(), pid: 1 });
        let sent = Sent { worker: WorkerId(3), ran_on, since: began, call: None };
        let ids = (0..tasks as u64).map(TaskId).collect();
        let id = chunks.begin(sent, &places, ids).unwrap().id;
        Self {
            chunks,
            id,
            places,
            next: Next::Claim,
            at: 0,
            runs: vec![0; tasks],
            told: vec![None; tasks],
            too_long,
            began,
            now: began,
        }
    }

    /// The worker's next step; false if it has none.
    fn work(&mut self) -> bool {
        let place = self.places.get(0).unwrap();
        assert!(place.is_of(self.id.0));
        self.next = match self.next {
            Next::Claim => match place.claim() {
                Some(task) => Next::Run(task as usize),
                None => Next::Over,
            },
            Next::Run(task) => {
                self.runs[task] += 1;
                if self.too_long == Some(task) { Next::Over } else { Next::Put(task) }
            }
            Next::Put(task) => {
                let head = Head { kind: Kind::Value, nanos: task as u64 };
                assert!(place.put(&mut self.at, head, &vec![task as u8; task * 7]));
                Next::Publish(task)
            }
            Next::Publish(task) => {
                place.publish(task as u32 + 1);
                Next::Claim
            }
            Next::Over => return false,
        };
        true
    }

    fn tell(&mut self, task: TaskId, told: Told) {
        assert_eq!(self.told[task.0 as usize].replace(told), None, "{task} ends once");
    }

    fn collect(&mut self) {
        let mut told = Vec::new();
        let chunk = self.chunks.get_mut(self.id).unwrap();
        while let Some(news) = chunk.news() {
            let mut results = chunk.read(news.len());
            assert_eq!(results.len(), news.len());
            for task in news.iter() {
                let (head, value) = results.next().unwrap();
                let number = task.0 as usize;
                assert_eq!((head.nanos, head.kind), (task.0, Kind::Value));
                assert_eq!(value, vec![number as u8; number * 7], "the result is whole");
                assert_eq!(self.runs[number], 1);
                told.push(task);
            }
        }
        told.into_iter().for_each(|task| self.tell(task, Told::Done));
    }

    fn take_back(&mut self) {
        for task in self.chunks.get_mut(self.id).unwrap().take_back().iter() {
            self.tell(task, Told::TakenBack);
        }
    }

    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Work => return self.work(),
            Act::Collect => self.collect(),
            Act::TakeBack => self.take_back(),
            Act::Look => {
                self.now += LOOK;
                let running = match self.next {
                    Next::Run(task) | Next::Put(task) | Next::Publish(task) => Some(TaskId(task as u64)),
                    // It may hold back its answer for ever, as far as is known.
                    Next::Claim | Next::Over => None,
                };
                let (now, over) = (self.now, self.next == Next::Over);
                let chunk = self.chunks.get_mut(self.id).unwrap();
                for task in 0..self.runs.len() as u64 {
                    let since = chunk.running_since(now, TaskId(task));
                    assert!(over || since.is_some() == (running == Some(TaskId(task))), "{task} of {running:?}");
                }
                chunk.look(now);
            }
        }
        true
    }

    /// The worker has answered, or died: what became of each task is known now.
    fn end(mut self) {
        let over = self.next == Next::Over;
        self.collect();
        self.take_back();
        let left: Vec<_> = self.chunks.remove(self.id).unwrap().left().iter().collect();
        assert!(left.len() <= 1, "one that ran, at most");
        for task in left {
            assert!(!over || self.too_long == Some(task.0 as usize), "what it has answered for is done");
            self.tell(task, Told::Died);
        }
        for (task, (told, runs)) in self.told.iter().zip(&self.runs).enumerate() {
            match told.unwrap_or_else(|| panic!("task {task} has no end")) {
                Told::Done => assert_eq!(*runs, 1),
                Told::TakenBack => assert_eq!(*runs, 0, "task {task} was begun and taken back"),
                Told::Died => assert!(*runs <= 1),
            }
        }
        assert!(self.began <= self.now);
    }
}

/// Reads whatever is there, sensible or not.
fn read(chunk: &mut SentChunk, ended: &mut [usize]) {
    while let Some(news) = chunk.news() {
        let count = chunk.read(news.len()).len();
        if count == 0 {
            chunk.skip();
        }
        news.up_to(count.max(1)).iter().for_each(|task| ended[task.0 as usize] += 1);
    }
}

/// Goes through all orders of the worker's steps and so many acts of its supervisor, with a death at each of them.
fn explore(places: &Places, tasks: usize, too_long: Option<usize>, path: &mut Vec<Act>, acts: usize, ends: &mut usize) {
    let world = |path: &[Act]| {
        let mut world = World::within(places.clone(), tasks, too_long);
        let went = path.iter().all(|act| world.act(*act));
        (world, went)
    };
    let (now, went) = world(path);
    if !went {
        return;
    }
    now.end();
    *ends += 1;
    let acted = path.iter().filter(|act| **act != Act::Work).count();
    for act in [Act::Work, Act::Collect, Act::TakeBack, Act::Look] {
        if act == Act::Work || acted < acts {
            path.push(act);
            explore(places, tasks, too_long, path, acts, ends);
            path.pop();
        }
    }
}

#[test]
fn in_every_order_each_task_is_done_or_died_or_was_never_begun() {
    let (places, mut ends) = (memory::places(), 0);
    explore(&places, 3, None, &mut Vec::new(), 2, &mut ends);
    explore(&places, 3, Some(1), &mut Vec::new(), 2, &mut ends);
    explore(&places, 2, None, &mut Vec::new(), 3, &mut ends);
    assert!(ends > 5_000, "{ends}");
}

#[test]
fn a_chunk_has_a_place_of_its_own_until_it_is_over() {
    let mut world = World::new(2, None);
    let sent = || Sent {
        worker: WorkerId(3),
        ran_on: Arc::new(RanOn { name: "w".to_owned(), pid: 1 }),
        since: world.began,
        call: None,
    };
    let places = world.places.clone();
    let mut taken = vec![world.id];
    while let Ok(sending) = world.chunks.begin(sent(), &places, Spans::from_iter([TaskId(9)])) {
        assert_eq!(sending.place, taken.len());
        taken.push(sending.id);
    }
    assert_eq!(taken.len(), PLACES);
    assert_eq!(world.chunks.of(WorkerId(3)).collect::<Vec<_>>(), taken);
    // The next incarnation has memory of its own.
    assert_eq!(world.chunks.begin(sent(), &memory::places(), Spans::from_iter([TaskId(9)])).unwrap().place, 0);
    world.chunks.remove(taken[2]).unwrap();
    let again = world.chunks.begin(sent(), &places, Spans::from_iter([TaskId(9)])).unwrap();
    assert!(again.place == 2 && !taken.contains(&again.id), "the number is a new one");
}

#[test]
fn who_looks_twice_at_the_same_task_knows_that_it_takes_long() {
    let mut world = World::new(3, None);
    let id = world.id;
    let look = |world: &mut World| {
        world.now += LOOK;
        let now = world.now;
        world.chunks.get_mut(id).unwrap().look(now)
    };
    assert_eq!((look(&mut world), look(&mut world)), (Look::Moving, Look::Moving), "it has not begun");
    world.work();
    assert_eq!((look(&mut world), look(&mut world)), (Look::Moving, Look::Stuck));
    (0..4).for_each(|_| assert!(world.work()));
    assert_eq!((look(&mut world), look(&mut world)), (Look::Moving, Look::Stuck), "the next one");
    world.collect();
    world.take_back();
    look(&mut world);
    assert_eq!(world.chunks.poll_timeout(), None, "nothing is left but the task that runs");
}

proptest! {
    #[test]
    fn whatever_the_order_each_task_ends_once(
        tasks in 1_usize..12,
        too_long in proptest::option::weighted(0.3, 0_usize..12),
        acts in proptest::collection::vec(
            prop_oneof![8 => Just(Act::Work), 2 => Just(Act::Collect), 1 => Just(Act::TakeBack), 1 => Just(Act::Look)],
            0..80,
        ),
    ) {
        let mut world = World::new(tasks, too_long);
        for act in acts {
            world.act(act);
        }
        world.end();
    }

    #[test]
    fn a_worker_that_lies_harms_its_own_tasks_and_nobody_panics(
        tasks in 1_usize..12,
        steps in proptest::collection::vec((0_u8..7, any::<u64>(), any::<u32>()), 0..60),
    ) {
        let mut world = World::new(tasks, None);
        let mut ended = vec![0; tasks];
        for (step, word, count) in steps {
            let place = world.places.get(0).unwrap();
            let chunk = world.chunks.get_mut(world.id).unwrap();
            match step {
                0 => place.publish(count),
                1 => place.publish(count % 14),
                2 => place.begin(world.id.0, count),
                3 => drop(place.claim()),
                4 => {
                    let mut at = (word % 100) as usize;
                    let head = Head { kind: Kind::Value, nanos: word };
                    place.put(&mut at, head, &word.to_ne_bytes());
                }
                5 => chunk.take_back().iter().for_each(|task| ended[task.0 as usize] += 1),
                _ => read(chunk, &mut ended),
            }
            world.now += LOOK;
            let now = world.now;
            world.chunks.get_mut(world.id).unwrap().look(now);
        }
        let mut chunk = world.chunks.remove(world.id).unwrap();
        read(&mut chunk, &mut ended);
        chunk.take_back().iter().for_each(|task| ended[task.0 as usize] += 1);
        chunk.left().iter().for_each(|task| ended[task.0 as usize] += 1);
        prop_assert!(ended.iter().all(|times| *times == 1), "{:?}", ended);
    }
}
