//! A fast hash for keys that this process has made itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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
        let wide = u128::from(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn keys_that_differ_in_few_bits_differ_in_the_bits_that_a_map_looks_at() {
        let hash = |n: u64| BuildHasherDefault::<Mix>::default().hash_one(n);
        let keys = (0..1000).flat_map(|n| [n, n << 32, 1 << 32 | n]).collect::<HashSet<u64>>();
        for shift in [0, 57] {
            let seen: HashSet<_> = keys.iter().map(|&key| hash(key) >> shift & 0x7f).collect();
            assert_eq!(seen.len(), 128);
        }
    }
}
