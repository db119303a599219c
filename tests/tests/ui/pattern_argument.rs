// The method of an address has the names of the handler's arguments.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Plane;

#[handlers]
impl Plane {
    #[cast]
    fn point(&mut self, (x, y): (u32, u32)) {
        let _ = (x, y);
    }

    #[cast]
    fn colour(&mut self, _: u32) {}
}

fn main() {}
