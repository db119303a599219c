//! The catalog example from end to end: its table against a computation of its own.
//!
//! Nothing here knows how the example divides its work.

mod built;
#[path = "catalog/special.rs"]
mod special;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What the table says of a file: size, digest, kind, lines, words, error.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    size: Option<u64>,
    sha256: Option<String>,
    kind: Option<String>,
    lines: Option<u64>,
    words: Option<u64>,
    error: Option<String>,
}

type Table = BTreeMap<String, Row>;

/// A folder to catalogue, and beside it a place for the database.
struct Place {
    folder: TempDir,
}

/// What a run said, and how it ended.
#[derive(Debug)]
struct Said {
    success: bool,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("tree")).expect("a folder");
        Self { folder }
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(example());
        command.arg(self.tree()).arg("--db").arg(self.database()).args(arguments).stdin(Stdio::null());
        command
    }

    fn catalogue(&self, arguments: &[&str]) -> Said {
        let said = Said::of(&mut self.command(arguments));
        assert!(said.success, "{said:?}");
        said
    }

    fn table(&self) -> Table {
        table(&self.database())
    }
}

impl Said {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the example runs");
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        Self { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    fn assert_says(&self, what: &str) {
        assert!(self.stdout.contains(what), "{what:?} is not in: {}", self.stdout);
    }
}

/// The example's program.
fn example() -> &'static Path {
    built::example("catalog")
}

fn table(database: &Path) -> Table {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database");
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok");
    let mut rows =
        connection.prepare("SELECT path, size, sha256, kind, lines, words, error FROM files").expect("the table");
    let number = |number: Option<i64>| number.map(|number| u64::try_from(number).expect("not negative"));
    let rows = rows.query_map([], |row| {
        let rest = Row {
            size: number(row.get(1)?),
            sha256: row.get(2)?,
            kind: row.get(3)?,
            lines: number(row.get(4)?),
            words: number(row.get(5)?),
            error: row.get(6)?,
        };
        Ok((row.get(0)?, rest))
    });
    rows.expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
}

fn digest(path: &Path) -> (u64, String) {
    let (mut file, mut digest, mut size) = (File::open(path).expect("a file"), Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).expect("read");
        if count == 0 {
            break;
        }
        size += count as u64;
        digest.update(&buffer[..count]);
    }
    (size, digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the table must say of the files below `root`, computed without anything of the example: the whole content at once,
/// and `kind` only as far as text, empty and the rest.
fn expected(root: &Path) -> Table {
    let mut table = Table::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let kind = fs::symlink_metadata(&path).expect("there").file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(root).expect("below").to_str().map(|name| name.replace('\\', "/"));
                // Those with odd names are the caller's.
                if let Some(name) = name.filter(|_| !path.parent().is_some_and(|parent| parent.ends_with("odd"))) {
                    table.insert(name, expected_row(&path));
                }
            }
        }
    }
    table
}

fn expected_row(path: &Path) -> Row {
    let (size, sha256) = digest(path);
    // A huge file is not worth the memory: the test that makes one knows what is in it.
    let text = if size > 1 << 24 { None } else { fs::read_to_string(path).ok().filter(|text| !text.contains('\0')) };
    let kind = match &text {
        Some(text) if text.is_empty() => Some("empty"),
        Some(_) => Some("text"),
        None => None,
    };
    Row {
        size: Some(size),
        sha256: Some(sha256),
        kind: kind.map(str::to_owned),
        lines: text.as_ref().map(|text| text.matches('\n').count() as u64),
        words: text.as_ref().map(|text| text.split_whitespace().count() as u64),
        error: None,
    }
}

/// Compares all but the kinds of files that are not text, which the independent computation does not know.
fn assert_same(actual: &Table, expected: &Table) {
    let actual_names: Vec<&String> = actual.keys().collect();
    let expected_names: Vec<&String> = expected.keys().collect();
    assert_eq!(actual_names, expected_names);
    for (name, row) in expected {
        let kind = row.kind.clone().or_else(|| actual[name].kind.clone());
        assert_eq!(actual[name], Row { kind, ..row.clone() }, "{name}");
    }
}

/// A few hundred files of all sorts.
fn grow(place: &Place) {
    for n in 0..300 {
        let lines = format!("line {n} of some\n").repeat(n % 50);
        place.write(&format!("many/{}/{n}.txt", n % 7), lines);
    }
    place.write("abc", "abc");
    place.write("again/abc", "abc");
    place.write("empty", "");
    place.write("deep/er/and/deeper/file with spaces", "two  words\n");
    place.write("unicode/ünïcödé 日本", "größe\u{a0}und\u{2003}weite\n");
    place.write("latin1", b"caf\xe9\n");
    place.write("zeros", b"a\0b\n");
    place.write("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    place.write("packed", b"\x1f\x8b\x08\0\0\0\0\0");
    place.write("program", b"\x7fELF\x02\x01\x01\0");
    place.write("large", "0123456 word\n".repeat(100_000));
    // Characters of several bytes at every border of any buffer.
    place.write("large unicode", format!("a{}", "日本 ".repeat(100_000)));
    fs::create_dir_all(place.tree().join("folder/without/files")).expect("folders");
}

#[test]
fn the_table_equals_a_computation_of_its_own() {
    let place = Place::new();
    grow(&place);
    let said = place.catalogue(&[]);
    let table = place.table();
    assert_same(&table, &expected(&place.tree()));
    let kinds = [
        ("picture.txt", "png"),
        ("packed", "gzip"),
        ("program", "elf"),
        ("latin1", "binary"),
        ("zeros", "binary"),
        ("empty", "empty"),
        ("abc", "text"),
    ];
    for (name, kind) in kinds {
        assert_eq!(table[name].kind.as_deref(), Some(kind), "{name}");
    }
    // Digests from the standard, not from any library here.
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(table["abc"].sha256.as_deref(), Some(of_abc));
    assert_eq!(table["empty"].sha256.as_deref(), Some(of_nothing));
    assert_eq!(said.last_line(), format!("catalog: {} files, 0 failures", table.len()));
}

#[test]
fn the_table_has_the_agreed_columns() {
    let place = Place::new();
    place.catalogue(&[]);
    let connection = Connection::open(place.database()).expect("a database");
    let schema: String = connection
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'files'", [], |row| row.get(0))
        .expect("the table");
    let agreed = "CREATE TABLE files(path TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, kind TEXT, lines INTEGER, words INTEGER, error TEXT)";
    assert_eq!(schema, agreed);
}

#[test]
fn an_empty_tree_is_an_empty_table() {
    let place = Place::new();
    assert_eq!(place.catalogue(&[]).last_line(), "catalog: 0 files, 0 failures");
    assert!(place.table().is_empty());
}

#[test]
fn a_second_run_updates_and_removes() {
    let place = Place::new();
    grow(&place);
    place.catalogue(&[]);
    place.write("abc", "another content");
    place.write("new/one", "new");
    fs::remove_file(place.tree().join("latin1")).expect("removed");
    fs::remove_dir_all(place.tree().join("many/3")).expect("removed");
    fs::remove_file(place.tree().join("empty")).expect("removed");
    fs::create_dir(place.tree().join("empty")).expect("a folder where a file was");
    let said = place.catalogue(&[]);
    assert_same(&place.table(), &expected(&place.tree()));
    // Two changed or new; 43 of 300 were in many/3.
    said.assert_says("table: 2 rows new or changed, 45 removed");
    place.catalogue(&[]).assert_says("table: 0 rows new or changed, 0 removed");
}

#[test]
fn duplicates_are_told_by_digest() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, "the same ten");
    }
    place.write("d", "another");
    place.catalogue(&[]).assert_says("duplicates: 2 files beyond the first of 1 content, 24 B");
}

#[test]
fn special_files_are_counted_and_never_opened() {
    let place = Place::new();
    place.write("sub/file", "a file");
    // Opening one of the FIFOs would wait for ever.
    let counted = special::special_files(&place.tree());
    let said = place.catalogue(&[]);
    said.assert_says(counted);
    assert_same(&place.table(), &expected(&place.tree()));
}

#[test]
fn names_of_any_bytes_have_rows_of_their_own() {
    let place = Place::new();
    let folder = place.tree().join("odd");
    fs::create_dir(&folder).expect("a folder");
    let names = special::odd_names(&folder);
    place.catalogue(&[]);
    let table = place.table();
    assert_eq!(table.len(), names.len());
    for (name, text) in names {
        let row = table.get(&format!("odd/{text}")).unwrap_or_else(|| panic!("no row for {text:?} in {table:#?}"));
        assert_eq!(row, &expected_row(&folder.join(name)));
    }
}

#[test]
fn a_huge_file_is_streamed() {
    const SIZE: u64 = 64 << 20;
    let place = Place::new();
    // Sparse: it takes no room on the disk.
    let path = place.tree().join("huge");
    File::create(&path).and_then(|file| file.set_len(SIZE)).expect("a sparse file");
    place.catalogue(&[]);
    let (size, sha256) = digest(&path);
    let expected = Row {
        size: Some(SIZE),
        sha256: Some(sha256),
        kind: Some("binary".to_owned()),
        lines: None,
        words: None,
        error: None,
    };
    assert_eq!(size, SIZE);
    assert_eq!(place.table(), Table::from([("huge".to_owned(), expected)]));
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_done() {
    let place = Place::new();
    for name in ["open/file", "closed/file", "closed/deeper/file", "secret", "closed!", "closed0"] {
        place.write(name, name);
    }
    // Everybody may write the database: below it may be written by somebody who has no rights.
    special::allow(place.folder.path());
    for folder in ["", "open", "closed", "closed/deeper"] {
        special::allow(&place.tree().join(folder));
    }
    let program = place.folder.path().join("catalog-program");
    fs::copy(example(), &program).expect("a copy where everybody finds it");
    let mut catalogue = Command::new(program);
    catalogue.arg(place.tree()).arg("--db").arg(place.database()).current_dir(place.folder.path());
    let superuser = {
        let secret = place.tree().join("secret");
        if !special::forbid(&secret) {
            return; // There are no such permissions here.
        }
        File::open(&secret).is_ok()
    };
    if superuser {
        // For whom everything is readable; so somebody else does it.
        special::as_nobody(&mut catalogue);
        if let Err(error) = catalogue.output() {
            // In a sandbox without other users: what holds is that a superuser reads it all.
            eprintln!("no other user here: {error}");
            assert_eq!(place.catalogue(&[]).last_line(), "catalog: 6 files, 0 failures");
            return;
        }
    }
    let said = Said::of(&mut catalogue);
    assert!(said.success, "{said:?}");
    assert_eq!(said.last_line(), "catalog: 6 files, 1 failures");
    said.assert_says("    secret: Permission denied");
    let first = place.table();
    let secret = &first["secret"];
    assert_eq!((secret.size, &secret.sha256, &secret.kind), (Some(6), &None, &None));
    assert!(secret.error.as_ref().is_some_and(|error| error.contains("Permission denied")), "{secret:?}");

    // Nobody knows what is in a folder that can no longer be read: its rows stay, and that is said.
    let closed = place.tree().join("closed");
    special::forbid(&closed);
    fs::remove_file(place.tree().join("closed!")).expect("removed");
    let said = Said::of(&mut catalogue);
    special::allow(&closed);
    assert!(said.success, "{said:?}");
    assert_eq!(said.last_line(), "catalog: 3 files, 1 failures");
    said.assert_says("unreadable folders: 1, 2 earlier rows below them kept");
    said.assert_says("    closed: Permission denied");
    let mut kept = first;
    kept.remove("closed!");
    assert_eq!(place.table(), kept);
}

#[test]
fn the_database_inside_the_tree_is_left_out_and_said() {
    let place = Place::new();
    place.write("sub/file", "a file");
    place.write("sub/catalog.db-other", "not of the database");
    for _ in 0..2 {
        let said = Said::of(Command::new(example()).current_dir(place.tree()).args(["--db", "sub/catalog.db"]));
        assert!(said.success, "{said:?}");
        // How many there are at that moment, with journals, depends on the journal mode.
        said.assert_says("left out: ");
        said.assert_says("of the catalog's own database");
        let names: Vec<String> = table(&place.tree().join("sub/catalog.db")).into_keys().collect();
        assert_eq!(names, ["sub/catalog.db-other", "sub/file"]);
    }
}

#[test]
fn without_arguments_it_is_the_current_folder() {
    let place = Place::new();
    place.write("file", "a file");
    let said = Said::of(Command::new(example()).current_dir(place.tree()));
    assert_eq!(said.last_line(), "catalog: 1 files, 0 failures", "{said:?}");
    assert_eq!(table(&place.tree().join("catalog.db")).into_keys().collect::<Vec<_>>(), ["file"]);
}

#[test]
fn piped_output_is_plain_lines() {
    let place = Place::new();
    grow(&place);
    let said = place.catalogue(&[]);
    assert!(said.stderr.starts_with("catalog: "), "{said:?}");
    for text in [&said.stdout, &said.stderr] {
        assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    }
}

#[test]
fn a_mistake_is_an_error_that_names_it() {
    let place = Place::new();
    place.write("file", "a file");
    let file = place.tree().join("file");
    let cases: [(&[&OsStr], &str); 5] = [
        (&[file.as_os_str()], "it is not a directory"),
        (&["no/such/folder".as_ref()], "no/such/folder"),
        (&["--workers".as_ref(), "0".as_ref()], "--workers"),
        (&["--workers".as_ref(), "many".as_ref()], "--workers"),
        (&["--db".as_ref(), "no/such/folder/catalog.db".as_ref()], "no/such/folder/catalog.db"),
    ];
    for (arguments, named) in cases {
        let said = Said::of(Command::new(example()).current_dir(place.tree()).args(arguments));
        assert!(!said.success && said.stderr.contains(named), "{arguments:?}: {said:?}");
    }
    assert_eq!(fs::read_dir(place.tree()).expect("a folder").count(), 1, "nothing was made");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    let content = "precious notes, long enough to have a header ".repeat(100);
    fs::write(place.database(), &content).expect("a file");
    let said = Said::of(&mut place.command(&[]));
    assert!(!said.success && said.stderr.contains("not a SQLite database"), "{said:?}");
    assert_eq!(fs::read_to_string(place.database()).expect("there"), content);
}

#[test]
fn another_table_called_files_is_refused_and_left_alone() {
    let place = Place::new();
    let connection = Connection::open(place.database()).expect("a database");
    connection.execute_batch("CREATE TABLE files(name TEXT); INSERT INTO files VALUES('mine')").expect("a table");
    let said = Said::of(&mut place.command(&[]));
    assert!(!said.success && said.stderr.contains("another thing called files"), "{said:?}");
    let mine: String = connection.query_row("SELECT name FROM files", [], |row| row.get(0)).expect("still there");
    assert_eq!(mine, "mine");
}

#[test]
fn a_kill_at_any_time_leaves_a_sound_database_and_the_next_run_completes_it() {
    let place = Place::new();
    for n in 0..3000 {
        place.write(&format!("{}/{n}", n % 10), format!("file {n}\n"));
    }
    let expected = expected(&place.tree());
    for lines in 1..4 {
        let mut run = place.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the example runs");
        // Killed when a good part is written, at another part each time.
        while rows(&place.database()) < lines * 600 && run.try_wait().expect("a child").is_none() {
            std::thread::yield_now();
        }
        run.kill().expect("killed");
        run.wait().expect("reaped");
        for (name, row) in &place.table() {
            assert_eq!(Some(row), expected.get(name), "{name}");
        }
    }
    place.catalogue(&[]);
    assert_same(&place.table(), &expected);
}

/// How many rows the table has, as far as one can see while it is being written.
fn rows(database: &Path) -> u64 {
    let count = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| connection.query_row("SELECT count(*) FROM files", [], |row| row.get::<_, i64>(0)));
    count.map_or(0, i64::cast_unsigned)
}

/// What must hold under `--chaos`; that workers died is a claim of its own once there are any.
#[test]
fn under_chaos_the_table_is_complete_and_exact() {
    let place = Place::new();
    grow(&place);
    let said = place.catalogue(&["--chaos", "--workers", "3"]);
    assert_same(&place.table(), &expected(&place.tree()));
    said.assert_says("workers died: ");
    assert_eq!(said.last_line(), format!("catalog: {} files, 0 failures", place.table().len()));
}
