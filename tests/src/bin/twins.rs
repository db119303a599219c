//! A program with two actor types of one name at one place, as a macro may make them: nobody could tell which to start.

use procession::prelude::*;

macro_rules! twins {
    () => {
        twins!(@one);
        twins!(@one);
    };
    (@one) => {
        const _: () = {
            #[derive(Actor, Default)]
            struct Twin;

            #[handlers]
            impl Twin {
                #[call]
                fn pid(&self) -> u32 {
                    std::process::id()
                }
            }
        };
    };
}

twins!();

#[procession::main(flavor = "current_thread")]
async fn main() {
    match Supervisor::builder().start().await {
        Err(error) => println!("{error}"),
        Ok(_) => println!("started"),
    }
}
