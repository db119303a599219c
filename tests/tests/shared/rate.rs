//! How fast four processes append to one list: printed, not asserted.

use std::time::Instant;

use procession::shared::List;

use crate::hands::{HandApi, all, hands};
use crate::processes::{end, start, within};

/// Items of each process and each way; the figures that count are of 10,000, in a release build.
const ITEMS: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_append_to_one_list_and_nothing_is_lost() {
    let sup = start().await;
    let hands = hands(&sup, 4).await;
    let list: List<[u64; 4]> = sup.list("list").unwrap();
    let begun = Instant::now();
    all(hands.iter().map(|hand| hand.append_items(list.clone(), ITEMS, 0))).await;
    let single = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    all(hands.iter().map(|hand| hand.append_items(list.clone(), 0, ITEMS))).await;
    let pipelined = begun.elapsed().as_secs_f64();
    let rate = |seconds: f64| 4.0 * ITEMS as f64 / seconds / 1000.0;
    println!("4 processes: {:.0} k appends/s one at a time, {:.0} k/s pipelined", rate(single), rate(pipelined));
    assert_eq!(within(list.len()).await, Ok(8 * ITEMS));
    end(sup).await;
}
