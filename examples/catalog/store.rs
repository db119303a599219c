//! The database: one connection, owned by one place, written in batches.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::inspect::FileRow;

/// How many rows are written in one transaction.
const BATCH: usize = 512;

/// How long to wait for another program that holds the database locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// The columns of the table `files`, in order: name, declared type, place in the primary key.
const COLUMNS: [(&str, &str, i64); 7] = [
    ("path", "TEXT", 1),
    ("size", "INTEGER", 0),
    ("sha256", "TEXT", 0),
    ("kind", "TEXT", 0),
    ("lines", "INTEGER", 0),
    ("words", "INTEGER", 0),
    ("error", "TEXT", 0),
];

const CREATE: &str = "CREATE TABLE files(path TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, kind TEXT, lines INTEGER, words INTEGER, error TEXT)";

/// A row that is there as it should be is left alone, so that a run over an unchanged tree changes nothing on disk.
const UPSERT: &str = "INSERT INTO main.files(path, size, sha256, kind, lines, words, error) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT(path) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, kind = excluded.kind, \
     lines = excluded.lines, words = excluded.words, error = excluded.error \
     WHERE (files.size, files.sha256, files.kind, files.lines, files.words, files.error) \
     IS NOT (excluded.size, excluded.sha256, excluded.kind, excluded.lines, excluded.words, excluded.error)";

/// The table `files` of a database, and which of its rows this run has seen.
///
/// A batch is one transaction, so whatever ends the process, the database holds whole batches. It stays in the journal
/// mode it has; a new one gets SQLite's rollback journal rather than a write-ahead log: between batches the database is
/// then one plain file that can be copied, on any file system, and a kill in the middle of a batch leaves at most a journal
/// that the next reader rolls back by itself. A batch costs a few milliseconds for that, which the workers do not notice.
///
/// Which rows were seen stands in a temporary table of the connection: the user's table has no column for it, and memory
/// does not grow with the number of files.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    batch: Vec<FileRow>,
    changes: Changes,
}

/// What a run did to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// Rows that are new or say something else than before.
    pub(crate) written: u64,
    /// Rows of files that are no longer there.
    pub(crate) removed: u64,
    /// Rows that stay because nobody could look whether their files are there.
    pub(crate) kept: u64,
}

/// The files of the table that have the same content as another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Duplicates {
    /// Contents that more than one file has.
    pub(crate) contents: u64,
    /// Files beyond the first of each content.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{} cannot be a database: {source}", path.display())]
    Place { path: PathBuf, source: io::Error },
    #[error("{} is not a SQLite database; it was left as it is", path.display())]
    NotADatabase { path: PathBuf },
    #[error("{} has another thing called files ({found}); it was left as it is", path.display())]
    OtherFiles { path: PathBuf, found: String },
    #[error("{} cannot be written: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

/// The files that make up the database at `path`, which is there, by their canonical paths.
pub(crate) fn own_files(path: &Path) -> Vec<PathBuf> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    ["", "-journal", "-wal", "-shm"]
        .iter()
        .map(|ending| {
            let mut file = OsString::from(&path);
            file.push(ending);
            PathBuf::from(file)
        })
        .collect()
}

impl Store {
    /// Opens the database at `path`, or makes it.
    ///
    /// # Errors
    /// What is there is no database, has another table `files`, or cannot be written; it is then unchanged.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = place(path).map_err(|source| StoreError::Place { path: path.to_owned(), source })?;
        // Without `SQLITE_OPEN_URI`: a file may be called `file:x?mode=memory`.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Connection::open_with_flags(&path, flags) {
            Ok(connection) => {
                let mut store =
                    Self { connection, path, batch: Vec::with_capacity(BATCH), changes: Changes::default() };
                store.prepare()?;
                // Now that it is there: a symlink to a database has its journal beside the database.
                store.path = fs::canonicalize(&store.path)
                    .map_err(|source| StoreError::Place { path: store.path.clone(), source })?;
                Ok(store)
            }
            Err(source) => Err(error(&path, source)),
        }
    }

    /// Takes a row, and writes a batch when enough have gathered.
    ///
    /// # Errors
    /// The database cannot be written. The rows stay, and the next write tries again.
    pub(crate) fn push(&mut self, row: FileRow) -> Result<(), StoreError> {
        self.batch.push(row);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Writes what has gathered, in one transaction.
    ///
    /// # Errors
    /// The database cannot be written. The rows stay, and the next write tries again.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = write(&mut self.connection, &self.batch).map_err(|source| error(&self.path, source))?;
        self.changes.written += written;
        self.batch.clear();
        Ok(())
    }

    /// Keeps the rows below `folder` through `remove_vanished`: it could not be read, so nobody knows what is there.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) fn keep_below(&mut self, folder: &str) -> Result<(), StoreError> {
        self.flush()?;
        // `0` follows `/`, so between the two lies what begins with the folder and a slash, and the index finds it.
        let range = "path > ?1 || '/' AND path < ?1 || '0'";
        let all = "?1 = ''";
        let keep = format!(
            "INSERT OR IGNORE INTO temp.seen SELECT path FROM main.files WHERE path IS NOT NULL AND ({range} OR {all} OR path = ?1)"
        );
        let kept = self.connection.execute(&keep, [folder]).map_err(|source| error(&self.path, source))?;
        self.changes.kept += kept as u64;
        Ok(())
    }

    /// Removes the rows of files that this run has not seen. For the end of a run that saw the whole tree.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) fn remove_vanished(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        let remove = "DELETE FROM main.files WHERE NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.path = files.path)";
        let removed = self.connection.execute(remove, []).map_err(|source| error(&self.path, source))?;
        self.changes.removed += removed as u64;
        Ok(())
    }

    /// What this run has done to the table so far.
    pub(crate) fn changes(&self) -> Changes {
        self.changes
    }

    /// The files of the table with equal content.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) fn duplicates(&self) -> Result<Duplicates, StoreError> {
        let equal = "SELECT count(*), coalesce(sum(n - 1), 0), coalesce(sum((n - 1) * bytes), 0) FROM \
             (SELECT count(*) AS n, max(size) AS bytes FROM main.files WHERE sha256 IS NOT NULL GROUP BY sha256 HAVING n > 1)";
        let found = self.connection.query_row(equal, [], |row| {
            let count = |column| row.get(column).map(i64::cast_unsigned);
            Ok(Duplicates { contents: count(0)?, files: count(1)?, bytes: count(2)? })
        });
        found.map_err(|source| error(&self.path, source))
    }

    /// Writes what has gathered and closes the database.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.connection.close().map_err(|(_, source)| error(&self.path, source))
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        match self.try_prepare() {
            Ok(None) => Ok(()),
            Ok(Some(found)) => Err(StoreError::OtherFiles { path: self.path.clone(), found }),
            Err(source) => Err(error(&self.path, source)),
        }
    }

    /// Makes the tables, unless there is another `files`: then says what it is.
    fn try_prepare(&mut self) -> rusqlite::Result<Option<String>> {
        self.connection.busy_timeout(PATIENCE)?;
        // A writing transaction, also where the table exists: a database that cannot be written is told here, not after
        // the first five hundred files.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let kind: Option<String> = {
            let mut named = transaction
                .prepare("SELECT type FROM main.sqlite_schema WHERE name = 'files' COLLATE NOCASE AND type IN ('table', 'view', 'index')")?;
            let mut rows = named.query([])?;
            rows.next()?.map(|row| row.get(0)).transpose()?
        };
        match kind.as_deref() {
            None => {
                transaction.execute_batch(CREATE)?;
            }
            Some("table") => {
                let mut columns =
                    transaction.prepare("SELECT name, type, pk FROM pragma_table_xinfo('files', 'main')")?;
                let columns: Vec<(String, String, i64)> = columns
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect::<rusqlite::Result<_>>()?;
                let expected = columns.len() == COLUMNS.len()
                    && columns.iter().zip(COLUMNS).all(|((name, kind, key), column)| {
                        name.eq_ignore_ascii_case(column.0) && kind.eq_ignore_ascii_case(column.1) && *key == column.2
                    });
                if !expected {
                    let names: Vec<String> =
                        columns.into_iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
                    return Ok(Some(format!("a table of {}", names.join(", "))));
                }
            }
            Some(other) => return Ok(Some(format!("a {other}"))),
        }
        transaction.commit()?;
        self.connection.execute_batch("CREATE TEMP TABLE seen(path TEXT PRIMARY KEY) WITHOUT ROWID")?;
        Ok(None)
    }
}

/// The absolute path of a database: SQLite gives names such as `:memory:` a meaning of their own.
fn place(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let place = fs::canonicalize(folder)?.join(name);
    // A FIFO or a device would be opened by SQLite, and may hang it.
    match fs::metadata(&place) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a file")),
        Ok(_) => Ok(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
        Err(error) => Err(error),
    }
}

/// Writes the rows and returns how many changed the table.
fn write(connection: &mut Connection, rows: &[FileRow]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut written = 0;
    {
        let mut upsert = transaction.prepare_cached(UPSERT)?;
        let mut seen = transaction.prepare_cached("INSERT OR IGNORE INTO temp.seen VALUES(?1)")?;
        for row in rows {
            let numbers = [row.size, row.lines, row.words].map(|number| number.map(u64::cast_signed));
            let [size, lines, words] = numbers;
            written += upsert.execute(params![row.path, size, row.sha256, row.kind, lines, words, row.error])?;
            seen.execute([&row.path])?;
        }
    }
    transaction.commit()?;
    Ok(written as u64)
}

fn error(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { path },
        _ => StoreError::Sqlite { path, source },
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temp folder");
        let database = folder.path().join("catalog.db");
        (folder, database)
    }

    fn row(path: &str, digest: &str) -> FileRow {
        FileRow {
            path: path.into(),
            size: Some(10),
            sha256: Some(digest.into()),
            kind: Some("text".into()),
            ..FileRow::default()
        }
    }

    fn run(database: &Path, rows: &[FileRow], keep: &[&str]) -> Changes {
        let mut store = Store::open(database).expect("a store");
        for row in rows {
            store.push(row.clone()).expect("taken");
        }
        for folder in keep {
            store.keep_below(folder).expect("kept");
        }
        store.remove_vanished().expect("removed");
        let changes = store.changes();
        store.close().expect("closed");
        changes
    }

    fn paths(database: &Path) -> Vec<String> {
        let connection = Connection::open(database).expect("a database");
        let mut paths = connection.prepare("SELECT path FROM files ORDER BY path").expect("a query");
        paths.query_map([], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("paths")
    }

    #[test]
    fn a_second_run_updates_and_removes_and_leaves_the_rest_alone() {
        let (_folder, database) = folder();
        let first = run(&database, &[row("same", "1"), row("changed", "2"), row("vanished", "3")], &[]);
        assert_eq!(first, Changes { written: 3, removed: 0, kept: 0 });
        let second = run(&database, &[row("same", "1"), row("changed", "4"), row("new", "5")], &[]);
        assert_eq!(second, Changes { written: 2, removed: 1, kept: 0 });
        assert_eq!(paths(&database), ["changed", "new", "same"]);
    }

    #[test]
    fn more_rows_than_a_batch_all_arrive() {
        let (_folder, database) = folder();
        let rows: Vec<FileRow> = (0..2 * BATCH + 3).map(|n| row(&format!("{n:05}"), "d")).collect();
        assert_eq!(run(&database, &rows, &[]).written, rows.len() as u64);
        assert_eq!(paths(&database).len(), rows.len());
    }

    #[test]
    fn an_unfinished_run_leaves_whole_batches_and_removes_nothing() {
        let (_folder, database) = folder();
        run(&database, &[row("old", "1")], &[]);
        let mut store = Store::open(&database).expect("a store");
        for n in 0..BATCH + 7 {
            store.push(row(&format!("{n:05}"), "d")).expect("taken");
        }
        drop(store);
        assert_eq!(paths(&database).len(), 1 + BATCH);
    }

    #[test]
    fn rows_below_an_unreadable_folder_are_kept_and_others_are_not() {
        let (_folder, database) = folder();
        let names = ["a", "a!", "a/b", "a/b/c", "a0", "ab", "b/a/x"];
        run(&database, &names.map(|name| row(name, "1")), &[]);
        let changes = run(&database, &[row("ab", "1")], &["a"]);
        assert_eq!(paths(&database), ["a", "a/b", "a/b/c", "ab"]);
        assert_eq!(changes, Changes { written: 0, removed: 3, kept: 3 });
        assert_eq!(run(&database, &[], &[""]).kept, 4);
    }

    #[test]
    fn duplicates_are_counted_by_digest() {
        let (_folder, database) = folder();
        let mut store = Store::open(&database).expect("a store");
        assert_eq!(store.duplicates().expect("none"), Duplicates::default());
        for (path, digest) in [("a", "1"), ("b", "1"), ("c", "1"), ("d", "2"), ("e", "2"), ("f", "3")] {
            store.push(row(path, digest)).expect("taken");
        }
        let unreadable = |path: &str| FileRow { path: path.into(), error: Some("no".into()), ..FileRow::default() };
        store.push(unreadable("g")).expect("taken");
        store.push(unreadable("h")).expect("taken");
        store.flush().expect("written");
        assert_eq!(store.duplicates().expect("some"), Duplicates { contents: 2, files: 3, bytes: 30 });
    }

    #[test]
    fn what_is_no_database_is_refused_and_left_as_it_is() {
        let (_folder, database) = folder();
        let content = "not a database at all, though long enough to have a header ".repeat(50);
        fs::write(&database, &content).expect("a file");
        let error = Store::open(&database).expect_err("refused");
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
        assert_eq!(fs::read_to_string(&database).expect("still there"), content);
    }

    #[test]
    fn another_table_called_files_is_refused_and_left_as_it_is() {
        for other in [
            "CREATE TABLE files(name TEXT, data BLOB)",
            "CREATE TABLE Files(path TEXT, size INTEGER, sha256 TEXT, kind TEXT, lines INTEGER, words INTEGER, error TEXT)",
            "CREATE VIEW files AS SELECT 1 AS path",
        ] {
            let (_folder, database) = folder();
            Connection::open(&database).and_then(|connection| connection.execute_batch(other)).expect("made");
            let before = fs::read(&database).expect("there");
            let error = Store::open(&database).expect_err("refused");
            assert!(matches!(error, StoreError::OtherFiles { .. }), "{error}");
            assert_eq!(fs::read(&database).expect("still there"), before);
        }
    }

    #[test]
    fn other_tables_of_the_database_are_left_alone() {
        let (_folder, database) = folder();
        let connection = Connection::open(&database).expect("a database");
        connection.execute_batch("CREATE TABLE mine(x); INSERT INTO mine VALUES(7)").expect("made");
        run(&database, &[row("a", "1")], &[]);
        assert_eq!(connection.query_row("SELECT x FROM mine", [], |row| row.get(0)), Ok(7));
    }

    #[test]
    fn names_that_sqlite_would_interpret_are_files() {
        let folder = tempfile::tempdir().expect("a temp folder");
        for name in [":memory:", "file:x?mode=memory"] {
            let database = folder.path().join(name);
            if fs::write(&database, "").is_err() {
                continue; // Not a name at all on this system.
            }
            run(&database, &[row("a", "1")], &[]);
            assert_eq!(paths(&database), ["a"]);
        }
    }

    #[test]
    fn a_place_where_no_file_can_be_is_told() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let error = Store::open(folder.path()).expect_err("a folder");
        assert!(matches!(error, StoreError::Place { .. }), "{error}");
        let error = Store::open(&folder.path().join("nowhere").join("catalog.db")).expect_err("no folder");
        assert!(matches!(error, StoreError::Place { .. }), "{error}");
    }
}
