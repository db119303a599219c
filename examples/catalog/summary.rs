//! What is said at the end of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use serde::{Deserialize, Serialize};

use crate::door::Special;
use crate::inspect::{FileRow, Finding};
use crate::name::{RelativePath, shown};
use crate::store::{Changes, Duplicates};
use crate::walk::Found;

/// How many names of a sort are listed before the rest is only counted.
const LISTED: usize = 10;

/// The counts of a run, gathered as it goes. Displayed, its last line is `catalog: N files, M failures`: N rows were
/// written or confirmed, M of them with an error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    files: u64,
    bytes: u64,
    failures: Listed,
    unreadable: Listed,
    special: BTreeMap<Special, u64>,
    left_out: u64,
    gone: u64,
    workers_died: u64,
    interrupted: bool,
    elapsed: Duration,
    changes: Changes,
    duplicates: Duplicates,
}

/// A count, with the first few names and what is said of each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Listed {
    count: u64,
    first: Vec<(String, String)>,
}

impl Summary {
    /// Counts what the walk found. Files count when they are inspected.
    pub(crate) fn found(&mut self, found: &Found) {
        match found {
            Found::File(_) => {}
            Found::Special(kind) => self.special(*kind),
            Found::Unreadable { path, error } => self.unreadable(path, error),
            Found::LeftOut(_) => self.left_out += 1,
        }
    }

    /// Counts what came of an inspection.
    pub(crate) fn finding(&mut self, finding: &Finding) {
        match finding {
            Finding::Row(row) => self.row(row),
            Finding::Special(kind) => self.special(*kind),
            Finding::Gone => self.gone += 1,
        }
    }

    /// Counts workers that ended before their work did.
    pub(crate) fn workers_died(&mut self, count: u64) {
        self.workers_died += count;
    }

    /// Adds what a walk has counted.
    pub(crate) fn absorb(&mut self, walked: Self) {
        for (kind, count) in walked.special {
            *self.special.entry(kind).or_default() += count;
        }
        self.unreadable = walked.unreadable;
        self.left_out += walked.left_out;
    }

    /// Says that the run was ended before it had seen the whole tree.
    pub(crate) fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// Takes what is known when all is written.
    pub(crate) fn finish(&mut self, elapsed: Duration, changes: Changes, duplicates: Duplicates) {
        self.elapsed = elapsed;
        self.changes = changes;
        self.duplicates = duplicates;
    }

    fn row(&mut self, row: &FileRow) {
        self.files += 1;
        match &row.error {
            Some(error) => self.failures.add(shown(&row.path), error),
            None => self.bytes += row.size.unwrap_or(0),
        }
    }

    fn special(&mut self, kind: Special) {
        *self.special.entry(kind).or_default() += 1;
    }

    fn unreadable(&mut self, path: &RelativePath, error: &str) {
        self.unreadable.add(path.shown(), error);
    }
}

impl Listed {
    fn add(&mut self, name: String, what: &str) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push((name, what.to_owned()));
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, what) in &self.first {
            writeln!(f, "    {name}: {what}")?;
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "    and {} more", HumanCount(more)),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            writeln!(f, "  interrupted: the rest of the tree was not looked at, and no row was removed")?;
        }
        writeln!(
            f,
            "  read: {}, {} ({} bytes)",
            counted(self.files, "file", "files"),
            BinaryBytes(self.bytes),
            self.bytes
        )?;
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.files as f64 / seconds } else { 0.0 };
        writeln!(f, "  speed: {rate:.0} files/s, {seconds:.2} s in all")?;
        let Changes { written, removed, kept } = self.changes;
        writeln!(f, "  table: {} new or changed, {} removed", counted(written, "row", "rows"), HumanCount(removed))?;
        let Duplicates { contents, files, bytes } = self.duplicates;
        writeln!(
            f,
            "  duplicates: {} beyond the first of {}, {}",
            counted(files, "file", "files"),
            counted(contents, "content", "contents"),
            BinaryBytes(bytes)
        )?;
        let special: Vec<String> =
            self.special.iter().map(|(kind, count)| counted(*count, kind.words().0, kind.words().1)).collect();
        writeln!(f, "  not opened: {}", if special.is_empty() { "nothing".to_owned() } else { special.join(", ") })?;
        if self.left_out > 0 {
            writeln!(f, "  left out: {} of the catalog's own database", counted(self.left_out, "file", "files"))?;
        }
        if self.gone > 0 {
            writeln!(f, "  vanished before it was read: {}", counted(self.gone, "file", "files"))?;
        }
        if self.unreadable.count > 0 {
            let kept = counted(kept, "earlier row", "earlier rows");
            writeln!(f, "  unreadable folders: {}, {kept} below them kept", HumanCount(self.unreadable.count))?;
            self.unreadable.write(f)?;
        }
        writeln!(f, "  failures: {}", HumanCount(self.failures.count))?;
        self.failures.write(f)?;
        writeln!(f, "  workers died: {}", self.workers_died)?;
        writeln!(f, "catalog: {} files, {} failures", self.files, self.failures.count)
    }
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn unreadable(name: &str) -> FileRow {
        FileRow { path: name.into(), size: Some(7), error: Some("denied".into()), ..FileRow::default() }
    }

    #[test]
    fn the_last_line_is_exact() {
        let mut summary = Summary::default();
        for n in 0..1500 {
            summary.finding(&Finding::Row(FileRow { path: n.to_string(), size: Some(2), ..FileRow::default() }));
        }
        summary.finding(&Finding::Row(unreadable("a\nb")));
        let text = summary.to_string();
        assert!(text.ends_with("\ncatalog: 1501 files, 1 failures\n"), "{text}");
        assert!(text.contains("1,501 files, 2.93 KiB (3000 bytes)"), "{text}");
        assert!(text.contains("    a\\nb: denied\n"), "{text}");
        assert_eq!(Summary::default().to_string().lines().last(), Some("catalog: 0 files, 0 failures"));
    }

    #[test]
    fn what_was_not_opened_is_counted_by_its_kind() {
        let mut summary = Summary::default();
        summary.found(&Found::Special(Special::Fifo));
        summary.found(&Found::Special(Special::Symlink));
        summary.finding(&Finding::Special(Special::Symlink));
        summary.found(&Found::LeftOut(RelativePath::default()));
        summary.finding(&Finding::Gone);
        let text = summary.to_string();
        assert!(text.contains("  not opened: 2 symlinks, 1 FIFO\n"), "{text}");
        assert!(text.contains("  left out: 1 file of"), "{text}");
        assert!(text.contains("vanished before it was read: 1 file\n"), "{text}");
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let mut summary = Summary::default();
        for n in 0..LISTED + 5 {
            let path = RelativePath::default().entry(OsStr::new(&n.to_string()));
            summary.found(&Found::Unreadable { path, error: "denied".into() });
        }
        let text = summary.to_string();
        assert!(text.contains("  unreadable folders: 15, 0 earlier rows below them kept\n    0: denied\n"), "{text}");
        assert!(text.contains("    9: denied\n    and 5 more\n"), "{text}");
    }

    #[test]
    fn what_happened_to_the_run_is_said() {
        let mut summary = Summary::default();
        assert!(!summary.to_string().contains("interrupted"));
        summary.workers_died(1);
        summary.workers_died(1);
        summary.interrupted();
        summary.finish(Duration::from_secs(2), Changes { written: 1, removed: 2, kept: 0 }, Duplicates::default());
        let text = summary.to_string();
        assert!(text.contains("  workers died: 2\n"), "{text}");
        assert!(text.starts_with("  interrupted: "), "{text}");
        assert!(text.contains("2.00 s in all\n  table: 1 row new or changed, 2 removed\n"), "{text}");
    }

    #[test]
    fn an_instant_run_has_no_infinite_speed() {
        assert!(Summary::default().to_string().contains("  speed: 0 files/s"));
    }
}
