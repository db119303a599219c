use super::*;
use crate::pool::scheduler::alarms::GIVING_BACK;

fn limited(hard: Duration) -> Terms {
    Terms { hard: Some(hard), ..Terms::default() }
}

fn look(worker: u64, task: u64) -> Action {
    Action::Look { worker: WorkerId(worker), task: TaskId(task) }
}

fn kill_for(worker: u64, task: u64, ending: Ending) -> Action {
    Action::KillFor { worker: WorkerId(worker), task: TaskId(task), ending }
}

impl Bench {
    fn due(&mut self) -> Vec<Action> {
        self.scheduler.handle_timeout(self.now);
        self.poll()
    }

    fn looked(&mut self, task: u64, since: Option<Instant>) -> Vec<Action> {
        self.scheduler.handle_look(self.now, TaskId(task), since);
        self.poll()
    }

    fn cancel_within(&mut self, task: u64, grace: Duration) -> Vec<Action> {
        self.scheduler.cancel(self.now, TaskId(task), Cancel::Within(grace));
        self.poll()
    }
}

#[test]
fn a_task_that_runs_for_too_long_ends_with_its_worker_which_is_replaced() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, limited(20 * MS));
    bench.dispatched();
    assert_eq!(bench.scheduler.poll_timeout(), Some(began + 20 * MS));
    bench.pass(20 * MS);
    assert_eq!(bench.due(), [look(0, 0)]);
    assert_eq!(bench.looked(0, Some(began)), [kill_for(0, 0, Ending::TimedOut)]);
    bench.died(0);
    assert_eq!(bench.ended(), [(0, Ending::TimedOut, 1)]);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    let report = bench.scheduler.report();
    assert_eq!((report.workers_killed, report.workers_lost), (1, 0));
    assert_eq!(bench.scheduler.poll_timeout(), None);
}

#[test]
fn the_time_counts_from_the_start_of_execution() {
    let mut bench = Bench::ready(1);
    bench.submit_with(2, limited(20 * MS));
    bench.dispatched();
    bench.pass(19 * MS);
    bench.done(0, 19 * MS);
    let began = bench.now;
    bench.pass(MS);
    assert_eq!(bench.due(), [look(0, 1)]);
    assert_eq!(bench.looked(1, Some(began)), []);
    assert_eq!(bench.scheduler.poll_timeout(), Some(began + 20 * MS));
    bench.pass(20 * MS);
    assert_eq!(bench.due(), [look(0, 1)]);
    bench.done(1, 20 * MS);
    assert_eq!(bench.looked(1, Some(began)), [], "it was quicker");
    assert_eq!(bench.scheduler.report().workers_killed, 0);
}

#[test]
fn one_that_waits_behind_another_is_looked_at_again() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.submit_with(1, limited(MS));
    bench.dispatched();
    for _ in 0..3 {
        bench.pass(MS);
        assert_eq!(bench.due(), [look(0, 1)]);
        assert_eq!(bench.looked(1, None), []);
    }
    assert_eq!(bench.scheduler.poll_timeout(), Some(bench.now + MS));
}

#[test]
fn what_waits_behind_a_late_task_is_asked_back_before_the_kill() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, limited(20 * MS));
    bench.submit(2);
    bench.dispatched();
    bench.pass(20 * MS);
    assert_eq!(bench.due(), [look(0, 0)]);
    assert_eq!(bench.looked(0, Some(began)), [recall(0, 1)]);
    bench.returned(1);
    assert_eq!(bench.poll(), [look(0, 0)], "nothing more is put behind it");
    assert_eq!(bench.looked(0, Some(began)), [kill_for(0, 0, Ending::TimedOut)]);
    bench.died(0);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [end(0, Ending::TimedOut, 1), start(0, 0)]);
    bench.worker_ready(0);
    assert_eq!(bench.dispatched(), [(0, 1), (0, 2)]);
}

#[test]
fn a_late_task_that_ends_while_others_are_asked_back_spares_its_worker() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, limited(20 * MS));
    bench.submit(2);
    bench.dispatched();
    bench.pass(20 * MS);
    bench.due();
    bench.looked(0, Some(began));
    bench.done(0, 20 * MS);
    assert_eq!(bench.dispatched(), [(0, 2)]);
    bench.pass(GIVING_BACK);
    assert_eq!(bench.due(), []);
}

#[test]
fn a_worker_that_gives_nothing_back_is_killed_all_the_same() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, limited(20 * MS));
    bench.submit(1);
    bench.dispatched();
    bench.pass(20 * MS);
    bench.due();
    bench.looked(0, Some(began));
    bench.pass(GIVING_BACK);
    assert_eq!(bench.due(), [look(0, 0)]);
    assert_eq!(bench.looked(0, Some(began)), [kill_for(0, 0, Ending::TimedOut)]);
}

#[test]
fn a_running_task_that_is_cancelled_is_told_and_killed_after_the_grace() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, idempotent(3));
    bench.dispatched();
    let told = Action::CancelRunning { worker: WorkerId(0), task: TaskId(0) };
    assert_eq!(bench.cancel_within(0, 50 * MS), [told]);
    bench.pass(50 * MS);
    assert_eq!(bench.due(), [look(0, 0)]);
    assert_eq!(bench.looked(0, Some(began)), [kill_for(0, 0, Ending::Aborted)]);
    bench.died(0);
    assert_eq!(bench.ended(), [(0, Ending::Aborted, 1)], "and not begun again");
}

#[test]
fn an_abort_overtakes_a_cancel_and_a_deadline() {
    let mut bench = Bench::ready(1);
    let began = bench.now;
    bench.submit_with(1, limited(1000 * MS));
    bench.dispatched();
    bench.cancel_within(0, 500 * MS);
    bench.pass(MS);
    bench.cancel_within(0, Duration::ZERO);
    assert_eq!(bench.due(), [look(0, 0)]);
    assert_eq!(bench.looked(0, Some(began)), [kill_for(0, 0, Ending::Aborted)]);
}

#[test]
fn an_abort_of_what_waits_behind_another_kills_nobody() {
    let mut bench = Bench::ready(1);
    bench.submit(2);
    bench.dispatched();
    bench.cancel_within(1, Duration::ZERO);
    assert_eq!(bench.due(), [look(0, 1)]);
    assert_eq!(bench.looked(1, None), []);
    bench.returned(1);
    assert_eq!(bench.ended(), [(1, Ending::Cancelled, 0)]);
    assert_eq!(bench.scheduler.poll_timeout(), None);
}

#[test]
fn a_worker_that_leaves_is_killed_for_a_late_task_and_not_replaced() {
    let mut bench = Bench::ready(2);
    let began = bench.now;
    bench.submit_with(2, limited(20 * MS));
    bench.dispatched();
    bench.scheduler.resize(bench.now, 1);
    bench.done(0, MS);
    bench.pass(20 * MS);
    assert_eq!(bench.due(), [look(1, 1)]);
    assert_eq!(bench.looked(1, Some(began)), [kill_for(1, 1, Ending::TimedOut)]);
    bench.died(1);
    bench.worker_lost(1);
    assert_eq!(bench.ended(), [(1, Ending::TimedOut, 1)]);
    assert_eq!(bench.scheduler.report().workers_killed, 1);
}
