// A handler is a plain method that is always there.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter;

#[handlers]
impl Counter {
    #[cast]
    unsafe fn poke(&mut self, address: usize) {
        drop(address);
    }

    #[call]
    extern "C" fn native(&self) -> u8 {
        1
    }

    #[call]
    const fn constant(&self) -> u8 {
        1
    }

    #[cfg(unix)]
    #[call]
    fn fork(&self) -> u8 {
        1
    }
}

fn main() {}
