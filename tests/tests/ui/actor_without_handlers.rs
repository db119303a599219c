// An actor needs a protocol, be it an empty one.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Lonely;

struct NoActor;

async fn run(supervisor: Supervisor) {
    let _ = supervisor.spawn::<Lonely>("lonely", ()).await;
    let _ = supervisor.spawn::<NoActor>("none", ()).await;
}

fn main() {}
