//! Draws the Mandelbrot set: workers fill the slices of one picture, in shared memory, which is then written as a PNG.
//!
//! Run it: `cargo run --release --example mandelbrot -- picture.png`. One worker is killed over its slice, which another one then
//! fills. Nobody copies a pixel before the file is written.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use procession::blob::{BlobSlice, BlobWriter, FilledSlice};
use procession::prelude::*;

const WIDTH: usize = 720;
const HEIGHT: usize = 480;
/// Bytes of a row.
const ROW: usize = 3 * WIDTH;
const ROWS: usize = 20;
const DEPTH: u32 = 200;

fn pixel(x: usize, y: usize) -> [u8; 3] {
    let (re, im) = (3.0 * x as f64 / WIDTH as f64 - 2.2, 2.0 * y as f64 / HEIGHT as f64 - 1.0);
    let (mut a, mut b) = (0.0, 0.0);
    for step in 0..DEPTH {
        (a, b) = (a * a - b * b + re, 2.0 * a * b + im);
        if a * a + b * b > 4.0 {
            let shade = |factor: u32| (step * factor % 256) as u8;
            return [shade(5), shade(9), shade(17)];
        }
    }
    [0; 3]
}

fn row(y: usize) -> impl Iterator<Item = u8> {
    (0..WIDTH).flat_map(move |x| pixel(x, y))
}

/// Fills rows of the picture; the worker that is to crash does so half way.
#[procession::task]
fn draw(mut slice: BlobSlice, crash: bool) -> Result<FilledSlice, Failure> {
    let first = slice.range().start / ROW;
    for (at, pixels) in slice.bytes_mut()?.chunks_mut(ROW).enumerate() {
        if crash && at == ROWS / 2 {
            std::process::abort();
        }
        pixels.iter_mut().zip(row(first + at)).for_each(|(to, from)| *to = from);
    }
    Ok(slice.done())
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let path = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("mandelbrot.png"), PathBuf::from);
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("painters", PoolSize::All).await?;

    let mut picture = BlobWriter::with_len(ROW * HEIGHT)?.split_every(ROW * ROWS)?;
    let tasks: Vec<_> = picture.slices().into_iter().map(|slice| (slice.index(), slice)).collect();
    let tasks = tasks.into_iter().map(|(index, slice)| pool.submit(draw, (slice, index == 7))).collect::<Vec<_>>();
    for task in tasks {
        match task.await {
            Ok(done) => picture.put_back(&done?)?,
            Err(died) => println!("one slice is not drawn: {died}"),
        }
    }
    for index in picture.missing() {
        let again = picture.take_again(index)?;
        picture.put_back(&pool.submit(draw, (again, false)).await??)?;
        println!("slice {index} was drawn by another worker");
    }
    let pixels = picture.finish().await?;

    let checked = (0..HEIGHT).step_by(37).map(|y| row(y).eq(pixels[y * ROW..(y + 1) * ROW].iter().copied()));
    let checked: Vec<bool> = checked.collect();
    println!("{} rows of {HEIGHT} were drawn again here, all the same: {}", checked.len(), !checked.contains(&false));
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path)?), WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&pixels)?;
    println!("{WIDTH} x {HEIGHT} pixels are in {}", path.display());
    Ok(sup.shutdown().await?)
}
