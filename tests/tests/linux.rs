//! What only Linux has to be seen of a worker: its group, its name, its descriptors, and the signals that are sent to it.
//!
//! What stands for it on Windows (jobs, lists of handles) the leaf's own tests show, in spawn-windows/tests/windows.rs.
#![cfg(target_os = "linux")]

mod life;

// The root of a test crate is not a `mod.rs`: its parts say where they are.
#[path = "linux/flood.rs"]
mod flood;

use std::path::Path;

use life::probe::{Plan, Probe, ProbeApi};
use life::system::{self, Process, is_any_alive, living};
use life::{alone, eventually, quiet};

procession::test_workers!();

fn kind(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.split(['[', ':']).next().map_or_else(String::new, |head| match head {
        "anon_inode" => text.trim_start_matches("anon_inode:").trim_matches(['[', ']']).to_owned(),
        head => head.to_owned(),
    })
}

#[test]
fn a_worker_has_the_descriptors_it_needs_and_inherits_no_other() {
    alone(|| async {
        // What careless code opens: without close-on-exec.
        let (_reader, _writer) = rustix::pipe::pipe()?;
        let file = tempfile::tempfile()?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let descriptors = system::descriptors(probe.pid().await?);
        let standard: Vec<_> = descriptors.iter().take(3).map(|(number, path)| (*number, kind(path))).collect();
        let want = [(0, "/dev/null"), (1, "pipe"), (2, "pipe")];
        assert_eq!(standard, want.map(|(number, kind)| (number, kind.to_owned())));
        let mut others: Vec<_> = descriptors.iter().skip(3).map(|(_, path)| kind(path)).collect();
        others.sort();
        // The stream; what tokio has for its reactor (an epoll, its double for registrations, an event) and for the signals of
        // the process (a socket pair, one end twice).
        let want = ["eventfd", "eventpoll", "eventpoll", "socket", "socket", "socket", "socket"];
        assert_eq!(others, want, "{descriptors:?}");
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_worker_that_waits_has_no_thread_but_its_actors() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let threads = std::fs::read_dir(format!("/proc/{}/task", probe.pid().await?))?;
        // The worker of a test crate is in a thread of the test harness.
        assert_eq!(threads.count(), 2);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_worker_leads_a_group_of_its_own_and_bears_the_actors_name() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("counter-of-sheep", Plan::default()).await?;
        let pid = probe.pid().await?;
        let seen = living(pid);
        assert_eq!((seen.group, seen.parent), (pid, std::process::id()));
        assert_eq!(seen.name, "counter-of-shee", "as much of it as the system shows");
        let guardian = system::guardian(std::process::id()).expect("there is one");
        eventually("it is out of the way of signals to a group", || {
            Process::open(guardian.pid).is_some_and(|seen| seen.group == seen.pid && seen.name == "guardian")
        })
        .await;
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn grandchildren_are_in_the_workers_group_and_die_at_a_signal_that_ends_it() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let worker = living(probe.pid().await?);
        let grandchildren = [probe.grandchild(false).await?, probe.grandchild(true).await?].map(living);
        assert!(grandchildren.iter().all(|seen| seen.group == worker.pid), "{grandchildren:?}");
        system::send(worker.pid, rustix::process::Signal::TERM);
        eventually("they are dead", || !is_any_alive(&grandchildren)).await;
        eventually("so is the worker", || !worker.is_alive()).await;
        sup.shutdown().await?;
        Ok(())
    });
}
