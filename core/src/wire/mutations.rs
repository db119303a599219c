//! Bytes as a peer might send them that is broken, or wants to break something.
//!
//! `PROCESSION_MUTATIONS` says how many of them a test tries, `PROCESSION_SEED` which.

/// Steele, Lea and Flood's generator (SplitMix64): small, seeded, good enough to break things with.
pub(crate) struct Mutations(u64);

impl Mutations {
    pub(crate) fn new() -> Self {
        Self(std::env::var("PROCESSION_SEED").map_or(0x5eed, |seed| seed.parse().expect("a number")))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Changes something, or puts the end of another one in place of its own.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(self.next() as u8);
        }
        let at = self.below(bytes.len());
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            3 => bytes.insert(at, self.next() as u8),
            4 => drop(bytes.remove(at)),
            5 => bytes.truncate(at),
            6 => {
                let length = 1u64 << self.below(64);
                bytes.splice(at..=at, varint(length - self.next() % 2));
            }
            _ => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// How many are tried: so many, unless it is said.
pub(crate) fn wanted(usually: u64) -> u64 {
    std::env::var("PROCESSION_MUTATIONS").map_or(usually, |wanted| wanted.parse().expect("a number"))
}

/// A number as postcard writes it.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    postcard::to_stdvec(&value).unwrap()
}
