//! Full mailboxes, floods and stopped workers: what must wait waits, and nobody else does.

mod processes;

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Failure, NotDelivered, TrySendError};

use processes::{PATIENCE, Probe, ProbeApi, begin, end, poll_once, probe, start, system, within};

procession::test_workers!();

#[derive(Actor)]
#[actor(mailbox = 4, shutdown = "300ms")]
struct Desk {
    probe: Address<Probe>,
    other: Option<Address<Desk>>,
    papers: u64,
}

#[handlers]
impl Desk {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe, other: None, papers: 0 }
    }

    #[call]
    fn know(&mut self, other: Address<Desk>) {
        self.other = Some(other);
    }

    #[call(timeout = "30s")]
    fn papers(&self) -> u64 {
        self.papers
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[cast]
    fn paper(&mut self, load: Vec<u8>) {
        drop(load);
        self.papers += 1;
    }

    #[cast]
    async fn say_what_is_left(&self, ctx: &Context<Self>) {
        let _ = self.probe.note(format!("{:?}", ctx.remaining())).await;
    }

    #[call(timeout = "30s")]
    async fn wait(&self, gate: String) {
        let _ = self.probe.pass(gate).await;
    }

    /// Waits at the gate, then calls the other, whose handler casts back to this one.
    #[call(timeout = "30s")]
    async fn ask_other(&self, ctx: &Context<Self>, gate: String) -> Result<u64, Failure> {
        self.probe.pass(gate).await?;
        let other = self.other.ok_or_else(|| Failure::new("nobody to ask"))?;
        Ok(other.cast_back(ctx.address()).await?)
    }

    #[call(timeout = "30s")]
    async fn cast_back(&mut self, to: Address<Desk>) -> Result<u64, Failure> {
        to.paper(Vec::new()).await?;
        self.papers += 1;
        Ok(self.papers)
    }

    /// Sends so many papers, as fast as there is room.
    #[call(timeout = "1h")]
    async fn flood(&self, to: Address<Desk>, papers: u64, size: usize) -> Result<u64, Failure> {
        for _ in 0..papers {
            to.paper(vec![7; size]).no_timeout().await?;
        }
        Ok(papers)
    }

    /// Sends until there is no room, and says how many went.
    #[call]
    fn fill(&self, to: Address<Desk>) -> (u64, String) {
        for sent in 0.. {
            if let Err(error) = to.paper(Vec::new()).try_send() {
                return (sent, error.to_string());
            }
        }
        (u64::MAX, String::new())
    }
}

async fn desk(sup: &Supervisor, name: &str, probe: Address<Probe>) -> Address<Desk> {
    within(sup.spawn::<Desk>(name, probe)).await.expect("a start")
}

/// Holds a desk in a handler, and fills its mailbox.
async fn fill(desk: &Address<Desk>, probe: &Address<Probe>, gate: &str) -> u64 {
    let held = begin(desk.wait(gate.to_owned()));
    within(probe.noted(format!("at {gate}"), 1)).await.expect("a running handler");
    tokio::spawn(held);
    for sent in 0..10_000 {
        match desk.paper(Vec::new()).try_send() {
            Ok(()) => {}
            Err(TrySendError::Full) => return sent,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no mailbox holds that much")
}

#[tokio::test]
async fn a_full_mailbox_says_so_and_takes_again_when_there_is_room() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let desk = desk(&sup, "desk", probe).await;
    let sent = fill(&desk, &probe, "gate").await;
    println!("{sent} went");
    // Four in the mailbox, and what the worker has been given ahead.
    assert!((4..=8).contains(&sent), "{sent}");
    assert_eq!(desk.paper(Vec::new()).try_send(), Err(TrySendError::Full));
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    assert_eq!(within(desk.papers()).await, Ok(sent));
    assert_eq!(desk.paper(Vec::new()).try_send(), Ok(()));
    assert_eq!(within(desk.papers()).await, Ok(sent + 1));
    end(sup).await;
}

#[tokio::test]
async fn a_worker_that_sends_to_a_full_mailbox_is_told_so_by_itself() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (one, two) = (desk(&sup, "one", probe).await, desk(&sup, "two", probe).await);
    let held = begin(two.wait("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    let (sent, said) = within(one.fill(two)).await.expect("an answer");
    println!("{sent} went");
    assert!((1..=16).contains(&sent), "{sent}");
    assert_eq!(said, "the mailbox is full");
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    within(held).await.expect("an answer");
    within(async { while two.papers().await != Ok(sent) {} }).await;
    end(sup).await;
}

#[tokio::test]
async fn a_cast_waits_for_room_and_gives_up_when_its_time_is_over() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let desk = desk(&sup, "desk", probe).await;
    let sent = fill(&desk, &probe, "gate").await;
    let began = Instant::now();
    let error = within(desk.paper(Vec::new()).timeout(Duration::from_millis(200))).await.expect_err("no room");
    println!("{error} after {:?}", began.elapsed());
    let CallError::TimedOut { executed: Executed::No, doing: Some(doing) } = error else { panic!("{error}") };
    assert!(doing.starts_with("wait, for "), "{doing}");
    // Those that wait go in their order when there is room; one that is dropped never goes.
    let mut waiting: Vec<_> = (0..3).map(|_| begin(desk.paper(Vec::new()))).collect();
    drop(waiting.remove(1));
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    for waiting in waiting {
        assert_eq!(within(waiting).await, Ok(()));
    }
    assert_eq!(within(desk.papers()).await, Ok(sent + 2));
    end(sup).await;
}

#[tokio::test]
async fn a_cast_that_waits_for_room_is_told_of_the_final_stop() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let desk = desk(&sup, "desk", probe).await;
    fill(&desk, &probe, "gate").await;
    let waiting = begin(desk.paper(Vec::new()));
    within(sup.kill("desk")).await.expect("it was there");
    assert_eq!(within(waiting).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    end(sup).await;
}

#[tokio::test]
async fn a_cast_back_to_a_caller_whose_mailbox_is_full_does_not_deadlock() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (a, b) = (desk(&sup, "a", probe).await, desk(&sup, "b", probe).await);
    within(a.know(b)).await.expect("an answer");
    let asked = begin(a.ask_other("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    let mut sent = 0;
    while a.paper(Vec::new()).try_send().is_ok() {
        sent += 1;
    }
    let began = Instant::now();
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    assert_eq!(within(asked).await, Ok(1));
    println!("a called b and b cast to a, whose mailbox was full: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    within(async { while a.papers().await != Ok(sent + 1) {} }).await;
    end(sup).await;
}

#[tokio::test]
async fn an_actor_that_casts_to_its_caller_before_it_answers_does_not_deadlock() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (a, c) = (desk(&sup, "a", probe).await, desk(&sup, "c", probe).await);
    within(c.know(a)).await.expect("an answer");
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    let mut longest = Duration::ZERO;
    for n in 1..=100 {
        let began = Instant::now();
        assert_eq!(within(c.ask_other("gate".to_owned())).await, Ok(n));
        longest = longest.max(began.elapsed());
    }
    println!("the longest of 100 took {longest:?}");
    assert!(longest < Duration::from_secs(4));
    end(sup).await;
}

#[tokio::test]
async fn two_actors_that_flood_each_other_both_come_to_their_end() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (a, b) = (desk(&sup, "a", probe).await, desk(&sup, "b", probe).await);
    // Each is in its own handler while the other's papers come: no more go than there is room for.
    let (one, two) = (begin(a.flood(b, 6, 0)), begin(b.flood(a, 6, 0)));
    assert_eq!(within(one).await, Ok(6));
    assert_eq!(within(two).await, Ok(6));
    within(async { while a.papers().await != Ok(6) || b.papers().await != Ok(6) {} }).await;
    end(sup).await;
}

#[tokio::test]
async fn a_flooded_worker_that_stands_still_holds_nobody_else_up_and_takes_bounded_memory() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let frozen = desk(&sup, "frozen", probe).await;
    let pid = within(frozen.pid()).await.expect("a pid");
    let (mut flooders, mut others) = (Vec::new(), Vec::new());
    for n in 0..3 {
        flooders.push(desk(&sup, &format!("flooder {n}"), probe).await);
        others.push(desk(&sup, &format!("other {n}"), probe).await);
    }
    system::freeze(pid);
    let memory = system::memory_of_this_process();
    let size = 256 << 10;
    let floods: Vec<_> = flooders.iter().map(|flooder| begin(flooder.flood(frozen, 40, size))).collect();
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        for other in &others {
            let asked = Instant::now();
            within(other.pid()).await.expect("an answer");
            longest = longest.max(asked.elapsed());
        }
        within(others[0].cast_back(others[1])).await.expect("an answer");
    }
    println!("800 calls among the others: {:?}, the longest {longest:?}", began.elapsed());
    assert!(longest < PATIENCE / 10, "{longest:?}");
    let grown = system::memory_of_this_process().saturating_sub(memory);
    println!("the supervisor's process has grown by {} KiB", grown >> 10);
    // Three senders with their windows; without a bound it would be 30 MiB.
    assert!(grown < 20 << 20, "{grown}");
    assert!(floods.into_iter().all(|mut flood| poll_once(flood.as_mut()).is_pending()));
    system::thaw(pid);
    assert!(within(frozen.papers()).await.is_ok());
    end(sup).await;
}

#[tokio::test]
async fn what_a_frozen_worker_was_sent_arrives_when_it_goes_on() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (frozen, flooder) = (desk(&sup, "frozen", probe).await, desk(&sup, "flooder", probe).await);
    let pid = within(frozen.pid()).await.expect("a pid");
    system::freeze(pid);
    let flood = begin(flooder.flood(frozen, 100, 1000));
    for _ in 0..3 {
        within(probe.notes()).await.expect("an answer");
    }
    system::thaw(pid);
    assert_eq!(within(flood).await, Ok(100));
    within(async { while frozen.papers().await != Ok(100) {} }).await;
    end(sup).await;
}

#[tokio::test]
async fn casts_outlive_the_worker_that_sent_them() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (one, two) = (desk(&sup, "one", probe).await, desk(&sup, "two", probe).await);
    let held = begin(two.wait("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    let pid = within(one.pid()).await.expect("a pid");
    let (sent, _) = within(one.fill(two)).await.expect("an answer");
    let monitor = one.ctl().monitor();
    system::kill(pid);
    within(monitor).await;
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    within(held).await.expect("an answer");
    assert_eq!(within(two.papers()).await, Ok(sent));
    // The next incarnation of the sender has its room again.
    assert!(within(one.fill(two)).await.is_ok_and(|(sent, _)| sent > 0));
    end(sup).await;
}

#[tokio::test]
async fn messages_as_long_as_a_frame_pass_from_worker_to_worker() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (one, two) = (desk(&sup, "one", probe).await, desk(&sup, "two", probe).await);
    // Each is larger than any window: they pass one at a time. A build without optimisation takes seconds to read one.
    let flood = tokio::time::timeout(10 * PATIENCE, one.flood(two, 3, 159 << 20 >> 4)).await;
    assert_eq!(flood.expect("they pass"), Ok(3));
    // Behind three that take their time to be read.
    assert_eq!(within(two.papers().no_timeout()).await, Ok(3));
    end(sup).await;
}

#[tokio::test]
async fn the_time_of_a_cast_is_for_its_room_and_not_for_its_handler() -> procession::Result<()> {
    let sup = start().await;
    let probe = probe(&sup).await;
    let desks =
        [within(sup.spawn::<Desk>("desk", probe)).await?, within(sup.spawn_local::<Desk>("local", probe)).await?];
    for desk in desks {
        within(desk.say_what_is_left()).await?;
        within(desk.say_what_is_left().timeout(Duration::from_secs(20))).await?;
    }
    within(probe.noted("None".to_owned(), 4)).await?;
    end(sup).await;
    Ok(())
}
