//! What only Linux can promise of blobs, tried by workers that are hostile: nobody changes a byte under a reader, and whoever
//! gives what is no blob is killed, and nobody else.
#![cfg(target_os = "linux")]

#[path = "seals/hostile.rs"]
mod hostile;
mod processes;

procession::test_workers!();

use std::fs;

use hostile::{Gift, Hostile, HostileApi, Limited};
use processes::{end, event, start, within};
use procession::Event;
use procession::blob::{Blob, BlobWriter};

fn written(len: usize) -> Blob {
    let mut writer = BlobWriter::with_len(len).unwrap();
    for (at, byte) in writer.iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    writer.finish().unwrap()
}

#[procession::task]
fn made(number: usize) -> Blob {
    written(1000 + number)
}

fn is_as_written(blob: &[u8]) -> bool {
    blob.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8)
}

#[tokio::test]
async fn ten_thousand_attempts_change_no_byte_of_a_blob() {
    let sup = start().await;
    let hostile = within(sup.spawn::<Hostile>("hostile", ())).await.unwrap();
    let (ours, theirs) = (written(100_000), within(hostile.make(100_000)).await.unwrap());
    let attack = tokio::spawn(hostile.attack(ours.clone(), 10_000));
    let mut looks = 0;
    while !attack.is_finished() {
        assert!(is_as_written(&ours) && is_as_written(&theirs));
        looks += 1;
        tokio::task::yield_now().await;
    }
    let (attempts, successes) = within(attack).await.unwrap().unwrap();
    assert!(attempts >= 10_000 && looks > 0, "{attempts} attempts, {looks} looks");
    assert_eq!(successes, Vec::<String>::new());
    assert!(is_as_written(&ours) && is_as_written(&theirs));
    end(sup).await;
}

/// Faults of pages that a process has had: each new page that it touches is one, and no page is copied without.
fn faults(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(7).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_blob_of_any_size_costs_the_faults_of_what_is_read_of_it_and_no_more() {
    const TIMES: u64 = 100;
    let sup = start().await;
    let reader = within(sup.spawn::<Hostile>("reader", ())).await.unwrap();
    let pid = within(reader.pid()).await.unwrap();
    let mut costs = Vec::new();
    for len in [10, 4 << 10, 64 << 10, 128 << 20] {
        let blob = written(len);
        let expected = Ok((len, 0, blob[len - 1]));
        let mut before = 0;
        for time in 0..=TIMES {
            assert_eq!(within(reader.ends(blob.clone())).await, expected);
            // It is let go of before it comes again.
            within(reader.pid()).await.unwrap();
            if time == 0 {
                before = faults(pid);
            }
        }
        costs.push(faults(pid) - before);
    }
    println!("{costs:?} faults");
    // Its first and its last byte, and the tables of pages for them: 128 MiB have 32,768 pages.
    assert!(costs.iter().all(|cost| cost.abs_diff(costs[0]) <= 8 * TIMES), "{costs:?}");
    end(sup).await;
}

#[tokio::test]
async fn whoever_gives_what_is_no_blob_is_killed_and_nobody_else() {
    let sup = start().await;
    let mut events = sup.events();
    let honest = within(sup.spawn::<Hostile>("honest", ())).await.unwrap();
    let blob = written(10_000);
    let hostile = within(sup.spawn::<Hostile>("hostile", ())).await.unwrap();
    let cases = [
        (Gift::Unsealed, "not sealed"),
        (Gift::HalfSealed, "not sealed"),
        (Gift::Short, "5000 bytes of shared memory are not the 10000 that were announced"),
        (Gift::Long, "20000 bytes of shared memory are not the 10000 that were announced"),
        (Gift::Hollow, "not all of the 10000 bytes of shared memory are set aside"),
        (Gift::File, "not shared memory"),
        (Gift::Socket, "not shared memory"),
        (Gift::Nothing, "did not come"),
        (Gift::Two, "several descriptors"),
        (Gift::Unannounced, "descriptors came that were not announced"),
        (Gift::Twice, "the same memory twice"),
        (Gift::Unknown, "memory that it does not have"),
    ];
    for (gift, said) in cases {
        while within(hostile.pid()).await.is_err() {}
        // It has the blob, whose name it may misuse.
        within(hostile.length(blob.clone())).await.unwrap();
        let outcome = within(hostile.give(gift)).await;
        let refused = event(&mut events, |event| matches!(event, Event::Refused { .. })).await;
        let Event::Refused { child, why } = refused else { unreachable!("it was just looked at") };
        assert!(child == "hostile" && why.contains(said), "{gift:?} of {child}: {why}");
        assert!(outcome.is_err(), "{gift:?}: {outcome:?}");
        assert_eq!(within(honest.length(blob.clone())).await, Ok(10_000));
    }
    assert!(is_as_written(&blob));
    end(sup).await;
}

#[tokio::test]
async fn a_process_that_may_have_no_more_is_told_so_and_lives() {
    let sup = start().await;
    let worker = within(sup.spawn::<Hostile>("worker", ())).await.unwrap();
    let pid = within(worker.pid()).await;
    for (what, limit) in [(Limited::Addresses, 1), (Limited::Files, 9_999), (Limited::Descriptors, 3)] {
        let refused = within(worker.make_within(what, limit, 10_000)).await.unwrap_err().to_string();
        assert!(refused.contains("10000 bytes are not to be had for a blob"), "{what:?}: {refused}");
    }
    assert_eq!(within(worker.make_within(Limited::Files, 10_000, 10_000)).await.unwrap().len(), 10_000);
    // A blob that it has no descriptor for costs it one message, and nothing else.
    let blob = written(10_000);
    within(worker.fill_descriptors(true)).await.unwrap();
    for _ in 0..100 {
        let lost = within(worker.length(blob.clone())).await.unwrap_err().to_string();
        assert!(lost.contains("the memory did not get here"), "{lost}");
    }
    within(worker.fill_descriptors(false)).await.unwrap();
    assert_eq!(within(worker.length(blob.clone())).await, Ok(10_000));
    assert_eq!(within(worker.pid()).await, pid);
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_bring_blobs_outlive_the_workers_that_made_them() {
    let sup = start().await;
    let pool = within(sup.task_pool("makers", 2)).await.unwrap();
    let tasks: Vec<_> = (0..600).map(|number| pool.submit(made, number)).collect();
    let mut kills = 0;
    let mut lost = Vec::new();
    for (number, task) in tasks.into_iter().enumerate() {
        match within(task).await {
            Ok(blob) => assert!(blob.len() == 1000 + number && is_as_written(&blob), "task {number}"),
            Err(error) => lost.push(error.to_string()),
        }
        if number % 40 == 20
            && let Some(pid) = pool.workers().await.iter().find_map(|worker| worker.pid)
        {
            processes::system::kill_if_there(pid);
            kills += 1;
        }
    }
    // Each death costs the task that ran, and none that had ended.
    assert!(lost.len() <= kills && lost.iter().all(|error| error.contains("died")), "{kills} kills: {lost:?}");
    assert!(kills > 10, "{kills} kills");
    end(sup).await;
}

/// The proportional share that a process has of all blobs, in bytes.
fn share(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("it is our own");
    let (mut within, mut share) = (false, 0);
    for line in maps.lines() {
        if line.split(' ').next().is_some_and(|head| head.contains('-')) {
            within = line.contains("memfd:procession-memory");
        } else if let Some(kibibytes) = line.strip_prefix("Pss:").filter(|_| within) {
            share += kibibytes.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024;
        }
    }
    share
}

fn available() -> u64 {
    let counts = fs::read_to_string("/proc/meminfo").expect("proc is mounted");
    let line = counts.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("it is told");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test]
async fn a_blob_that_eight_workers_read_is_in_memory_once() {
    // A gibibyte where there are four.
    let len = if available() > 4 << 30 { 1_u64 << 30 } else { 64 << 20 };
    let sup = start().await;
    let mut workers = Vec::new();
    for at in 0..8 {
        workers.push(within(sup.spawn::<Hostile>(format!("reader-{at}"), ())).await.unwrap());
    }
    let mut writer = BlobWriter::with_len(len as usize).unwrap();
    writer.fill(3);
    let blob = writer.finish().unwrap();
    let mut shares = vec![share(std::process::id())];
    for worker in &workers {
        assert_eq!(within(worker.touch(blob.clone())).await, Ok(len / 4096 * 3));
        let pid = within(worker.pid()).await.unwrap();
        shares.push(share(pid));
    }
    let mut shares = vec![share(std::process::id())];
    for worker in &workers {
        shares.push(share(within(worker.pid()).await.unwrap()));
    }
    let total: u64 = shares.iter().sum();
    println!("{} MiB, read by 8 workers, take up {} MiB: {shares:?}", len >> 20, total >> 20);
    assert!(shares[1..].iter().all(|share| *share > len / 20), "each has mapped it: {shares:?}");
    assert!(total < len + len / 20, "{total} bytes for {len}: {shares:?}");
    end(sup).await;
}
