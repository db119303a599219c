//! A service that hands out one thing at a time, and what becomes of it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::actor::call::Call;
use crate::actor::claim::{Claim, send_on};
use crate::actor::held::Held;
use crate::actor::message::Message;

const KIND: u8 = 99;
const TAKE: u16 = 0;
const GIVE: u16 = 1;
const SILENT: u16 = 2;

/// What the service was told.
#[derive(Debug, PartialEq)]
enum Told {
    Given,
    Cancelled,
    Undelivered,
    Unheld(u8),
    TimedOut,
}

struct Single {
    there: bool,
    waiting: Vec<CallKey>,
    due: Option<Instant>,
    told: mpsc::UnboundedSender<Told>,
}

impl Single {
    fn tell(&self, told: Told) {
        let _ = self.told.send(told);
    }

    fn serve(&mut self, desk: &mut Desk) {
        if self.there
            && let Some(call) = self.waiting.pop()
        {
            self.there = false;
            desk.answer(call, &"the thing");
        }
    }
}

impl Service for Single {
    const METHODS: &'static [&'static str] = &["take", "give", "silent"];
    const PROTOCOL: &'static str = "single";

    fn handle(&mut self, now: Instant, mut asked: Asked, desk: &mut Desk) {
        match (asked.method, asked.call) {
            (TAKE, Some(call)) => {
                let Some(()) = asked.arguments::<()>(desk) else { return };
                self.waiting.push(call);
            }
            (GIVE, call) => {
                self.there = true;
                self.tell(Told::Given);
                if let Some(call) = call {
                    desk.answer(call, &());
                }
            }
            (SILENT, _) => self.due = Some(now + Duration::from_millis(1)),
            _ => {}
        }
        self.serve(desk);
    }

    fn cancelled(&mut self, _: Instant, call: CallKey, _: &mut Desk) {
        self.waiting.retain(|waiting| *waiting != call);
        self.tell(Told::Cancelled);
    }

    fn undelivered(&mut self, _: Instant, _: CallKey, answer: &Parcel, desk: &mut Desk) {
        if answer.open::<String>().is_ok() {
            self.there = true;
            self.tell(Told::Undelivered);
            self.serve(desk);
        }
    }

    fn down(&mut self, _: Instant, _: Party, _: &Down, _: &mut Desk) {}

    fn unheld(&mut self, _: Instant, kind: u8, desk: &mut Desk) {
        self.tell(Told::Unheld(kind));
        desk.end();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn handle_timeout(&mut self, _: Instant, _: &mut Desk) {
        self.due = None;
        self.tell(Told::TimedOut);
    }
}

fn single(there: bool) -> (Serving, mpsc::UnboundedReceiver<Told>) {
    let (told, hears) = mpsc::unbounded_channel();
    let (serving, run) = open(0, "single", Single { there, waiting: Vec::new(), due: None, told });
    tokio::spawn(run);
    (serving, hears)
}

fn take(serving: &Serving) -> Claim<String> {
    let to = serving.destination();
    Claim::new(to, Message::service("take", TAKE, &()), move |answer| {
        assert_eq!(answer.open::<String>().unwrap(), "the thing");
        send_on(to, Message::service("give", GIVE, &()));
    })
}

#[tokio::test]
async fn what_was_claimed_comes_and_the_next_waits_until_it_is_given_back() {
    let (serving, mut hears) = single(true);
    assert_eq!(take(&serving).await.unwrap(), "the thing");
    let next = tokio::spawn(take(&serving));
    let give = Call::<(), NoError>::new(serving.destination(), Message::service("give", GIVE, &()));
    give.await.unwrap();
    assert_eq!(hears.recv().await, Some(Told::Given));
    assert_eq!(next.await.unwrap().unwrap(), "the thing");
}

#[tokio::test]
async fn a_claim_that_is_dropped_at_any_moment_loses_nothing() {
    let (serving, _hears) = single(true);
    for round in 0..200_u32 {
        let mut claim = Box::pin(take(&serving));
        for _ in 0..round % 5 {
            // It is polled, the service may or may not have had its turn, and it is dropped.
            if tokio::time::timeout(Duration::ZERO, &mut claim).await.is_ok() {
                send_on(serving.destination(), Message::service("give", GIVE, &()));
                break;
            }
        }
        drop(claim);
    }
    assert_eq!(take(&serving).await.unwrap(), "the thing");
}

#[tokio::test]
async fn a_claim_whose_time_is_over_says_so_and_leaves_the_line() {
    let (serving, mut hears) = single(false);
    let refused = take(&serving).timeout(Duration::from_millis(5)).await.unwrap_err();
    assert!(matches!(refused, CallError::TimedOut { .. }), "{refused}");
    assert_eq!(hears.recv().await, Some(Told::Cancelled));
}

#[tokio::test]
async fn the_last_holder_gone_is_told_and_a_service_that_ends_ends_what_waits() {
    let (serving, mut hears) = single(false);
    let held = Held::<KIND>::new(serving.destination());
    let other = Parcel::new(&held).unwrap();
    drop(held);
    let waits = tokio::spawn(take(&serving));
    let silent = Call::<(), NoError>::new(serving.destination(), Message::service("silent", SILENT, &()));
    let silent = tokio::spawn(silent);
    assert_eq!(hears.recv().await, Some(Told::TimedOut));
    let again: Held<KIND> = other.open().unwrap();
    drop((other, again));
    assert_eq!(hears.recv().await, Some(Told::Unheld(KIND)));
    for ended in [waits.await.unwrap().map(drop), silent.await.unwrap()] {
        let ended = ended.unwrap_err();
        assert!(matches!(ended, CallError::Died { .. } | CallError::NotDelivered(NotDelivered::Stopped)), "{ended:?}");
    }
    assert!(serving.is_over());
}

#[tokio::test]
async fn a_request_that_does_not_say_who_asks_or_asks_nonsense_is_refused() {
    let (serving, _hears) = single(true);
    let nobody = Call::<String, NoError>::new(serving.destination(), Message::plain("take", TAKE, &()));
    assert!(matches!(nobody.await, Err(CallError::Version(_))));
    let nonsense = Message::service("take", TAKE, &"not a unit");
    let nonsense = Call::<String, NoError>::new(serving.destination(), nonsense).await.unwrap_err();
    assert!(nonsense.to_string().contains("failed to decode the arguments of take"), "{nonsense}");
    assert_eq!(take(&serving).await.unwrap(), "the thing");
}
