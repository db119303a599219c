//! Completions as messages: one actor of this process owns the one database connection and writes what workers find.
//!
//! Run it: `cargo run --example completion`. In Python a callback that raises kills the thread that runs all of them, and
//! `join` waits for ever; with sqlite3 that is what happens, since the thread is not the one that opened the database.

use procession::prelude::*;
use rusqlite::Connection;

#[procession::task]
fn triangle(n: u32) -> u32 {
    assert_ne!(n, 13, "13 brings bad luck");
    (1..=n).sum()
}

/// Owns the connection, which may be used by one thread only: the one that this actor lives on.
#[derive(Actor)]
struct Book {
    connection: Connection,
    batch: Vec<Completion<u32>>,
}

#[handlers]
impl Book {
    #[init]
    fn open() -> procession::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute("CREATE TABLE results(task TEXT, value INTEGER, error TEXT)", ())?;
        Ok(Self { connection, batch: Vec::new() })
    }

    #[cast]
    fn done(&mut self, completion: Completion<u32>) -> procession::Result<()> {
        self.batch.push(completion);
        if self.batch.len() >= 100 { self.write() } else { Ok(()) }
    }

    /// How many values and how many failures there are.
    #[call]
    fn counts(&mut self) -> procession::Result<(u32, u32)> {
        self.write()?;
        let counts = "SELECT count(value), count(error) FROM results";
        Ok(self.connection.query_row(counts, (), |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl Book {
    fn write(&mut self) -> procession::Result<()> {
        let batch = self.connection.transaction()?;
        for Completion { task, outcome, .. } in self.batch.drain(..) {
            let row = (task.to_string(), outcome.as_ref().ok(), outcome.as_ref().err().map(TaskError::to_string));
            batch.execute("INSERT INTO results VALUES (?, ?, ?)", row)?;
        }
        Ok(batch.commit()?)
    }
}

/// A second consumer, of which neither the tasks nor the book know. It breaks at every failure: all else goes on.
#[derive(Actor, Default)]
struct Bell;

#[handlers]
impl Bell {
    #[cast]
    fn ring(&mut self, completion: Completion<u32>) {
        completion.outcome.expect("a value to ring for");
    }
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let (book, bell) = (sup.spawn_local::<Book>("book", ()).await?, sup.spawn_local::<Bell>("bell", ()).await?);
    let pool = sup.task_pool("pool", PoolSize::LeaveOne).await?;
    pool.on_completion(&bell, |bell, completion| bell.ring(completion));
    let delivered =
        pool.outcomes(triangle, 0..500).completed_to(&book, |book, completion| book.done(completion)).await?;
    println!("{}", pool.finish().await);
    let (values, failures) = book.counts().await??;
    println!("{delivered} completions: {values} values and {failures} failure are in the book");
    let restarts: u32 = sup.children().await.iter().map(|child| child.restarts).sum();
    println!("the bell broke {restarts} time and rings again");
    sup.shutdown().await?;
    Ok(())
}
