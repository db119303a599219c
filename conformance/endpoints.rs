//! Streams that another program of the same user asks for by name.

use std::io::{self, ErrorKind};
use std::process;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::harness::{PATIENCE, Role, Test, all_die, block_on, enter, linger, living, plain, say, start, tests};
use super::leaf::{Connection, Listener};
use super::system;

pub(super) const TESTS: &[Test] = tests![
    another_program_connects_by_name_and_both_know_the_user,
    much_goes_both_ways_at_once,
    a_peer_that_is_gone_is_the_end,
    what_was_sent_before_the_end_arrives,
    many_connections_are_accepted_in_turn,
    a_connection_that_ends_at_once_does_not_stop_the_listener,
    a_name_that_nobody_listens_on_is_told,
    what_is_no_name_is_refused_with_its_mend,
    a_name_that_is_taken_is_refused_while_its_listener_lives,
    the_name_of_a_dropped_listener_is_free,
    the_name_of_a_killed_listener_is_free,
    an_accept_that_is_given_up_loses_nobody,
    a_listener_leaves_nothing,
];

pub(super) const ROLES: &[Role] = &[
    // A program that nobody here watches: it connects, and says who it is and whom it sees.
    ("attach", |args| {
        block_on(async {
            let mut connection = Connection::connect(&args[0]).await.unwrap();
            let line = format!("{} {}\n", process::id(), connection.credentials().user);
            connection.write_all(line.as_bytes()).await.unwrap();
            assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
        });
    }),
    ("listen", |args| {
        let stream = enter(args);
        block_on(async {
            let listener = Listener::bind(&args[1]);
            say(&stream, listener.is_ok());
            linger(&stream);
        });
    }),
];

/// A name for this test alone.
fn name(what: &str) -> String {
    format!("test-{what}-{}", process::id())
}

/// Both ends of a stream.
async fn pair(listener: &Listener, name: &str) -> (Connection, Connection) {
    let (ours, theirs) = tokio::join!(listener.accept(), Connection::connect(name));
    (ours.unwrap(), theirs.unwrap())
}

async fn line(connection: &mut Connection) -> String {
    let mut line = Vec::new();
    loop {
        match connection.read_u8().await.unwrap() {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

fn another_program_connects_by_name_and_both_know_the_user() {
    block_on(async {
        let name = name("attach");
        let listener = Listener::bind(&name).unwrap();
        let mut program = plain("attach", &[&name]);
        let mut connection = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let peer = connection.credentials().clone();
        assert_eq!(peer.user, system::user());
        assert_eq!(peer.pid, Some(program.id()));
        assert_eq!(line(&mut connection).await, format!("{} {}", program.id(), system::user()));
        drop(connection);
        // On some systems the end is told at the next turn of the driver.
        let ended = tokio::task::spawn_blocking(move || program.wait());
        assert!(timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap().success());
    });
}

fn much_goes_both_ways_at_once() {
    const MUCH: usize = 1_000_000;
    async fn exchange(connection: Connection) {
        let (mut reader, mut writer) = tokio::io::split(connection);
        let bytes: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
        let mut read = vec![0; MUCH];
        let (written, got) = tokio::join!(writer.write_all(&bytes), reader.read_exact(&mut read));
        written.unwrap();
        got.unwrap();
        assert!(read == bytes);
    }
    block_on(async {
        let name = name("much");
        let listener = Listener::bind(&name).unwrap();
        let (ours, theirs) = pair(&listener, &name).await;
        tokio::join!(exchange(ours), exchange(theirs));
    });
}

fn a_peer_that_is_gone_is_the_end() {
    for listener_goes in [true, false] {
        block_on(async {
            let name = name("gone");
            let listener = Listener::bind(&name).unwrap();
            let (ours, theirs) = pair(&listener, &name).await;
            let (goes, mut stays) = if listener_goes { (ours, theirs) } else { (theirs, ours) };
            stays.write_all(b"never read").await.unwrap();
            drop(goes);
            assert_eq!(timeout(PATIENCE, stays.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
            let broken = loop {
                // What the system takes before it knows is lost.
                if let Err(error) = stays.write_all(b"anybody?").await {
                    break error;
                }
            };
            assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
        });
    }
}

fn what_was_sent_before_the_end_arrives() {
    block_on(async {
        let name = name("last-words");
        let listener = Listener::bind(&name).unwrap();
        for listener_speaks in [true, false] {
            let (ours, theirs) = pair(&listener, &name).await;
            let (mut speaks, mut hears) = if listener_speaks { (ours, theirs) } else { (theirs, ours) };
            speaks.write_all(b"last words").await.unwrap();
            speaks.shutdown().await.unwrap();
            drop(speaks);
            let mut heard = Vec::new();
            timeout(PATIENCE, hears.read_to_end(&mut heard)).await.unwrap().unwrap();
            assert_eq!(heard, b"last words");
        }
    });
}

fn many_connections_are_accepted_in_turn() {
    block_on(async {
        let name = name("many");
        let listener = Listener::bind(&name).unwrap();
        let connecting: Vec<_> = (0..20_u8)
            .map(|number| {
                let name = name.clone();
                tokio::spawn(async move {
                    let mut connection = Connection::connect(&name).await.unwrap();
                    connection.write_all(&[number]).await.unwrap();
                    connection.read_u8().await.unwrap()
                })
            })
            .collect();
        let mut accepted = Vec::new();
        for _ in 0..20 {
            let mut connection = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            let number = connection.read_u8().await.unwrap();
            connection.write_all(&[number]).await.unwrap();
            accepted.push(connection);
        }
        for (number, connecting) in connecting.into_iter().enumerate() {
            assert_eq!(usize::from(connecting.await.unwrap()), number);
        }
    });
}

fn a_connection_that_ends_at_once_does_not_stop_the_listener() {
    block_on(async {
        let name = name("at-once");
        let listener = Listener::bind(&name).unwrap();
        for _ in 0..5 {
            drop(Connection::connect(&name).await.unwrap());
            let staying = async {
                let mut connection = Connection::connect(&name).await.unwrap();
                connection.write_all(b"!").await.unwrap();
                connection
            };
            let accepting = async {
                loop {
                    let mut connection = listener.accept().await.unwrap();
                    if connection.read(&mut [0]).await.unwrap() == 1 {
                        return connection;
                    }
                }
            };
            timeout(PATIENCE, async { tokio::join!(staying, accepting) }).await.unwrap();
        }
    });
}

fn a_name_that_nobody_listens_on_is_told() {
    block_on(async {
        let name = name("nobody");
        let nobody = Connection::connect(&name).await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::NotFound);
        assert!(nobody.to_string().contains(&name), "{nobody}");
    });
}

fn what_is_no_name_is_refused_with_its_mend() {
    block_on(async {
        for name in ["", "Upper", "a/b", "..", "a\\b", "a b", &"x".repeat(65)] {
            let refused = [Listener::bind(name).unwrap_err(), Connection::connect(name).await.unwrap_err()];
            for refused in refused {
                assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
                assert!(refused.to_string().contains("1 to 64 of a-z, 0-9 and '-'"), "{refused}");
            }
        }
        drop(Listener::bind(&"x".repeat(64)).unwrap());
    });
}

/// Whether a second listener of the same name is refused.
fn is_taken(second: io::Result<Listener>) -> bool {
    match second {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
            assert!(error.to_string().contains("a living process listens"), "{error}");
            true
        }
        Ok(_) => false,
    }
}

/// Wine does not know that only the first may have a name: there the second is let in, which is all that can be shown.
fn a_name_that_is_taken_is_refused_while_its_listener_lives() {
    let name = name("taken");
    let elsewhere = start("listen", &[&name]);
    assert_eq!(elsewhere.line(), "true");
    block_on(async {
        assert_eq!(is_taken(Listener::bind(&name)), system::keeps_names());
        let name = format!("{name}-here");
        let listener = Listener::bind(&name).unwrap();
        assert_eq!(is_taken(Listener::bind(&name)), system::keeps_names());
        // And it is none the worse for it.
        pair(&listener, &name).await;
    });
    elsewhere.stream.shutdown().unwrap();
    elsewhere.ended();
}

fn the_name_of_a_dropped_listener_is_free() {
    block_on(async {
        let name = name("dropped");
        for _ in 0..3 {
            let listener = timeout(PATIENCE, bound(&name)).await.unwrap();
            pair(&listener, &name).await;
        }
        drop(timeout(PATIENCE, bound(&name)).await.unwrap());
        let told = async {
            while Connection::connect(&name).await.map_err(|error| error.kind()).err() != Some(ErrorKind::NotFound) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, told).await.unwrap();
    });
}

/// On some systems a listener that was dropped is gone at the next turn of the driver.
async fn bound(name: &str) -> Listener {
    loop {
        match Listener::bind(name) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => tokio::task::yield_now().await,
            bound => return bound.unwrap(),
        }
    }
}

fn the_name_of_a_killed_listener_is_free() {
    let name = name("killed");
    let worker = start("listen", &[&name]);
    assert_eq!(worker.line(), "true");
    let process = living(worker.child.pid());
    block_on(async { drop(Connection::connect(&name).await.unwrap()) });
    worker.child.kill();
    worker.ended();
    all_die(&[process]);
    block_on(async {
        assert_eq!(Connection::connect(&name).await.unwrap_err().kind(), ErrorKind::NotFound);
        let listener = Listener::bind(&name).unwrap();
        pair(&listener, &name).await;
    });
}

fn an_accept_that_is_given_up_loses_nobody() {
    block_on(async {
        let name = name("given-up");
        let listener = Listener::bind(&name).unwrap();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(5), listener.accept()).await.is_err());
        }
        let (mut ours, mut theirs) = pair(&listener, &name).await;
        theirs.write_all(b"!").await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), b'!');
    });
}

fn a_listener_leaves_nothing() {
    async fn round(name: &str) {
        let listener = bound(name).await;
        for _ in 0..10 {
            let (mut ours, mut theirs) = pair(&listener, name).await;
            theirs.write_all(b"!").await.unwrap();
            ours.read_u8().await.unwrap();
            drop(theirs);
            assert_eq!(ours.read(&mut [0]).await.unwrap(), 0);
        }
    }
    let name = name("nothing");
    // The first brings what the process keeps.
    block_on(round(&name));
    let before = system::open_handles();
    for _ in 0..3 {
        block_on(round(&name));
    }
    super::harness::eventually("they are as many as they were", || system::open_handles() <= before + 3);
    assert!(!system::is_listed(&name));
}
