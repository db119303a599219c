// An actor needs a protocol, be it an empty one.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Lonely;

async fn run(supervisor: Supervisor) {
    let _ = supervisor.spawn::<Lonely>("lonely", ()).await;
}

fn main() {}
