//! A slab: values in numbered places, named by place and number.
use telerelay_wire::limits;

/// The name of a value: its place, and which of those that had this place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Place, below 2³¹.
    pub(crate) place: u32,
    /// Differs for each value that a place has.
    pub(crate) number: u32,
}

/// A place: empty, or a value and its number.
type Slot<T> = Option<(u32, T)>;

/// Values by their keys. Places are given out by whoever names the values ([`Places`]). A value stays where it was put.
pub(crate) struct Slots<T> {
    blocks: Vec<Box<[Slot<T>]>>,
    taken: usize,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            taken: 0,
        }
    }

    /// Puts a value into its place, which must be free.
    pub(crate) fn insert(&mut self, key: Key, value: T) {
        let (block, place) = parts(key);
        while self.blocks.len() <= block {
            self.blocks
                .push((0..limits::ENGINE_PLACES).map(|_| None).collect());
        }
        let slot = &mut self.blocks[block][place];
        debug_assert!(slot.is_none(), "a place was given out twice");
        *slot = Some((key.number, value));
        self.taken += 1;
    }

    /// The value of this name, unless it is gone.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slot(key)? {
            Some((number, value)) if *number == key.number => Some(value),
            _ => None,
        }
    }

    /// Takes the value of this name out.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let (_, value) = self
            .slot(key)?
            .take_if(|(number, _)| *number == key.number)?;
        self.taken -= 1;
        Some(value)
    }

    /// The names of all.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let taken = (0..).zip(self.blocks.iter().flatten());
        taken
            .filter_map(|(place, slot)| {
                slot.as_ref().map(|(number, _)| Key {
                    place,
                    number: *number,
                })
            })
            .collect()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The place that a name has or had.
    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let (block, place) = parts(key);
        Some(&mut self.blocks.get_mut(block)?[place])
    }
}

/// The block that a key's place is in, and where it is there.
const fn parts(key: Key) -> (usize, usize) {
    let place = key.place as usize;
    (place / limits::ENGINE_PLACES, place % limits::ENGINE_PLACES)
}

/// Which places are free, and which number comes next.
#[derive(Debug, Default)]
pub(crate) struct Places {
    free: Vec<u32>,
    made: u32,
    number: u32,
}

impl Places {
    /// A new name. The places that were used last come first: their memory is warm, and the slab stays short.
    pub(crate) fn take(&mut self) -> Key {
        let place = self.free.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        });
        self.number = self.number.wrapping_add(1);
        Key {
            place,
            number: self.number,
        }
    }

    /// The value of this name is gone.
    pub(crate) fn give_back(&mut self, key: Key) {
        self.free.push(key.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_its_value_and_finds_no_other() {
        let (mut places, mut slots) = (Places::default(), Slots::new());
        let first = places.take();
        slots.insert(first, 'a');
        assert_eq!(slots.get_mut(first), Some(&mut 'a'));
        assert_eq!(slots.remove(first), Some('a'));
        places.give_back(first);
        let second = places.take();
        assert_eq!(second.place, first.place, "the same place");
        slots.insert(second, 'b');
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut 'b'));
        assert_eq!(slots.keys(), [second]);
        assert!(!slots.is_empty());
    }

    #[test]
    fn a_value_stays_where_it_is_while_others_come() {
        let (mut places, mut slots) = (Places::default(), Slots::new());
        let first = places.take();
        slots.insert(first, first.number);
        let lies: *const u32 = slots.get_mut(first).unwrap();
        let others: Vec<Key> = (0..3 * limits::ENGINE_PLACES)
            .map(|_| places.take())
            .collect();
        for key in &others {
            slots.insert(*key, key.number);
        }
        assert_eq!(
            slots.get_mut(first).map(|value| &raw const *value),
            Some(lies)
        );
        for key in others {
            assert_eq!(slots.remove(key), Some(key.number));
        }
        assert_eq!(slots.keys(), [first]);
    }

    #[test]
    fn places_are_used_again_before_new_ones_are_made() {
        let mut places = Places::default();
        let keys: Vec<Key> = (0..3).map(|_| places.take()).collect();
        assert_eq!(
            keys.iter().map(|key| key.place).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        places.give_back(keys[1]);
        assert_eq!(places.take().place, 1);
        assert_eq!(places.take().place, 3);
    }
}
