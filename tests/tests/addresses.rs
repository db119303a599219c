//! Addresses as data: in messages, in answers, kept, handed on, up and down the tree of processes.

mod processes;

use std::collections::BTreeMap;

use procession::prelude::*;
use procession::{CodecError, Failure, LookupError, NotDelivered};
use serde::{Deserialize, Serialize};

use processes::{Probe, ProbeApi, begin, end, probe, quiet, start, system, within};

procession::test_workers!();

#[derive(Actor)]
struct Adder {
    n: i64,
}

#[handlers]
impl Adder {
    #[init]
    fn new(n: i64) -> Self {
        Self { n }
    }

    #[call]
    fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn myself(&self, ctx: &Context<Self>) -> Address<Adder> {
        ctx.address()
    }
}

/// An address in the middle of other data.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Card {
    name: String,
    at: Option<Address<Adder>>,
    others: Vec<(u8, Address<Adder>)>,
}

/// Knows addresses by name and uses them for others.
#[derive(Actor, Default)]
struct Directory {
    cards: BTreeMap<String, Card>,
}

#[handlers]
impl Directory {
    #[cast]
    fn file(&mut self, card: Card) {
        self.cards.insert(card.name.clone(), card);
    }

    #[call]
    fn find(&self, name: String) -> Option<Address<Adder>> {
        self.cards.get(&name)?.at
    }

    #[call]
    fn hand_over(&mut self, name: String) -> Option<Card> {
        self.cards.remove(&name)
    }

    #[call]
    async fn add_at_all(&self, by: i64) -> Result<Vec<i64>, Failure> {
        let mut sums = Vec::new();
        for card in self.cards.values() {
            for at in card.others.iter().map(|(_, at)| at).chain(&card.at) {
                sums.push(at.add(by).await?);
            }
        }
        Ok(sums)
    }

    #[call]
    async fn look_up(&self, ctx: &Context<Self>, name: String) -> Result<Address<Adder>, String> {
        ctx.lookup::<Adder>(&name).await.map_err(|error| error.to_string())
    }
}

/// Has a supervisor of its own, and actors under it.
#[derive(Actor)]
struct Branch {
    sup: Supervisor,
    leaf: Address<Adder>,
    here: Address<Adder>,
}

#[handlers]
impl Branch {
    #[init]
    async fn new(n: i64) -> Result<Self, Failure> {
        let sup = quiet().start().await?;
        let leaf = sup.spawn::<Adder>("leaf", n).await?;
        let here = sup.spawn_local::<Adder>("here", n).await?;
        Ok(Self { sup, leaf, here })
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn leaves(&self) -> Vec<Address<Adder>> {
        vec![self.leaf, self.here]
    }

    /// A directory at the bottom, that uses what its branch never saw.
    #[call]
    async fn grow(&self) -> Result<Address<Directory>, Failure> {
        Ok(self.sup.spawn::<Directory>("directory", ()).await?)
    }

    #[call]
    async fn add_at(&self, at: Address<Adder>, by: i64) -> Result<i64, Failure> {
        Ok(at.add(by).await?)
    }

    #[call]
    async fn cut(&self, name: String) -> Result<(), Failure> {
        self.sup.stop(&name).await?;
        Ok(())
    }
}

fn card(name: &str, at: Address<Adder>) -> Card {
    Card { name: name.to_owned(), at: Some(at), others: vec![(1, at), (2, at)] }
}

async fn adder(sup: &Supervisor, name: &str) -> Address<Adder> {
    within(sup.spawn::<Adder>(name, 0)).await.expect("a start")
}

#[tokio::test]
async fn an_address_travels_in_messages_and_answers_and_stays_the_same() {
    let sup = start().await;
    let adder = adder(&sup, "adder").await;
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    within(directory.file(card("a", adder))).await.expect("a cast");
    assert_eq!(within(directory.find("a".into())).await, Ok(Some(adder)));
    assert_eq!(within(directory.find("b".into())).await, Ok(None));
    assert_eq!(within(adder.myself()).await, Ok(adder));
    assert_eq!(within(directory.hand_over("a".into())).await, Ok(Some(card("a", adder))));
    end(sup).await;
}

#[tokio::test]
async fn a_worker_calls_another_worker_by_an_address_that_it_kept() {
    let sup = start().await;
    let (one, two) = (adder(&sup, "one").await, adder(&sup, "two").await);
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    within(directory.file(card("one", one))).await.expect("a cast");
    within(directory.file(card("two", two))).await.expect("a cast");
    assert_eq!(within(directory.add_at_all(5)).await, Ok(vec![5, 10, 15, 5, 10, 15]));
    // Also after the other one was restarted.
    let pid = within(two.pid()).await.expect("a pid");
    let monitor = begin(two.ctl().monitor());
    system::kill(pid);
    within(monitor).await;
    assert_eq!(within(directory.add_at_all(1)).await, Ok(vec![16, 17, 18, 1, 2, 3]));
    end(sup).await;
}

#[tokio::test]
async fn a_worker_calls_an_actor_on_a_thread_of_the_root() {
    let sup = start().await;
    let here = within(sup.spawn_local::<Adder>("here", 0)).await.expect("a start");
    assert_eq!(within(here.pid()).await, Ok(std::process::id()));
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    within(directory.file(card("here", here))).await.expect("a cast");
    assert_eq!(within(directory.add_at_all(7)).await, Ok(vec![7, 14, 21]));
    assert_eq!(within(here.add(1)).await, Ok(22));
    end(sup).await;
}

#[tokio::test]
async fn an_address_from_below_is_used_above_and_one_from_above_below() {
    let sup = start().await;
    let (there, here) = (adder(&sup, "there").await, within(sup.spawn_local::<Adder>("here", 0)).await.expect("here"));
    let branch = within(sup.spawn::<Branch>("branch", 100)).await.expect("a start");
    // Down.
    let leaves = within(branch.leaves()).await.expect("leaves");
    for leaf in &leaves {
        assert_eq!(within(leaf.add(1)).await, Ok(101));
    }
    let pids = [within(leaves[0].pid()).await.unwrap(), within(leaves[1].pid()).await.unwrap()];
    let branch_pid = within(branch.pid()).await.unwrap();
    assert!(pids[0] != branch_pid && pids[1] == branch_pid);
    // Up, from the middle and from the bottom.
    assert_eq!(within(branch.add_at(there, 1)).await, Ok(1));
    assert_eq!(within(branch.add_at(here, 1)).await, Ok(1));
    let bottom = within(branch.grow()).await.expect("a directory");
    for (name, at) in [("a", there), ("b", here), ("c", leaves[0]), ("d", leaves[1])] {
        within(bottom.file(Card { name: name.to_owned(), at: Some(at), others: Vec::new() })).await.expect("a cast");
    }
    assert_eq!(within(bottom.add_at_all(1)).await, Ok(vec![2, 2, 102, 102]));
    // Across, from one branch to a leaf of another.
    let other = within(sup.spawn::<Branch>("other", 200)).await.expect("a start");
    assert_eq!(within(other.add_at(leaves[0], 1)).await, Ok(103));
    // And from a worker of the root.
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    within(directory.file(Card { name: "leaf".to_owned(), at: Some(leaves[0]), others: Vec::new() })).await.unwrap();
    assert_eq!(within(directory.add_at_all(1)).await, Ok(vec![104]));
    end(sup).await;
}

#[tokio::test]
async fn what_is_below_is_told_of_as_gone_with_the_process_above_it() {
    let sup = start().await;
    let branch = within(sup.spawn::<Branch>("branch", 1)).await.expect("a start");
    let leaves = within(branch.leaves()).await.expect("leaves");
    assert_eq!(within(leaves[0].add(1)).await, Ok(2));
    within(branch.cut("leaf".to_owned())).await.expect("it was there");
    let error = within(leaves[0].add(1)).await.expect_err("it was cut");
    assert_eq!(error, CallError::NotDelivered(NotDelivered::Stopped));
    // The branch itself.
    let monitor = leaves[1].ctl().monitor();
    system::kill(within(branch.pid()).await.expect("a pid"));
    println!("{}", within(monitor).await);
    for leaf in leaves {
        let error = within(leaf.add(1)).await.expect_err("nobody is there");
        println!("{error}");
        assert!(matches!(error, CallError::NotDelivered(NotDelivered::NoSuchActor | NotDelivered::Disconnected)));
    }
    // The next incarnation has leaves of its own.
    let leaves = within(async {
        loop {
            if let Ok(leaves) = branch.leaves().await {
                break leaves;
            }
        }
    })
    .await;
    assert_eq!(within(leaves[0].add(1)).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn a_branch_takes_its_leaves_with_it() {
    let sup = start().await;
    let branch = within(sup.spawn::<Branch>("branch", 1)).await.expect("a start");
    let leaf = within(branch.leaves()).await.expect("leaves")[0];
    let leaf = system::living(within(leaf.pid()).await.expect("a pid"));
    let above = within(branch.pid()).await.expect("a pid");
    assert_eq!(system::workers_of(above), [leaf.pid]);
    within(sup.stop("branch")).await.expect("it was there");
    within(async {
        while leaf.is_alive() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    end(sup).await;
}

// Names.

#[tokio::test]
async fn an_actor_is_found_by_its_name_and_type_from_the_root_and_from_a_worker() {
    let sup = start().await;
    let (there, here) = (adder(&sup, "there").await, within(sup.spawn_local::<Adder>("here", 0)).await.expect("here"));
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    for (name, address) in [("there", there), ("here", here)] {
        assert_eq!(sup.lookup::<Adder>(name), Ok(address));
        assert_eq!(within(directory.look_up(name.to_owned())).await, Ok(address));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_name_that_is_unknown_or_of_another_type_is_told_so() {
    let sup = start().await;
    let directory = within(sup.spawn::<Directory>("directory", ())).await.expect("a start");
    assert_eq!(sup.lookup::<Adder>("nobody"), Err(LookupError::NotFound("nobody".to_owned())));
    let error = sup.lookup::<Adder>("directory").expect_err("it is no adder");
    assert_eq!(error.to_string(), r#""directory" is a addresses::Directory, not a addresses::Adder"#);
    let said = |error: CallError<String>| match error {
        CallError::Handler(said) => said,
        error => panic!("{error}"),
    };
    let error = within(directory.look_up("nobody".to_owned())).await.map_err(said);
    assert_eq!(error, Err(r#"no actor is named "nobody""#.to_owned()));
    let error = within(directory.look_up("directory".to_owned())).await.map_err(said);
    assert_eq!(error, Err(r#""directory" is a addresses::Directory, not a addresses::Adder"#.to_owned()));
    end(sup).await;
}

#[tokio::test]
async fn a_name_is_free_again_when_its_actor_has_ended_and_kept_while_it_restarts() {
    let sup = start().await;
    let first = adder(&sup, "adder").await;
    let monitor = first.ctl().monitor();
    system::kill(within(first.pid()).await.expect("a pid"));
    within(monitor).await;
    assert_eq!(sup.lookup::<Adder>("adder"), Ok(first));
    within(sup.stop("adder")).await.expect("it was there");
    assert_eq!(sup.lookup::<Adder>("adder"), Err(LookupError::NotFound("adder".to_owned())));
    let second = adder(&sup, "adder").await;
    assert_ne!(first, second);
    assert_eq!(within(first.add(1)).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    assert_eq!(within(second.add(1)).await, Ok(1));
    end(sup).await;
}

#[tokio::test]
async fn actors_of_one_type_have_their_own_processes_and_states() {
    let sup = start().await;
    let mut pids = std::collections::HashSet::new();
    for n in 0..8 {
        let adder = within(sup.spawn::<Adder>(format!("adder {n}"), n)).await.expect("a start");
        assert_eq!(within(adder.add(1)).await, Ok(n + 1));
        pids.insert(within(adder.pid()).await.expect("a pid"));
    }
    assert_eq!(pids.len(), 8);
    let names: Vec<_> = within(sup.children()).await.into_iter().map(|child| child.name).collect();
    assert_eq!(names, (0..8).map(|n| format!("adder {n}")).collect::<Vec<_>>());
    end(sup).await;
}

/// A message whose address is of another type than the receiver reads: what only a wrong build could send.
#[derive(Debug, Clone, Copy)]
struct Forged(Address<Adder>);

impl Serialize for Forged {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Forged {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let probe = Address::<Probe>::deserialize(deserializer)?;
        drop(probe.notes());
        unreachable!("an adder was taken for a probe")
    }
}

#[derive(Actor, Default)]
struct Reader;

#[handlers]
impl Reader {
    #[call]
    fn read(&self, forged: Forged) {
        let _ = forged;
    }
}

#[tokio::test]
async fn an_address_of_a_wrong_type_is_refused_by_its_reader() {
    let sup = start().await;
    let _probe = probe(&sup).await;
    let adder = adder(&sup, "adder").await;
    let reader = within(sup.spawn::<Reader>("reader", ())).await.expect("a start");
    let error = within(reader.read(Forged(adder))).await.expect_err("an adder is no probe");
    println!("{error}");
    assert!(matches!(&error, CallError::Codec(CodecError::Request { method, .. }) if method == "read"), "{error}");
    assert!(error.to_string().contains("not the address of a Probe"), "{error}");
    end(sup).await;
}
