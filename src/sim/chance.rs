//! The simulators' dice: SplitMix64, so that a seed gives the same run again. Not for secrets.

use std::time::Duration;

/// How long an answer takes: between the two, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    pub least: Duration,
    pub most: Duration,
}

/// A sequence of numbers fixed by its seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn seeded(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The upper half of the product: even enough for dice, and without a division.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A time from `delay`, to the microsecond.
    pub fn within(&mut self, delay: Delay) -> Duration {
        let spread = delay.most.saturating_sub(delay.least).as_micros() as u64;
        delay.least + Duration::from_micros(if spread == 0 { 0 } else { self.below(spread + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_sequence_and_the_bound_holds() {
        let draw = |seed| -> Vec<u64> {
            let mut chance = Chance::seeded(seed);
            (0..100).map(|_| chance.below(10)).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|&n| n < 10));
        assert!((0..10).all(|n| draw(7).contains(&n)), "every face comes up");
    }
}
