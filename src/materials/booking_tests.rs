//! From a print's end to its bookings, with the figures before or after the end, restarts in between, and the task itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::settle::{WAITING_MAX, learn, note_by_hand, settle};
use super::shelf::{add, assign};
use super::tests::{close, grams, spool, spool_printer};
use super::{Because, MaterialError, booking, task};
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::base::task::{Board, Stop, TaskContext};
use crate::events::{Announcer, Envelope, Event, EventBus, FileMetadataExtracted, MetadataExtractionFailed};
use crate::jobs::record::{Transition, apply};
use crate::model::status::{Filament, Observation, Print, PrinterState};
use crate::model::{
    Booking, Consumption, FileId, Job, JobId, JobStatus, Mass, Material, MaterialId, PrinterId, PrinterStatus,
};
use crate::store::tests::scratch;
use crate::store::{OpenedStore, Read as _, Store, StoreError, StoreOptions, Txn};

const PRINTER: PrinterId = PrinterId(1);
const FILE: FileId = FileId(7);

/// One printer with spools in slots 0 and 1, and a store to tell its story to.
struct Shop {
    dir: tempfile::TempDir,
    clock: Clock,
    announcer: Announcer,
    heard: Arc<Mutex<Vec<Arc<Envelope>>>>,
    opened: Option<OpenedStore>,
    seen: PrinterState,
}

impl Shop {
    fn new() -> Shop {
        let clock = Clock::manual(RELEASE_FLOOR);
        let announcer = Announcer::new(EventBus::new(), 0, clock.clone());
        let (heard, seen) = (Arc::default(), PrinterState::default());
        let mut shop = Shop { dir: scratch(), clock, announcer, heard, opened: None, seen };
        shop.restart();
        shop.write(|txn| {
            let printer = crate::model::Printer { id: txn.next_printer_id(), ..spool_printer() };
            txn.put_printer(&printer)?;
            for slot in [0, 1] {
                let spool = add(txn, spool(grams(1000)), &Because::default())?;
                assign(txn, PRINTER, slot, Some(spool.id), &Because::default())?;
            }
            Ok(())
        });
        shop
    }

    fn restart(&mut self) {
        if let Some(opened) = self.opened.take() {
            close(opened);
        }
        let (list, announcer) = (Arc::clone(&self.heard), self.announcer.clone());
        let publish = Arc::new(move |event: Arc<Envelope>| {
            list.lock().unwrap().push(Arc::clone(&event));
            announcer.committed(event);
        });
        self.opened =
            Some(Store::open(StoreOptions::new(self.dir.path(), self.clock.clone(), publish)).unwrap());
    }

    fn store(&self) -> Store {
        self.opened.as_ref().unwrap().store.clone()
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, MaterialError> + Send + 'static,
    ) -> T {
        self.store().write_blocking(work).unwrap()
    }

    /// The printer shows this.
    fn shows(&mut self, status: PrinterStatus, progress: u8, slot: Option<u16>, mapping: &[Option<u16>]) {
        let filaments = slot.map(|slot| Filament {
            slot,
            material: Some("PLA".into()),
            color: None,
            remaining_percentage: None,
            active: true,
            material_id: None,
        });
        let seen = Observation {
            status,
            running: status == PrinterStatus::Printing,
            print: Print { name: Some("Cube".into()), ..Print::default() },
            progress: Some(progress),
            filaments: filaments.into_iter().collect(),
            mapping: mapping.to_vec(),
            ..Observation::default()
        };
        self.seen.see(seen);
        (self.seen.status, self.seen.fresh) = (status, true);
        let transition = Transition {
            printer_id: PRINTER,
            printer_name: "X1".into(),
            state: self.seen.clone(),
            first: false,
            flow: None,
        };
        self.clock.advance(Duration::from_secs(600));
        self.store().write_blocking(move |txn| apply(txn, &transition)).unwrap();
    }

    /// A print from slot 0 that ends like this; answers its job.
    fn print(&mut self, end: PrinterStatus, progress: u8) -> JobId {
        use PrinterStatus as S;
        self.shows(S::Preparing, 0, None, &[]);
        self.shows(S::Printing, 0, Some(0), &[]);
        self.shows(end, progress, None, &[]);
        let job = self.newest();
        self.shows(S::Idle, 0, None, &[]);
        job.id
    }

    fn newest(&self) -> Job {
        let jobs = self.store().read_blocking(|view| view.list::<Job>(1000)).unwrap();
        jobs.into_iter().next_back().unwrap()
    }

    fn job(&self, id: JobId) -> Job {
        self.store().read_blocking(|view| view.job(id)).unwrap().unwrap()
    }

    fn link(&self, id: JobId) {
        self.write(move |txn| {
            let mut job = txn.job(id)?.unwrap();
            job.file_id = Some(FILE);
            Ok(txn.put_job(&job)?)
        });
    }

    fn learn(&self, metadata: &'static str) {
        self.write(move |txn| learn(txn, FILE, None, metadata, None).map(drop));
    }

    fn settle(&self, id: JobId) {
        self.write(move |txn| settle(txn, id, None).map(drop));
    }

    fn left(&self) -> [Mass; 2] {
        [1, 2].map(|id| {
            self.store()
                .read_blocking(|view| view.get::<Material>(MaterialId(id)))
                .unwrap()
                .unwrap()
                .remaining
        })
    }

    fn bookings(&self) -> Vec<Consumption> {
        self.store().read_blocking(|view| view.list(1000)).unwrap()
    }

    fn said(&self) -> Vec<Arc<Envelope>> {
        self.heard.lock().unwrap().drain(..).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            close(opened);
        }
    }
}

const ONE: &str = r##"{"filaments": [{"tool": 0, "type": "PLA", "color": "#101010", "used_g": 200.5}]}"##;
const TWO: &str = r##"{"filaments": [{"tool": 0, "used_g": 100}, {"tool": 2, "used_g": 50}]}"##;

#[test]
fn figures_that_come_before_the_end_are_booked_at_the_end_once() {
    use PrinterStatus as S;
    let mut shop = Shop::new();
    shop.shows(S::Preparing, 0, None, &[]);
    shop.shows(S::Printing, 0, Some(0), &[]);
    let id = shop.newest().id;
    shop.link(id);
    shop.learn(ONE);
    assert_eq!(shop.job(id).material.booking, Booking::None, "it is still printing");
    shop.said();
    shop.shows(S::Finished, 100, None, &[]);
    let ended = shop.said();
    let completed = ended.last().unwrap();
    let Event::JobCompleted(over) = &completed.event else { panic!("{completed:?}") };
    assert_eq!(over.material_used_g, Some(200.5));
    for _ in 0..3 {
        shop.settle(id);
        shop.restart();
    }
    let said = shop.said();
    let [updated] = &said[..] else { panic!("{said:?}") };
    assert_eq!((updated.event.name(), updated.cause), ("material_updated", completed.seq));
    assert_eq!(updated.flow, completed.flow);
    assert_eq!(shop.left(), [grams(1000).less(Mass::from_micrograms(200_500_000)), grams(1000)]);
    let [booking] = &shop.bookings()[..] else { panic!() };
    assert_eq!((booking.job_id, booking.slot, booking.auto), (Some(id), Some(0), true));
    assert_eq!(shop.job(id).material.booking, Booking::Booked);
}

#[test]
fn figures_that_come_after_the_end_are_booked_then_also_after_a_restart() {
    let mut shop = Shop::new();
    let id = shop.print(PrinterStatus::Finished, 100);
    shop.link(id);
    shop.settle(id);
    assert_eq!((shop.job(id).material.booking, shop.bookings().len()), (Booking::Pending, 0));
    shop.restart();
    assert_eq!(shop.store().read_blocking(|view| view.unbooked_jobs()), Ok(vec![id]));
    shop.said();
    shop.learn(ONE);
    let names: Vec<&str> = shop.said().iter().map(|event| event.event.name()).collect();
    assert_eq!(names, ["material_updated", "job_updated"], "what the job used was not part of its end");
    assert_eq!(shop.job(id).material.used, Some(Mass::from_micrograms(200_500_000)));
    assert_eq!(shop.store().read_blocking(|view| view.unbooked_jobs()), Ok(vec![]));
    shop.learn(ONE);
    shop.settle(id);
    assert_eq!(shop.bookings().len(), 1);
}

#[test]
fn a_cancelled_print_is_booked_as_far_as_it_came_and_lowers_the_stock() {
    let mut shop = Shop::new();
    let spools = shop.left();
    let id = shop.print(PrinterStatus::Cancelled, 40);
    shop.link(id);
    shop.learn(r#"{"filament_used_g": 1000, "filaments": []}"#);
    assert_eq!(shop.left(), [spools[0].less(grams(400)), spools[1]]);
    let id = shop.print(PrinterStatus::Failed, 41);
    shop.link(id);
    shop.said();
    shop.learn(r#"{"filament_used_g": 1000, "filaments": []}"#);
    let said = shop.said();
    let names: Vec<&str> = said.iter().map(|event| event.event.name()).collect();
    assert_eq!(names, ["material_updated", "material_low_stock", "job_updated"]);
    assert_eq!(said[1].cause, said[0].seq);
    assert_eq!(shop.left()[0], grams(190));
}

#[test]
fn the_printers_word_maps_filaments_to_slots() {
    use PrinterStatus as S;
    let mut shop = Shop::new();
    shop.shows(S::Preparing, 0, None, &[Some(1), None, Some(0)]);
    shop.shows(S::Printing, 0, Some(1), &[Some(1), None, Some(0)]);
    let id = shop.newest().id;
    shop.link(id);
    shop.learn(TWO);
    shop.shows(S::Finished, 100, None, &[]);
    shop.settle(id);
    assert_eq!(shop.left(), [grams(950), grams(900)]);
    let slots: Vec<_> = shop.bookings().iter().map(|booking| booking.slot).collect();
    assert_eq!(slots, [Some(1), Some(0)]);
}

#[test]
fn what_is_not_certain_is_offered_and_never_booked_by_itself() {
    use PrinterStatus as S;
    let mut shop = Shop::new();
    // Nobody saw the end.
    let unseen = shop.print(S::Idle, 80);
    shop.link(unseen);
    shop.learn(ONE);
    shop.settle(unseen);
    assert_eq!((shop.job(unseen).material.booking, shop.job(unseen).material.used), (Booking::Offered, None));
    // No spool in the slot.
    shop.write(|txn| assign(txn, PRINTER, 0, None, &Because::default()));
    let empty = shop.print(S::Finished, 100);
    shop.link(empty);
    shop.said();
    shop.learn(ONE);
    assert_eq!(shop.job(empty).material.booking, Booking::Offered);
    let said = shop.said();
    assert_eq!(said.iter().map(|event| event.event.name()).collect::<Vec<_>>(), ["job_updated"]);
    // Two filaments, nobody knows from where.
    let vague = shop.print(S::Finished, 100);
    shop.link(vague);
    shop.learn(TWO);
    assert_eq!(shop.job(vague).material.booking, Booking::Offered);
    // It failed before it printed.
    shop.shows(S::Preparing, 0, None, &[]);
    shop.shows(S::Failed, 100, None, &[]);
    let unprinted = shop.newest().id;
    assert_eq!(shop.job(unprinted).material.booking, Booking::None);
    assert_eq!(shop.bookings(), []);
    // A person books it; undoing that leaves it undone for good.
    let booked = shop.write(move |txn| {
        let take = booking::Take {
            material_id: MaterialId(2),
            used: grams(10),
            job_id: Some(vague),
            printer_id: None,
            slot: None,
            file_name: None,
            print_time_s: None,
            auto: false,
        };
        let booked = booking::take(txn, take, &Because::default())?;
        note_by_hand(txn, vague)?;
        Ok(booked)
    });
    assert_eq!(shop.job(vague).material.booking, Booking::Booked);
    shop.write(move |txn| {
        booking::undo(txn, booked.id, &Because::default())?;
        note_by_hand(txn, vague)
    });
    shop.learn(TWO);
    shop.settle(vague);
    assert_eq!((shop.job(vague).material.booking, shop.bookings().len()), (Booking::Undone, 1));
}

#[test]
fn an_end_that_nobody_saw_is_booked_when_a_person_tells_it() {
    let mut shop = Shop::new();
    let unseen = shop.print(PrinterStatus::Idle, 80);
    shop.link(unseen);
    shop.learn(ONE);
    assert_eq!((shop.job(unseen).material.booking, shop.bookings()), (Booking::Offered, Vec::new()));
    shop.write(move |txn| {
        crate::jobs::edit::set_status(txn, unseen, JobStatus::Completed, None).unwrap();
        Ok(())
    });
    assert_eq!(shop.job(unseen).material.booking, Booking::Pending);
    shop.learn(ONE);
    shop.settle(unseen);
    assert_eq!((shop.job(unseen).material.booking, shop.bookings().len()), (Booking::Booked, 1));
}

#[test]
fn jobs_whose_files_never_come_do_not_wait_for_ever() {
    let mut shop = Shop::new();
    let first = shop.print(PrinterStatus::Finished, 100);
    let template = shop.job(first);
    shop.write(move |txn| {
        for _ in 0..WAITING_MAX {
            let id = txn.next_job_id();
            txn.put_job(&Job { id, ..template.clone() })?;
        }
        Ok(())
    });
    let last = shop.newest().id;
    shop.settle(last);
    assert_eq!(
        (shop.job(first).material.booking, shop.job(last).material.booking),
        (Booking::Offered, Booking::Pending)
    );
    let waiting = shop.store().read_blocking(|view| view.unbooked_jobs()).unwrap();
    assert_eq!(waiting.len(), WAITING_MAX);
}

/// Runs the task beside `story`, which is told when it may look.
fn with_task(shop: &Shop, story: impl AsyncFnOnce(&Shop)) {
    let (stop, board) = (Stop::default(), Board::default());
    let info = board.enter("materials", shop.clock.now().mono);
    let context = TaskContext::new(shop.clock.clone(), stop.clone(), info);
    let deps = task::Deps { store: shop.store(), announcer: shop.announcer.clone() };
    smol::block_on(async {
        let telling = async {
            story(shop).await;
            stop.throw();
        };
        let (ended, ()) = smol::future::zip(task::run(context, deps), telling).await;
        ended.unwrap();
    });
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        smol::future::yield_now().await;
    }
    panic!("waited in vain: {what}");
}

#[test]
fn the_task_books_what_it_hears_and_what_it_finds_at_its_start() {
    use PrinterStatus as S;
    let mut shop = Shop::new();
    // Ended while the task was away, its figures known from the record.
    shop.shows(S::Preparing, 0, None, &[]);
    shop.shows(S::Printing, 0, Some(0), &[]);
    let missed = shop.newest().id;
    shop.link(missed);
    shop.learn(ONE);
    shop.shows(S::Finished, 100, None, &[]);
    shop.shows(S::Idle, 0, None, &[]);
    let late = shop.print(S::Finished, 100);
    shop.link(late);
    let lost = shop.print(S::Finished, 100);
    shop.write(move |txn| {
        let mut job = txn.job(lost)?.unwrap();
        job.file_id = Some(FileId(8));
        Ok(txn.put_job(&job)?)
    });
    with_task(&shop, async |shop| {
        until("the job from before", || shop.job(missed).material.booking == Booking::Booked).await;
        assert_eq!(shop.job(late).material.booking, Booking::Pending);
        let store = shop.store();
        let news = store.write(|txn| {
            let metadata = serde_json::from_str(ONE).unwrap_or_default();
            let figures =
                FileMetadataExtracted { file_id: FILE, file_path: "a".into(), plate: Some(1), metadata };
            txn.emit(Event::FileMetadataExtracted(figures), None, None);
            let failed =
                MetadataExtractionFailed { file_id: FileId(8), error: "x".into(), kind: "corrupt".into() };
            txn.emit(Event::MetadataExtractionFailed(failed), None, None);
            Ok::<_, StoreError>(())
        });
        news.await.unwrap();
        until("the late figures", || shop.job(late).material.booking == Booking::Booked).await;
        until("no figures", || shop.job(lost).material.booking == Booking::Offered).await;
    });
    assert_eq!(shop.bookings().len(), 2);
    assert_eq!(shop.left()[0], grams(599));
    // Every booking belongs to its print's flow, and its cause leads back to the print.
    let said = shop.said();
    let updates: Vec<_> = said
        .iter()
        .filter(|event| event.event.name() == "material_updated" && event.flow.is_some())
        .collect();
    assert_eq!(updates.len(), 2);
    let flows: Vec<String> = updates.iter().map(|event| event.flow.as_ref().unwrap().0.to_string()).collect();
    assert_eq!(flows, [format!("print-{missed}"), format!("print-{late}")]);
    let cause = said.iter().find(|event| event.seq == updates[0].cause).unwrap();
    assert_eq!(cause.event.name(), "job_completed");
    let cause = said.iter().find(|event| event.seq == updates[1].cause).unwrap();
    assert_eq!(cause.event.name(), "file_metadata_extracted");
}
