//! Every state against every event: nothing is left to chance because nobody thought of it.

use std::fmt::Write as _;

use super::*;

type Prepare = fn(&mut Hand);
type Step = fn(&mut Hand) -> Result<(), Refused>;

/// Child 1, permanent, in an open supervisor that has no other; the wait between restarts is 50 ms from the second on.
const STATES: [(&str, Prepare); 12] = [
    ("gone", |hand| {
        hand.remove(1);
        hand.stopped(1);
    }),
    ("starting", |hand| {
        hand.remove(1);
        hand.stopped(1);
        hand.add(1, PERMANENT);
    }),
    ("starting, asked", |hand| {
        hand.terminate(1);
        hand.stopped(1);
        hand.restart(1);
    }),
    ("starting, again", |hand| {
        hand.crashed(1);
    }),
    ("running", |_| {}),
    ("backing off", |hand| {
        hand.crashed(1);
        hand.start_failed(1);
    }),
    ("stopping, keep", |hand| {
        hand.terminate(1);
    }),
    ("stopping, start", |hand| {
        hand.restart(1);
    }),
    ("stopping, removed", |hand| {
        hand.remove(1);
    }),
    ("stopping, supervisor", |hand| {
        hand.shutdown();
    }),
    ("stopping, terminated", |hand| {
        hand.terminate(1);
        hand.shutdown();
    }),
    ("stopped", |hand| {
        hand.terminate(1);
        hand.stopped(1);
    }),
];

const EVENTS: [(&str, Step); 12] = [
    ("ready", |hand| {
        hand.policy.handle_ready(hand.now, id(1));
        Ok(())
    }),
    ("start failed", |hand| {
        hand.policy.handle_start_failed(hand.now, id(1));
        Ok(())
    }),
    ("exited, normal", |hand| {
        hand.policy.handle_exited(hand.now, id(1), Ending::Normal);
        Ok(())
    }),
    ("exited, shutdown", |hand| {
        hand.policy.handle_exited(hand.now, id(1), Ending::Shutdown);
        Ok(())
    }),
    ("exited, abnormal", |hand| {
        hand.policy.handle_exited(hand.now, id(1), Ending::Abnormal);
        Ok(())
    }),
    ("stopped", |hand| {
        hand.policy.handle_stopped(hand.now, id(1));
        Ok(())
    }),
    ("timeout", |hand| {
        hand.now = hand.policy.poll_timeout().unwrap_or(hand.now);
        hand.policy.handle_timeout(hand.now);
        Ok(())
    }),
    ("add", |hand| hand.policy.add(hand.now, id(1), PERMANENT)),
    ("terminate", |hand| hand.policy.terminate(hand.now, id(1))),
    ("restart", |hand| hand.policy.restart(hand.now, id(1))),
    ("remove", |hand| hand.policy.remove(hand.now, id(1))),
    ("shutdown", |hand| {
        hand.policy.shutdown(hand.now);
        Ok(())
    }),
];

fn name(state: Option<State>) -> &'static str {
    match state {
        None => "gone",
        Some(State::Waiting) => "waiting",
        Some(State::Starting { cause: Cause::First, .. }) => "starting",
        Some(State::Starting { cause: Cause::Asked, .. }) => "starting, asked",
        Some(State::Starting { cause: Cause::Again, .. }) => "starting, again",
        Some(State::Running { .. }) => "running",
        Some(State::BackingOff { .. }) => "backing off",
        Some(State::Stopping { then: Then::Keep, .. }) => "stopping, keep",
        Some(State::Stopping { then: Then::Start, .. }) => "stopping, start",
        Some(State::Stopping { then: Then::Forget(EndReason::Removed), .. }) => "stopping, removed",
        Some(State::Stopping { then: Then::Forget(EndReason::Terminated), .. }) => "stopping, terminated",
        Some(State::Stopping { then: Then::Forget(_), .. }) => "stopping, supervisor",
        Some(State::Stopped) => "stopped",
    }
}

fn word(action: Action) -> String {
    match action {
        Action::Start { attempt, .. } => format!("start {attempt}"),
        Action::Stop { .. } => "stop".into(),
        Action::Restarting { delay, .. } => format!("restarting in {}", delay.as_millis()),
        Action::Ended { why, .. } => format!("ended {why:?}"),
        Action::Ready => "ready".into(),
        Action::StartFailed { .. } => "start failed".into(),
        Action::Escalated { .. } => "escalated".into(),
        Action::Done { why } => format!("done {why:?}"),
    }
}

/// What each event does in each state; what is not listed does nothing.
#[test]
fn every_state_answers_every_event() {
    let mut table = String::new();
    for (state, prepare) in STATES {
        writeln!(table, "{state}").unwrap();
        for (event, step) in EVENTS {
            let mut hand = Hand::running(1);
            prepare(&mut hand);
            let before = hand.policy.state(id(1));
            assert_eq!(name(before), state);
            let refused = step(&mut hand).err();
            let after = hand.policy.state(id(1));
            let actions: Vec<_> = hand.actions().into_iter().map(word).collect();
            if let Some(refused) = refused {
                assert!(actions.is_empty() && before == after, "a refused request changes nothing");
                writeln!(table, "    {event}: refused {refused:?}").unwrap();
            } else if before != after || !actions.is_empty() {
                let did: String = actions.into_iter().map(|action| action + ", ").collect();
                let did = did.trim_end_matches(", ");
                let space = if did.is_empty() { "" } else { " " };
                writeln!(table, "    {event}: {did}{space}-> {}", name(after)).unwrap();
            }
        }
    }
    assert!(table == EXPECTED, "the table is now\n{table}");
}

const EXPECTED: &str = "\
gone
    add: start 0 -> starting
    terminate: refused Unknown
    restart: refused Unknown
    remove: refused Unknown
    shutdown: done Shutdown -> gone
starting
    ready: -> running
    start failed: ended StartFailed -> gone
    exited, normal: ended StartFailed -> gone
    exited, shutdown: ended StartFailed -> gone
    exited, abnormal: ended StartFailed -> gone
    add: refused Known
    terminate: stop -> stopping, keep
    remove: stop -> stopping, removed
    shutdown: stop -> stopping, supervisor
starting, asked
    ready: -> running
    start failed: ended StartFailed -> stopped
    exited, normal: ended StartFailed -> stopped
    exited, shutdown: ended StartFailed -> stopped
    exited, abnormal: ended StartFailed -> stopped
    add: refused Known
    terminate: stop -> stopping, keep
    remove: stop -> stopping, removed
    shutdown: stop -> stopping, supervisor
starting, again
    ready: -> running
    start failed: restarting in 50 -> backing off
    exited, normal: restarting in 50 -> backing off
    exited, shutdown: restarting in 50 -> backing off
    exited, abnormal: restarting in 50 -> backing off
    add: refused Known
    terminate: stop -> stopping, keep
    remove: stop -> stopping, removed
    shutdown: stop -> stopping, supervisor
running
    exited, normal: restarting in 0, start 1 -> starting, again
    exited, shutdown: restarting in 0, start 1 -> starting, again
    exited, abnormal: restarting in 0, start 1 -> starting, again
    add: refused Known
    terminate: stop -> stopping, keep
    restart: stop -> stopping, start
    remove: stop -> stopping, removed
    shutdown: stop -> stopping, supervisor
backing off
    timeout: start 2 -> starting, again
    add: refused Known
    terminate: ended Terminated -> stopped
    restart: start 2 -> starting, again
    remove: ended Removed -> gone
    shutdown: ended Supervisor, done Shutdown -> gone
stopping, keep
    start failed: ended Terminated -> stopped
    exited, normal: ended Terminated -> stopped
    exited, shutdown: ended Terminated -> stopped
    exited, abnormal: ended Terminated -> stopped
    stopped: ended Terminated -> stopped
    add: refused Known
    restart: refused Stopping
    remove: -> stopping, removed
    shutdown: -> stopping, terminated
stopping, start
    start failed: start 0 -> starting, again
    exited, normal: start 0 -> starting, again
    exited, shutdown: start 0 -> starting, again
    exited, abnormal: start 0 -> starting, again
    stopped: start 0 -> starting, again
    add: refused Known
    terminate: -> stopping, keep
    remove: -> stopping, removed
    shutdown: -> stopping, supervisor
stopping, removed
    start failed: ended Removed -> gone
    exited, normal: ended Removed -> gone
    exited, shutdown: ended Removed -> gone
    exited, abnormal: ended Removed -> gone
    stopped: ended Removed -> gone
    add: refused Known
    restart: refused Unknown
stopping, supervisor
    start failed: ended Supervisor, done Shutdown -> gone
    exited, normal: ended Supervisor, done Shutdown -> gone
    exited, shutdown: ended Supervisor, done Shutdown -> gone
    exited, abnormal: ended Supervisor, done Shutdown -> gone
    stopped: ended Supervisor, done Shutdown -> gone
    add: refused Ending
    terminate: refused Ending
    restart: refused Ending
    remove: refused Ending
stopping, terminated
    start failed: ended Terminated, done Shutdown -> gone
    exited, normal: ended Terminated, done Shutdown -> gone
    exited, shutdown: ended Terminated, done Shutdown -> gone
    exited, abnormal: ended Terminated, done Shutdown -> gone
    stopped: ended Terminated, done Shutdown -> gone
    add: refused Ending
    terminate: refused Ending
    restart: refused Ending
    remove: refused Ending
stopped
    add: refused Known
    terminate: ended Terminated -> stopped
    restart: start 0 -> starting, asked
    remove: ended Removed -> gone
    shutdown: done Shutdown -> gone
";
