//! What each kind of lock promises.

use super::*;

const A: Peer = Peer { actor: 1, strand: 0 };
const B: Peer = Peer { actor: 2, strand: 0 };
const C: Peer = Peer { actor: 3, strand: 0 };

fn ended(by: Peer) -> Option<Poison<Peer, &'static str>> {
    Some(Poison { by, how: How::Ended("killed") })
}

#[test]
fn a_mutex_is_granted_in_the_order_of_the_requests() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let mut token = w.ask_granted(A, lock, all());
    let waiting: Vec<_> = (2..10).map(|n| (peer(n), w.ask(peer(n), lock, all()))).collect();
    w.assert_silent();
    let mut holder = A;
    for (who, request) in waiting {
        assert!(w.release(holder, token));
        let next = w.granted(request).0;
        assert!(next > token);
        (holder, token) = (who, next);
    }
}

#[test]
fn a_stale_or_foreign_release_is_refused_and_harmless() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let first = w.ask_granted(A, lock, all());
    assert!(!w.release(B, first), "of another actor");
    assert!(w.release(Peer { strand: 9, ..A }, first), "by a task of the same actor");
    assert!(!w.release(A, first), "twice");
    let second = w.ask_granted(B, lock, all());
    assert!(!w.release(A, second) && !w.release(A, first) && !w.release(A, Token(999)));
    let third = w.ask(C, lock, all());
    w.assert_silent();
    assert!(w.release(B, second));
    w.granted(third);
}

#[test]
fn one_name_is_one_lock_of_one_kind() {
    let mut w = World::new();
    let lock = w.open("x", semaphore(3));
    assert_eq!(w.open("x", semaphore(3)), lock);
    for kind in [mutex(), semaphore(4), LockKind::Event] {
        let error = w.table.open("x", &kind, None).unwrap_err();
        assert_eq!(error, Refusal::OtherKind { name: "x".into(), kind: semaphore(3) });
    }
    assert_ne!(w.open("y", mutex()), lock);
    let request = w.ask(A, lock, all());
    assert!(matches!(w.refused(request), Refusal::OtherKind { .. }));
    let request = w.ask(A, LockId(77), all());
    assert_eq!(w.refused(request), Refusal::NoSuchLock);
    assert!(matches!(w.table.condition(lock), Err(Refusal::OtherKind { .. })));
    assert!(matches!(w.table.handle_event_set(w.now, lock, true), Err(Refusal::OtherKind { .. })));
    assert!(matches!(w.table.handle_barrier_reset(w.now, lock), Err(Refusal::OtherKind { .. })));
    for empty in [semaphore(0), LockKind::Barrier { parties: 0 }] {
        assert!(matches!(w.table.open("none", &empty, None), Err(Refusal::NeverFits { .. })));
    }
}

#[test]
fn a_lock_of_the_dead_is_free_at_once_and_the_next_is_told() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    w.ask_granted(A, lock, all());
    let dead = w.ask(B, lock, all());
    let next = w.ask(C, lock, all());
    w.down(B);
    w.down(A);
    let (token, _, poison) = w.granted(next);
    assert_eq!(poison, ended(A));
    assert!(w.release(C, token));
    let after = w.ask(peer(4), lock, all());
    assert_eq!(w.granted(after).2, None, "it is told once");
    assert_ne!(dead, after);
}

#[test]
fn who_dies_waiting_leaves_nothing() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let token = w.ask_granted(A, lock, all());
    w.ask(B, lock, all());
    w.down(B);
    assert!(w.release(A, token));
    let next = w.ask(C, lock, all());
    assert_eq!(w.granted(next).2, None);
    assert!(w.table.requests.is_empty());
    w.down(C);
    assert!(w.table.grants.is_empty());
}

#[test]
fn a_grant_that_nobody_took_hands_on_what_it_was_told() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    w.ask_granted(A, lock, all());
    w.down(A);
    let token = w.ask_granted(B, lock, all());
    w.table.handle_return(w.now, token);
    w.assert_silent();
    let next = w.ask(C, lock, all());
    assert_eq!(w.granted(next).2, ended(A));
    w.table.handle_return(w.now, token);
    w.assert_silent();
}

#[test]
fn a_panic_poisons_and_its_data_is_dropped() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let token = w.ask_granted(A, lock, all());
    assert!(w.table.handle_release(w.now, A, token, Release::Done, Some(7)));
    let token = w.ask_granted(A, lock, all());
    assert!(w.table.handle_release(w.now, A, token, Release::Panicked, Some(8)));
    let next = w.ask(B, lock, all());
    let (_, data, poison) = w.granted(next);
    assert_eq!((data, poison), (Some(7), Some(Poison { by: A, how: How::Panicked })));
}

#[test]
fn data_travels_with_the_grant_and_survives_a_death_unchanged() {
    let mut w = World::new();
    let lock = w.table.open("m", &mutex(), Some(5)).unwrap();
    assert_eq!(w.table.open("m", &mutex(), Some(6)).unwrap(), lock);
    let first = w.ask(A, lock, all());
    let (token, data, _) = w.granted(first);
    assert_eq!(data, Some(5));
    assert!(w.table.handle_release(w.now, A, token, Release::Done, Some(50)));
    w.ask_granted(B, lock, all());
    w.down(B);
    let last = w.ask(C, lock, all());
    assert_eq!(w.granted(last).1, Some(50));
}

#[test]
fn only_a_writer_changes_data_and_only_its_death_poisons() {
    let mut w = World::new();
    let lock = w.open("rw", rwlock());
    let reader = w.ask_granted(A, lock, read());
    w.ask_granted(B, lock, read());
    assert!(w.table.handle_release(w.now, A, reader, Release::Done, Some(1)));
    w.down(B);
    let writer = w.ask(C, lock, all());
    let (_, data, poison) = w.granted(writer);
    assert_eq!((data, poison), (Some(0), None));
    let next = w.ask(A, lock, read());
    w.down(C);
    let (token, _, poison) = w.granted(next);
    assert_eq!(poison, None, "a reader is not told");
    w.release(A, token);
    let next = w.ask(A, lock, all());
    assert_eq!(w.granted(next).2, ended(C), "the next writer is");
}

#[test]
fn neither_writers_nor_readers_starve() {
    let mut w = World::new();
    let lock = w.open("rw", rwlock());
    let first = w.ask_granted(A, lock, read());
    let writer = w.ask(B, lock, all());
    let readers = [w.ask(C, lock, read()), w.ask(peer(4), lock, read())];
    let second = w.ask(peer(5), lock, all());
    w.assert_silent();
    w.release(A, first);
    let token = w.granted(writer).0;
    w.release(B, token);
    let granted = w.answers();
    let [Action::Granted { request: a, token: t1, .. }, Action::Granted { request: b, token: t2, .. }] = &granted[..]
    else {
        panic!("{granted:?}")
    };
    assert_eq!([*a, *b], readers);
    w.release(C, *t1);
    w.release(peer(4), *t2);
    w.granted(second);
}

#[test]
fn small_requests_do_not_overtake_a_large_one() {
    let mut w = World::new();
    let lock = w.open("s", semaphore(4));
    let first = w.ask_granted(A, lock, permits(3));
    let large = w.ask(B, lock, permits(2));
    let small = w.ask(C, lock, permits(1));
    let tried = w.ask(C, lock, Terms { wait: false, ..permits(1) });
    assert_eq!(w.refused(tried), Refusal::WouldBlock, "one is free, and somebody waits before");
    w.table.handle_cancel(w.now, large);
    w.granted(small);
    w.release(A, first);
    w.ask_granted(peer(4), lock, permits(3));
    for (asked, of) in [(5, 4), (0, 4)] {
        let request = w.ask(A, lock, permits(asked));
        assert_eq!(w.refused(request), Refusal::NeverFits { asked, of });
    }
}

#[test]
fn to_try_is_to_be_answered_now() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let attempt = Terms { wait: false, ..all() };
    let token = w.ask_granted(A, lock, attempt);
    let second = w.ask(B, lock, attempt);
    assert_eq!(w.refused(second), Refusal::WouldBlock);
    w.release(A, token);
    w.ask_granted(B, lock, attempt);
}

#[test]
fn a_grant_ends_with_its_lease() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let leased = Terms { lease: Some(50 * MS), ..all() };
    let token = w.ask_granted(A, lock, leased);
    let next = w.ask(B, lock, leased);
    assert_eq!(w.table.poll_timeout(), Some(w.now + 50 * MS));
    w.pass(49 * MS);
    assert!(w.table.is_valid(w.now, lock, token));
    w.pass(MS);
    let (second, _, poison) = w.granted(next);
    assert_eq!(poison, Some(Poison { by: A, how: How::Lapsed }));
    assert!(!w.table.is_valid(w.now, lock, token) && w.table.is_valid(w.now, lock, second));
    assert!(!w.table.handle_release(w.now, A, token, Release::Done, Some(9)), "its write comes too late");
    // A late timer gives no time: any event after it ends the grant first.
    w.now += 60 * MS;
    assert!(!w.release(B, second));
    assert_eq!(w.table.poll_timeout(), None);
}

#[test]
fn a_lease_can_be_renewed_while_it_lasts() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let token = w.ask_granted(A, lock, Terms { lease: Some(50 * MS), ..all() });
    w.pass(40 * MS);
    assert!(w.table.handle_renew(w.now, A, token, Some(50 * MS)));
    assert!(!w.table.handle_renew(w.now, B, token, None));
    w.pass(40 * MS);
    assert!(w.table.is_valid(w.now, lock, token));
    assert!(w.table.handle_renew(w.now, A, token, None));
    assert_eq!(w.table.poll_timeout(), None);
    w.pass(1000 * MS);
    assert!(w.release(A, token));
    assert!(!w.table.handle_renew(w.now, A, token, Some(MS)));
}

#[test]
fn an_event_lets_all_go_until_it_is_cleared() {
    let mut w = World::new();
    let event = w.open("e", LockKind::Event);
    let wait = |w: &mut World, who| {
        let request = w.number();
        w.table.handle_event_wait(w.now, who, request, event);
        request
    };
    let (a, b) = (wait(&mut w, A), wait(&mut w, B));
    let gone = wait(&mut w, C);
    w.table.handle_cancel(w.now, gone);
    w.assert_silent();
    assert_eq!(w.table.handle_event_set(w.now, event, true), Ok(false));
    assert_eq!(w.answers(), [Action::Opened { request: a }, Action::Opened { request: b }]);
    let later = wait(&mut w, A);
    assert_eq!(w.answers(), [Action::Opened { request: later }]);
    assert_eq!(w.table.handle_event_set(w.now, event, false), Ok(true));
    assert_eq!(w.table.event_is_set(event), Ok(false));
    wait(&mut w, A);
    w.assert_silent();
}

/// A mutex, a condition of it, and two that wait for it.
fn two_that_wait() -> (World, LockId, ConditionId, [Request; 2]) {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    let condition = w.table.condition(lock).unwrap();
    let waits = [A, B].map(|who| {
        let token = w.ask_granted(who, lock, all());
        let request = w.number();
        w.table.handle_wait(w.now, who, request, (lock, condition), token, None);
        w.assert_silent();
        request
    });
    (w, lock, condition, waits)
}

#[test]
fn a_wait_releases_the_mutex_and_ends_with_it() {
    let (mut w, lock, condition, [a, b]) = two_that_wait();
    let token = w.ask_granted(C, lock, all());
    assert_eq!(w.table.handle_notify(w.now, lock, condition, false), Ok(1));
    w.assert_silent();
    assert!(w.table.handle_release(w.now, C, token, Release::Done, Some(3)));
    let (token, data, _) = w.granted(a);
    assert_eq!(data, Some(3));
    assert_eq!(w.table.handle_notify(w.now, lock, condition, true), Ok(1));
    assert_eq!(w.table.handle_notify(w.now, lock, condition, true), Ok(0));
    w.down(A);
    assert_eq!(w.granted(b).2, ended(A), "it ends as poisoned as the mutex is");
    let request = w.number();
    w.table.handle_wait(w.now, A, request, (lock, condition), token, None);
    assert_eq!(w.refused(request), Refusal::Stale);
}

#[test]
fn a_notification_of_one_is_never_lost() {
    for loss in ["cancelled in line", "dead in line", "granted and returned"] {
        let (mut w, lock, condition, [a, b]) = two_that_wait();
        let token = w.ask_granted(C, lock, all());
        w.table.handle_notify(w.now, lock, condition, false).unwrap();
        if loss == "granted and returned" {
            w.release(C, token);
            let token = w.granted(a).0;
            w.table.handle_return(w.now, token);
        } else {
            if loss == "dead in line" {
                w.down(A)
            } else {
                w.table.handle_cancel(w.now, a)
            }
            w.release(C, token);
        }
        w.granted(b);
    }
}

struct Meeting {
    w: World,
    barrier: LockId,
}

impl Meeting {
    fn of(parties: u32) -> Self {
        let mut w = World::new();
        let barrier = w.open("b", LockKind::Barrier { parties });
        Self { w, barrier }
    }

    fn come(&mut self, who: Peer) -> Request {
        let request = self.w.number();
        self.w.table.handle_barrier_wait(self.w.now, who, request, self.barrier);
        request
    }

    fn refused_all(&mut self, guests: &[Request], why: &Breach<Peer, &'static str>) {
        let expected: Vec<Deed> =
            guests.iter().map(|&request| Action::Refused { request, why: Refusal::Broken(why.clone()) }).collect();
        assert_eq!(self.w.answers(), expected);
    }
}

#[test]
fn a_barrier_opens_for_all_at_once_again_and_again() {
    let mut m = Meeting::of(3);
    for _ in 0..3 {
        let guests = [m.come(A), m.come(B)];
        m.w.assert_silent();
        let last = m.come(C);
        let passed = [(guests[0], 0), (guests[1], 1), (last, 2)];
        assert_eq!(m.w.answers(), passed.map(|(request, before)| Action::Passed { request, before }));
    }
}

#[test]
fn a_barrier_breaks_when_one_that_waits_dies_or_leaves_and_until_it_is_reset() {
    for dies in [true, false] {
        let mut m = Meeting::of(3);
        let (a, b) = (m.come(A), m.come(B));
        let breach = if dies {
            m.w.down(B);
            Breach::Ended(B, "killed")
        } else {
            m.w.table.handle_cancel(m.w.now, b);
            Breach::Left(B)
        };
        m.refused_all(&[a], &breach);
        let c = m.come(C);
        m.refused_all(&[c], &breach);
        m.w.table.handle_barrier_reset(m.w.now, m.barrier).unwrap();
        m.come(A);
        m.w.assert_silent();
    }
    let mut m = Meeting::of(2);
    let a = m.come(A);
    m.w.table.handle_barrier_reset(m.w.now, m.barrier).unwrap();
    m.refused_all(&[a], &Breach::Reset);
}

#[test]
fn a_barrier_breaks_when_one_that_took_part_is_killed_between_two_meetings() {
    for abruptly in [true, false] {
        let mut m = Meeting::of(2);
        m.come(A);
        m.come(B);
        m.w.answers();
        let a = m.come(A);
        m.w.table.handle_down(m.w.now, B, &"end", abruptly);
        if abruptly {
            m.refused_all(&[a], &Breach::Ended(B, "end"));
        } else {
            m.w.assert_silent();
        }
    }
}

#[test]
fn a_snapshot_shows_holders_places_and_ages() {
    let mut w = World::new();
    let lock = w.open("printer", mutex());
    w.open("other", LockKind::Event);
    let token = w.ask_granted(A, lock, Terms { lease: Some(100 * MS), ..all() });
    w.pass(10 * MS);
    w.ask(B, lock, all());
    w.pass(10 * MS);
    w.ask(C, lock, all());
    w.pass(10 * MS);
    let seen = w.table.snapshot(w.now);
    assert_eq!(seen.len(), 2);
    let printer = &seen[0];
    assert_eq!((&*printer.name, &printer.kind), ("printer", &mutex()));
    let [holder] = &printer.holders[..] else { panic!("{printer:?}") };
    assert_eq!((holder.who, holder.token, holder.held, holder.lease), (A, token, 30 * MS, Some(70 * MS)));
    let waiting: Vec<_> = printer.waiting.iter().map(|wait| (wait.who, wait.waited)).collect();
    assert_eq!(waiting, [(B, 20 * MS), (C, 10 * MS)]);
}

#[test]
fn whoever_holds_or_waits_is_watched_and_who_does_not_is_forgotten() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    for strand in 0..3 {
        w.ask(Peer { strand, ..A }, lock, all());
    }
    let mut watched = Vec::new();
    while let Some(deed) = w.table.poll_action() {
        match deed {
            Action::Watch(who) => watched.push(who.strand),
            Action::Granted { token, .. } => assert!(w.release(A, token)),
            _ => {}
        }
    }
    assert_eq!(watched, [0, 1, 2]);
    assert!(w.table.parties.is_empty());
}

#[test]
fn all_strands_of_an_incarnation_end_at_once() {
    let mut w = World::new();
    let lock = w.open("m", mutex());
    w.ask_granted(Peer { strand: 1, ..A }, lock, all());
    w.ask(Peer { strand: 2, ..A }, lock, all());
    let next = w.ask(B, lock, all());
    w.down(A);
    assert_eq!(w.granted(next).2, ended(Peer { strand: 1, ..A }));
}
