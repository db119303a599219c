//! A program that forgot its entry: it must be told so, and must not start itself again and again.

use procession::prelude::*;

#[derive(Actor, Default)]
struct Echo;

#[handlers]
impl Echo {
    #[call]
    fn echo(&self, text: String) -> String {
        text
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("main runs");
    match Supervisor::builder().start().await {
        Err(error) => println!("{error}"),
        Ok(sup) => {
            let echo = sup.spawn::<Echo>("echo", ()).await;
            println!("started: {:?}", echo.map(|echo| echo.echo(String::new())));
        }
    }
}
