//! The policy against a naive reference and against what must always hold, on random and on all short histories.

use proptest::{
    prop_oneof, proptest,
    strategy::{Just, Strategy},
    test_runner::Config as ProptestConfig,
};

use super::*;
use ledger::Ledger;
use naive::{Kid, Naive, RESET_AFTER, backoff};

mod ledger;
mod naive;

/// One step of a history. The number is a child's; whether the step makes sense is for the others to say.
#[derive(Debug, Clone, Copy)]
enum Op {
    Ready(u64),
    StartFailed(u64),
    Exited(u64, Ending),
    Stopped(u64),
    Add(u64, Restart),
    Terminate(u64),
    Restart(u64),
    Remove(u64),
    Shutdown,
    /// Time passes, and the policy hears of it.
    Pass(u64),
    /// Time passes up to what the policy waits for.
    Due,
}

fn apply(policy: &mut Policy, now: Instant, op: Op) -> Result<(), Refused> {
    match op {
        Op::Ready(child) => policy.handle_ready(now, id(child)),
        Op::StartFailed(child) => policy.handle_start_failed(now, id(child)),
        Op::Exited(child, ending) => policy.handle_exited(now, id(child), ending),
        Op::Stopped(child) => policy.handle_stopped(now, id(child)),
        Op::Add(child, restart) => return policy.add(now, id(child), ChildPolicy { restart }),
        Op::Terminate(child) => return policy.terminate(now, id(child)),
        Op::Restart(child) => return policy.restart(now, id(child)),
        Op::Remove(child) => return policy.remove(now, id(child)),
        Op::Shutdown => policy.shutdown(now),
        Op::Pass(_) | Op::Due => policy.handle_timeout(now),
    }
    Ok(())
}

/// The three side by side.
#[derive(Clone)]
struct Trial {
    now: Instant,
    policy: Policy,
    naive: Naive,
    ledger: Ledger,
}

impl Trial {
    fn new(intensity: Intensity, initial: &[Restart]) -> Self {
        let config = Config { intensity, backoff: backoff(), ..Config::default() };
        let mut trial = Self {
            now: Instant::now(),
            policy: Policy::new(config),
            naive: Naive::new(intensity),
            ledger: Ledger::new(intensity),
        };
        for (child, restart) in (0..).zip(initial) {
            trial.naive.add(child, *restart);
            trial.ledger.request(Op::Add(child, *restart), Ok(()));
        }
        trial.naive.settle();
        let children = (0..).zip(initial).map(|(child, restart)| (id(child), ChildPolicy { restart: *restart }));
        trial.policy.add_all(trial.now, children).unwrap();
        trial.compare();
        trial
    }

    /// Whether it was possible, and not refused.
    fn step(&mut self, op: Op) -> bool {
        if let Op::Add(child, _) = op
            && self.ledger.added.contains(&child)
            && self.policy.state(id(child)).is_none()
        {
            return false; // An id is never given again.
        }
        match op {
            Op::Pass(time) => self.now += ms(time),
            Op::Due => self.now = self.policy.poll_timeout().unwrap_or(self.now).max(self.now),
            _ => {}
        }
        let before = self.policy.counts();
        let possible = self.ledger.report(op);
        let answer = apply(&mut self.policy, self.now, op);
        assert_eq!(answer, self.naive.step(self.now, op), "{op:?}");
        self.ledger.request(op, answer);
        let acted = self.compare();
        if !possible || answer.is_err() {
            assert!(!acted && before == self.policy.counts(), "{op:?} could not be true, or was refused");
        }
        possible && answer.is_ok()
    }

    fn compare(&mut self) -> bool {
        let actions: Vec<_> = std::iter::from_fn(|| self.policy.poll_action()).collect();
        assert_eq!(actions, std::mem::take(&mut self.naive.out));
        for action in &actions {
            self.ledger.action(self.now, *action);
        }
        assert_eq!(self.policy.poll_timeout(), self.naive.due());
        let counts = self.policy.counts();
        let count = |is: fn(&Kid) -> bool| self.naive.children.iter().filter(|kid| is(kid)).count();
        assert_eq!(counts.specs, self.naive.children.len());
        assert_eq!(counts.active, count(|kid| kid.ready_at.is_some() && !kid.stop_asked));
        assert_eq!(counts.stopping, count(|kid| kid.stop_asked));
        assert_eq!(counts.waiting, count(|kid| kid.never_started));
        let starting = |kid: &Kid| kid.process && kid.ready_at.is_none() && !kid.stop_asked;
        assert_eq!(
            counts.starting + counts.restarting,
            self.naive.children.iter().filter(|kid| starting(kid) || kid.due.is_some()).count()
        );
        assert_eq!(
            counts.restarting,
            count(|kid| kid.due.is_some()
                || (kid.process && kid.ready_at.is_none() && !kid.stop_asked && kid.meant_to_run))
        );
        let processes = counts.starting + counts.active + counts.stopping;
        assert!((processes..=processes + counts.restarting).contains(&self.ledger.processes.len()));
        !actions.is_empty()
    }

    /// Whatever came before: once the processes end, so does the supervisor, and then for good.
    fn end(mut self) {
        self.step(Op::Shutdown);
        for _ in 0..=self.ledger.added.len() {
            let stopping: Vec<_> =
                self.ledger.processes.iter().filter(|(_, process)| process.stopping).map(|(child, _)| *child).collect();
            for child in stopping {
                self.step(Op::Stopped(child));
            }
        }
        assert!(self.ledger.done.is_some(), "the supervisor did not end");
        assert_eq!(self.policy.counts(), Counts::default());
        assert_eq!(self.policy.poll_timeout(), None);
        for op in all_ops(3) {
            self.step(op);
        }
    }
}

/// Every step there is, for that many children.
fn all_ops(children: u64) -> Vec<Op> {
    let mut ops = vec![Op::Shutdown, Op::Pass(RESET_AFTER.as_millis() as u64), Op::Due];
    for child in 0..children {
        ops.extend([
            Op::Ready(child),
            Op::StartFailed(child),
            Op::Exited(child, Ending::Normal),
            Op::Exited(child, Ending::Abnormal),
            Op::Stopped(child),
            Op::Terminate(child),
            Op::Restart(child),
            Op::Remove(child),
        ]);
    }
    ops
}

/// All histories of this many steps that each change something, one after the other; their number.
fn explore(trial: &Trial, ops: &[Op], depth: u32) -> u64 {
    if depth == 0 {
        trial.clone().end();
        return 1;
    }
    let mut histories = 0;
    for op in ops {
        let mut next = trial.clone();
        if next.step(*op) {
            histories += explore(&next, ops, depth - 1);
        }
    }
    histories
}

#[test]
fn all_short_histories_of_one_child_hold() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for max in [0, 1, 2] {
            let trial = Trial::new(Intensity::new(max, ms(300)), &[restart]);
            println!("{restart:?}, {max}: {} histories", explore(&trial, &all_ops(1), 5));
        }
    }
}

#[test]
fn all_short_histories_of_two_children_hold() {
    for initial in [[Restart::Permanent, Restart::Transient], [Restart::Temporary, Restart::Permanent]] {
        let trial = Trial::new(Intensity::new(1, ms(300)), &initial);
        println!("{initial:?}: {} histories", explore(&trial, &all_ops(2), 4));
    }
}

#[test]
fn all_short_histories_of_two_ready_children_hold() {
    let mut trial = Trial::new(Intensity::new(1, ms(300)), &[Restart::Permanent, Restart::Transient]);
    trial.step(Op::Ready(0));
    trial.step(Op::Ready(1));
    println!("{} histories", explore(&trial, &all_ops(2), 4));
}

fn restarts() -> impl Strategy<Value = Restart> {
    prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)]
}

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Normal), Just(Ending::Shutdown), Just(Ending::Abnormal)]
}

fn ops() -> impl Strategy<Value = Op> {
    let child = 0..10_u64;
    prop_oneof![
        12 => child.clone().prop_map(Op::Ready),
        4 => child.clone().prop_map(Op::StartFailed),
        8 => (child.clone(), endings()).prop_map(|(child, ending)| Op::Exited(child, ending)),
        8 => child.clone().prop_map(Op::Stopped),
        4 => (child.clone(), restarts()).prop_map(|(child, restart)| Op::Add(child, restart)),
        3 => child.clone().prop_map(Op::Terminate),
        4 => child.clone().prop_map(Op::Restart),
        1 => child.prop_map(Op::Remove),
        6 => (0..500_u64).prop_map(Op::Pass),
        6 => Just(Op::Due),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_hold(
        max in 0..6_u32,
        within in 0..2_000_u64,
        initial in proptest::collection::vec(restarts(), 0..5),
        ops in proptest::collection::vec(ops(), 0..200),
    ) {
        let mut trial = Trial::new(Intensity::new(max, ms(within)), &initial);
        for op in ops {
            trial.step(op);
        }
        trial.end();
    }
}
