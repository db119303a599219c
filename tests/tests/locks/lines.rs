//! Fifty processes that write to one place: in whole lines, under a lock.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use procession::prelude::*;
use procession::sync::{LockError, Mutex};

use super::processes::{end, start, within};

const WRITERS: u32 = 50;

/// One line in many pieces, each of which is on its way to the file before the next.
fn write_slowly(path: &Path, number: u32) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the file");
    for piece in 0..10 {
        file.write_all(format!("{number}.{piece} ").as_bytes()).expect("written");
        std::thread::yield_now();
    }
    file.write_all(b"\n").expect("written");
}

#[derive(Actor)]
struct Printer {
    mutex: Mutex,
    path: PathBuf,
}

#[handlers]
impl Printer {
    #[init]
    fn new(mutex: Mutex, path: PathBuf) -> Self {
        Self { mutex, path }
    }

    #[call(timeout = "60s")]
    async fn print(&self, number: u32) -> Result<(), LockError> {
        let _guard = self.mutex.lock().await?;
        write_slowly(&self.path, number);
        Ok(())
    }
}

#[procession::task]
async fn print_in_pool(mutex: Mutex, path: PathBuf, number: u32) -> Result<(), LockError> {
    let _guard = mutex.lock().await?;
    write_slowly(&path, number);
    Ok(())
}

fn assert_whole_lines(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the file");
    let mut seen = Vec::new();
    for line in text.lines() {
        let number: u32 = line.split('.').next().and_then(|number| number.parse().ok()).expect("a number");
        let whole: String = (0..10).map(|piece| format!("{number}.{piece} ")).collect();
        assert_eq!(line, whole);
        seen.push(number);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..WRITERS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_processes_print_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    std::fs::write(&path, "").unwrap();
    let sup = start().await;
    let mutex = within(sup.mutex("printer")).await.unwrap();
    let mut printers = Vec::new();
    for number in 0..WRITERS {
        let name = format!("printer {number}");
        printers.push(within(sup.spawn::<Printer>(name, (mutex.clone(), path.clone()))).await.unwrap());
    }
    let calls: Vec<_> = (0..).zip(&printers).map(|(number, printer)| tokio::spawn(printer.print(number))).collect();
    for call in calls {
        within(call).await.unwrap().unwrap();
    }
    assert_whole_lines(&path);
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_pool_print_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    std::fs::write(&path, "").unwrap();
    let sup = start().await;
    let mutex = within(sup.mutex("printer")).await.unwrap();
    let pool = within(sup.task_pool("printers", PoolSize::Exactly(4))).await.unwrap();
    let tasks = (0..WRITERS).map(|number| (mutex.clone(), path.clone(), number));
    for printed in within(pool.map(print_in_pool, tasks)).await.unwrap() {
        printed.unwrap();
    }
    assert_whole_lines(&path);
    within(pool.finish()).await;
    end(sup).await;
}
