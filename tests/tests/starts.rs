//! Why an actor does not start: each reason by name, with what, where and how to mend it.

mod processes;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use std::{marker::PhantomData, time::Duration};

use procession::prelude::*;
use procession::{ExitCause, NotDelivered, StartError};
use serde::{Deserialize, Serialize};

use processes::system::{self, Death};
use processes::{Probe, ProbeApi, end, probe, quiet, start, within};

procession::test_workers!();

/// What an init does in place of succeeding.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Birth {
    Well,
    Error,
    Panic,
    Exit(i32),
    Killed,
    Never,
}

#[derive(Debug, thiserror::Error)]
#[error("no book at shelf {shelf}")]
struct NoBook {
    shelf: u32,
    source: std::num::ParseIntError,
}

#[derive(Actor)]
struct Newborn;

#[handlers]
impl Newborn {
    #[init]
    async fn new(birth: Birth, ctx: &Context<Self>) -> Result<Self, NoBook> {
        match birth {
            Birth::Well => {}
            Birth::Error => {
                "seven".parse::<u32>().map_err(|source| NoBook { shelf: 7, source })?;
            }
            Birth::Panic => panic!("on purpose, in {}", ctx.name()),
            Birth::Exit(code) => {
                eprintln!("the licence has run out");
                std::process::exit(code)
            }
            Birth::Killed => system::kill(std::process::id()),
            Birth::Never => {
                eprintln!("waiting for a server");
                std::future::pending().await
            }
        }
        Ok(Self)
    }

    #[call]
    fn ping(&self) -> u32 {
        std::process::id()
    }
}

async fn failure(birth: Birth) -> StartError {
    let sup = start().await;
    let error = within(sup.spawn::<Newborn>("newborn", birth)).await.expect_err("no such start succeeds");
    // Nothing is left behind, its name is free again, and the supervisor goes on.
    assert!(sup.children().await.is_empty());
    let again = within(sup.spawn::<Newborn>("newborn", Birth::Well)).await.expect("a start");
    assert!(within(again.ping()).await.is_ok());
    end(sup).await;
    println!("{error}\n");
    error
}

#[tokio::test]
async fn an_init_that_returns_an_error_is_named_with_its_whole_chain() {
    let error = failure(Birth::Error).await;
    assert_eq!(error.to_string(), "the init of newborn failed: no book at shelf 7: invalid digit found in string");
    assert!(matches!(error, StartError::Init { .. }));
}

#[tokio::test]
async fn an_init_that_panics_is_named_with_its_message() {
    let error = failure(Birth::Panic).await;
    assert_eq!(error.to_string(), "the init of newborn panicked: on purpose, in newborn");
    assert!(matches!(error, StartError::Panicked { .. }));
}

#[tokio::test]
async fn a_process_that_exits_in_its_init_is_named_with_its_code_and_last_words() {
    let error = failure(Birth::Exit(3)).await;
    let text = error.to_string();
    let StartError::Exited { child, exit } = error else { panic!("{error}") };
    assert_eq!((child.as_str(), &exit.cause), ("newborn", &ExitCause::Code(3)));
    assert_eq!(exit.stderr, "the licence has run out");
    assert!(text.contains("newborn ended before it was ready") && text.contains("exited with code 3"), "{text}");
}

#[tokio::test]
async fn a_process_that_is_killed_in_its_init_is_named_with_its_signal() {
    let error = failure(Birth::Killed).await;
    let StartError::Exited { exit, .. } = error else { panic!("{error}") };
    assert!(system::is_death_by(Death::Kill, &exit.cause), "{exit}");
}

#[tokio::test]
async fn an_init_that_never_ends_is_killed_when_its_time_is_over() {
    let sup = start().await;
    let began = Instant::now();
    let spec = ChildSpec::<Newborn>::new("slow", Birth::Never).init_timeout(Duration::from_millis(1500));
    let error = within(sup.start_child(spec)).await.expect_err("it never was ready");
    println!("{error} (after {:?})", began.elapsed());
    let StartError::TimedOut { child, after, stderr } = error else { panic!("{error}") };
    assert_eq!((child.as_str(), after), ("slow", Duration::from_millis(1500)));
    assert_eq!(stderr, "waiting for a server");
    end(sup).await;
}

#[tokio::test]
async fn a_local_actor_fails_its_start_in_the_same_words() {
    let sup = start().await;
    let error = within(sup.spawn_local::<Newborn>("here", Birth::Error)).await.unwrap_err();
    assert!(matches!(&error, StartError::Init { child, .. } if child == "here"), "{error}");
    let error = within(sup.spawn_local::<Newborn>("here", Birth::Panic)).await.unwrap_err();
    assert!(matches!(&error, StartError::Panicked { .. }), "{error}");
    let spec = ChildSpec::<Newborn>::local("here", Birth::Never).init_timeout(Duration::from_millis(100));
    let error = within(sup.start_child(spec)).await.unwrap_err();
    assert!(matches!(&error, StartError::TimedOut { .. }), "{error}");
    end(sup).await;
}

#[tokio::test]
async fn a_child_that_is_started_with_the_supervisor_fails_its_start_and_nothing_is_left() {
    let error = within(
        quiet()
            .child(ChildSpec::<Newborn>::new("first", Birth::Well))
            .child(ChildSpec::<Newborn>::new("second", Birth::Error))
            .child(ChildSpec::<Newborn>::new("third", Birth::Well))
            .start(),
    )
    .await
    .expect_err("the second does not start");
    assert!(matches!(&error, StartError::Init { child, .. } if child == "second"), "{error}");
}

// Programs that are not this one.

async fn started_from(program: impl Into<PathBuf>) -> StartError {
    let sup = within(quiet().program(program).start()).await.expect("a supervisor");
    let spec = ChildSpec::<Newborn>::new("stranger", Birth::Well).init_timeout(Duration::from_secs(5));
    let error = within(sup.start_child(spec)).await.expect_err("not this program");
    end(sup).await;
    println!("{error}\n");
    error
}

#[tokio::test]
async fn a_worker_of_another_build_is_refused_and_both_builds_are_named() {
    let error = started_from(env!("CARGO_BIN_EXE_other_build")).await;
    let StartError::Version { child, why } = &error else { panic!("{error}") };
    assert_eq!(child, "stranger");
    assert!(why.contains("different builds"), "{why}");
}

#[tokio::test]
async fn a_program_that_is_none_of_ours_is_named() {
    for program in system::FOREIGN {
        let error = started_from(program).await;
        let text = error.to_string();
        assert!(matches!(error, StartError::Exited { .. } | StartError::NotAWorker { .. }), "{text}");
        assert!(text.contains(program), "{text}");
        assert!(text.contains("procession::main"), "{text}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let error = started_from("/nowhere/to/be/found").await;
    assert!(matches!(&error, StartError::Spawn { .. }));
    assert!(error.to_string().contains("/nowhere/to/be/found"), "{error}");
}

#[test]
fn a_program_without_an_entry_is_told_what_it_lacks_and_starts_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_no_entry")).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(said.contains("#[procession::main]") && said.contains("procession::test_workers!()"), "{said}");
    // It counts how often it was started.
    assert_eq!(said.lines().filter(|line| line.contains("main runs")).count(), 1);
}

#[test]
fn two_actors_that_cannot_be_told_apart_are_named_at_the_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_twins")).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(said.contains("two actor types have the id twins::") && said.contains("another name"), "{said}");
}

/// Starts another of its kind below itself, as deep as it may.
#[derive(Actor)]
struct Deeper {
    below: Option<(Supervisor, Address<Deeper>)>,
    refused: Option<String>,
}

#[handlers]
impl Deeper {
    #[init]
    async fn new() -> Result<Self, StartError> {
        match quiet().start().await {
            Ok(sup) => {
                let below = sup.spawn::<Deeper>("deeper", ()).await?;
                Ok(Self { below: Some((sup, below)), refused: None })
            }
            Err(error @ StartError::TooDeep { .. }) => Ok(Self { below: None, refused: Some(error.to_string()) }),
            Err(error) => Err(error),
        }
    }

    /// How many are below, and what the last one was told.
    #[call(timeout = "30s")]
    async fn sound(&self) -> (u32, String) {
        match &self.below {
            Some((_, below)) => match below.sound().await {
                Ok((depth, refused)) => (depth + 1, refused),
                Err(error) => (0, error.to_string()),
            },
            None => (0, self.refused.clone().unwrap_or_default()),
        }
    }
}

#[tokio::test]
async fn supervisors_below_supervisors_end_at_a_depth_that_is_named() {
    let sup = start().await;
    let top = within(sup.spawn::<Deeper>("deeper", ())).await.expect("all the way down");
    let (depth, refused) = within(top.sound()).await.expect("an answer");
    assert_eq!(depth, 7);
    assert_eq!(refused, "a supervisor in a worker 8 processes below the root: the limit is 7");
    end(sup).await;
}

// What is wrong before any process is started.

#[derive(Actor)]
struct Cell<T> {
    value: T,
}

#[handlers]
impl<T: procession::Payload + Clone> Cell<T> {
    #[init]
    fn new(value: T) -> Self {
        Self { value }
    }

    #[call]
    fn get(&self) -> T {
        self.value.clone()
    }
}

procession::register!(Cell<u64>);

#[tokio::test]
async fn an_instance_of_a_generic_actor_that_is_not_registered_is_told_how_to_be() {
    let sup = start().await;
    assert_eq!(within(sup.spawn::<Cell<u64>>("known", 7)).await.expect("registered").get().await, Ok(7));
    let error = within(sup.spawn::<Cell<String>>("unknown", String::new())).await.expect_err("not registered");
    let StartError::NotRegistered { actor } = &error else { panic!("{error}") };
    assert!(actor.ends_with("Cell<alloc::string::String>"), "{actor}");
    assert!(error.to_string().contains("procession::register!("), "{error}");
    // On a thread of this process there is nothing to find.
    let here = within(sup.spawn_local::<Cell<String>>("here", "text".to_owned())).await.expect("no process needed");
    assert_eq!(here.get().await.as_deref(), Ok("text"));
    end(sup).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_its_owner_lives_on() {
    let sup = start().await;
    let first = within(sup.spawn::<Newborn>("only", Birth::Well)).await.expect("a start");
    let pid = first.ping().await;
    let error = within(sup.spawn::<Newborn>("only", Birth::Well)).await.expect_err("taken");
    assert_eq!(error, StartError::NameTaken("only".to_owned()));
    assert!(error.to_string().contains("\"only\""), "{error}");
    assert_eq!(first.ping().await, pid);
    end(sup).await;
}

#[tokio::test]
async fn bad_specs_are_refused_by_name_before_anything_starts() {
    let sup = start().await;
    let good = || ChildSpec::<Newborn>::new("named", Birth::Well);
    let bad = [
        (ChildSpec::<Newborn>::new("", Birth::Well), "the name \"\""),
        (ChildSpec::<Newborn>::new("two\nlines", Birth::Well), "\"two\\nlines\""),
        (good().mailbox(0), "the mailbox of named"),
        (good().init_timeout(Duration::ZERO), "named needs some time to start"),
    ];
    for (spec, expected) in bad {
        let error = within(sup.start_child(spec)).await.expect_err(expected);
        println!("{error}");
        assert!(matches!(&error, StartError::BadSpec(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(sup.exit_reports().is_empty());
    end(sup).await;
}

#[tokio::test]
async fn init_arguments_above_the_limit_are_refused_with_the_limit() {
    #[derive(Actor)]
    struct Heavy;
    #[handlers]
    impl Heavy {
        #[init]
        fn new(_load: Vec<u8>) -> Self {
            Self
        }
    }
    let sup = start().await;
    let error = within(sup.spawn::<Heavy>("heavy", vec![7; 16 << 20])).await.expect_err("too large");
    println!("{error}");
    assert!(matches!(&error, StartError::Arguments { child, .. } if child == "heavy"), "{error}");
    let fits = within(sup.spawn::<Heavy>("heavy", vec![7; 15 << 20])).await;
    assert!(fits.is_ok(), "{fits:?}");
    end(sup).await;
}

/// Is not ready before the probe lets it, and then fails.
#[derive(Actor)]
struct Held(PhantomData<()>);

#[handlers]
impl Held {
    #[init]
    async fn new(probe: Address<Probe>) -> Result<Self, procession::Failure> {
        probe.pass("birth".to_owned()).await?;
        Err(procession::Failure::new("not today"))
    }

    #[call]
    fn ping(&self) {}
}

#[tokio::test]
async fn a_call_that_waits_for_a_start_ends_with_why_it_failed() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let starting = tokio::spawn({
        let sup = sup.clone();
        async move { sup.spawn::<Held>("held", probe).await }
    });
    within(probe.noted("at birth".to_owned(), 1)).await.expect("an init");
    let held = sup.lookup::<Held>("held").expect("a name has its address before the actor is ready");
    let waiting = processes::begin(held.ping());
    within(probe.open("birth".to_owned())).await.expect("an open gate");
    let error = within(waiting).await.expect_err("it never started");
    let CallError::NotDelivered(NotDelivered::StartFailed(why)) = &error else { panic!("{error}") };
    assert_eq!(why, "the init of held failed: not today");
    assert!(matches!(within(starting).await, Ok(Err(StartError::Init { .. }))));
    end(sup).await;
}
