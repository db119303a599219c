//! One kill a second, and work all the while: neither memory nor descriptors grow.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::dice::Dice;
use crate::stage::Stage;
use crate::system;
use crate::verdict::Verdict;

/// From one kill to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Between two batches of tasks: this is about what stays, not about load.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes a second by which memory may grow: 1 MiB in an hour, and what one must allow where it is measured for a minute.
const SLOPE: f64 = (1 << 20) as f64 / 3600.0;
const WIDEST: f64 = 50.0 * SLOPE;
/// What is not measured: until everything has the size that it needs. Deaths as fast as the workers come back, so that what
/// were kept of each would show, and what merely has to grow to its size has done so.
const WARM: Duration = Duration::from_secs(20);

#[procession::task]
fn work(number: u64) -> u64 {
    number
}

pub(crate) async fn play(arguments: &Arguments, stage: &Stage, verdict: &mut Verdict) -> procession::Result {
    let pool = stage.sup.task_pool("soak", arguments.workers).await?;
    let mut points = Vec::new();
    let (mut done, mut lost) = (0_u64, 0_u64);
    let (mut dice, warm) = (Dice::of(arguments.seed, u64::MAX), Instant::now() + WARM);
    while Instant::now() < warm {
        stage.prey.are_alive(arguments.workers).await;
        let hunt = stage.prey.hunt(&mut dice);
        lost += pool.map(work, 0..1_000).await.err().map_or(0, |failed| failed.failures().count() as u64);
        if let Some(hunt) = hunt {
            hunt.await?;
        }
    }
    println!("{} deaths before it is measured", stage.prey.fallen().len());
    let begun = Instant::now();
    for second in 0..arguments.seconds {
        stage.prey.are_alive(arguments.workers).await;
        points.push((begun.elapsed().as_secs_f64(), system::memory_of_this_process() as f64));
        if second.is_multiple_of(10) {
            let descriptors = system::descriptors_of_this_process();
            println!("{second:>4} s: {} KiB, {descriptors} descriptors", system::memory_of_this_process() >> 10);
        }
        let until = begun + EVERY * (second as u32 + 1);
        let hunt = stage.prey.hunt(&mut Dice::of(arguments.seed, second));
        while Instant::now() < until {
            match pool.map(work, 0..1_000).await {
                Ok(_) => done += 1_000,
                Err(failed) => {
                    lost += failed.failures().count() as u64;
                    done += 1_000 - failed.failures().count() as u64;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(hunt) = hunt {
            hunt.await?;
        }
    }
    let slope = slope(&points);
    println!(
        "{done} tasks done, {lost} lost to {} deaths; memory grows by {:.0} bytes a second",
        stage.prey.fallen().len(),
        slope
    );
    verdict.check(lost <= stage.prey.fallen().len() as u64, || format!("{lost} tasks were lost"));
    verdict.figure(slope, SLOPE, WIDEST, || format!("memory grows by {slope:.0} bytes a second"));
    let (told, back) = (stage.prey.told_after(), stage.prey.back_after());
    println!("death to event: {told}\nreplacement ready: {back}");
    let times = [(told.percentile(50), 1), (told.percentile(99), 20), (back.percentile(99), 50)];
    for (time, millis) in times {
        let wanted = Duration::from_millis(millis);
        verdict.figure(time, wanted, wanted * 50, || format!("{time:?} where {wanted:?} is wanted"));
    }
    println!("{}", pool.finish().await);
    Ok(())
}

/// By how much the second of each pair grows with the first: least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean.0) * (y - mean.1);
        below += (x - mean.0).powi(2);
    }
    if below > 0.0 { above / below } else { 0.0 }
}
