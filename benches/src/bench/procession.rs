//! The subject: actors and tasks as a user of procession writes them.

use std::future::ready;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use procession::Chunk;
use procession::SupervisorBuilder;
use procession::blob::{Blob, BlobWriter};
use procession::prelude::*;
use procession::shared::{List, SharedSpec};
use procession::sync::Mutex;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::bare::idle::death_by_pidfd;
use super::bare::messages::WARM_UP;
use super::bare::payload::answer_of;
use super::figure::Role;
use super::runner::{Contestant, Readings};
use super::system;
use super::workloads::w5_cpu::burn;

/// An actor that answers.
#[derive(Actor)]
#[actor(restart = "temporary")]
pub(crate) struct Echo {
    taken: u64,
    kept: Option<Blob>,
}

#[handlers]
impl Echo {
    #[init]
    fn new() -> Self {
        Self { taken: 0, kept: None }
    }

    #[call]
    fn echo(&self, message: [u8; 32]) -> [u8; 32] {
        message
    }

    #[cast]
    fn take(&mut self, message: [u8; 32]) {
        self.taken += u64::from(std::hint::black_box(message)[0] == 7);
    }

    #[call]
    fn taken(&self) -> u64 {
        self.taken
    }

    #[call]
    fn look(&self, bytes: Bytes) -> (u64, u8, u8) {
        answer_of(&bytes)
    }

    #[call]
    fn look_into(&mut self, blob: Blob, keep: bool) -> (u64, u8, u8) {
        let answer = answer_of(&blob);
        self.kept = keep.then_some(blob);
        answer
    }
}

/// How long each of `times` fillings and handovers of a new blob takes.
pub(crate) async fn new_blobs(
    supervisor: &Supervisor,
    bytes: &Bytes,
    times: usize,
) -> procession::Result<Vec<Duration>> {
    let echo = echo(supervisor, "echo").await?;
    let mut sent = Vec::with_capacity(times);
    for turn in 0..=times {
        let began = Instant::now();
        let blob = Blob::copy_from(bytes)?;
        if echo.look_into(blob, false).timeout(LONG).await? != answer_of(bytes) {
            return Err(Failure::new("the worker saw other bytes"));
        }
        if turn > 0 {
            sent.push(began.elapsed());
        }
    }
    Ok(sent)
}

/// How long each of `times` handovers of a filled blob takes, to a worker that does not have it or, where it keeps it, does.
pub(crate) async fn handovers(
    supervisor: &Supervisor,
    len: usize,
    times: usize,
    keep: bool,
) -> procession::Result<Vec<Duration>> {
    let echo = echo(supervisor, if keep { "keeper" } else { "looker" }).await?;
    let mut writer = BlobWriter::with_len(len)?;
    writer.fill(7);
    let blob = writer.finish()?;
    let mut taken = Vec::with_capacity(times);
    for turn in 0..=times {
        let began = Instant::now();
        let answer = echo.look_into(blob.clone(), keep).await?;
        if turn > 0 {
            taken.push(began.elapsed());
        }
        if answer != answer_of(&blob) {
            return Err(Failure::new("the worker saw other bytes"));
        }
        // What it has let go of is gone there before the next one: nothing of it is left by chance.
        echo.echo([7; 32]).await?;
    }
    Ok(taken)
}

/// An actor that uses what belongs to all.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Client;

#[handlers]
impl Client {
    #[init]
    fn new() -> Self {
        Self
    }

    #[call]
    async fn lock(&self, lock: Mutex, times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            drop(lock.lock().await?);
        }
        Ok(())
    }

    /// Appends items, up to `window` of them under way.
    #[call]
    async fn append(&self, list: List<[u8; 32]>, items: usize, window: usize) -> Result<(), Failure> {
        let appends = futures_util::stream::iter((0..items).map(|_| list.push([7; 32])));
        appends.buffer_unordered(window).try_for_each(|_| ready(Ok(()))).await?;
        Ok(())
    }
}

#[procession::task]
fn square(x: u64) -> u64 {
    x.wrapping_mul(x)
}

#[procession::task]
fn burn_nanos(nanos: u64) {
    burn(Duration::from_nanos(nanos));
}

/// How long the calls of one turn may take: more than any of them does.
const LONG: Duration = Duration::from_secs(150);

/// One turn of procession on each of the two runtimes that a program of it may have.
pub(crate) fn both<F>(turn: F) -> [Contestant; 2]
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings> + Clone + Send + 'static,
{
    both_as(["procession", "procession-current-thread"], turn)
}

/// The same under names of their own.
pub(crate) fn both_as<F>([multi, single]: [&'static str; 2], turn: F) -> [Contestant; 2]
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings> + Clone + Send + 'static,
{
    let current = turn.clone();
    [
        Contestant::new(Role::Procession, multi, move || run(Builder::new_multi_thread(), &turn)),
        Contestant::new(Role::Procession, single, move || run(Builder::new_current_thread(), &current)),
    ]
}

/// The same on several threads alone.
pub(crate) fn multi_thread<F>(name: &'static str, turn: F) -> Contestant
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings> + Send + 'static,
{
    Contestant::new(Role::Procession, name, move || run(Builder::new_multi_thread(), &turn))
}

/// What the system itself takes for something that is done to a worker.
pub(crate) fn limit<F>(name: &'static str, turn: F) -> Contestant
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings> + Send + 'static,
{
    Contestant::limit(name, move || run(Builder::new_current_thread(), &turn))
}

/// The same on one thread, where both ends look for what comes next.
pub(crate) fn polling<F>(turn: F) -> Contestant
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings> + Send + 'static,
{
    Contestant::new(Role::Procession, "procession-poll", move || {
        let supervisor = Supervisor::builder().poll_for(Duration::from_micros(100));
        run_under(supervisor, Builder::new_current_thread(), &turn)
    })
}

fn run<F>(builder: Builder, turn: &F) -> procession::Result<Readings>
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings>,
{
    run_under(Supervisor::builder(), builder, turn)
}

fn run_under<F>(supervisor: SupervisorBuilder, mut builder: Builder, turn: &F) -> procession::Result<Readings>
where
    F: AsyncFn(&Supervisor) -> procession::Result<Readings>,
{
    builder.enable_all().build()?.block_on(async {
        let supervisor = supervisor.start().await?;
        let readings = turn(&supervisor).await;
        supervisor.shutdown().await?;
        readings
    })
}

async fn echo(supervisor: &Supervisor, name: &str) -> procession::Result<Address<Echo>> {
    let echo = supervisor.spawn::<Echo>(name, ()).await?;
    echo.echo([7; 32]).await?;
    Ok(echo)
}

/// How long each of `count` workers takes from its start to its first answer.
pub(crate) async fn starts(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        let worker = echo(supervisor, &format!("echo-{number}")).await?;
        times.push(began.elapsed());
        supervisor.stop(&worker).await?;
    }
    Ok(times)
}

pub(crate) async fn round_trips(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<Duration>> {
    let echo = echo(supervisor, "echo").await?;
    let mut times = Vec::with_capacity(count);
    for turn in 0..count + WARM_UP.min(count) {
        let began = Instant::now();
        echo.echo([7; 32]).await?;
        if turn >= WARM_UP.min(count) {
            times.push(began.elapsed());
        }
    }
    Ok(times)
}

/// Calls answered in a second, by as many callers as are outstanding.
pub(crate) async fn request_reply(supervisor: &Supervisor, count: usize, callers: usize) -> procession::Result<f64> {
    let echo = echo(supervisor, "echo").await?;
    let each = count / callers;
    let began = Instant::now();
    let mut calling = JoinSet::new();
    for _ in 0..callers {
        calling.spawn(async move {
            for _ in 0..each {
                echo.echo([7; 32]).timeout(LONG).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(called) = calling.join_next().await {
        called??;
    }
    Ok((each * callers) as f64 / began.elapsed().as_secs_f64())
}

/// Casts taken in a second.
pub(crate) async fn one_way(supervisor: &Supervisor, count: usize) -> procession::Result<f64> {
    let echo = echo(supervisor, "echo").await?;
    let began = Instant::now();
    for _ in 0..count {
        echo.take([7; 32]).await?;
    }
    let taken = echo.taken().timeout(LONG).await?;
    let took = began.elapsed();
    if taken == count as u64 {
        Ok(count as f64 / took.as_secs_f64())
    } else {
        Err(Failure::new(format!("{taken} of {count} casts were taken")))
    }
}

/// A pool all of whose workers have answered.
async fn warm_pool(supervisor: &Supervisor, spec: impl Into<PoolSpec>) -> procession::Result<TaskPool> {
    let pool = supervisor.task_pool("pool", spec).await?;
    let workers = pool.size();
    while pool.workers().await.iter().filter(|worker| worker.state == procession::WorkerState::Ready).count() < workers
    {
        pool.map(burn_nanos, vec![1_000_000; workers]).await?;
    }
    Ok(pool)
}

/// Tasks in a second by a pool.
pub(crate) async fn squares(
    supervisor: &Supervisor,
    tasks: usize,
    workers: usize,
    chunk: impl Into<Chunk>,
) -> procession::Result<f64> {
    let pool = warm_pool(supervisor, PoolSpec::new(workers).chunk(chunk)).await?;
    let began = Instant::now();
    let squares = pool.map(square, 0..tasks as u64).await?;
    let took = began.elapsed();
    pool.finish().await;
    if squares.iter().enumerate().all(|(x, square)| *square == (x * x) as u64) && squares.len() == tasks {
        Ok(tasks as f64 / took.as_secs_f64())
    } else {
        Err(Failure::new("the squares are wrong"))
    }
}

/// How long the workers take for all tasks, each of which takes so much of a core.
pub(crate) async fn burns(
    supervisor: &Supervisor,
    tasks: usize,
    workers: usize,
    each: Duration,
) -> procession::Result<Duration> {
    let pool = warm_pool(supervisor, workers).await?;
    let nanos = u64::try_from(each.as_nanos())?;
    let began = Instant::now();
    pool.map(burn_nanos, vec![nanos; tasks]).await?;
    let took = began.elapsed();
    pool.finish().await;
    Ok(took)
}

/// The most bytes that go into one call here: a frame holds 16 MiB.
pub(crate) const PIECE: usize = 8 << 20;

/// How long each of `times` sendings takes, in as few calls as hold it.
pub(crate) async fn payloads(
    supervisor: &Supervisor,
    bytes: &Bytes,
    times: usize,
) -> procession::Result<Vec<Duration>> {
    let echo = echo(supervisor, "echo").await?;
    let mut sent = Vec::with_capacity(times);
    for turn in 0..=times {
        let began = Instant::now();
        let mut calls = Vec::new();
        for at in (0..bytes.len()).step_by(PIECE) {
            let piece = bytes.slice(at..bytes.len().min(at + PIECE));
            calls.push((answer_of(&piece), tokio::spawn(echo.look(piece).timeout(LONG))));
        }
        for (expected, call) in calls {
            if call.await?? != expected {
                return Err(Failure::new("the worker saw other bytes"));
            }
        }
        if turn > 0 {
            sent.push(began.elapsed());
        }
    }
    Ok(sent)
}

/// Workers that do nothing.
pub(crate) async fn crowd(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<u32>> {
    for number in 0..count {
        echo(supervisor, &format!("idle-{number}")).await?;
    }
    Ok(supervisor.children().await.iter().filter_map(|child| child.pid).collect())
}

/// How long it takes from the kill of each of `count` workers until a monitor knows.
pub(crate) async fn deaths(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let (worker, pid) = mortal(supervisor, number).await?;
        let down = worker.ctl().monitor();
        let began = Instant::now();
        system::kill(pid)?;
        down.await;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// How long it takes from the kill of each of `count` workers until a thread knows that waits for its pidfd.
pub(crate) async fn deaths_by_pidfd(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let (worker, pid) = mortal(supervisor, number).await?;
        let down = worker.ctl().monitor();
        times.push(tokio::task::spawn_blocking(move || death_by_pidfd(pid)).await??);
        down.await;
    }
    Ok(times)
}

/// A worker that has answered, and its process.
async fn mortal(supervisor: &Supervisor, number: usize) -> procession::Result<(Address<Echo>, u32)> {
    let name = format!("mortal-{number}");
    let worker = echo(supervisor, &name).await?;
    let child = supervisor.children().await.into_iter().find(|child| child.name == name);
    let pid = child.and_then(|child| child.pid).ok_or_else(|| Failure::new("the worker has no process"))?;
    Ok((worker, pid))
}

/// Processes that use what belongs to all.
async fn clients(supervisor: &Supervisor, count: usize) -> procession::Result<Vec<Address<Client>>> {
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        clients.push(supervisor.spawn::<Client>(format!("client-{number}"), ()).await?);
    }
    Ok(clients)
}

/// Acquisitions of one lock in a second by this many processes.
pub(crate) async fn acquisitions(supervisor: &Supervisor, count: usize, times: usize) -> procession::Result<f64> {
    let lock = supervisor.mutex("lock").await?;
    let clients = clients(supervisor, count).await?;
    let began = Instant::now();
    let calls = clients.iter().map(|client| client.lock(lock.clone(), times).timeout(LONG));
    futures_util::future::try_join_all(calls).await?;
    Ok((count * times) as f64 / began.elapsed().as_secs_f64())
}

/// Appends to one list in a second by this many processes.
pub(crate) async fn appends(
    supervisor: &Supervisor,
    count: usize,
    items: usize,
    window: usize,
) -> procession::Result<f64> {
    let list = supervisor.list::<[u8; 32]>(SharedSpec::unnamed())?;
    let clients = clients(supervisor, count).await?;
    let began = Instant::now();
    let calls = clients.iter().map(|client| client.append(list.clone(), items, window).timeout(LONG));
    futures_util::future::try_join_all(calls).await?;
    let took = began.elapsed();
    for client in &clients {
        supervisor.stop(client).await?;
    }
    if list.len().await? == (count * items) as u64 {
        Ok((count * items) as f64 / took.as_secs_f64())
    } else {
        Err(Failure::new("items were lost"))
    }
}
