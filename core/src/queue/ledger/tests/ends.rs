use super::*;

#[test]
fn after_the_last_sender_what_is_there_is_received_and_then_the_end_for_ever() {
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1, 2]);
    assert_eq!(queue.after(|ledger, now| ledger.handle_no_senders(now)), []);
    assert_eq!(delivered(&queue.receive(2, 0, 1)), [(2, vec![1])]);
    assert_eq!(delivered(&queue.receive(3, 0, 1)), [(3, vec![2])]);
    for call in 4..10 {
        assert_eq!(queue.receive(call, 0, 1), [Action::End { call }]);
        assert_eq!(queue.try_receive(call, 1), [Action::End { call }]);
    }
    assert_eq!(queue.send(10, &[3]), [closed(10, 0)]);
}

#[test]
fn every_receiver_that_waits_sees_the_end() {
    let mut queue = Queue::new(plain(8));
    (1..4).for_each(|call| assert_eq!(queue.receive(call, 0, 1), []));
    let ends = queue.after(|ledger, now| ledger.handle_no_senders(now));
    assert_eq!(ends, [1, 2, 3].map(|call| Action::End { call }));
}

#[test]
fn a_closed_queue_takes_nothing_and_is_received_to_its_end() {
    let mut queue = Queue::new(plain(2));
    queue.send(1, &[1, 2, 3, 4]);
    queue.send(2, &[5]);
    assert_eq!(queue.after(|ledger, now| ledger.handle_close(now)), [closed(1, 2), closed(2, 0)]);
    assert_eq!((queue.send(3, &[6]), queue.try_send(4, 7)), (vec![closed(3, 0)], vec![closed(4, 0)]));
    assert_eq!(queue.rest(), [1, 2]);
    assert_eq!(queue.receive(5, 0, 1), [Action::End { call: 5 }]);
}

#[test]
fn without_a_receiver_senders_are_refused_and_what_is_queued_is_dead() {
    let mut queue = Queue::new(plain(2));
    queue.send(1, &[1, 2, 3]);
    let actions = queue.after(|ledger, now| ledger.handle_no_receivers(now));
    let dead = Action::DeadLetter { why: DeadReason::NoReceiver };
    assert_eq!(actions, [closed(1, 2), dead.clone(), dead]);
    assert_eq!(queue.send(2, &[4]), [closed(2, 0)]);
    assert_eq!(queue.letters(), [(1, DeadReason::NoReceiver), (2, DeadReason::NoReceiver)]);
}

#[test]
fn without_a_receiver_what_was_out_is_dead_too() {
    let mut queue = Queue::new(acknowledged(8, 3));
    queue.send(1, &[1, 2]);
    let handed = queue.take(2, 5);
    let actions = queue.after(|ledger, now| ledger.handle_no_receivers(now));
    assert!(actions.contains(&Action::Unwatch(5)));
    assert_eq!(queue.letters(), [(1, DeadReason::NoReceiver), (2, DeadReason::NoReceiver)]);
    assert!(!queue.ledger.handle_acknowledged(queue.now, handed.at));
}

#[test]
fn what_comes_back_after_the_end_is_received_by_whoever_asks() {
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1]);
    let handed = queue.take(2, 0);
    queue.after(|ledger, now| ledger.handle_no_senders(now));
    queue.after(|ledger, now| ledger.handle_returned(now, handed.at.place, handed.attempt, handed.item, size(1)));
    assert_eq!(queue.rest(), [1]);
    assert_eq!(queue.receive(3, 0, 1), [Action::End { call: 3 }]);
}

#[test]
fn the_oldest_dead_letters_make_room_for_newer_ones() {
    let mut queue = Queue::new(Terms { letters: bounds(2, 100), ..plain(8) });
    queue.send(1, &[1, 2, 3, 4]);
    queue.after(|ledger, now| ledger.handle_no_receivers(now));
    let status = queue.ledger.status();
    assert_eq!((status.letters, status.letters_lost), (2, 2));
    assert_eq!(queue.letters(), [(3, DeadReason::NoReceiver), (4, DeadReason::NoReceiver)]);
}

#[test]
fn letters_that_reached_nobody_are_put_back_in_order() {
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1, 2, 3]);
    queue.after(|ledger, now| ledger.handle_no_receivers(now));
    let taken = queue.ledger.take_letters(up_to(2));
    assert_eq!(taken.len(), 2);
    queue.ledger.put_back_letters(taken);
    assert_eq!(queue.letters().into_iter().map(|(item, _)| item).collect::<Vec<_>>(), [1, 2, 3]);
}
