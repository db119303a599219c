//! What a supervisor remembers of the ends of incarnations: the latest, however long it lives and whatever they said.

use std::collections::VecDeque;

use super::child::ExitReport;

/// So many of them.
const REPORTS: usize = 1024;
/// Bytes of standard error that all of them have together.
const STDERR: usize = 1 << 20;

/// The latest ends, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    list: VecDeque<ExitReport>,
    /// Bytes of standard error in all of the list.
    stderr: usize,
    /// How many at the front have none any more.
    bare: usize,
}

impl Reports {
    pub(crate) fn push(&mut self, report: ExitReport) {
        if self.list.len() == REPORTS
            && let Some(oldest) = self.list.pop_front()
        {
            self.stderr -= oldest.exit.stderr.len();
            self.bare = self.bare.saturating_sub(1);
        }
        self.stderr += report.exit.stderr.len();
        self.list.push_back(report);
        while self.stderr > STDERR
            && let Some(oldest) = self.list.get_mut(self.bare)
        {
            self.stderr -= std::mem::take(&mut oldest.exit.stderr).len();
            self.bare += 1;
        }
    }

    /// The latest of those that fit.
    pub(crate) fn find_last(&self, mut fits: impl FnMut(&ExitReport) -> bool) -> Option<&ExitReport> {
        self.list.iter().rev().find(|report| fits(report))
    }

    pub(crate) fn to_vec(&self) -> Vec<ExitReport> {
        self.list.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::exit::{Exit, ExitCause};
    use crate::wire::ids::{ActorId, Destination, NodeId, RunId, TypeHash};

    fn report(number: usize, stderr: usize) -> ExitReport {
        let of = Destination { run: RunId(1), node: NodeId(1), actor: ActorId(number as u64), type_hash: TypeHash(1) };
        let exit = Exit { pid: number as u32, cause: ExitCause::Code(1), stderr: "x".repeat(stderr) };
        ExitReport { child: "a".to_owned(), exit, lived: Duration::ZERO, of }
    }

    fn reports(count: usize, stderr: usize) -> Reports {
        let mut reports = Reports::default();
        (0..count).for_each(|number| reports.push(report(number, stderr)));
        reports
    }

    #[test]
    fn the_latest_are_kept_in_order() {
        let list = reports(3000, 10).to_vec();
        let pids: Vec<_> = list.iter().map(|report| report.exit.pid as usize).collect();
        assert_eq!(pids, (3000 - REPORTS..3000).collect::<Vec<_>>());
        assert!(list.iter().all(|report| report.exit.stderr.len() == 10));
    }

    #[test]
    fn the_last_words_of_old_ones_are_forgotten_before_all_together_are_too_long() {
        for (count, each) in [(100, 16 << 10), (1024, 16 << 10), (5000, 16 << 10), (5000, 2000), (3, 2 * STDERR)] {
            let reports = reports(count, each);
            let list = reports.to_vec();
            let kept: usize = list.iter().map(|report| report.exit.stderr.len()).sum();
            assert_eq!((reports.stderr, list.len()), (kept, count.min(REPORTS)));
            assert!(kept <= STDERR && kept + each > STDERR, "{count} of {each}: {kept}");
            let bare = list.iter().take_while(|report| report.exit.stderr.is_empty()).count();
            assert!(list[bare..].iter().all(|report| report.exit.stderr.len() == each));
        }
    }

    #[test]
    fn the_last_of_several_ends_is_found() {
        let mut reports = reports(5, 0);
        reports.push(report(2, 7));
        let found = reports.find_last(|report| report.of.actor == ActorId(2));
        assert_eq!(found.map(|report| report.exit.stderr.len()), Some(7));
        assert!(reports.find_last(|report| report.of.actor == ActorId(9)).is_none());
    }
}
