//! A program with an entry and other actors than the tests have: to them, another build.

use procession::prelude::*;

#[derive(Actor, Default)]
struct Stranger;

#[handlers]
impl Stranger {
    #[call]
    fn greet(&self) -> String {
        "good day".to_owned()
    }
}

#[procession::main(flavor = "current_thread")]
async fn main() -> procession::Result {
    let sup = Supervisor::builder().start().await?;
    let stranger = sup.spawn::<Stranger>("stranger", ()).await?;
    println!("{}", stranger.greet().await?);
    sup.shutdown().await?;
    Ok(())
}
