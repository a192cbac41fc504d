//! Spools in a real store: every path of low stock, and random lives compared with plain maps, restarts and crashes included.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::booking::{Take, take, undo};
use super::shelf::{add, assign, change, release, remove};
use super::{Because, MaterialError};
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::events::{Envelope, Event};
use crate::model::{
    ConnectionConfig, Consumption, ConsumptionId, Mass, Material, MaterialId, Place, Printer, PrinterId,
    PrinterType, Share,
};
use crate::store::tests::disk::{Disk, Fate, each_crash};
use crate::store::tests::scratch;
use crate::store::{OpenedStore, Read as _, Store, StoreError, StoreOptions, Txn};

type Heard = Arc<Mutex<Vec<Arc<Envelope>>>>;

fn options(dir: &Path, heard: &Heard) -> StoreOptions {
    let list = Arc::clone(heard);
    let publish = Arc::new(move |event| list.lock().unwrap().push(event));
    StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), publish)
}

pub(super) fn close(opened: OpenedStore) {
    smol::block_on(opened.thread.close(Duration::from_secs(5))).unwrap();
}

/// A store that can be closed and opened again in the middle of a story.
struct Shelf {
    dir: tempfile::TempDir,
    heard: Heard,
    opened: Option<OpenedStore>,
}

impl Shelf {
    fn new() -> Shelf {
        let mut shelf = Shelf { dir: scratch(), heard: Heard::default(), opened: None };
        shelf.restart();
        shelf
    }

    fn restart(&mut self) {
        if let Some(opened) = self.opened.take() {
            close(opened);
        }
        self.opened = Some(Store::open(options(self.dir.path(), &self.heard)).unwrap());
    }

    fn store(&self) -> &Store {
        &self.opened.as_ref().unwrap().store
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, MaterialError> + Send + 'static,
    ) -> Result<T, MaterialError> {
        self.store().write_blocking(work)
    }

    fn add(&self, new: Material) -> Material {
        self.write(|txn| add(txn, new, &Because::default())).unwrap()
    }

    fn set(&self, id: MaterialId, edit: impl FnOnce(&mut Material) + Send + 'static) -> Material {
        self.write(move |txn| {
            change(txn, id, &Because::default(), |material| {
                edit(material);
                Ok::<(), MaterialError>(())
            })
        })
        .unwrap()
    }

    fn left(&self, id: MaterialId, remaining: Mass) {
        self.set(id, move |material| material.remaining = remaining);
    }

    fn take(&self, id: MaterialId, used: Mass) -> Consumption {
        self.write(move |txn| take(txn, taking(id, used), &Because::default())).unwrap()
    }

    fn undo(&self, id: ConsumptionId) -> Result<Consumption, MaterialError> {
        self.write(move |txn| undo(txn, id, &Because::default()))
    }

    fn printer(&self) -> PrinterId {
        self.write(|txn| {
            let printer = Printer { id: txn.next_printer_id(), ..spool_printer() };
            txn.put_printer(&printer)?;
            Ok(printer.id)
        })
        .unwrap()
    }

    fn get(&self, id: MaterialId) -> Material {
        self.store().read_blocking(|view| view.material(id)).unwrap().unwrap()
    }

    /// The names of the events since the last call.
    fn said(&self) -> Vec<&'static str> {
        self.heard.lock().unwrap().drain(..).map(|event| event.event.name()).collect()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            close(opened);
        }
    }
}

fn taking(material_id: MaterialId, used: Mass) -> Take {
    Take {
        material_id,
        used,
        job_id: None,
        printer_id: None,
        slot: None,
        file_name: None,
        print_time_s: None,
        auto: false,
    }
}

pub(super) fn spool(remaining: Mass) -> Material {
    Material {
        id: MaterialId(0),
        material_type: "PLA".into(),
        brand: Some("Prusament".into()),
        color: Some("black".into()),
        color_hex: Some("#101010".into()),
        diameter_um: Some(1750),
        weight: grams(1000),
        remaining,
        cost_per_kg: None,
        purchase_date: None,
        vendor: None,
        batch_number: None,
        notes: None,
        location: None,
        place: None,
        active: true,
        threshold: Share::LOW_STOCK,
        armed: true,
        created_at: RELEASE_FLOOR,
        updated_at: RELEASE_FLOOR,
    }
}

pub(super) fn grams(grams: u64) -> Mass {
    Mass::from_grams(grams)
}

fn percent(percent: u64) -> Share {
    Share::from_millionths(percent * 10_000).unwrap()
}

const CREATED: &str = "material_created";
const UPDATED: &str = "material_updated";
const LOW: &str = "material_low_stock";

#[test]
fn every_path_below_the_threshold_says_so_once() {
    let mut shelf = Shelf::new();
    // By hand, to a hair.
    let id = shelf.add(spool(grams(1000))).id;
    assert_eq!(shelf.said(), [CREATED]);
    shelf.left(id, grams(200));
    assert_eq!(shelf.said(), [UPDATED], "exactly 20 % is not below");
    shelf.left(id, Mass::from_micrograms(199_999_999));
    assert_eq!(shelf.said(), [UPDATED, LOW]);
    shelf.left(id, grams(100));
    assert_eq!(shelf.said(), [UPDATED], "said already");
    shelf.restart();
    shelf.left(id, grams(50));
    assert_eq!(shelf.said(), [UPDATED], "also after a restart");
    shelf.left(id, Mass::from_micrograms(199_999_999));
    shelf.left(id, grams(150));
    assert_eq!(shelf.said(), [UPDATED, UPDATED], "raised, but not to the threshold");
    shelf.left(id, grams(200));
    shelf.restart();
    shelf.left(id, grams(199));
    assert_eq!(shelf.said(), [UPDATED, UPDATED, LOW], "armed again at the threshold, over a restart");
    // By a booking, and by undoing one.
    shelf.left(id, grams(1000));
    let first = shelf.take(id, grams(800));
    assert_eq!(shelf.said(), [UPDATED, UPDATED]);
    let second = shelf.take(id, Mass::from_micrograms(1));
    assert_eq!(shelf.said(), [UPDATED, LOW]);
    shelf.undo(second.id).unwrap();
    assert_eq!((shelf.said(), shelf.get(id).armed), (vec![UPDATED], true));
    shelf.take(id, grams(1));
    assert_eq!(shelf.said(), [UPDATED, LOW]);
    shelf.undo(first.id).unwrap();
    assert_eq!((shelf.said(), shelf.get(id).remaining), (vec![UPDATED], grams(999)));
    // By a spool that is larger than was thought.
    shelf.left(id, grams(300));
    shelf.set(id, |material| material.weight = grams(2000));
    assert_eq!(shelf.said(), [UPDATED, UPDATED, LOW]);
    // Entered below.
    let low = shelf.add(spool(grams(199))).id;
    assert_eq!(shelf.said(), [CREATED, LOW]);
    shelf.left(low, grams(198));
    assert_eq!(shelf.said(), [UPDATED]);
    // Entered at the threshold.
    let edge = shelf.add(spool(grams(200))).id;
    assert_eq!(shelf.said(), [CREATED]);
    // A moved threshold says nothing, whichever way, and arms.
    shelf.set(edge, |material| material.threshold = percent(30));
    assert_eq!((shelf.said(), shelf.get(edge).armed), (vec![UPDATED], false));
    shelf.left(edge, grams(190));
    assert_eq!(shelf.said(), [UPDATED]);
    shelf.set(edge, |material| material.threshold = percent(10));
    assert_eq!((shelf.said(), shelf.get(edge).armed), (vec![UPDATED], true));
    shelf.left(edge, grams(99));
    assert_eq!(shelf.said(), [UPDATED, LOW]);
    // Both in one change: first the threshold decides with what was left, then the new content is judged by it.
    shelf.left(edge, grams(500));
    shelf.set(edge, |material| (material.threshold, material.remaining) = (percent(30), grams(100)));
    assert_eq!(shelf.said(), [UPDATED, UPDATED, LOW]);
    shelf.left(edge, grams(350));
    shelf.set(edge, |material| (material.threshold, material.remaining) = (percent(40), grams(340)));
    assert_eq!(shelf.said(), [UPDATED, UPDATED], "35 % was below the new threshold before anything fell");
    // What changes nothing says nothing.
    shelf.left(edge, grams(340));
    shelf.set(edge, |_| {});
    assert_eq!(shelf.said(), [] as [&str; 0]);
}

#[test]
fn the_announcement_follows_its_update_and_tells_the_figures() {
    let shelf = Shelf::new();
    let id = shelf.add(spool(grams(1000))).id;
    shelf.left(id, Mass::from_micrograms(199_999_900));
    let heard = shelf.heard.lock().unwrap().clone();
    let [_, updated, low] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((low.seq, low.cause), (updated.seq.map(|seq| seq + 1), updated.seq));
    let Event::MaterialLowStock(said) = &low.event else { panic!("{low:?}") };
    assert_eq!((said.material_id, said.material_name.as_str()), (id, "Prusament PLA black"));
    assert_eq!((said.remaining_g, said.threshold_percentage), (199.9999, 20.0));
    assert!(said.remaining_percentage < 20.0, "{said:?}");
    let Event::MaterialUpdated(whole) = &updated.event else { panic!("{updated:?}") };
    assert_eq!((whole.material.remaining_weight, whole.material.low_stock), (0.1999999, true));
}

#[test]
fn a_booking_takes_what_is_there_and_undoing_gives_that_back_once() {
    let shelf = Shelf::new();
    let id =
        shelf.add(Material { cost_per_kg: crate::model::Money::from_parts(200_000), ..spool(grams(30)) }).id;
    let booking = shelf.take(id, grams(50));
    assert_eq!((booking.used, booking.deducted), (grams(50), grams(30)));
    assert_eq!(booking.cost.unwrap().amount(), 1.0);
    assert_eq!(shelf.get(id).remaining, Mass::ZERO);
    let undone = shelf.undo(booking.id).unwrap();
    assert!(undone.undone_at.is_some());
    assert_eq!(shelf.get(id).remaining, grams(30));
    assert_eq!(shelf.undo(booking.id), Err(MaterialError::UndoneAlready(booking.id)));
    assert_eq!(shelf.get(id).remaining, grams(30));
    // A spool that was weighed meanwhile is never fuller than full.
    let booking = shelf.take(id, grams(10));
    shelf.left(id, grams(995));
    shelf.undo(booking.id).unwrap();
    assert_eq!(shelf.get(id).remaining, grams(1000));
    // Of a deleted spool only the history is left.
    let booking = shelf.take(id, grams(10));
    shelf.write(move |txn| remove(txn, id, &Because::default())).unwrap();
    shelf.said();
    assert!(shelf.undo(booking.id).unwrap().undone_at.is_some());
    assert_eq!(shelf.said(), [] as [&str; 0]);
    let no_such = ConsumptionId(99);
    assert_eq!(shelf.undo(no_such), Err(MaterialError::NoConsumption(no_such)));
}

#[test]
fn a_spool_is_in_one_slot_and_a_slot_holds_one_spool() {
    let mut shelf = Shelf::new();
    let (printer, other) = (shelf.printer(), shelf.printer());
    let [one, two] = [0, 1].map(|_| shelf.add(spool(grams(1000))).id);
    let put = |shelf: &Shelf, printer, slot, spool| {
        shelf.write(move |txn| assign(txn, printer, slot, spool, &Because::default()))
    };
    let slots = |shelf: &Shelf, printer| shelf.store().read_blocking(|view| view.slots(printer)).unwrap();
    put(&shelf, printer, 1, Some(one)).unwrap();
    put(&shelf, printer, 3, Some(two)).unwrap();
    assert_eq!(slots(&shelf, printer), [(1, one), (3, two)]);
    shelf.said();
    // Moving one to the place of the other puts the other beside the printer.
    put(&shelf, printer, 3, Some(one)).unwrap();
    assert_eq!(shelf.said(), [UPDATED, UPDATED]);
    shelf.restart();
    assert_eq!(slots(&shelf, printer), [(3, one)]);
    assert_eq!(shelf.get(two).place, Some(Place { printer_id: printer, slot: None }));
    put(&shelf, other, 3, Some(one)).unwrap();
    assert_eq!((slots(&shelf, printer), slots(&shelf, other)), (vec![], vec![(3, one)]));
    // Emptying an empty slot changes nothing.
    shelf.said();
    put(&shelf, printer, 3, None).unwrap();
    assert_eq!(shelf.said(), [] as [&str; 0]);
    put(&shelf, other, 3, None).unwrap();
    assert_eq!((shelf.said(), slots(&shelf, other)), (vec![UPDATED], vec![]));
    // A deleted spool and a removed printer leave no slot behind.
    put(&shelf, printer, 0, Some(one)).unwrap();
    put(&shelf, printer, 1, Some(two)).unwrap();
    shelf.write(move |txn| remove(txn, one, &Because::default())).unwrap();
    assert_eq!(slots(&shelf, printer), [(1, two)]);
    shelf.write(move |txn| release(txn, printer, &Because::default())).unwrap();
    assert_eq!((slots(&shelf, printer), shelf.get(two).place), (vec![], None));
    let nobody = PrinterId(77);
    assert_eq!(put(&shelf, nobody, 0, Some(two)), Err(MaterialError::NoPrinter(nobody)));
    assert_eq!(put(&shelf, printer, 0, Some(one)), Err(MaterialError::NoMaterial(one)));
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let shelf = Shelf::new();
    let overfull = spool(grams(1001));
    assert_eq!(
        shelf.write(move |txn| add(txn, overfull, &Because::default())).unwrap_err(),
        MaterialError::Overfull
    );
    let id = shelf.add(spool(grams(1000))).id;
    assert_eq!(id, MaterialId(1), "the refused one took no number");
    let refused = shelf.write(move |txn| {
        change(txn, id, &Because::default(), |material| {
            material.weight = grams(999);
            Ok::<(), MaterialError>(())
        })
    });
    assert_eq!(refused, Err(MaterialError::Overfull));
    assert_eq!((shelf.get(id).weight, shelf.said()), (grams(1000), vec![CREATED]));
}

#[test]
fn the_history_of_bookings_is_bounded() {
    let shelf = Shelf::new();
    let id = shelf.add(spool(grams(1000))).id;
    let kept = shelf.store().write_blocking(move |txn| {
        let because = Because::default();
        for _ in 0..20 {
            take(txn, taking(id, grams(1)), &because)?;
        }
        txn.trim_consumptions(15, 2)?;
        txn.trim_consumptions(15, 99)?;
        Ok::<_, MaterialError>(txn.list::<Consumption>(100)?)
    });
    let kept: Vec<u64> = kept.unwrap().iter().map(|booking| booking.id.0).collect();
    assert_eq!(kept, (6..=20).collect::<Vec<u64>>(), "the oldest went");
}

/// A spool as a plain map has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plain {
    remaining: u64,
    threshold: u64,
    slot: Option<u16>,
}

impl Plain {
    fn low(self) -> bool {
        // All spools of this story hold 1 kg.
        u128::from(self.remaining) * 100 < u128::from(self.threshold) * 1_000_000_000
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    spools: BTreeMap<u64, Plain>,
    bookings: BTreeMap<u64, (u64, u64, bool)>,
    last_spool: u64,
    said: Vec<String>,
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Left(u64, u64),
    Threshold(u64, u64),
    Take(u64, u64),
    Undo(u64),
    Remove(u64),
    Assign(u16, Option<u64>),
}

const PRINTER: PrinterId = PrinterId(1);

impl Model {
    fn step(&self, random: &mut fastrand::Rng) -> Step {
        let pick = |random: &mut fastrand::Rng, of: Vec<u64>| random.choice(of);
        let spool = pick(random, self.spools.keys().copied().collect());
        let booking = pick(random, self.bookings.keys().copied().collect());
        let amount = |random: &mut fastrand::Rng| random.u64(0..=10) * 100_000_000 + random.u64(0..2);
        match (random.u8(0..14), spool, booking) {
            (0, _, _) | (_, None, _) => Step::Add(amount(random).min(1_000_000_000)),
            (1..=4, Some(id), _) => Step::Left(id, amount(random).min(1_000_000_000)),
            (5, Some(id), _) => Step::Threshold(id, random.u64(0..=10) * 10),
            (6..=8, Some(id), _) => Step::Take(id, amount(random) / 3 + 1),
            (9 | 10, _, Some(id)) => Step::Undo(id),
            (11, Some(id), _) if self.spools.len() > 3 => Step::Remove(id),
            (_, Some(id), _) => Step::Assign(random.u16(0..3), Some(id).filter(|_| random.u8(0..3) > 0)),
        }
    }

    /// Does the step here, in words of its own.
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Add(remaining) => {
                self.last_spool += 1;
                let plain = Plain { remaining, threshold: 20, slot: None };
                self.spools.insert(self.last_spool, plain);
                self.said.push(format!("created {}", self.last_spool));
                if plain.low() {
                    self.said.push(format!("low {}", self.last_spool));
                }
            }
            Step::Left(id, remaining) => {
                if self.spools[&id].remaining != remaining {
                    self.update(id, |plain| plain.remaining = remaining);
                }
            }
            Step::Threshold(id, threshold) => {
                if self.spools[&id].threshold != threshold {
                    self.spools.get_mut(&id).unwrap().threshold = threshold;
                    self.said.push(format!("updated {id}"));
                }
            }
            Step::Take(id, used) => {
                let number = self.bookings.len() as u64 + 1;
                let taken = used.min(self.spools[&id].remaining);
                self.bookings.insert(number, (id, taken, false));
                self.update(id, |plain| plain.remaining -= taken);
            }
            Step::Undo(number) => {
                let (id, taken, undone) = self.bookings[&number];
                if !undone {
                    self.bookings.get_mut(&number).unwrap().2 = true;
                    if self.spools.contains_key(&id) {
                        self.update(id, |plain| {
                            plain.remaining = (plain.remaining + taken).min(1_000_000_000)
                        });
                    }
                }
            }
            Step::Remove(id) => {
                self.spools.remove(&id);
                self.said.push(format!("deleted {id}"));
            }
            Step::Assign(slot, spool) => {
                let there = self.spools.iter().find(|(_, plain)| plain.slot == Some(slot)).map(|(id, _)| *id);
                if there == spool {
                    return;
                }
                if let Some(there) = there {
                    self.update(there, |plain| plain.slot = None);
                }
                if let Some(id) = spool {
                    self.update(id, |plain| plain.slot = Some(slot));
                }
            }
        }
    }

    fn update(&mut self, id: u64, edit: impl FnOnce(&mut Plain)) {
        let plain = self.spools.get_mut(&id).unwrap();
        let was_low = plain.low();
        edit(plain);
        self.said.push(format!("updated {id}"));
        if plain.low() && !was_low {
            self.said.push(format!("low {id}"));
        }
    }

    /// What the store holds, in the same words.
    fn read(store: &Store) -> Model {
        store
            .read_blocking(|view| {
                let mut model = Model::default();
                for material in view.list::<Material>(1000)? {
                    assert_eq!(material.armed, !material.is_low(), "{material:?}");
                    let slot = material.place.and_then(|place| place.slot);
                    let threshold = u64::from(material.threshold.millionths()) / 10_000;
                    let remaining = material.remaining.micrograms();
                    model.spools.insert(material.id.0, Plain { remaining, threshold, slot });
                }
                let indexed: BTreeMap<u64, u16> =
                    view.slots(PRINTER)?.into_iter().map(|(slot, id)| (id.0, slot)).collect();
                let placed: BTreeMap<u64, u16> =
                    model.spools.iter().filter_map(|(id, plain)| Some((*id, plain.slot?))).collect();
                assert_eq!(indexed, placed, "the index of slots is true");
                for booking in view.list::<Consumption>(10_000)? {
                    let row =
                        (booking.material_id.0, booking.deducted.micrograms(), booking.undone_at.is_some());
                    model.bookings.insert(booking.id.0, row);
                }
                let mut after = 0;
                loop {
                    let page = view.journal_after(after, 1000)?;
                    let Some(last) = page.events.last() else { break };
                    after = last.seq;
                    model.said.extend(page.events.iter().filter_map(|event| words(&event.json)));
                }
                model.last_spool = model
                    .said
                    .iter()
                    .filter_map(|word| word.strip_prefix("created ")?.parse().ok())
                    .max()
                    .unwrap_or(0);
                Ok::<_, StoreError>(model)
            })
            .unwrap()
    }
}

fn words(json: &str) -> Option<String> {
    let event = Envelope::from_json(Arc::from(json)).unwrap().event;
    match event {
        Event::MaterialCreated(whole) => Some(format!("created {}", whole.material.id.0)),
        Event::MaterialUpdated(whole) => Some(format!("updated {}", whole.material.id.0)),
        Event::MaterialLowStock(low) => Some(format!("low {}", low.material_id.0)),
        Event::MaterialDeleted(gone) => Some(format!("deleted {}", gone.material_id.0)),
        _ => None,
    }
}

fn perform(store: &Store, step: Step) {
    let done = store.write_blocking(move |txn| {
        let because = Because::default();
        let set = |txn: &mut Txn<'_>, id: u64, edit: &dyn Fn(&mut Material)| {
            change(txn, MaterialId(id), &because, |material| {
                edit(material);
                Ok::<(), MaterialError>(())
            })
            .map(drop)
        };
        match step {
            Step::Add(remaining) => add(txn, spool(Mass::from_micrograms(remaining)), &because).map(drop),
            Step::Left(id, remaining) => {
                set(txn, id, &|material| material.remaining = Mass::from_micrograms(remaining))
            }
            Step::Threshold(id, threshold) => {
                set(txn, id, &|material| material.threshold = percent(threshold))
            }
            Step::Take(id, used) => {
                take(txn, taking(MaterialId(id), Mass::from_micrograms(used)), &because).map(drop)
            }
            Step::Undo(id) => match undo(txn, ConsumptionId(id), &because) {
                Ok(_) | Err(MaterialError::UndoneAlready(_)) => Ok(()),
                Err(error) => Err(error),
            },
            Step::Remove(id) => remove(txn, MaterialId(id), &because).map(drop),
            Step::Assign(slot, spool) => assign(txn, PRINTER, slot, spool.map(MaterialId), &because),
        }
    });
    done.unwrap();
}

#[test]
fn a_random_life_with_restarts_is_that_of_a_plain_map() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut shelf = Shelf::new();
    assert_eq!(shelf.printer(), PRINTER);
    let mut model = Model::default();
    for number in 0..3_000 {
        let step = model.step(&mut random);
        model.apply(&step);
        perform(shelf.store(), step.clone());
        if random.u8(0..100) == 0 {
            shelf.restart();
        }
        if number % 50 == 0 {
            let found = Model::read(shelf.store());
            assert_eq!(found, model, "{number}: {step:?}");
        }
    }
    assert_eq!(Model::read(shelf.store()), model);
    assert!(model.said.iter().filter(|word| word.starts_with("low")).count() > 200, "{}", model.said.len());
}

#[test]
fn a_crash_at_any_sync_leaves_spool_booking_and_announcement_together_or_none() {
    let mut random = fastrand::Rng::with_seed(12);
    let dir = scratch();
    let disk = Disk::new(Vec::new());
    let heard = Heard::default();
    let opened =
        Store::open(StoreOptions { backend: Some(Box::new(disk.clone())), ..options(dir.path(), &heard) })
            .unwrap();
    let mut models = vec![Model::default()];
    let printer = opened.store.write_blocking(|txn| {
        let printer = Printer { id: txn.next_printer_id(), ..spool_printer() };
        txn.put_printer(&printer).map(|()| printer.id)
    });
    assert_eq!(printer, Ok(PRINTER));
    disk.mark(0);
    for number in 1..=150 {
        let mut model = models[number - 1].clone();
        let step = model.step(&mut random);
        model.apply(&step);
        perform(&opened.store, step);
        models.push(model);
        disk.mark(number);
    }
    close(opened);
    let mut crashes = 0;
    each_crash(&disk.log(), |crash| {
        let Some(mark) = crash.mark else { return };
        for fate in [Fate::Lost, Fate::Written, Fate::Mixed] {
            let dir = scratch();
            let state = b"running seq=0 job=0 printer=0\n";
            crate::base::file::write_atomic(&dir.path().join("run-state"), state).unwrap();
            let image = Disk::new(crash.image(fate, &mut random));
            let options =
                StoreOptions { backend: Some(Box::new(image)), ..options(dir.path(), &Heard::default()) };
            let opened = Store::open(options).unwrap();
            let found = Model::read(&opened.store);
            let next = models.get(mark + 1).unwrap_or(&models[mark]);
            assert!(found == models[mark] || found == *next, "{} {fate:?} {mark}", crash.number);
            crashes += 1;
            close(opened);
        }
    });
    assert!(crashes > 300, "{crashes}");
}

pub(super) fn spool_printer() -> Printer {
    Printer {
        id: PrinterId(0),
        name: "X1".into(),
        kind: PrinterType::BambuLab,
        connection: ConnectionConfig::default(),
        pin: None,
        location: None,
        description: None,
        enabled: true,
        created_at: RELEASE_FLOOR,
    }
}
