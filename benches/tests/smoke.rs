//! The benchmarks run, and each figure that they promise is there: at the smallest size, since this is no place to measure.

#![cfg(target_os = "linux")]

mod run;

use run::{Figure, figures};

fn has(figures: &[Figure], peer: &str, metric: &str) -> bool {
    figures.iter().any(|figure| figure.peer == peer && figure.metric == metric)
}

/// Procession on both runtimes, and another one, have each of the metrics; and every figure is a number above 0.
fn assert_complete(workload: &str, other: &str, metrics: &[(&str, &str)]) {
    let found = figures(&[workload, "--quick", "--json"]);
    for (metric, unit) in metrics {
        for peer in ["procession", "procession-current-thread", other] {
            assert!(has(&found, peer, metric), "{peer} has no {metric}: {found:?}");
        }
        assert!(found.iter().filter(|figure| figure.metric == *metric).all(|figure| figure.unit == *unit));
    }
    for figure in &found {
        assert_eq!(figure.workload, workload);
        assert!(figure.value.is_finite() && figure.value > 0.0, "{figure:?}");
    }
}

#[test]
fn round_trips_have_their_median_and_their_worst_hundredth() {
    assert_complete("w2", "socket-tokio", &[("rtt_p50_us", "us"), ("rtt_p99_us", "us")]);
}

#[test]
fn tasks_have_both_their_rates() {
    assert_complete("w4", "pool-window-1000", &[("tasks_per_s_one_a_frame", "1/s"), ("tasks_per_s_automatic", "1/s")]);
}

#[test]
fn deaths_are_timed() {
    assert_complete("w10", "child-wait", &[("kill_to_known_us", "us")]);
}

#[test]
fn a_list_is_appended_to_in_both_ways() {
    let metrics = [("appends_per_s_single", "1/s"), ("appends_per_s_pipelined", "1/s")];
    assert_complete("w8", "list-server", &metrics);
}

#[test]
fn several_workloads_come_in_their_order_and_a_pinned_run_says_where() {
    let text = run::text(&["w10", "w2", "--quick", "--pin", "same"]);
    assert!(text.lines().next().is_some_and(|line| line.contains("all on core")), "{text}");
    let at = |heading| text.find(heading).unwrap_or_else(|| panic!("no {heading} in {text}"));
    assert!(at("\nw2  ") < at("\nw10  "), "{text}");
}
