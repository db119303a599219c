use super::*;

#[test]
fn items_are_received_in_the_order_in_which_they_were_sent() {
    let mut queue = Queue::new(plain(8));
    assert_eq!(queue.send(1, &[10, 11]), [Action::Sent { call: 1 }]);
    assert_eq!(queue.send(2, &[12]), [Action::Sent { call: 2 }]);
    assert_eq!(delivered(&queue.receive(3, 0, 2)), [(3, vec![10, 11])]);
    assert_eq!(delivered(&queue.receive(4, 0, 9)), [(4, vec![12])]);
}

#[test]
fn a_sender_waits_while_the_queue_is_full_and_goes_on_as_there_is_room() {
    let mut queue = Queue::new(plain(2));
    assert_eq!(queue.send(1, &[1, 2, 3]), []);
    assert_eq!(queue.send(2, &[4]), []);
    let actions = queue.receive(3, 0, 1);
    assert_eq!(delivered(&actions), [(3, vec![1])]);
    assert!(actions.contains(&Action::Sent { call: 1 }) && !actions.contains(&Action::Sent { call: 2 }));
    assert!(queue.receive(4, 0, 1).contains(&Action::Sent { call: 2 }));
    assert_eq!(queue.rest(), [3, 4]);
}

#[test]
fn try_send_says_full_also_where_another_sender_comes_first() {
    let mut queue = Queue::new(plain(1));
    assert_eq!(queue.try_send(1, 1), [Action::Sent { call: 1 }]);
    assert_eq!(queue.try_send(2, 2), [full(2)]);
    // The one in the line is too large to come beside the first; a small one would fit, and does not overtake.
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1]);
    assert_eq!(queue.send_sized(2, 2, 1000), []);
    assert_eq!(queue.try_send(3, 3), [full(3)]);
    assert_eq!(queue.send(4, &[4]), []);
}

#[test]
fn an_item_larger_than_the_queue_passes_alone() {
    let mut queue = Queue::new(plain(8));
    assert_eq!(queue.send_sized(1, 1, 4000), [Action::Sent { call: 1 }]);
    assert_eq!(queue.try_send(2, 2), [full(2)]);
    assert_eq!(queue.rest(), [1]);
    assert_eq!(queue.try_send(3, 3), [Action::Sent { call: 3 }]);
}

#[test]
fn receivers_are_served_in_the_order_in_which_they_came() {
    let mut queue = Queue::new(plain(8));
    assert_eq!(queue.receive(1, 0, 1), []);
    assert_eq!(queue.receive(2, 1, 5), []);
    assert_eq!(queue.receive(3, 2, 1), []);
    assert_eq!(delivered(&queue.send(4, &[1, 2, 3, 4])), [(1, vec![1]), (2, vec![2, 3, 4])]);
    assert_eq!(delivered(&queue.send(5, &[5])), [(3, vec![5])]);
}

#[test]
fn the_turn_of_a_receiver_that_is_gone_is_the_next_ones() {
    let mut queue = Queue::new(plain(8));
    queue.receive(1, 0, 1);
    queue.receive(2, 1, 1);
    assert_eq!(queue.after(|ledger, now| ledger.handle_gone(now, 1)), []);
    assert_eq!(delivered(&queue.send(3, &[7])), [(2, vec![7])]);
}

#[test]
fn what_a_gone_sender_had_not_got_in_is_withdrawn_and_the_next_one_goes_on() {
    let mut queue = Queue::new(plain(2));
    queue.send(1, &[1, 2, 3]);
    queue.send(2, &[4]);
    assert_eq!(queue.after(|ledger, now| ledger.handle_gone(now, 1)), []);
    let actions = queue.receive(3, 0, 1);
    assert!(actions.contains(&Action::Sent { call: 2 }), "{actions:?}");
    assert_eq!(queue.rest(), [2, 4]);
}

#[test]
fn an_item_that_reached_nobody_comes_back_to_its_place() {
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1, 2, 3, 4]);
    let (first, second) = (queue.take(2, 0), queue.take(3, 1));
    for handed in [second, first] {
        let back = queue.after(|ledger, now| {
            ledger.handle_returned(now, handed.at.place, handed.attempt, handed.item, size(1));
        });
        assert_eq!(back, []);
    }
    assert_eq!(queue.rest(), [1, 2, 3, 4]);
}

#[test]
fn an_item_that_was_never_given_cannot_come_back() {
    let mut queue = Queue::new(plain(8));
    queue.send(1, &[1, 2]);
    for place in [0, 1, 2, u64::MAX] {
        queue.after(|ledger, now| ledger.handle_returned(now, place, 1, 66, size(1)));
    }
    assert_eq!(queue.rest(), [1, 2]);
}

#[test]
fn try_receive_says_empty_and_does_not_wait() {
    let mut queue = Queue::new(plain(8));
    assert_eq!(queue.try_receive(1, 5), [Action::Empty { call: 1 }]);
    queue.send(2, &[1]);
    assert_eq!(delivered(&queue.try_receive(3, 5)), [(3, vec![1])]);
}

#[test]
fn a_batch_stops_at_its_bytes_and_handles_and_has_at_least_one() {
    let mut queue = Queue::new(plain(8));
    let now = queue.now;
    let items = [(500, 0), (400, 200), (10, 100), (3000, 300)];
    let items = items.map(|(bytes, handles)| (1, Size { bytes, handles }));
    let mut terms = plain(8);
    terms.bounds.bytes = 10_000;
    queue.ledger = Ledger::new(now, terms);
    queue.ledger.handle_send(now, 1, items.to_vec(), None);
    let lengths: Vec<usize> =
        (0..3).map(|_| queue.receive(2, 0, 9)).map(|actions| delivered(&actions)[0].1.len()).collect();
    assert_eq!(lengths, [2, 1, 1]);
}

#[test]
fn join_waits_for_what_was_sent_before_it_and_for_nothing_else() {
    let mut queue = Queue::new(plain(8));
    assert_eq!(queue.after(|ledger, now| ledger.handle_join(now, 1)), [Action::Joined { call: 1 }]);
    queue.send(2, &[1, 2]);
    assert_eq!(queue.after(|ledger, now| ledger.handle_join(now, 3)), []);
    queue.send(4, &[3]);
    queue.receive(5, 0, 1);
    assert!(queue.receive(6, 0, 1).contains(&Action::Joined { call: 3 }));
    assert_eq!(queue.rest(), [3]);
}

#[test]
fn more_than_may_wait_are_refused() {
    let mut queue = Queue::new(Terms { waiting: 2, line: bounds(2, 10), ..plain(1) });
    queue.receive(1, 0, 1);
    queue.receive(2, 0, 1);
    assert_eq!(queue.receive(3, 0, 1), [Action::Crowded { call: 3 }]);
    let mut queue = Queue::new(Terms { waiting: 2, line: bounds(2, 10), ..plain(1) });
    queue.send(1, &[1]);
    assert_eq!(queue.send(2, &[2]), []);
    assert_eq!(queue.send_sized(3, 3, 10), [Action::Crowded { call: 3 }]);
    assert_eq!(queue.send(4, &[4]), []);
    assert_eq!(queue.send(5, &[5]), [Action::Crowded { call: 5 }]);
    queue.after(|ledger, now| ledger.handle_join(now, 6));
    queue.after(|ledger, now| ledger.handle_join(now, 7));
    assert_eq!(queue.after(|ledger, now| ledger.handle_join(now, 8)), [Action::Crowded { call: 8 }]);
}

#[test]
fn what_comes_back_is_bounded() {
    let mut queue = Queue::new(plain(1));
    let many = 40_000;
    for item in 0..many {
        queue.send(1, &[item]);
        queue.take(2, 0);
    }
    for place in 0..many {
        queue.after(|ledger, now| ledger.handle_returned(now, place, 1, place, size(0)));
    }
    let status = queue.ledger.status();
    assert_eq!((status.items, status.letters), (1 + EXCESS.items, 8));
    assert_eq!(status.items as u64 + status.letters as u64 + status.letters_lost, many);
}

#[test]
fn a_send_ends_when_it_is_due_with_what_is_in_by_then() {
    let mut queue = Queue::new(plain(2));
    let due = Some(queue.now + 5 * MS);
    let sized = |items: &[u64]| items.iter().map(|&item| (item, size(1))).collect::<Vec<_>>();
    queue.after(|ledger, now| ledger.handle_send(now, 1, sized(&[1, 2, 3]), due));
    queue.after(|ledger, now| ledger.handle_send(now, 2, sized(&[4]), None));
    queue.after(|ledger, now| ledger.handle_send(now, 3, sized(&[5]), due));
    assert_eq!(queue.ledger.poll_timeout(), due);
    queue.now += 5 * MS;
    let timed_out = |call, taken| Action::NotSent { call, taken, why: NotSent::TimedOut };
    let ended = queue.after(|ledger, now| ledger.handle_timeout(now));
    assert_eq!((ended, queue.ledger.poll_timeout()), (vec![timed_out(1, 2), timed_out(3, 0)], None));
    assert!(queue.receive(4, 0, 1).contains(&Action::Sent { call: 2 }));
    assert_eq!(queue.rest(), [2, 4]);
}
