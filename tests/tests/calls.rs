//! How calls end: every outcome there is, exactly once, and by its deadline.

mod processes;

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{CodecError, EncodeError, Event, Handlers, NoError, NotDelivered, Panic, Target};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use processes::system::{self, Death};
use processes::{Probe, ProbeApi, begin, end, event, probe, start, within};

procession::test_workers!();

/// How much later than its deadline a call may end here; 50 ms on a machine that has nothing else to do.
const LATE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("only {left} left of {wanted}")]
struct SoldOut {
    left: u32,
    wanted: u32,
}

/// Data that refuses to be written or read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stubborn {
    Unwritable,
    Unreadable,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unwritable => Err(ser::Error::custom("this stays here")),
            Self::Unreadable => serializer.serialize_u8(1),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Err(de::Error::custom("this is not for you"))
    }
}

#[derive(Actor)]
#[actor(shutdown = "300ms")]
struct Shop {
    probe: Address<Probe>,
    next: Option<Address<Shop>>,
    kept: Vec<Reply<u32>>,
}

#[handlers]
impl Shop {
    #[init]
    async fn new(probe: Address<Probe>) -> Self {
        Self { probe, next: None, kept: Vec::new() }
    }

    #[cast]
    fn know(&mut self, next: Address<Shop>) {
        self.next = Some(next);
    }

    #[call]
    fn buy(&self, wanted: u32) -> Result<u32, SoldOut> {
        if wanted <= 3 { Ok(3 - wanted) } else { Err(SoldOut { left: 3, wanted }) }
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn boom(&self) -> u32 {
        panic!("out of {}", "stock")
    }

    #[call]
    fn forget(&self, reply: Reply<u32>) {
        drop(reply);
    }

    #[call]
    fn keep(&mut self, reply: Reply<u32>) {
        self.kept.push(reply);
    }

    /// Ends when the gate is open.
    #[call]
    async fn wait(&self, gate: String) {
        if self.probe.pass(gate).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    #[cast]
    async fn hold(&self, gate: String) {
        if self.probe.pass(gate).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    #[call]
    fn eat(&self, data: Stubborn) -> Stubborn {
        data
    }

    #[cast]
    fn swallow(&self, data: Stubborn) {
        let _ = data;
    }

    #[call]
    fn offer(&self, what: u8) -> Stubborn {
        if what == 0 { Stubborn::Unwritable } else { Stubborn::Unreadable }
    }

    #[call]
    fn weigh(&self, load: Vec<u8>) -> usize {
        load.len()
    }

    #[call]
    fn load(&self, size: usize) -> Vec<u8> {
        vec![7; size]
    }

    #[call(timeout = "250ms")]
    async fn hasty(&self) {
        std::future::pending::<()>().await;
    }

    /// What is left of the deadline, in milliseconds, at the last of a row of so many shops.
    #[call]
    async fn left(&self, ctx: &Context<Self>, further: u32) -> Option<u64> {
        match (further, self.next) {
            (0, _) | (_, None) => ctx.remaining().map(|left| left.as_millis() as u64),
            (_, Some(next)) => next.left(further - 1).timeout(Duration::from_secs(3600)).await.ok().flatten(),
        }
    }

    /// Asks itself.
    #[call]
    async fn narcissus(&self, ctx: &Context<Self>) -> Result<u32, String> {
        ctx.address().pid().await.map_err(|error| error.to_string())
    }

    /// Asks the next shop to ask its next, and so on.
    #[call]
    async fn round(&self) -> Result<u32, String> {
        match self.next {
            Some(next) => next.round().await.map_err(|error| error.to_string()),
            None => Ok(0),
        }
    }

    /// The same, begun by a message that nobody waits for.
    #[cast]
    async fn walk(&self, ctx: &Context<Self>) {
        let said = match self.next {
            Some(next) => next.visit(ctx.address()).await.map_err(|error| error.to_string()),
            None => Ok(0),
        };
        let _ = self.probe.note(format!("{said:?}")).await;
    }

    #[call]
    async fn visit(&self, back: Address<Shop>) -> Result<u32, String> {
        back.pid().await.map_err(|error| error.to_string())
    }

    /// Asks itself after a moment that is no part of any handler.
    #[call]
    fn later(&self, ctx: &Context<Self>, reply: Reply<u32, String>) {
        let me = ctx.address();
        ctx.spawn(async move {
            reply.send_result(me.pid().await.map_err(|error| error.to_string()));
        });
    }
}

async fn shop(sup: &Supervisor, name: &str, probe: Address<Probe>) -> Address<Shop> {
    within(sup.spawn::<Shop>(name, probe)).await.expect("a start")
}

#[tokio::test]
async fn a_value_is_the_handlers_own() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    assert_eq!(within(shop.buy(2)).await, Ok(1));
    end(sup).await;
}

#[tokio::test]
async fn the_handlers_own_error_arrives_as_its_own_type() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let error = within(shop.buy(4)).await.expect_err("there are three");
    assert_eq!(error, CallError::Handler(SoldOut { left: 3, wanted: 4 }));
    assert_eq!(error.to_string(), "only 3 left of 4");
    assert!(error.may_have_executed());
    end(sup).await;
}

#[tokio::test]
async fn a_panic_names_its_method_and_its_message_and_the_next_incarnation_serves() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let first = system::living(within(shop.pid()).await.expect("a pid"));
    let error = within(shop.boom()).await.expect_err("it panics");
    assert_eq!(error, CallError::Panicked(Panic { message: "out of stock".into(), at: "Shop::boom".into() }));
    assert_ne!(within(shop.pid()).await.expect("the same address"), first.pid);
    end(sup).await;
}

#[tokio::test]
async fn a_call_to_a_stopped_actor_is_not_delivered() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    within(sup.stop("shop")).await.expect("it was there");
    let error = within(shop.buy(1)).await.expect_err("nobody is there");
    assert_eq!(error, CallError::NotDelivered(NotDelivered::Stopped));
    assert!(!error.may_have_executed());
    assert_eq!(within(shop.know(shop)).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    end(sup).await;
}

/// The numbers of an address, as anyone can read them.
fn numbers<A: Handlers>(address: Address<A>) -> [u64; 4] {
    let bytes = postcard::to_allocvec(&address).expect("an address is data");
    postcard::from_bytes(&bytes).expect("four numbers")
}

fn address<A: Handlers>(numbers: [u64; 4]) -> Result<Address<A>, postcard::Error> {
    postcard::from_bytes(&postcard::to_allocvec(&numbers).expect("numbers"))
}

#[tokio::test]
async fn an_address_that_was_made_up_or_is_of_another_run_leads_to_no_actor() {
    let sup = start().await;
    let good = numbers(shop(&sup, "shop", probe(&sup).await).await);
    for place in 0..3 {
        let mut bad = good;
        bad[place] ^= 1 << 40;
        let error = within(address::<Shop>(bad).expect("an address").buy(1)).await.expect_err("no such shop");
        assert_eq!(error, CallError::NotDelivered(NotDelivered::NoSuchActor), "{place}");
    }
    end(sup).await;
}

#[tokio::test]
async fn at_a_death_what_ran_may_have_run_and_what_waited_has_not() {
    let sup = start().await;
    let mut events = sup.events();
    let probe = probe(&sup).await;
    let shop = shop(&sup, "shop", probe).await;
    let pid = within(shop.pid()).await.expect("a pid");
    let running = begin(shop.wait("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    let queued: Vec<_> = (0..10).map(|_| begin(shop.buy(1))).collect();
    for _ in 0..20 {
        within(shop.know(shop)).await.expect("there is room");
    }
    let first = system::living(pid);
    first.kill();
    let CallError::Died { exit, executed } = within(running).await.expect_err("it died") else { panic!("not died") };
    assert_eq!(executed, Executed::Maybe);
    assert!(exit.pid == pid && system::is_death_by(Death::Kill, &exit.cause), "{exit}");
    for queued in queued {
        let error = within(queued).await.expect_err("it died");
        assert!(!error.may_have_executed());
        assert_eq!(error, CallError::Died { exit: exit.clone(), executed: Executed::No });
    }
    // One event for all the casts.
    let dead = event(&mut events, |event| matches!(event, Event::DeadLetters { .. })).await;
    assert_eq!(dead, Event::DeadLetters { actor: "shop".to_owned(), count: 20 });
    assert_ne!(within(shop.pid()).await.expect("the next incarnation"), first.pid);
    end(sup).await;
    assert!(!others(&mut events, |event| matches!(event, Event::DeadLetters { .. })).await);
}

/// Whether another such event came before the supervisor's own end.
async fn others(events: &mut procession::Events, wanted: impl Fn(&Event) -> bool) -> bool {
    loop {
        match event(events, |event| wanted(event) || matches!(event, Event::Ended { .. })).await {
            Event::Ended { child, .. } if child == "probe" => return false,
            Event::Ended { .. } => {}
            _ => return true,
        }
    }
}

#[tokio::test]
async fn a_deferred_answer_dies_with_its_actor() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let kept = begin(shop.keep());
    let pid = within(shop.pid()).await.expect("a pid");
    system::kill(pid);
    let error = within(kept).await.expect_err("it died");
    assert!(matches!(error, CallError::Died { executed: Executed::Maybe, .. }), "{error}");
    end(sup).await;
}

/// Times a call that ends by its deadline.
async fn timed<T, E>(deadline: Duration, call: impl Future<Output = Result<T, CallError<E>>>) -> CallError<E> {
    let began = Instant::now();
    let Err(error) = within(call).await else { panic!("a value") };
    let late = began.elapsed().saturating_sub(deadline);
    println!("ended {late:?} after its deadline of {deadline:?}");
    assert!(began.elapsed() >= deadline && late < LATE, "{late:?}");
    error
}

#[tokio::test]
async fn a_call_that_was_not_started_by_its_deadline_says_so_and_what_the_actor_did() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let shop = shop(&sup, "shop", probe).await;
    let running = begin(shop.wait("gate".to_owned()).no_timeout());
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    // This one is with the worker already: whether it was started is the worker's word, for which there is little time.
    let deadline = Duration::from_millis(100);
    let error = timed(deadline, shop.buy(1).timeout(deadline)).await;
    let CallError::TimedOut { doing: Some(doing), .. } = &error else { panic!("{error}") };
    assert!(doing.starts_with("wait, for "), "{error}");
    // It keeps its place there, so these are not.
    for _ in 0..4 {
        let deadline = Duration::from_millis(100);
        let error = timed(deadline, shop.buy(1).timeout(deadline)).await;
        let CallError::TimedOut { executed, doing } = &error else { panic!("{error}") };
        assert_eq!(*executed, Executed::No);
        assert!(doing.as_ref().is_some_and(|doing| doing.starts_with("wait, for ")), "{error}");
        assert!(!error.may_have_executed());
    }
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    assert_eq!(within(running).await, Ok(()));
    assert_eq!(within(shop.buy(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn a_call_that_was_started_by_its_deadline_says_so() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let deadline = Duration::from_millis(300);
    let error = timed(deadline, shop.wait("never".to_owned()).timeout(deadline)).await;
    let CallError::TimedOut { executed: Executed::Maybe, doing: Some(doing) } = &error else { panic!("{error}") };
    assert!(doing.starts_with("wait, for 0.") && error.may_have_executed(), "{error}");
    end(sup).await;
}

#[tokio::test]
async fn a_methods_own_deadline_holds_where_the_caller_sets_none() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let error = timed(Duration::from_millis(250), shop.hasty()).await;
    assert!(matches!(error, CallError::TimedOut { executed: Executed::Maybe, .. }), "{error}");
    end(sup).await;
}

#[tokio::test]
async fn a_deadline_holds_while_the_actors_process_is_frozen() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let pid = within(shop.pid()).await.expect("a pid");
    system::freeze(pid);
    let deadline = Duration::from_millis(200);
    let error = timed(deadline, shop.buy(1).timeout(deadline)).await;
    // It is taken back for certain, though the worker can say nothing: what comes next finds nothing of it.
    assert!(matches!(error, CallError::TimedOut { executed: Executed::No, .. }), "{error}");
    system::thaw(pid);
    assert_eq!(within(shop.buy(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn a_dropped_reply_answers_at_once_that_there_is_none() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    assert_eq!(within(shop.forget()).await, Err(CallError::NoReply));
    assert_eq!(within(shop.buy(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn an_argument_that_cannot_be_written_ends_the_call_before_it_is_sent() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let error = within(shop.eat(Stubborn::Unwritable)).await.expect_err("it cannot be written");
    println!("{error}");
    let CallError::Codec(CodecError::Arguments { method, error: EncodeError::Serialize(why) }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(method, "eat");
    assert!(why.contains("this stays here") && !error.may_have_executed(), "{why}");
    end(sup).await;
}

#[tokio::test]
async fn an_argument_that_cannot_be_read_ends_the_call_and_the_actor_lives() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let pid = within(shop.pid()).await;
    let error = within(shop.eat(Stubborn::Unreadable)).await.expect_err("it cannot be read");
    println!("{error}");
    let CallError::Codec(CodecError::Request { method, error: why }) = &error else { panic!("{error:?}") };
    assert_eq!(method, "eat");
    assert!(why.to_string().contains("this is not for you") && !error.may_have_executed(), "{why}");
    assert_eq!(within(shop.pid()).await, pid);
    end(sup).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_or_read_ends_the_call_and_the_actor_lives() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let pid = within(shop.pid()).await;
    let error = within(shop.offer(0)).await.expect_err("it cannot be written");
    println!("{error}");
    assert!(matches!(&error, CallError::Codec(CodecError::Answer { method, .. }) if method == "offer"), "{error}");
    assert!(error.to_string().contains("this stays here") && error.may_have_executed(), "{error}");
    let error = within(shop.offer(1)).await.expect_err("it cannot be read");
    println!("{error}");
    assert!(matches!(&error, CallError::Codec(CodecError::Reply { .. })), "{error}");
    assert!(error.to_string().contains("this is not for you") && error.may_have_executed(), "{error}");
    assert_eq!(within(shop.pid()).await, pid);
    end(sup).await;
}

#[tokio::test]
async fn an_argument_above_the_limit_is_refused_by_its_size() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let error = within(shop.weigh(vec![7; 16 << 20])).await.expect_err("too large");
    println!("{error}");
    let CallError::Codec(CodecError::Arguments { method, error: EncodeError::TooLarge { limit } }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(method, "weigh");
    assert!((15 << 20..16 << 20).contains(limit) && error.to_string().contains(&limit.to_string()), "{error}");
    end(sup).await;
}

#[tokio::test]
async fn a_gibibyte_as_an_argument_is_refused_quickly() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    // Zeroed pages that nobody touches cost nothing.
    let load = vec![0; 1 << 30];
    let began = Instant::now();
    let error = within(shop.weigh(load)).await.expect_err("too large");
    println!("refused after {:?}", began.elapsed());
    assert!(matches!(error, CallError::Codec(CodecError::Arguments { .. })), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    end(sup).await;
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused_by_its_size_and_the_actor_lives() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let pid = within(shop.pid()).await;
    let error = within(shop.load(16 << 20)).await.expect_err("too large");
    println!("{error}");
    let CallError::Codec(CodecError::Answer { method, error: EncodeError::TooLarge { .. } }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(method, "load");
    assert_eq!(within(shop.pid()).await, pid);
    end(sup).await;
}

#[tokio::test]
async fn messages_of_any_size_below_the_limit_go_both_ways() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    for size in [0, 64 << 10, 1 << 20, 159 << 20 >> 4, 1] {
        let patience = Duration::from_secs(25);
        assert_eq!(within(shop.weigh(vec![7; size]).timeout(patience)).await, Ok(size));
        let load = within(shop.load(size).timeout(patience)).await.expect("it fits");
        assert!(load.len() == size && load.iter().all(|&byte| byte == 7));
    }
    end(sup).await;
}

#[tokio::test]
async fn an_actor_that_calls_itself_is_told_at_once() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let began = Instant::now();
    let said = within(shop.narcissus()).await.expect_err("it would wait for itself");
    let CallError::Handler(said) = said else { panic!("{said}") };
    assert_eq!(said, "the call would wait for itself: shop -> shop");
    assert!(began.elapsed() < LATE);
    end(sup).await;
}

#[tokio::test]
async fn a_circle_of_calls_through_three_processes_is_told_with_its_path() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let [a, b, c] = [shop(&sup, "a", probe).await, shop(&sup, "b", probe).await, shop(&sup, "c", probe).await];
    for (from, to) in [(a, b), (b, c), (c, a)] {
        within(from.know(to)).await.expect("a cast");
    }
    for _ in 0..3 {
        let CallError::Handler(said) = within(a.round()).await.expect_err("a circle") else { panic!("no word") };
        assert_eq!(said, "the call would wait for itself: a -> b -> c -> a");
    }
    end(sup).await;
}

#[tokio::test]
async fn a_circle_that_a_cast_began_is_told_with_its_path() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let [a, b] = [shop(&sup, "a", probe).await, shop(&sup, "b", probe).await];
    within(a.know(b)).await.expect("a cast");
    within(a.walk()).await.expect("a cast");
    let said = r#"Err("the call would wait for itself: a -> b -> a")"#;
    within(probe.noted(said.to_owned(), 1)).await.expect("the circle was seen");
    end(sup).await;
}

#[tokio::test]
async fn a_call_from_beside_the_handlers_is_no_circle() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    let pid = within(shop.pid()).await.expect("a pid");
    assert_eq!(within(shop.later()).await, Ok(pid));
    end(sup).await;
}

#[tokio::test]
async fn a_circle_is_seen_after_a_call_that_was_taken_back_from_the_worker() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let shop = shop(&sup, "shop", probe).await;
    let running = begin(shop.wait("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    // The worker has this one already.
    drop(begin(shop.buy(1)));
    let children = within(sup.children()).await;
    let info = children.iter().find(|child| child.name == "shop").expect("the shop");
    println!("{info:?}");
    assert!(info.in_hand >= 1, "what runs is in hand");
    let deadline = Duration::from_millis(100);
    let error = timed(deadline, shop.buy(1).timeout(deadline)).await;
    let CallError::TimedOut { doing: Some(doing), .. } = &error else { panic!("{error}") };
    assert!(doing.starts_with("wait, for "), "{error}");
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    assert_eq!(within(running).await, Ok(()));
    end(sup).await;
}

#[tokio::test]
async fn nested_deadlines_are_what_is_left() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let [a, b, c] = [shop(&sup, "a", probe).await, shop(&sup, "b", probe).await, shop(&sup, "c", probe).await];
    for (from, to) in [(a, b), (b, c)] {
        within(from.know(to)).await.expect("a cast");
    }
    // An hour is asked for at each hop; the first caller's seconds count.
    let left = within(a.left(2).timeout(Duration::from_secs(20))).await.expect("an answer").expect("a deadline");
    println!("{left} ms of 20 s are left at the third process");
    assert!((1_000..20_000).contains(&left), "{left}");
    assert_eq!(within(a.left(0).no_timeout()).await, Ok(None));
    end(sup).await;
}

#[tokio::test]
async fn a_call_that_is_not_polled_does_nothing() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let unsent = probe.note("never".to_owned());
    drop(probe.note("dropped".to_owned()));
    within(probe.note("sent".to_owned())).await.expect("a cast");
    assert_eq!(within(probe.notes()).await, Ok(vec!["sent".to_owned()]));
    drop(unsent);
    end(sup).await;
}

#[tokio::test]
async fn a_method_that_the_actor_does_not_have_is_another_version() {
    let sup = start().await;
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    // What a caller of a later build would send, if its address were not refused before.
    let message = procession::__private::Message::new::<Shop, _>(999, &(), |_| ());
    let error = within(shop.start_call::<u32, NoError>(message)).await.expect_err("there is none");
    assert_eq!(error, CallError::Version("the actor has no method number 999".to_owned()));
    assert!(!error.may_have_executed());
    assert_eq!(within(shop.buy(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn an_address_is_read_as_one_of_its_own_type_only() {
    let sup = start().await;
    let numbers = numbers(shop(&sup, "shop", probe(&sup).await).await);
    assert!(address::<Shop>(numbers).is_ok());
    assert!(address::<Probe>(numbers).is_err());
    end(sup).await;
}

#[tokio::test]
async fn a_cast_that_cannot_be_read_is_an_event() {
    let sup = start().await;
    let mut events = sup.events();
    let shop = shop(&sup, "shop", probe(&sup).await).await;
    within(shop.swallow(Stubborn::Unreadable)).await.expect("a cast");
    let failed = event(&mut events, |event| matches!(event, Event::CastFailed { .. })).await;
    let Event::CastFailed { actor, method, error } = failed else { unreachable!() };
    assert_eq!((actor.as_str(), method.as_str()), ("shop", "swallow"));
    assert!(error.contains("this is not for you"), "{error}");
    assert_eq!(within(shop.buy(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn a_circle_through_an_actor_on_a_thread_is_told_with_its_path() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let there = shop(&sup, "there", probe).await;
    let here = within(sup.spawn_local::<Shop>("here", probe)).await.expect("a start");
    for (from, to) in [(there, here), (here, there)] {
        within(from.know(to)).await.expect("a cast");
    }
    for (first, path) in [(here, "here -> there -> here"), (there, "there -> here -> there")] {
        let CallError::Handler(said) = within(first.round()).await.expect_err("a circle") else { panic!("no word") };
        assert_eq!(said, format!("the call would wait for itself: {path}"));
    }
    end(sup).await;
}
