//! The figures as a person reads them.

use std::fmt::Write;

use super::figure::{Role, Series, quantile};
use super::launcher::Found;
use super::metric::Metric;
use super::options::Options;
use super::placement;

/// What all figures below it have in common.
pub(crate) fn head(options: &Options) -> String {
    let rounds = options.rounds();
    let scale =
        if options.quick { ", at a twentieth of their size or less: these are not figures to quote" } else { "" };
    let build = if cfg!(debug_assertions) { "; built without optimisation" } else { "" };
    format!("{rounds} rounds, contestants in turn, {}{scale}{build}", placement::describe(options.pin))
}

/// One workload: a block of rows for each of its metrics.
pub(crate) fn of(found: &Found) -> String {
    let mut text = format!("\n{}  {}\n", found.name.name(), found.name.title());
    let mut metrics: Vec<Metric> = found.series.iter().map(|series| series.metric).collect();
    metrics.sort_unstable();
    metrics.dedup();
    for metric in metrics {
        let rows: Vec<&Series> = found.series.iter().filter(|series| series.metric == metric).collect();
        block(&mut text, metric, &rows);
    }
    for note in &found.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

fn block(text: &mut String, metric: Metric, rows: &[&Series]) {
    let procession = rows.iter().find(|row| row.peer == "procession").map(|row| row.median());
    let _ = writeln!(
        text,
        "  {:<30} {:>12} {:>25} {:>12}",
        format!("{} [{}]", metric.name(), metric.unit()),
        "median",
        "least .. most",
        "procession is"
    );
    for row in rows {
        let (least, most) = (quantile(&row.readings, 0.0), quantile(&row.readings, 1.0));
        let beside = match procession.filter(|_| row.peer != "procession") {
            Some(own) => format!("{:.2}x", own / row.median()),
            None => String::new(),
        };
        let spread = format!("{} .. {}", number(least), number(most));
        let name = format!("{} {}", sign(row.role), row.peer);
        let _ = writeln!(text, "    {name:<28} {:>12} {spread:>25} {beside:>12}", number(row.median()));
    }
    if let Some(own) = procession {
        let against = |role| best(rows, role, metric).map(|(peer, median)| format!("{:.2}x {peer}", own / median));
        let ratios: Vec<String> = [Role::Limit, Role::Peer].into_iter().filter_map(against).collect();
        let word = if metric.more_is_better() { "more is better" } else { "less is better" };
        let _ = writeln!(text, "    = procession: {} ({word})", ratios.join(", "));
    }
}

fn sign(role: Role) -> char {
    match role {
        Role::Limit => '-',
        Role::Procession => '*',
        Role::Peer => ' ',
    }
}

/// The best of a role, and its median.
fn best<'a>(rows: &[&'a Series], role: Role, metric: Metric) -> Option<(&'a str, f64)> {
    let mut medians: Vec<_> =
        rows.iter().filter(|row| row.role == role).map(|row| (row.peer.as_str(), row.median())).collect();
    medians.sort_by(|a, b| a.1.total_cmp(&b.1));
    if metric.more_is_better() { medians.pop() } else { medians.into_iter().next() }
}

/// Three to four digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        huge if huge >= 10e6 => format!("{:.1} M", value / 1e6),
        large if large >= 1e6 => format!("{:.2} M", value / 1e6),
        many if many >= 10e3 => format!("{:.1} k", value / 1e3),
        some if some >= 100.0 => format!("{value:.0}"),
        few if few >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
