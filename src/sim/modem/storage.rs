//! Message storages (27.005 section 3.1, +CPMS): SM on the SIM, ME in the modem, SR for status reports.
//!
//! Invariant: an index names one slot of one storage, counted from the storage's own base; a full storage takes
//! nothing and loses nothing.

use std::fmt;

/// Slots of a SIM.
const SM_SLOTS: usize = 20;
const ME_SLOTS: usize = 100;
const SR_SLOTS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Sm,
    Me,
    Sr,
}

impl Name {
    pub fn parse(text: &str) -> Option<Name> {
        match text {
            "SM" => Some(Name::Sm),
            "ME" => Some(Name::Me),
            "SR" => Some(Name::Sr),
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Name::Sm => "SM",
            Name::Me => "ME",
            Name::Sr => "SR",
        })
    }
}

/// `<stat>` of PDU mode, as far as this modem stores messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stat {
    Unread = 0,
    Read = 1,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub stat: Stat,
    /// What the network brought; 0 for what was there before.
    pub id: u64,
    /// SCA and TPDU.
    pub pdu: Vec<u8>,
    /// Octets of the TPDU alone.
    pub octets: usize,
}

#[derive(Debug)]
pub struct Storage {
    name: Name,
    base: usize,
    slots: Vec<Option<Stored>>,
}

impl Storage {
    fn new(name: Name, base: usize, slots: usize) -> Storage {
        Storage { name, base, slots: vec![None; slots] }
    }

    pub fn used(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    pub fn total(&self) -> usize {
        self.slots.len()
    }

    /// Into the lowest free slot; its index. None when there is none.
    pub fn store(&mut self, stored: &Stored) -> Option<usize> {
        let place = self.slots.iter().position(Option::is_none)?;
        self.slots[place] = Some(stored.clone());
        Some(place + self.base)
    }

    /// None for an index out of range, Some(None) for an empty slot.
    pub fn slot(&mut self, index: usize) -> Option<&mut Option<Stored>> {
        self.slots.get_mut(index.checked_sub(self.base)?)
    }

    /// Index and message, in order.
    pub fn messages(&mut self) -> impl Iterator<Item = (usize, &mut Stored)> {
        let base = self.base;
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(move |(place, slot)| slot.as_mut().map(|stored| (place + base, stored)))
    }

    /// Deletes what `which` chooses and returns it.
    pub fn delete(&mut self, which: impl Fn(&Stored) -> bool) -> Vec<Stored> {
        self.slots.iter_mut().filter_map(|slot| slot.take_if(|stored| which(stored))).collect()
    }

    pub fn name(&self) -> Name {
        self.name
    }
}

/// All storages of a modem.
#[derive(Debug)]
pub struct Storages {
    sm: Storage,
    me: Storage,
    sr: Storage,
}

impl Storages {
    /// With indexes of SM and ME from `base` on.
    pub fn new(base: usize) -> Storages {
        Storages {
            sm: Storage::new(Name::Sm, base, SM_SLOTS),
            me: Storage::new(Name::Me, base, ME_SLOTS),
            sr: Storage::new(Name::Sr, 0, SR_SLOTS),
        }
    }

    pub fn of(&mut self, name: Name) -> &mut Storage {
        match name {
            Name::Sm => &mut self.sm,
            Name::Me => &mut self.me,
            Name::Sr => &mut self.sr,
        }
    }

    pub fn all(&self) -> [&Storage; 3] {
        [&self.sm, &self.me, &self.sr]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: u64) -> Stored {
        Stored { stat: Stat::Unread, id, pdu: vec![0], octets: 0 }
    }

    #[test]
    fn a_message_goes_to_the_lowest_free_slot_and_a_full_storage_takes_none() {
        let mut storages = Storages::new(1);
        let sm = storages.of(Name::Sm);
        for index in 1..=SM_SLOTS {
            assert_eq!(sm.store(&stored(index as u64)), Some(index));
        }
        assert_eq!((sm.store(&stored(99)), sm.used()), (None, sm.total()));
        assert_eq!(sm.slot(7).unwrap().take().unwrap().id, 7);
        assert_eq!(sm.store(&stored(99)), Some(7));
        assert!(sm.slot(0).is_none() && sm.slot(SM_SLOTS + 1).is_none());
    }

    #[test]
    fn deleting_by_state_leaves_the_others() {
        let mut storages = Storages::new(0);
        let me = storages.of(Name::Me);
        for id in 1..=4 {
            me.store(&stored(id));
        }
        me.messages().filter(|(index, _)| index % 2 == 0).for_each(|(_, stored)| stored.stat = Stat::Read);
        let deleted: Vec<u64> =
            me.delete(|stored| stored.stat == Stat::Read).iter().map(|stored| stored.id).collect();
        assert_eq!((deleted, me.used()), (vec![1, 3], 2));
        assert_eq!(me.messages().map(|(index, _)| index).collect::<Vec<_>>(), [1, 3]);
    }
}
