//! One service, one printer of each family, the worst faults again and again: what the process holds does not grow.

use simulator::bambu::{Command, Garbage};
use simulator::prusa::{self, Fault, Faults, Target};

use crate::bench::{Bench, Watched};
use crate::machine::{Family, Machine};
use crate::resources::Held;

/// Rounds of all faults; the first ones fill what is bounded.
const ROUNDS: usize = 6;
/// After so many the process holds what it will.
const SETTLED: usize = 2;
/// What further rounds may add: the listener of the test keeps every frame.
const HEAP_MARGIN: usize = 3 * 1024 * 1024;

pub fn one_service_is_as_large_after_many_faults_as_after_the_first() {
    let bench = Bench::new();
    let bambu = bench.add(Machine::new(Family::Bambu, 0), true);
    let prusa = bench.add(Machine::new(Family::Prusa, 1), true);
    let both = [&bambu, &prusa];
    let connected = |one: &Watched| bench.view(one)["connection"]["status"] == "monitoring";
    let mut settled = None;
    for round in 0..ROUNDS {
        for number in 0..6 {
            let printer = bambu.machine.bambu();
            match number {
                0 => printer.command(Command::Drop).unwrap(),
                1 => printer.command(Command::Garbage { kind: Garbage::Large300k }).unwrap(),
                2 => printer.command(Command::Garbage { kind: Garbage::Large200k }).unwrap(),
                3 => printer.command(Command::RawBytes { bytes: vec![0xff; 4096] }).unwrap(),
                _ => {
                    printer.change_faults(|faults| faults.refuse_connections = true).unwrap();
                    printer.command(Command::Drop).unwrap();
                }
            }
            let fault = match number {
                0 => Fault::Hang,
                1 => Fault::Garbage(prusa::Garbage::Large),
                2 => Fault::Garbage(prusa::Garbage::HugeChunk),
                3 => Fault::HangInBody(10),
                4 => Fault::Reset(10),
                _ => Fault::Status(500),
            };
            let faults = Faults::at(Target::All, fault);
            prusa.machine.prusa().change_faults(|now| *now = faults).unwrap();
            for _ in 0..3 {
                bench.tick(&[], &both);
            }
            both.iter().for_each(|one| one.machine.heal());
            let back = bench.tick_until(12, &[], &both, || both.iter().all(|one| connected(one)));
            assert!(back, "round {round}, fault {number}: they do not come back");
        }
        if round + 1 == SETTLED {
            settled = Some(Held::now());
        }
    }
    let (before, after) = (settled.unwrap(), Held::now());
    println!("one service, {ROUNDS} rounds of faults: {before:?}, {after:?}");
    assert!(after.heap_bytes <= before.heap_bytes + HEAP_MARGIN, "{before:?}, {after:?}");
    assert!(after.descriptors <= before.descriptors + 2, "{before:?}, {after:?}");
    assert!(after.threads <= before.threads + 2, "{before:?}, {after:?}");
    assert_eq!(bench.end(), Vec::<String>::new());
}
