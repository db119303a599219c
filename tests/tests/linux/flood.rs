//! A worker that asks without end and reads no answer.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use procession::prelude::*;
use rustix::net::{SendFlags, send};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::life::system;
use crate::life::{alone, quiet, soon};

#[derive(Actor, Default)]
struct Flooder;

#[handlers]
impl Flooder {
    /// Floods its supervisor for so long, from the thread that would read. Answers how many bytes were taken.
    #[call(timeout = "60s")]
    fn flood(&self, time: Duration) -> u64 {
        let sockets = sockets();
        let mut streams: Vec<_> = sockets.iter().map(|socket| (socket, Vec::new())).collect();
        let (begun, mut number, mut taken) = (Instant::now(), 1_u64 << 40, 0);
        while begun.elapsed() < time {
            for (socket, left) in &mut streams {
                if left.is_empty() {
                    for _ in 0..200 {
                        number += 1;
                        left.extend(watch_nobody(number));
                    }
                }
                // Some have no room, and some lead nowhere.
                if let Ok(sent) = send(socket, left, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    left.drain(..sent);
                    taken += sent as u64;
                }
            }
            std::thread::yield_now();
        }
        taken
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

/// A frame that wants to know when somebody ends who does not exist: it is answered at once, and costs no credit.
fn watch_nobody(number: u64) -> Vec<u8> {
    let destination = [1_u64, 2, 3, 4];
    let mut frame = (12 + 32_u32).to_le_bytes().to_vec();
    frame.extend([1, 7, 0, 0]);
    frame.extend(number.to_le_bytes());
    frame.extend(destination.into_iter().flat_map(u64::to_le_bytes));
    frame
}

/// All that this process has, its stream to its supervisor among them.
fn sockets() -> Vec<OwnedFd> {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process");
    let sockets = fs::read_dir("/proc/self/fd")
        .expect("it is our own")
        .flatten()
        .filter(|entry| entry.path().read_link().is_ok_and(|what| what.to_string_lossy().starts_with("socket:")));
    let numbers: Vec<i32> = sockets.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let taken = numbers.into_iter().map(|number| pidfd_getfd(&me, number, PidfdGetfdFlags::empty()));
    taken.collect::<Result<_, _>>().expect("its sockets")
}

/// How long calls to a sibling take: of a hundred the one that takes longest but one.
async fn late(sibling: &Address<Flooder>, time: Duration, memory: &mut usize) -> procession::Result<Duration> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let asked = Instant::now();
        soon("an answer", sibling.pid()).await?;
        times.push(asked.elapsed());
        if times.len().is_multiple_of(50) {
            *memory = system::memory_of_this_process().max(*memory);
        }
    }
    times.sort();
    Ok(times[times.len() * 99 / 100])
}

const FLOOD: Duration = Duration::from_millis(2000);
/// What a flooder may cost is 2 MiB, and as much again the frames of one turn of reading, which stay with the connection.
const MOST: usize = 6 << 20;

#[test]
fn a_worker_that_floods_and_does_not_read_takes_bounded_memory_and_slows_nobody_much() {
    alone(|| async {
        let sup = quiet().start().await?;
        let flooder = sup.spawn::<Flooder>("flooder", ()).await?;
        let sibling = sup.spawn::<Flooder>("sibling", ()).await?;
        let mut memory = 0;
        let calm = late(&sibling, FLOOD / 3, &mut memory).await?;
        let before = system::memory_of_this_process();
        let flood = tokio::spawn(flooder.flood(FLOOD));
        let flooded = late(&sibling, FLOOD * 2 / 3, &mut memory).await?;
        let grown = memory.max(system::memory_of_this_process()).saturating_sub(before);
        println!(
            "p99 of a call to a sibling: {calm:?}, and {flooded:?} during the flood, which took {} KiB",
            grown >> 10
        );
        assert!(grown < MOST, "{grown}");
        assert!(flooded < Duration::from_millis(200).max(calm * 20), "{calm:?}, then {flooded:?}");
        let taken = soon("its end", flood).await??;
        println!("{} KiB were taken from it", taken >> 10);
        // However long it goes on: from then on nothing is read from it.
        assert!(taken < MOST as u64, "{taken}");
        soon("an answer", sibling.pid()).await?;
        Ok(sup.shutdown().await?)
    });
}
