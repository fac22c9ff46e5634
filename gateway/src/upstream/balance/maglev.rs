//! Whose a key is: consistent hashing by a table (Maglev, Eisenbud et al. 2016, section 3.4).
//!
//! Owns the table. It is made from the names of targets and their weights alone, so that every worker and every gateway
//! sends a key to the same target, and a target that comes or goes moves little more than its own share of the keys.

/// Places of a table: a prime number, a hundred times as many as there are targets.
const PLACES: usize = 65_537;
const MORE_PLACES: usize = 655_373;
const FEW: usize = 600;

/// How often a key is hashed again when its target may not be chosen, until any other is taken.
const AGAIN: u64 = 32;

#[derive(Debug)]
pub(super) struct Table {
    /// The target at each place.
    places: Box<[u16]>,
    targets: usize,
}

impl Table {
    /// Of targets by name and weight; those without a weight have no place.
    pub(super) fn new<'t>(targets: impl Iterator<Item = (&'t str, u32)>) -> Self {
        let targets: Vec<(&str, u32)> = targets.take(usize::from(u16::MAX)).collect();
        let heaviest = targets.iter().map(|(_, weight)| *weight).max().unwrap_or_default();
        let places = if heaviest == 0 { Box::default() } else { filled(&targets, heaviest) };
        Self { places, targets: targets.len() }
    }

    /// The target of a key, or another one that is always the same while that may not be chosen.
    pub(super) fn find(&self, key: u64, may: &impl Fn(usize) -> bool) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let at = |key: u64| usize::from(self.places[(key % self.places.len() as u64) as usize]);
        // Each key goes its own way, so that the share of one that is away is spread over all others.
        let ways = (0..AGAIN).map(|turn| at(if turn == 0 { key } else { mixed(key ^ turn) }));
        let any = || {
            let begin = (key % self.targets as u64) as usize;
            let all = (begin..self.targets).chain(0..begin);
            all.filter(|index| self.places.contains(&(*index as u16)))
        };
        ways.into_iter().find(|index| may(*index)).or_else(|| any().find(|index| may(*index)))
    }
}

/// Each target takes the next free place of its own order, in turns by weight.
fn filled(targets: &[(&str, u32)], heaviest: u32) -> Box<[u16]> {
    const FREE: u16 = u16::MAX;
    let size = if targets.len() <= FEW { PLACES } else { MORE_PLACES };
    let of = |name: &str| {
        let hash = hash(name.as_bytes());
        let (offset, skip) = (hash % size as u64, mixed(hash) % (size as u64 - 1) + 1);
        (offset as usize, skip as usize)
    };
    // Where each is in its order, and how far it steps; what it is owed of its turns.
    let mut orders: Vec<_> = targets.iter().map(|(name, _)| of(name)).collect();
    let mut owed = vec![0_u32; targets.len()];
    let mut places = vec![FREE; size];
    let mut free = size;
    while free > 0 {
        for (index, (_, weight)) in targets.iter().enumerate() {
            owed[index] += weight;
            if owed[index] < heaviest {
                continue;
            }
            owed[index] -= heaviest;
            let (at, skip) = &mut orders[index];
            while places[*at] != FREE {
                *at = (*at + *skip) % size;
            }
            places[*at] = index as u16;
            free -= 1;
            if free == 0 {
                break;
            }
        }
    }
    places.into()
}

/// FNV-1a, mixed so that texts that differ little have hashes that differ much.
pub(super) fn hash(text: &[u8]) -> u64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(hash)
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: usize = 20_000;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.0.{index}:9000")).collect()
    }

    fn table(names: &[String]) -> Table {
        Table::new(names.iter().map(|name| (name.as_str(), 1)))
    }

    /// The name of the target of each of many keys.
    fn owners(names: &[String], may: impl Fn(usize) -> bool) -> Vec<&str> {
        let table = table(names);
        let key = |number: usize| hash(format!("session-{number}").as_bytes());
        (0..KEYS).map(|it| &*names[table.find(key(it), &may).unwrap()]).collect()
    }

    fn moved(one: &[&str], other: &[&str]) -> usize {
        one.iter().zip(other).filter(|(one, other)| one != other).count()
    }

    #[test]
    fn each_target_has_its_share_of_keys_by_weight() {
        let names = names(8);
        let owners = owners(&names, |_| true);
        for name in &names {
            let share = owners.iter().filter(|owner| *owner == name).count();
            assert!(share.abs_diff(KEYS / 8) < KEYS / 8 / 10, "{name}: {share}");
        }
        let weighted = [("a", 3), ("b", 1), ("c", 0)];
        let table = Table::new(weighted.into_iter());
        let count = |target| table.places.iter().filter(|it| usize::from(**it) == target).count();
        assert!(count(0).abs_diff(PLACES * 3 / 4) < PLACES / 100, "{}", count(0));
        assert_eq!(count(2), 0);
    }

    #[test]
    fn a_target_that_comes_or_goes_moves_little_more_than_its_share() {
        let ten = names(10);
        let before = owners(&ten, |_| true);
        for gone in 0..10 {
            let mut nine = ten.clone();
            let name = nine.remove(gone);
            let after = owners(&nine, |_| true);
            let own = before.iter().filter(|owner| **owner == name).count();
            let all = moved(&before, &after);
            assert!(all >= own && all < own + KEYS / 25, "{all} moved, {own} of {name}");
        }
        let mut shuffled = ten.clone();
        shuffled.reverse();
        let after = owners(&shuffled, |_| true);
        assert!(moved(&before, &after) < KEYS / 50, "the order matters for ties alone");
    }

    #[test]
    fn while_a_target_is_away_its_keys_alone_go_elsewhere_and_to_all_others() {
        let ten = names(10);
        let before = owners(&ten, |_| true);
        let after = owners(&ten, |index| index != 3);
        let own: Vec<usize> = (0..KEYS).filter(|key| before[*key] == ten[3]).collect();
        assert_eq!(moved(&before, &after), own.len());
        for name in ten.iter().filter(|name| **name != ten[3]) {
            let taken = own.iter().filter(|key| after[**key] == name).count();
            assert!(taken.abs_diff(own.len() / 9) < own.len() / 9 / 2, "{name}: {taken}");
        }
        // Whatever is away: the only one that is there has all, and nobody where none is.
        let alone = table(&ten);
        assert!((0..500).all(|key| alone.find(mixed(key), &|index| index == 7) == Some(7)));
        assert_eq!(alone.find(1, &|_| false), None);
        assert_eq!(Table::new([("a", 0)].into_iter()).find(1, &|_| true), None);
    }
}
