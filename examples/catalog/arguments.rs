//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::{PathBufValueParser, TypedValueParser};

/// Catalogues a directory tree into SQLite: size, SHA-256, kind, lines and words of every file.
#[derive(Clone, Debug, Parser)]
#[command(name = "catalog")]
pub(crate) struct Arguments {
    /// The folder to catalogue
    #[arg(default_value = ".", value_parser = PathBufValueParser::new().try_map(folder))]
    pub(crate) dir: PathBuf,

    /// The database; its table `files` is made, or brought up to date
    #[arg(long = "db", value_name = "FILE", default_value = "catalog.db")]
    pub(crate) database: PathBuf,

    /// How many worker processes read files, at least 1 [default: the available cores but one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,

    /// Kill a worker every few dozen files: the table is complete and exact all the same
    #[arg(long)]
    pub(crate) chaos: bool,
}

fn folder(path: PathBuf) -> Result<PathBuf, String> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err("it is not a directory".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, String> {
        Arguments::try_parse_from([&["catalog"], line].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_it_is_the_current_folder() {
        let arguments = parse(&[]).expect("nothing is needed");
        assert_eq!((arguments.dir, arguments.database), (".".into(), "catalog.db".into()));
        assert_eq!((arguments.workers, arguments.chaos), (None, false));
    }

    #[test]
    fn everything_can_be_said() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let dir = folder.path().to_str().expect("UTF-8");
        let arguments = parse(&["--workers", "3", dir, "--chaos", "--db", "x.db"]).expect("all right");
        assert_eq!((arguments.dir, arguments.database), (dir.into(), "x.db".into()));
        assert_eq!((arguments.workers, arguments.chaos), (Some(3), true));
    }

    #[test]
    fn a_dir_that_is_none_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let error = parse(&[file.to_str().expect("UTF-8")]).expect_err("a file");
        assert!(error.contains("[DIR]") && error.contains("it is not a directory"), "{error}");
        let error = parse(&["no/such/folder"]).expect_err("nothing");
        assert!(error.contains("no/such/folder"), "{error}");
    }

    #[test]
    fn no_workers_is_refused() {
        let error = parse(&["--workers", "0"]).expect_err("none");
        assert!(error.contains("--workers") && error.contains("0 is not in 1.."), "{error}");
    }
}
