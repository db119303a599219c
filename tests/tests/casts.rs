//! Casts in a row: quick ones are taken together, and it must not be possible to tell.

mod processes;

use std::time::Duration;

use procession::Event;
use procession::prelude::*;

use processes::{end, event, start, within};

procession::test_workers!();

/// How a row of casts ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Fate {
    Lives,
    Aborts,
    Panics,
}

/// Keeps the numbers that it is told, and hands some on.
#[derive(Actor)]
#[actor(restart = "temporary", mailbox = 100000)]
struct Relay {
    sink: Address<Sink>,
    fate: Fate,
    last: u64,
    told: Vec<u64>,
}

#[handlers]
impl Relay {
    #[init]
    fn new(sink: Address<Sink>, fate: Fate, last: u64) -> Self {
        Self { sink, fate, last, told: Vec::new() }
    }

    #[cast]
    fn tell(&mut self, number: u64) {
        self.told.push(number);
        if number == self.last {
            match self.fate {
                Fate::Lives => {}
                Fate::Aborts => std::process::abort(),
                Fate::Panics => panic!("as it should"),
            }
        }
    }

    /// The same, and the sink is told as well: at once, where it has room.
    #[cast]
    async fn hand_on(&mut self, number: u64) {
        self.sink.note(number).await.expect("the sink is there");
        self.tell(number);
    }

    /// The same, and it asks the sink how much it has.
    #[cast]
    async fn tell_and_wait(&mut self, number: u64) {
        self.told.push(number);
        let noted = self.sink.notes().await.map_or(0, |notes| notes.len());
        self.told.push(noted as u64);
    }

    #[call]
    fn told(&self) -> Vec<u64> {
        self.told.clone()
    }
}

#[derive(Actor)]
#[actor(mailbox = 100000)]
struct Sink {
    notes: Vec<u64>,
}

#[handlers]
impl Sink {
    #[init]
    fn new() -> Self {
        Self { notes: Vec::new() }
    }

    #[cast]
    fn note(&mut self, number: u64) {
        self.notes.push(number);
    }

    #[call]
    fn notes(&self) -> Vec<u64> {
        self.notes.clone()
    }
}

async fn relay(sup: &Supervisor, sink: Address<Sink>, name: &str, fate: Fate, last: u64) -> Address<Relay> {
    within(sup.spawn::<Relay>(name, (sink, fate, last))).await.expect("a relay")
}

#[tokio::test]
async fn casts_and_calls_of_one_sender_are_handled_in_their_order() {
    let sup = start().await;
    let sink = within(sup.spawn_local::<Sink>("sink", ())).await.expect("a sink");
    let relay = relay(&sup, sink, "relay", Fate::Lives, 0).await;
    for number in 0..20_000_u64 {
        within(relay.tell(number)).await.expect("it is taken");
        if number % 1000 == 999 {
            let told = within(relay.told()).await.expect("what it was told");
            assert!(told.into_iter().eq(0..=number), "all casts before the call, in their order");
        }
    }
    end(sup).await;
}

#[tokio::test]
async fn what_quick_handlers_have_sent_is_not_lost_by_the_death_of_a_later_one() {
    let sup = start().await;
    let mut events = sup.events();
    for (round, every) in [1, 7, 50, 400, 3].into_iter().enumerate() {
        for fate in [Fate::Aborts, Fate::Panics] {
            let sink = within(sup.spawn_local::<Sink>(format!("sink {round} {fate:?}"), ())).await.expect("a sink");
            let last = 5000 + 17 * round as u64;
            let relay = relay(&sup, sink, &format!("relay {round} {fate:?}"), fate, last).await;
            let down = relay.ctl().monitor();
            let mut taken = 0;
            for number in 1..=9000_u64 {
                let is_handed_on = number % every == 0;
                let cast = if is_handed_on { relay.hand_on(number) } else { relay.tell(number) };
                if within(cast).await.is_err() {
                    // It has died.
                    break;
                }
                taken = number;
            }
            within(down).await;
            // Every handler before the last one had ended when that one began.
            let notes = within(sink.notes()).await.expect("what came");
            let whole: Vec<_> = (1..last).filter(|number| number % every == 0).collect();
            assert!(notes.starts_with(&whole) && notes.len() <= whole.len() + 1, "{} of {}", notes.len(), whole.len());
            // And those behind it are known never to have been handled.
            let mut lost = 0;
            while lost < taken - last {
                let dead = event(&mut events, |event| matches!(event, Event::DeadLetters { .. })).await;
                let Event::DeadLetters { count, .. } = dead else { unreachable!() };
                lost += count;
            }
            assert_eq!(lost, taken - last);
        }
    }
    end(sup).await;
}

#[tokio::test]
async fn a_stop_overtakes_casts_that_were_taken_with_the_one_that_runs() {
    let sup = start().await;
    let sink = within(sup.spawn_local::<Sink>("sink", ())).await.expect("a sink");
    let relay = relay(&sup, sink, "relay", Fate::Lives, 0).await;
    // Quick, so that they are taken together.
    for number in 0..5000 {
        within(relay.tell(number)).await.expect("it is taken");
    }
    for number in 0..60_000 {
        if within(relay.hand_on(number)).await.is_err() {
            break;
        }
    }
    within(sup.stop(&relay)).await.expect("it stops in order");
    let notes = within(sink.notes()).await.expect("what came");
    assert!(notes.iter().copied().eq(0..notes.len() as u64), "each that was handled, and in order");
    end(sup).await;
}

#[tokio::test]
async fn a_handler_that_waits_among_quick_ones_sees_what_they_have_sent_and_holds_up_those_behind_it() {
    let sup = start().await;
    let sink = within(sup.spawn_local::<Sink>("sink", ())).await.expect("a sink");
    let relay = relay(&sup, sink, "relay", Fate::Lives, 0).await;
    for number in 0..2000 {
        within(relay.tell(number)).await.expect("it is taken");
    }
    let before = within(relay.told()).await.expect("what it was told").len();
    for round in 0..50 {
        for number in 0..20 {
            within(relay.hand_on(number)).await.expect("it is taken");
        }
        within(relay.tell_and_wait(1000 + round)).await.expect("it is taken");
    }
    let told = within(relay.told().timeout(Duration::from_secs(20))).await.expect("what it was told");
    let rows: Vec<_> = told[before..].chunks(22).collect();
    assert_eq!(rows.len(), 50);
    for (round, row) in (0_u64..).zip(rows) {
        assert!(row[..20].iter().copied().eq(0..20), "those before it, in their order: {row:?}");
        assert_eq!(row[20..], [1000 + round, (round + 1) * 20], "itself, and what the sink had then");
    }
    end(sup).await;
}
