//! Deterministic simulation: the core, a manual clock, and links and a disk made of a seed.
//!
//! One seed is one history of a few hundred events: accepts, cancels, resolves, pauses, answers that come, come
//! late or never, refusals, receipts early, late, doubled and foreign, links that drop, a disk that loses what
//! was not synced, crashes between any two effects of a step and any two writes of a start, restarts, other
//! routes, clock jumps. After every step the world checks what must hold; at the end everything is let run out
//! and nothing may be left waiting.
//!
//! `NUDGED_SEEDS=5000 cargo test --test it simulation` runs more; `NUDGED_SEED=n` replays one.

mod world;

use world::World;

const DEFAULT_SEEDS: u64 = 1_000;
const EVENTS_PER_SEED: usize = 300;
/// Histories lived twice, with looking ahead and without.
const TWICE: u64 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_history_loses_doubles_or_misplaces_a_message() {
    let seeds = match number("NUDGED_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NUDGED_SEEDS").unwrap_or(DEFAULT_SEEDS),
    };
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| seeds.clone().filter(move |seed| seed % 2 == half));
        let threads = halves.map(|seeds| scope.spawn(|| seeds.for_each(run)));
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

fn run(seed: u64) {
    let history = std::panic::catch_unwind(|| {
        let mut world = World::new(seed);
        for _ in 0..EVENTS_PER_SEED {
            world.event();
        }
        world.run_out();
    });
    if let Err(panic) = history {
        eprintln!("seed {seed} failed; replay it with NUDGED_SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut world = World::new(seed);
        (0..EVENTS_PER_SEED).for_each(|_| world.event());
        world.wire_log()
    };
    assert!(!history(7).is_empty());
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

#[test]
fn looking_ahead_changes_no_decision() {
    for seed in 0..TWICE {
        let mut worlds = [World::new(seed), World::that_never_looks_ahead(seed)];
        for world in &mut worlds {
            (0..EVENTS_PER_SEED).for_each(|_| world.event());
            world.run_out();
        }
        assert!(worlds[0].wire_log() == worlds[1].wire_log(), "seed {seed}: other segments went out");
        assert!(worlds[0].journal() == worlds[1].journal(), "seed {seed}: something else was written");
    }
}
