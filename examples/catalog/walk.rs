//! The walk over the folder: finds every file below it and opens nothing but folders.

use std::ffi::OsString;
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::door::{self, Special};
use crate::name::RelativePath;

/// A stream of what is below a folder, in the order in which the system tells it.
///
/// Symlinks are not followed, those to folders included. One folder is open at a time, however deep the tree, and what is
/// kept in memory is the names of sub-folders still to be visited, never of files: a folder of ten million files costs
/// nothing. A folder that is its own ancestor by way of a mount is reported and not entered.
///
/// A folder that someone swaps for a symlink in the instant between its check and its opening is followed: std has no way
/// to open a folder relative to another.
#[derive(Debug)]
pub(crate) struct Walk {
    root: PathBuf,
    left_out: Vec<RelativePath>,
    entries: Option<ReadDir>,
    /// The folder that is being read, last, and those above it.
    ancestors: Vec<Folder>,
}

/// What the walk came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(RelativePath),
    /// Neither file nor folder.
    Special(Special),
    /// A folder, or an entry of one, of which nothing more is known than that it cannot be read.
    Unreadable {
        path: RelativePath,
        error: String,
    },
    /// A file of the catalog's own database.
    LeftOut(RelativePath),
}

#[derive(Debug)]
struct Folder {
    path: RelativePath,
    identity: Option<(u64, u64)>,
    unvisited: Vec<OsString>,
}

impl Walk {
    /// A walk over `root`, without the files at `leave_out`, which are given by their canonical paths.
    ///
    /// # Errors
    /// `root` cannot be read. Any other folder that cannot be read is found, as such.
    pub(crate) fn new(root: &Path, leave_out: &[PathBuf]) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let left_out = leave_out.iter().filter_map(|path| RelativePath::of(&root, path)).collect();
        let top = Folder {
            path: RelativePath::default(),
            identity: door::identity(&fs::metadata(&root)?),
            unvisited: Vec::new(),
        };
        let entries = Some(fs::read_dir(&root)?);
        Ok(Self { root, left_out, entries, ancestors: vec![top] })
    }

    /// The folder itself, in its canonical form: relative paths are below this.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What `entry` of the innermost folder is; `None` for a folder, which is visited later, and for what has vanished.
    fn look_at(&mut self, entry: &DirEntry) -> Option<Found> {
        let folder = self.ancestors.last_mut()?;
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(unreadable(folder.path.entry(&entry.file_name()), &error)),
        };
        if kind.is_dir() {
            folder.unvisited.push(entry.file_name());
            None
        } else if kind.is_file() {
            let path = folder.path.entry(&entry.file_name());
            Some(if self.left_out.contains(&path) { Found::LeftOut(path) } else { Found::File(path) })
        } else {
            Some(Found::Special(Special::of(kind)))
        }
    }

    /// Opens the folder at `path`; says why it could not.
    fn enter(&mut self, path: RelativePath) -> Option<Found> {
        let full = path.below(&self.root);
        let opened = fs::symlink_metadata(&full).and_then(|metadata| {
            if metadata.is_dir() {
                let entries = fs::read_dir(&full)?;
                Ok(Some((door::identity(&metadata), entries)))
            } else {
                Ok(None)
            }
        });
        match opened {
            Ok(Some((identity, _))) if self.is_ancestor(identity) => Some(Found::Unreadable {
                path,
                error: "not entered: it is one of the folders that it lies in, by way of a mount".to_owned(),
            }),
            Ok(Some((identity, entries))) => {
                self.entries = Some(entries);
                self.ancestors.push(Folder { path, identity, unvisited: Vec::new() });
                None
            }
            // Since its parent was read it has become something else, or nothing.
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(unreadable(path, &error)),
        }
    }

    fn is_ancestor(&self, identity: Option<(u64, u64)>) -> bool {
        identity.is_some() && self.ancestors.iter().any(|folder| folder.identity == identity)
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let found = match self.entries.as_mut().map(Iterator::next) {
                Some(Some(Ok(entry))) => self.look_at(&entry),
                Some(Some(Err(error))) => {
                    // Some systems repeat the error for ever.
                    self.entries = None;
                    Some(unreadable(self.ancestors.last()?.path.clone(), &error))
                }
                Some(None) => {
                    self.entries = None;
                    None
                }
                None => {
                    let folder = self.ancestors.last_mut()?;
                    match folder.unvisited.pop() {
                        Some(name) => {
                            let path = folder.path.entry(&name);
                            self.enter(path)
                        }
                        None => {
                            self.ancestors.pop();
                            None
                        }
                    }
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

fn unreadable(path: RelativePath, error: &io::Error) -> Found {
    Found::Unreadable { path, error: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(walk: Walk) -> Vec<String> {
        let mut files: Vec<String> = walk
            .map(|found| match found {
                Found::File(path) => path.text(),
                other => panic!("not a file: {other:?}"),
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn every_file_is_found_once_at_every_depth() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let mut expected = Vec::new();
        for outer in 0..5 {
            for inner in 0..5 {
                let sub = folder.path().join(format!("{outer}/{inner}"));
                fs::create_dir_all(&sub).expect("folders");
                for file in 0..3 {
                    fs::write(sub.join(file.to_string()), "").expect("a file");
                    expected.push(format!("{outer}/{inner}/{file}"));
                }
            }
        }
        fs::create_dir(folder.path().join("empty")).expect("a folder");
        assert_eq!(files(Walk::new(folder.path(), &[]).expect("a walk")), expected);
    }

    #[test]
    fn a_deep_tree_needs_one_open_folder() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let root = fs::canonicalize(folder.path()).expect("a canonical path");
        let deep = "d/".repeat(1_500);
        fs::create_dir_all(root.join(&deep)).expect("folders");
        fs::write(root.join(&deep).join("bottom"), "").expect("a file");
        assert_eq!(files(Walk::new(&root, &[]).expect("a walk")), [format!("{deep}bottom")]);
    }

    #[test]
    fn the_files_left_out_are_said() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let root = fs::canonicalize(folder.path()).expect("a canonical path");
        fs::create_dir(root.join("sub")).expect("a folder");
        fs::write(root.join("sub/catalog.db"), "").expect("a file");
        let found: Vec<Found> =
            Walk::new(&root, &[root.join("sub/catalog.db"), "elsewhere".into()]).expect("a walk").collect();
        assert!(matches!(found.as_slice(), [Found::LeftOut(path)] if path.text() == "sub/catalog.db"));
    }

    #[test]
    fn a_folder_that_vanishes_during_the_walk_is_no_error() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        fs::write(folder.path().join("file"), "").expect("a file");
        let mut walk = Walk::new(folder.path(), &[]).expect("a walk");
        assert!(matches!(walk.next(), Some(Found::File(_))));
        fs::remove_dir(folder.path().join("sub")).expect("removed");
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().expect("a temp folder");
        Walk::new(&folder.path().join("nowhere"), &[]).expect_err("nothing to walk over");
    }
}
