//! Monitors: the end of a watched incarnation comes exactly once, however it ends and wherever the watcher is.

mod processes;

use procession::prelude::*;
use procession::{DownReason, ExitCause, Failure, NotDelivered};
use serde::{Deserialize, Serialize};

use processes::system::{self, Death};
use processes::{Probe, ProbeApi, begin, end, probe, start, within};

procession::test_workers!();

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fate {
    Exit(i32),
    Panic,
    Finish,
}

/// Fails its second start, and only that.
#[derive(Actor)]
#[actor(restart = "permanent")]
struct Patient;

#[handlers]
impl Patient {
    #[init]
    async fn new(probe: Address<Probe>, frail: bool, ctx: &Context<Self>) -> Result<Self, Failure> {
        let _ = probe.note(format!("birth {}", ctx.incarnation())).await;
        if frail && ctx.incarnation() == 2 {
            probe.pass("relapse".to_owned()).await?;
            return Err(Failure::new("too weak"));
        }
        Ok(Self)
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[cast]
    fn meet(&self, ctx: &Context<Self>, fate: Fate) {
        match fate {
            Fate::Exit(code) => std::process::exit(code),
            Fate::Panic => panic!("on purpose"),
            Fate::Finish => ctx.stop(),
        }
    }
}

/// Watches others and tells the probe of each end.
#[derive(Actor)]
struct Watcher {
    probe: Address<Probe>,
}

#[handlers]
impl Watcher {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe }
    }

    /// Answered when it watches.
    #[call]
    async fn watch(&self, ctx: &Context<Self>, who: Address<Patient>) {
        drop(ctx.monitor(&who, |me, down| me.down(down)));
        // An answer to a call that was sent after the monitor says that the monitor has arrived.
        let _ = who.pid().await;
    }

    #[cast]
    async fn down(&self, down: Down) {
        let what = match down.reason {
            DownReason::Exit(exit) => format!("{:?}", exit.cause),
            DownReason::NotDelivered(why) => format!("{why:?}"),
            _ => "?".to_owned(),
        };
        let _ = self.probe.note(format!("down {} {what}", down.incarnation)).await;
    }

    /// Watches for a moment only.
    #[call]
    async fn glance(&self, ctx: &Context<Self>, who: Address<Patient>) {
        let handle = ctx.monitor(&who, |me, down| me.down(down));
        let _ = who.pid().await;
        handle.cancel();
    }
}

async fn patient(sup: &Supervisor, probe: Address<Probe>, frail: bool) -> Address<Patient> {
    within(sup.spawn::<Patient>("patient", (probe, frail))).await.expect("a start")
}

/// Until the actor answers again: a call may still go to the one that dies, and be told so.
async fn reborn(patient: &Address<Patient>) {
    within(async { while patient.pid().await.is_err() {} }).await;
}

async fn downs(probe: &Address<Probe>) -> Vec<String> {
    let notes = within(probe.notes()).await.expect("notes");
    notes.into_iter().filter(|note| note.starts_with("down")).collect()
}

#[tokio::test]
async fn a_monitor_fires_once_for_the_incarnation_it_watched() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let patient = patient(&sup, probe, false).await;
    let fates = [
        (Fate::Exit(3), ExitCause::Code(3)),
        (Fate::Panic, ExitCause::Panicked("Patient::meet panicked: on purpose".to_owned())),
        (Fate::Finish, ExitCause::Normal),
    ];
    for (at, (fate, cause)) in fates.into_iter().enumerate() {
        let pid = within(patient.pid()).await.expect("a pid");
        let (one, two) = (patient.ctl().monitor(), patient.ctl().monitor());
        within(patient.meet(fate)).await.expect("a cast");
        let (one, two) = (within(one).await, within(two).await);
        assert_eq!(one, two);
        assert_eq!((one.name.as_str(), one.incarnation), ("patient", at as u32 + 1));
        let DownReason::Exit(exit) = one.reason else { panic!("{one:?}") };
        assert_eq!((exit.cause, exit.pid), (cause, pid));
        within(probe.noted(format!("birth {}", at + 2), 1)).await.expect("a restart");
        reborn(&patient).await;
    }
    end(sup).await;
}

#[tokio::test]
async fn a_monitor_fires_when_the_actor_is_stopped_or_killed_by_its_supervisor() {
    let sup = start().await;
    let probe = probe(&sup).await;
    for kill in [false, true] {
        let monitor = patient(&sup, probe, false).await.ctl().monitor();
        let exit = within(async { if kill { sup.kill("patient").await } else { sup.stop("patient").await } }).await;
        let down = within(monitor).await;
        assert_eq!(down.reason, DownReason::Exit(exit.expect("it was there")));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_monitor_of_an_actor_that_starts_fires_when_the_start_fails() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let patient = patient(&sup, probe, true).await;
    let first = patient.ctl().monitor();
    system::kill(within(patient.pid()).await.expect("a pid"));
    assert_eq!(within(first).await.incarnation, 1);
    within(probe.noted("at relapse".to_owned(), 1)).await.expect("the second start");
    let second = patient.ctl().monitor();
    within(probe.open("relapse".to_owned())).await.expect("an open gate");
    let down = within(second).await;
    println!("{down}");
    assert_eq!(down.incarnation, 2);
    let DownReason::Exit(exit) = &down.reason else { panic!("{down:?}") };
    assert_eq!(exit.cause, ExitCause::StartFailed("the init of patient failed: too weak".to_owned()));
    // The third start succeeds.
    assert!(within(patient.pid()).await.is_ok());
    end(sup).await;
}

#[tokio::test]
async fn a_monitor_of_a_stopped_or_unknown_actor_fires_at_once() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let patient = patient(&sup, probe, false).await;
    within(sup.stop("patient")).await.expect("it was there");
    let down = within(patient.ctl().monitor()).await;
    assert_eq!((down.incarnation, down.reason), (0, DownReason::NotDelivered(NotDelivered::Stopped)));
    let mut numbers: [u64; 4] = postcard::from_bytes(&postcard::to_allocvec(&patient).expect("data")).expect("numbers");
    numbers[0] ^= 1;
    let stranger: Address<Patient> =
        postcard::from_bytes(&postcard::to_allocvec(&numbers).expect("data")).expect("one");
    let down = within(stranger.ctl().monitor()).await;
    assert_eq!((down.incarnation, down.reason), (0, DownReason::NotDelivered(NotDelivered::NoSuchActor)));
    end(sup).await;
}

async fn watched_from<W>(sup: &Supervisor, probe: Address<Probe>, watcher: W)
where
    W: AsyncFnOnce(&Supervisor) -> Address<Watcher>,
{
    let watcher = watcher(sup).await;
    let patient = patient(sup, probe, false).await;
    within(watcher.watch(patient)).await.expect("an answer");
    system::kill(within(patient.pid()).await.expect("a pid"));
    reborn(&patient).await;
    within(async { while downs(&probe).await.is_empty() {} }).await;
    // The next end was not asked for.
    within(patient.meet(Fate::Exit(5))).await.expect("a cast");
    within(probe.noted("birth 3".to_owned(), 1)).await.expect("a restart");
    within(sup.stop("patient")).await.expect("it was there");
    within(watcher.watch(patient)).await.expect("an answer");
    within(async { while downs(&probe).await.len() < 2 {} }).await;
    let downs = downs(&probe).await;
    assert_eq!(downs.len(), 2, "{downs:?}");
    assert_eq!(downs, [format!("down 1 {:?}", system::killed()), "down 0 Stopped".to_owned()]);
}

#[tokio::test]
async fn a_worker_that_watches_another_gets_each_down_as_one_message() {
    let sup = start().await;
    let probe = probe(&sup).await;
    watched_from(&sup, probe, async |sup| within(sup.spawn::<Watcher>("watcher", probe)).await.expect("a start")).await;
    end(sup).await;
}

#[tokio::test]
async fn a_local_actor_that_watches_a_worker_gets_each_down_as_one_message() {
    let sup = start().await;
    let probe = probe(&sup).await;
    watched_from(&sup, probe, async |sup| within(sup.spawn_local::<Watcher>("watcher", probe)).await.expect("a start"))
        .await;
    end(sup).await;
}

#[tokio::test]
async fn a_monitor_that_is_cancelled_never_fires() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (glancer, watcher) = (
        within(sup.spawn::<Watcher>("glancer", probe)).await.expect("a start"),
        within(sup.spawn::<Watcher>("watcher", probe)).await.expect("a start"),
    );
    let patient = patient(&sup, probe, false).await;
    within(glancer.glance(patient)).await.expect("an answer");
    within(watcher.watch(patient)).await.expect("an answer");
    drop(begin(patient.ctl().monitor()));
    system::kill(within(patient.pid()).await.expect("a pid"));
    reborn(&patient).await;
    within(async { while downs(&probe).await.is_empty() {} }).await;
    // What the glancer would have been told came before this answer.
    within(glancer.glance(patient)).await.expect("an answer");
    assert_eq!(downs(&probe).await.len(), 1);
    end(sup).await;
}

#[tokio::test]
async fn the_down_of_a_killed_worker_comes_soon() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let patient = patient(&sup, probe, false).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let pid = within(patient.pid()).await.expect("a pid");
        let monitor = patient.ctl().monitor();
        let began = std::time::Instant::now();
        system::kill(pid);
        let down = within(monitor).await;
        times.push(began.elapsed());
        assert!(matches!(down.reason, DownReason::Exit(exit) if system::is_death_by(Death::Kill, &exit.cause)));
    }
    times.sort();
    println!("from the kill to the Down: median {:?}, longest {:?}", times[10], times[19]);
    end(sup).await;
}

#[tokio::test]
async fn a_join_waits_for_the_last_incarnation() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let spec = ChildSpec::<Patient>::new("patient", (probe, false)).restart(Restart::Transient);
    let patient = within(sup.start_child(spec)).await.expect("a start");
    let joined = tokio::spawn({
        let sup = sup.clone();
        async move { sup.join(&patient, processes::PATIENCE).await }
    });
    system::kill(within(patient.pid()).await.expect("a pid"));
    reborn(&patient).await;
    assert!(!joined.is_finished());
    within(patient.meet(Fate::Finish)).await.expect("a cast");
    let exit = within(joined).await.expect("no panic").expect("an exit");
    assert_eq!(exit.cause, ExitCause::Normal);
    // It is remembered.
    assert_eq!(within(sup.join(&patient, processes::PATIENCE)).await, Ok(exit));
    end(sup).await;
}
