use super::*;

#[test]
fn an_item_is_out_until_it_is_acknowledged_once() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1]);
    let handed = queue.take(2, 5);
    assert_eq!((handed.attempt, queue.ledger.status().out), (1, 1));
    assert!(queue.ledger.handle_acknowledged(queue.now, handed.at));
    assert!(!queue.ledger.handle_acknowledged(queue.now, handed.at), "twice");
    assert!(!queue.ledger.handle_refused(queue.now, handed.at, true), "late");
    assert_eq!((queue.ledger.status().out, queue.rest()), (0, vec![]));
}

#[test]
fn a_party_is_watched_from_its_first_item_to_its_last() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1, 2]);
    assert_eq!(queue.receive(2, 5, 1)[0], Action::Watch(5));
    let second = queue.receive(3, 5, 1);
    let [Action::Deliver { items, .. }] = &second[..] else { panic!("{second:?}") };
    let ticket = |place| Ticket { place, delivery: place };
    assert_eq!(items[0].at, ticket(1));
    assert_eq!(queue.after(|ledger, now| assert!(ledger.handle_acknowledged(now, ticket(0)))), []);
    let last = queue.after(|ledger, now| assert!(ledger.handle_acknowledged(now, ticket(1))));
    assert_eq!(last, [Action::Unwatch(5)]);
}

#[test]
fn what_a_dead_party_had_comes_back_before_what_was_sent_later() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1, 2, 3, 4]);
    queue.take(2, 5);
    queue.take(3, 6);
    queue.take(4, 5);
    assert_eq!(queue.after(|ledger, now| ledger.handle_down(now, 5)), [Action::Unwatch(5)]);
    assert_eq!(queue.rest(), [1, 3, 4]);
    assert_eq!(queue.ledger.status().out, 4);
}

#[test]
fn a_late_word_on_an_earlier_delivery_is_not_about_the_present_one() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1]);
    let first = queue.take(2, 5);
    queue.after(|ledger, now| ledger.handle_not_received(now, first.at));
    let second = queue.take(3, 6);
    assert_eq!((first.attempt, second.attempt), (1, 1), "nobody had it: that did not count");
    assert!(!queue.ledger.handle_acknowledged(queue.now, first.at));
    queue.after(|ledger, now| ledger.handle_not_received(now, first.at));
    assert_eq!(queue.ledger.taker(second.at), Some(6));
}

#[test]
fn an_item_that_is_never_acknowledged_is_a_dead_letter_after_so_many_deliveries() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1, 2]);
    for attempt in 1..=3 {
        let handed = queue.take(2, 5);
        assert_eq!((handed.item, handed.attempt), (1, attempt));
        let actions = match attempt {
            1 => queue.after(|ledger, now| assert!(ledger.handle_refused(now, handed.at, true))),
            _ => queue.after(|ledger, now| ledger.handle_down(now, 5)),
        };
        let dead = actions.contains(&Action::DeadLetter { why: DeadReason::Unacknowledged });
        assert_eq!(dead, attempt == 3);
    }
    assert_eq!((queue.rest(), queue.letters()), (vec![2], vec![(1, DeadReason::Unacknowledged)]));
}

#[test]
fn an_item_that_its_receiver_cannot_read_is_a_dead_letter_at_once() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1]);
    let handed = queue.take(2, 5);
    let actions = queue.after(|ledger, now| assert!(ledger.handle_refused(now, handed.at, false)));
    assert!(actions.contains(&Action::DeadLetter { why: DeadReason::Undecodable }));
    assert_eq!(queue.letters(), [(1, DeadReason::Undecodable)]);
}

#[test]
fn an_item_that_is_kept_for_too_long_comes_back() {
    let mut terms = acknowledged(8, 2);
    terms.acknowledged = terms.acknowledged.map(|terms| Acknowledged { within: Some(10 * MS), ..terms });
    let mut queue = Queue::new(terms);
    queue.send(1, &[1, 2]);
    let first = queue.take(2, 5);
    queue.now += 4 * MS;
    let second = queue.take(3, 5);
    assert_eq!(queue.ledger.poll_timeout(), Some(queue.now + 6 * MS));
    queue.now += 6 * MS;
    queue.after(|ledger, now| ledger.handle_timeout(now));
    assert!(!queue.ledger.handle_acknowledged(queue.now, first.at), "too late");
    assert!(queue.ledger.handle_acknowledged(queue.now, second.at));
    assert_eq!((queue.ledger.poll_timeout(), queue.rest()), (None, vec![1]));
    queue.now += 10 * MS;
    queue.after(|ledger, now| ledger.handle_timeout(now));
    assert_eq!(queue.letters(), [(1, DeadReason::Unacknowledged)]);
}

#[test]
fn a_receiver_waits_while_too_much_is_out() {
    let mut queue = Queue::new(acknowledged(2, 3));
    queue.send(1, &[1, 2]);
    let first = queue.take(2, 5);
    queue.take(3, 5);
    queue.send(4, &[3]);
    assert_eq!(queue.try_receive(5, 1), [Action::Empty { call: 5 }]);
    assert_eq!(queue.receive(6, 5, 1), []);
    let actions = queue.after(|ledger, now| assert!(ledger.handle_acknowledged(now, first.at)));
    assert_eq!(delivered(&actions), [(6, vec![3])]);
}

#[test]
fn the_end_waits_for_what_is_out() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1]);
    let handed = queue.take(2, 5);
    queue.after(|ledger, now| ledger.handle_no_senders(now));
    assert_eq!(queue.receive(3, 6, 1), []);
    let actions = queue.after(|ledger, now| ledger.handle_down(now, 5));
    assert_eq!(delivered(&actions), [(3, vec![handed.item])]);
    assert_eq!(queue.receive(4, 7, 1), []);
    let ticket = Ticket { place: 0, delivery: 1 };
    let actions = queue.after(|ledger, now| assert!(ledger.handle_acknowledged(now, ticket)));
    assert!(actions.contains(&Action::End { call: 4 }));
}

#[test]
fn join_waits_for_acknowledgement_and_a_dead_letter_is_done() {
    let mut queue = Queue::new(acknowledged(8, 1));
    queue.send(1, &[1, 2]);
    let first = queue.take(2, 5);
    queue.take(3, 6);
    assert_eq!(queue.after(|ledger, now| ledger.handle_join(now, 4)), []);
    queue.after(|ledger, now| assert!(ledger.handle_acknowledged(now, first.at)));
    assert!(queue.after(|ledger, now| ledger.handle_down(now, 6)).contains(&Action::Joined { call: 4 }));
}
