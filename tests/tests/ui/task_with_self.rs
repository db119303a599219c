// A task is a free function.
struct Sieve;

impl Sieve {
    #[procession::task]
    fn is_prime(&self, n: u64) -> bool {
        n > 1
    }
}

fn main() {}
