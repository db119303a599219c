//! A slab whose keys are never used twice.

/// A key of an [`Arena`]: a place and the generation of what is in it. Never zero, and never with the uppermost bit.
pub(crate) type Key = u64;

const GENERATION: u32 = u32::MAX >> 1;

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// A slab whose keys carry a generation, so that a key of a removed value finds nothing.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_with(|| value)
    }

    /// The same for a large value, which is made where it is to lie.
    #[inline(always)]
    pub(crate) fn insert_with(&mut self, make: impl FnOnce() -> T) -> Key {
        self.len += 1;
        let at = self.free.pop().unwrap_or_else(|| self.grow());
        let place = &mut self.places[at as usize];
        // The uppermost bit is for keys of another sort.
        let generation = (place.generation.wrapping_add(1) & GENERATION).max(1);
        *place = Place { generation, value: Some(make()) };
        u64::from(generation) << 32 | u64::from(at)
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        self.places.push(Place { generation: 0, value: None });
        (self.places.len() - 1) as u32
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key as u32 as usize)?;
        if place.generation == (key >> 32) as u32 { place.value.as_ref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key as u32 as usize)?;
        if place.generation == (key >> 32) as u32 { place.value.as_mut() } else { None }
    }

    /// What is at the place of a key, whatever generation that is.
    pub(crate) fn at(&self, place: u32) -> Option<(Key, &T)> {
        let Place { generation, value } = self.places.get(place as usize)?;
        Some((u64::from(*generation) << 32 | u64::from(place), value.as_ref()?))
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key as u32 as usize)?;
        if place.generation != (key >> 32) as u32 {
            return None;
        }
        let value = place.value.take()?;
        self.free.push(key as u32);
        self.len -= 1;
        Some(value)
    }

    /// Removes a value where it lies, without moving it out.
    #[inline]
    pub(crate) fn discard(&mut self, key: Key) {
        if let Some(place) = self.places.get_mut(key as u32 as usize)
            && place.generation == (key >> 32) as u32
            && place.value.is_some()
        {
            place.value = None;
            self.free.push(key as u32);
            self.len -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(at, place)| {
            place.value.as_ref().map(|value| (u64::from(place.generation) << 32 | at as u64, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_value_finds_nothing_though_its_place_is_used_again() {
        let mut arena = Arena::new();
        let old = arena.insert('a');
        assert_eq!(arena.remove(old), Some('a'));
        let new = arena.insert('b');
        assert_eq!(new as u32, old as u32);
        assert_eq!(arena.get(old), None);
        assert_eq!(arena.remove(old), None);
        assert_eq!(arena.get(new), Some(&'b'));
        assert_eq!(arena.len(), 1);
        arena.discard(old);
        assert_eq!(arena.len(), 1);
        arena.discard(new);
        assert_eq!((arena.len(), arena.get(new)), (0, None));
    }
}
