//! Calls to actors that die, panic and are late: each ends once, in time, and says truly whether it was executed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{CallError, Failure};
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::dice::Dice;
use crate::figures::Times;
use crate::ledger::{Ledger, Ran, begin};
use crate::stage::Stage;
use crate::system;
use crate::verdict::Verdict;

/// For so many kills from outside an actor brings one end about by itself.
const BY_ITSELF: u64 = 5;
/// Calls that are made to each actor at once.
const AT_ONCE: usize = 6;
/// How long after its deadline an outcome may come, and how long where the machine is busy with other things.
const GRACE: Duration = Duration::from_millis(50);
const WIDEST: Duration = Duration::from_secs(2);
/// After this long without any end something hangs.
const HANGING: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Does {
    Answers,
    Sleeps(u64),
    Computes(u64),
    Defers(u64),
    DropsItsReply,
    Panics,
    Exits,
    Faults,
}

impl Does {
    fn of(arguments: &Arguments, number: u64) -> Self {
        let mut dice = Dice::of(arguments.seed, number);
        if dice.is_in(arguments.kills / BY_ITSELF, arguments.calls) {
            return [Self::Panics, Self::Exits, Self::Faults][dice.below(3) as usize];
        }
        match dice.below(1_000) {
            0..5 => Self::Sleeps(dice.below(80)),
            5..6 => Self::Computes(dice.below(20)),
            6..20 => Self::Defers(dice.below(60)),
            20..25 => Self::DropsItsReply,
            _ => Self::Answers,
        }
    }

    fn ends_its_actor(self) -> bool {
        matches!(self, Self::Panics | Self::Exits | Self::Faults)
    }
}

/// Does as it is told.
#[derive(Actor)]
#[actor(restart = "permanent", mailbox = 64)]
pub(crate) struct Callee {
    folder: String,
}

#[handlers]
impl Callee {
    #[init]
    fn new(folder: String) -> Self {
        Self { folder }
    }

    #[call]
    fn works(&self) -> bool {
        true
    }

    #[call]
    async fn act(&mut self, number: u64, does: Does, ctx: &Context<Self>, reply: Reply<u64>) {
        begin(&self.folder, number);
        match does {
            Does::Answers => {}
            Does::Sleeps(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Does::Computes(millis) => {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(millis) {}
            }
            Does::Defers(millis) => {
                ctx.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    reply.send(answer(number));
                });
                return;
            }
            Does::DropsItsReply => return,
            Does::Panics => panic!("as it was told"),
            Does::Exits => std::process::exit(0),
            Does::Faults => system::fault(),
        }
        reply.send(answer(number));
    }
}

fn answer(number: u64) -> u64 {
    Dice::of(2, number).roll()
}

/// What all callers share.
struct Book {
    next: AtomicU64,
    ended: AtomicU64,
    ledger: Mutex<Ledger>,
    late: Mutex<Vec<Duration>>,
    broken: Mutex<Vec<String>>,
}

pub(crate) async fn play(arguments: &Arguments, stage: &Stage, verdict: &mut Verdict) -> procession::Result {
    let Arguments { calls, workers, kills, seed, .. } = *arguments;
    let ledger = Ledger::new(calls)?;
    let mut actors = Vec::new();
    for number in 0..workers {
        actors.push(stage.sup.spawn::<Callee>(format!("callee {number}"), ledger.folder()).await?);
    }
    let book = Arc::new(Book {
        next: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        ledger: Mutex::new(ledger),
        late: Mutex::default(),
        broken: Mutex::default(),
    });
    let begun = Instant::now();
    let callers: Vec<_> = actors
        .iter()
        .flat_map(|actor| std::iter::repeat_n(*actor, AT_ONCE))
        .map(|actor| tokio::spawn(calling(book.clone(), actor, *arguments)))
        .collect();

    let (mut aimed, mut last, mut told) = (0, (0, Instant::now()), 0);
    let mut hunts = Vec::new();
    loop {
        let ended = book.ended.load(Ordering::Relaxed);
        if ended == calls {
            break;
        }
        if ended > last.0 {
            last = (ended, Instant::now());
        } else if last.1.elapsed() > HANGING {
            verdict.broken(format!("no call has ended for {HANGING:?}, after {ended} of {calls}"));
            return Ok(());
        }
        while aimed < kills && aimed * calls <= ended * kills {
            let Some(hunt) = stage.prey.hunt(&mut Dice::of(seed, u64::MAX - aimed)) else { break };
            hunts.push(hunt);
            aimed += 1;
        }
        if ended * 10 / calls > told {
            told = ended * 10 / calls;
            println!(
                "{ended:>10} calls have ended, {} workers have died, {:.1?}",
                stage.prey.fallen().len(),
                begun.elapsed()
            );
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = begun.elapsed();
    for task in callers.into_iter().chain(hunts) {
        task.await?;
    }

    for actor in &actors {
        // The last death may still have to be told.
        let mut works = actor.works().timeout(HANGING).await;
        while matches!(works, Err(CallError::Died { .. })) {
            works = actor.works().timeout(HANGING).await;
        }
        verdict.check(works == Ok(true), || format!("an actor is not usable after it: {works:?}"));
    }
    let (hit, frozen, missed) = stage.prey.counts();
    verdict.check(missed == 0, || format!("{missed} events were missed"));
    for broken in std::mem::take(&mut *lock(&book.broken)) {
        verdict.broken(broken);
    }
    let late = Times::of(std::mem::take(&mut *lock(&book.late)));
    verdict.figure(late.longest(), GRACE, WIDEST, || format!("from a deadline that passed to the outcome: {late}"));
    let sum = lock(&book.ledger).judge("call", verdict)?;
    println!(
        "{calls} calls to {workers} actors, {} deaths ({hit} killed from outside, {frozen} stopped before)",
        stage.prey.fallen().len()
    );
    println!("{} ran, {} did not, {} may have", sum.once, sum.never, sum.at_most_once);
    println!(
        "{took:.1?}, {:.0} calls a second; from a deadline that passed to the outcome: {late}",
        calls as f64 / took.as_secs_f64()
    );
    Ok(())
}

async fn calling(book: Arc<Book>, actor: Address<Callee>, arguments: Arguments) {
    loop {
        let number = book.next.fetch_add(1, Ordering::Relaxed);
        if number >= arguments.calls {
            return;
        }
        let does = Does::of(&arguments, number);
        let deadline = Duration::from_millis(10 + Dice::of(arguments.seed, !number).below(150));
        let begun = Instant::now();
        let outcome = actor.act(number, does).timeout(deadline).await;
        let took = begun.elapsed();
        match said(number, does, &outcome) {
            Ok(ran) => lock(&book.ledger).ended(number, ran),
            Err(why) => {
                lock(&book.ledger).ended(number, Ran::AtMostOnce);
                lock(&book.broken).push(format!("call {number}, {does:?}: {why}"));
            }
        }
        if took > deadline {
            lock(&book.late).push(took - deadline);
        }
        book.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the end of a call says of how often it was executed, if it is one that it may have.
fn said(number: u64, does: Does, outcome: &Result<u64, CallError>) -> Result<Ran, Failure> {
    match outcome {
        Ok(value) if *value == answer(number) && !does.ends_its_actor() => Ok(Ran::Once),
        Err(CallError::Panicked(_)) if does == Does::Panics => Ok(Ran::Once),
        Err(CallError::NoReply) if does == Does::DropsItsReply => Ok(Ran::Once),
        Err(CallError::Died { executed, .. } | CallError::TimedOut { executed, .. }) => Ok((*executed).into()),
        other => Err(Failure::new(format!("{other:?}"))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
