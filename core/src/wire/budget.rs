//! What a decoding may use.
//!
//! A sender picks the bytes, the receiver's type decides what they cost: a length of three bytes can ask for millions of
//! elements, a byte for a kilobyte, a hundred kilobytes for as many stack frames. So what may be used is fixed from the
//! length of the frame before anything is read.

use super::codec::{DecodeError, DecodeFault};

/// The levels of nesting that a message may have.
///
/// With small values a level takes 0.7 to 1.2 KiB of stack in a debug build, so that all of them fit four times over into
/// the smallest stack, and 0.2 KiB in an optimised one. A list of `Option<Box<_>>` has two levels for each item.
pub(super) const MAX_DEPTH: u32 = 128;

/// The rule that gives a frame of some length its limits.
///
/// The memory that is counted is what the decoder sees: the size of each value that a collection, a `Box` or the caller
/// makes room for, before the room is made. The real figure is a small multiple of it at most, for what only the
/// allocator and the collection know: 5 times for a `Vec<Box<u8>>`, 2 for a `Vec` of short `Vec`s or hash tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Levels of nesting: a struct, tuple, sequence, map, enum, `Some` or newtype is one.
    pub(crate) depth: u32,
    /// Bytes of stack between the caller of the decoder and the deepest level.
    pub(crate) stack: usize,
    /// Elements and fields, for each byte of the frame.
    pub(crate) nodes_per_byte: usize,
    /// Elements and fields, in any case.
    pub(crate) nodes_base: usize,
    /// Bytes of memory, for each byte of the frame.
    pub(crate) memory_per_byte: usize,
    /// Bytes of memory, in any case.
    pub(crate) memory_base: usize,
    /// Bytes of memory, at most.
    pub(crate) memory_max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            depth: MAX_DEPTH,
            // Half of the smallest stack that we run on, the 1 MiB of a main thread on Windows.
            stack: 512 << 10,
            // Values that wrap values are several fields for one byte; only elements without any bytes use up the base.
            nodes_per_byte: 16,
            nodes_base: 64 << 10,
            // An empty `String` is 24 for its one byte, a `None` as large as its `Some`. The base lets a moderate list of
            // large, mostly empty values pass that the slope would refuse.
            memory_per_byte: 64,
            memory_base: 1 << 20,
            memory_max: 256 << 20,
        }
    }
}

/// The limits of one decoding, and what is left of them.
#[derive(Debug)]
pub(super) struct Meter {
    depth: u32,
    depth_limit: u32,
    nodes: usize,
    nodes_limit: usize,
    memory: usize,
    memory_limit: usize,
    /// The lowest address that the stack may come to. It grows downwards wherever we run.
    stack_end: usize,
    stack_limit: usize,
}

impl Meter {
    #[inline]
    pub(super) fn new(budget: Budget, frame: usize) -> Self {
        let line = |per_byte: usize, base: usize| frame.saturating_mul(per_byte).saturating_add(base);
        let nodes = line(budget.nodes_per_byte, budget.nodes_base);
        let memory = line(budget.memory_per_byte, budget.memory_base).min(budget.memory_max);
        Self {
            depth: budget.depth,
            depth_limit: budget.depth,
            nodes,
            nodes_limit: nodes,
            memory,
            memory_limit: memory,
            stack_end: stack_pointer().saturating_sub(budget.stack),
            stack_limit: budget.stack,
        }
    }

    /// Goes one level down.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), DecodeFault> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(self.too_deep());
        };
        self.depth = depth;
        // A count of levels cannot know how large a level's frames are, and an overflow of the stack ends the process.
        if stack_pointer() < self.stack_end {
            return Err(self.too_much_stack());
        }
        Ok(())
    }

    /// Comes back up. After an error nobody goes on, so nobody has to.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }

    /// Takes room for `count` elements or fields.
    #[inline]
    pub(super) fn take_nodes(&mut self, count: usize) -> Result<(), DecodeFault> {
        match self.nodes.checked_sub(count) {
            Some(left) => {
                self.nodes = left;
                Ok(())
            }
            None => Err(self.too_many_nodes()),
        }
    }

    /// Takes memory.
    #[inline]
    pub(super) fn take_memory(&mut self, bytes: usize) -> Result<(), DecodeFault> {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(self.too_much_memory()),
        }
    }

    #[cold]
    fn too_deep(&self) -> DecodeFault {
        DecodeError::Depth { limit: self.depth_limit }.into()
    }

    #[cold]
    fn too_much_stack(&self) -> DecodeFault {
        DecodeError::Stack { limit: self.stack_limit }.into()
    }

    #[cold]
    fn too_many_nodes(&self) -> DecodeFault {
        DecodeError::Nodes { limit: self.nodes_limit }.into()
    }

    #[cold]
    fn too_much_memory(&self) -> DecodeFault {
        DecodeError::Memory { limit: self.memory_limit }.into()
    }

    /// The memory taken so far.
    #[cfg(test)]
    pub(super) fn memory_taken(&self) -> usize {
        self.memory_limit - self.memory
    }
}

/// About where the stack ends just now.
#[inline(always)]
fn stack_pointer() -> usize {
    // Miri's addresses say nothing about distances.
    if cfg!(miri) {
        return usize::MAX;
    }
    let here = 0u8;
    (&raw const here).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, DecodeFault>) -> DecodeError {
        result.unwrap_err().into()
    }

    #[test]
    fn limits_grow_with_the_frame_up_to_the_absolute_one() {
        let limit = |frame| refusal(Meter::new(Budget::default(), frame).take_memory(usize::MAX));
        assert_eq!(limit(0), DecodeError::Memory { limit: 1 << 20 });
        assert_eq!(limit(1 << 20), DecodeError::Memory { limit: 65 << 20 });
        assert_eq!(limit(16 << 20), DecodeError::Memory { limit: 256 << 20 });
        assert_eq!(limit(usize::MAX), DecodeError::Memory { limit: 256 << 20 });
    }

    #[test]
    fn the_last_unit_is_given_and_the_next_refused() {
        let budget = Budget { depth: 2, nodes_base: 3, memory_base: 4, ..Budget::default() };
        let mut meter = Meter::new(budget, 0);
        for _ in 0..3 {
            meter.enter().unwrap();
            meter.enter().unwrap();
            meter.leave();
            meter.leave();
        }
        meter.enter().unwrap();
        meter.enter().unwrap();
        assert_eq!(refusal(meter.enter()), DecodeError::Depth { limit: 2 });
        meter.take_nodes(3).unwrap();
        assert_eq!(refusal(meter.take_nodes(1)), DecodeError::Nodes { limit: 3 });
        meter.take_memory(4).unwrap();
        assert_eq!(refusal(meter.take_memory(1)), DecodeError::Memory { limit: 4 });
        assert_eq!(meter.memory_taken(), 4);
    }
}
