//! Fast hashes for keys that are numbers.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// A map whose keys no peer can choose: nobody can make them collide.
pub(crate) type OwnMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Multiplies and folds (the finalizer of wyhash): two instructions for a key of eight bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = fold(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15, FACTOR);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map whose keys a peer chooses: it cannot make them collide, since it does not know the seed.
pub(super) type PeerMap<K, V> = HashMap<K, V, Seed>;

/// What a peer does not know: two numbers of the system's randomness.
#[derive(Clone, Copy)]
pub(super) struct Seed(u64, u64);

/// Adds a secret, multiplies by another one and folds; then once more.
#[derive(Clone, Copy)]
pub(super) struct Seeded {
    state: u64,
    factor: u64,
}

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0), random.hash_one(1) | 1)
    }
}

impl BuildHasher for Seed {
    type Hasher = Seeded;

    fn build_hasher(&self) -> Seeded {
        Seeded { state: self.0, factor: self.1 }
    }
}

impl Hasher for Seeded {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.state = fold(self.state.wrapping_add(n), self.factor);
    }

    /// Once more, since a factor alone spreads some rows of numbers badly over the bits that a map looks at.
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, FACTOR)
    }
}

const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide >> 64) as u64 ^ wide as u64
}

/// The seed stays a secret.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_that_differ_in_few_bits_differ_in_the_bits_that_a_map_looks_at() {
        spreads(&BuildHasherDefault::<Mix>::default());
        for _ in 0..1000 {
            spreads(&Seed::default());
        }
    }

    fn spreads(hash: &impl BuildHasher) {
        let keys = (0..1000).flat_map(|n| [n, n << 32, 1 << 32 | n]).collect::<HashSet<u64>>();
        for shift in [0, 57] {
            let seen: HashSet<_> = keys.iter().map(|&key| hash.hash_one(key) >> shift & 0x7f).collect();
            assert!(seen.len() > 120, "{} of 128", seen.len());
        }
    }

    #[test]
    fn each_map_has_a_seed_of_its_own() {
        assert_ne!(Seed::default().hash_one(7_u64), Seed::default().hash_one(7_u64));
    }
}
