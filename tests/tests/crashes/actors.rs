//! Calls at which their actor ends, made by the program or by a handler of another actor.

use procession::prelude::*;
use procession::{CallError, CodecError};

use super::fuse::{Burnt, DEATHS, End, Fuse, IN_WORKER, Lit, Stage, WORDS};
use super::processes::{end, start, within};

/// Carries fuses, and counts what it has carried since it was built.
#[derive(Actor, Default)]
#[actor(restart = "permanent", mailbox = 64)]
struct Carrier {
    carried: u32,
}

#[handlers]
impl Carrier {
    #[call]
    fn carry(&mut self, lit: Lit) -> Burnt {
        lit.0.burns(Stage::Run).expect(WORDS);
        self.carried += 1;
        Burnt(lit.0)
    }

    #[cast]
    fn end(&mut self, fuse: Fuse) {
        fuse.burns(Stage::Run).expect(WORDS);
    }

    #[call]
    fn carried(&self) -> u32 {
        self.carried
    }
}

/// Calls a carrier from inside a handler.
#[derive(Actor)]
#[actor(restart = "permanent", mailbox = 64)]
struct Caller {
    carrier: Address<Carrier>,
    calls: u32,
}

#[handlers]
impl Caller {
    #[init]
    fn new(carrier: Address<Carrier>) -> Self {
        Self { carrier, calls: 0 }
    }

    #[call]
    async fn have_carried(&mut self, fuse: Fuse) -> (u32, Result<Burnt, CallError>) {
        self.calls += 1;
        (self.calls, self.carrier.carry(Lit(fuse)).await)
    }
}

fn assert_told(at: Stage, end: End, outcome: &Result<Burnt, CallError>) {
    let told = match outcome {
        Ok(burnt) => at == Stage::Never && burnt.0.at == at,
        Err(CallError::Died { exit, executed }) => *executed == Executed::Maybe && end.is_told_by(&exit.cause),
        Err(CallError::Panicked(panic)) => end == End::Panic && panic.message.contains(WORDS),
        Err(CallError::Codec(error)) => {
            let named = match error {
                CodecError::Arguments { .. } => Stage::EncodeArguments,
                CodecError::Request { .. } => Stage::DecodeArguments,
                CodecError::Answer { .. } => Stage::EncodeResult,
                CodecError::Reply { .. } => Stage::DecodeResult,
                _ => Stage::Never,
            };
            end == End::Error && named == at && error.to_string().contains(WORDS)
        }
        Err(_) => false,
    };
    assert!(told, "{end:?} in {at:?} was told as {outcome:?}");
}

#[tokio::test]
async fn wherever_an_actor_ends_its_caller_hears_how_and_no_other_actor_is_touched() {
    let sup = start().await;
    let carrier = within(sup.spawn::<Carrier>("carrier", ())).await.expect("an actor");
    let caller = within(sup.spawn::<Caller>("caller", carrier)).await.expect("an actor");
    let sibling = within(sup.spawn::<Carrier>("sibling", ())).await.expect("an actor");
    let (mut calls, mut sound) = (0, 0);
    for how in [End::Panic].into_iter().chain(DEATHS) {
        for at in IN_WORKER {
            let fuse = Fuse::new(at, how);
            assert_told(at, how, &within(carrier.carry(Lit(fuse))).await);
            // What is called next meets the next incarnation.
            assert_eq!(within(carrier.carried()).await, Ok(0), "after {how:?} in {at:?}");
            calls += 1;
            let (count, outcome) = within(caller.have_carried(fuse)).await.expect("the caller lives");
            assert_eq!(count, calls, "it is the same one");
            assert_told(at, how, &outcome);
            assert_eq!(within(carrier.carried()).await, Ok(0), "after {how:?} in {at:?}");
            within(sibling.carry(Lit(Fuse::none()))).await.expect("it is not touched");
            sound += 1;
            assert_eq!(within(sibling.carried()).await, Ok(sound), "it is the same one");
        }
    }
    end(sup).await;
}

#[tokio::test]
async fn an_answer_that_was_sent_counts_though_its_actor_ends_at_the_next_message() {
    let sup = start().await;
    let carrier = within(sup.spawn::<Carrier>("carrier", ())).await.expect("an actor");
    for round in 0..20 {
        let how = DEATHS[round % DEATHS.len()];
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(carrier.carry(Lit(Fuse::none())))).collect();
        // Each has been polled, in this order.
        tokio::task::yield_now().await;
        within(carrier.end(Fuse::new(Stage::Run, how))).await.expect("it is taken");
        for call in calls {
            assert_eq!(within(call).await.expect("no panic"), Ok(Burnt(Fuse::none())), "before {how:?}");
        }
        while within(carrier.carried()).await != Ok(0) {}
    }
    end(sup).await;
}
