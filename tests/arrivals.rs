//! What follows an arrival of bytes: both rooms over a real store, real files, and files that mean harm.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]
#![allow(dead_code, reason = "helpers are shared by test programs")]

#[path = "files/mod.rs"]
mod files;
#[path = "support/seed.rs"]
mod seed;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use files::archive::{gcode_3mf, stored, zip};
use printernizer::arrivals::{self, Deps, Ended, Order, Reader, Readers, Went};
use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::base::task::{Board, Stop, TaskContext};
use printernizer::bus::Received;
use printernizer::events::{Announcer, Envelope, Event, EventBus, FileNeedsThumbnailProcessing};
use printernizer::model::file::Outcome;
use printernizer::model::{Figures, FileId, FileRecord, FileStatus, PlateWork, Work};
use printernizer::net::resolve::Resolver;
use printernizer::printers::registry::Registry;
use printernizer::printers::session::http_pool;
use printernizer::store::{Blobs, OpenedStore, Read as _, ReadFiles as _, Store, StoreOptions, ThumbSize};
use printernizer::{metadata, thumbnails};
use smol::LocalExecutor;

/// How long a test waits for an event that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory with its store, and the two rooms over it.
struct Desk {
    deps: Deps,
    opened: OpenedStore,
    _directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(RELEASE_FLOOR);
        let announcer = Announcer::new(EventBus::new(), 0, clock.clone());
        let publish = announcer.clone();
        let options = StoreOptions::new(
            directory.path(),
            clock.clone(),
            Arc::new(move |envelope| publish.committed(envelope)),
        );
        let opened = Store::open(options).unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let (store, registry) = (opened.store.clone(), Registry::default());
        let (resolver, http) = (Resolver::new(clock.clone()), http_pool());
        let deps = Deps { clock, store, announcer, blobs, registry, pool: arrivals::pool(), resolver, http };
        Desk { deps, opened, _directory: directory }
    }

    /// Bytes arrive as a download brings them; the work of `plates` is wanted in `flow`. Answers the record's number and
    /// the `seq` of the request.
    fn arrive(&self, name: &str, bytes: &[u8], plates: &[Option<u32>], flow: &str) -> (FileId, u64) {
        seed::arrive(&self.deps.store, &self.deps.blobs, name, bytes, plates, flow)
    }

    fn file(&self, id: FileId) -> FileRecord {
        self.deps.store.read_blocking(|view| view.get::<FileRecord>(id)).unwrap().unwrap()
    }

    fn figures(&self, id: FileId, plate: Option<u32>) -> Figures {
        let content = self.file(id).content.unwrap();
        self.deps.store.read_blocking(|view| view.get::<Figures>((content, plate))).unwrap().unwrap()
    }

    fn pending(&self) -> Vec<FileId> {
        self.deps.store.read_blocking(|view| view.files_with_work()).unwrap()
    }

    /// Runs both rooms until `count` results were announced; answers these in their order.
    fn run(&self, count: usize) -> Vec<Arc<Envelope>> {
        self.run_with(count, |_| {})
    }

    /// The same, and `then` is called once the rooms listen and have said what was pending.
    fn run_with(&self, count: usize, then: impl FnOnce(&Desk)) -> Vec<Arc<Envelope>> {
        let executor = Rc::new(LocalExecutor::new());
        let (stop, board) = (Stop::default(), Board::default());
        let context = |name: &str| {
            TaskContext::new(
                self.deps.clock.clone(),
                stop.clone(),
                board.enter(name, self.deps.clock.now().mono),
            )
        };
        let mut heard = self.deps.announcer.bus().subscribe_lossy("test").unwrap();
        let rooms = [
            executor.spawn(unwrapped(metadata::run(context("metadata"), self.deps.clone()))),
            executor.spawn(unwrapped(thumbnails::run(context("thumbnails"), self.deps.clone()))),
        ];
        smol::block_on(executor.run(async {
            let mut results = Vec::new();
            let collect = async {
                then(self);
                while results.len() < count {
                    match heard.recv().await {
                        Received::Item(envelope) if is_result(&envelope.event) => results.push(envelope),
                        Received::Item(_) => {}
                        Received::Missed(missed) => panic!("missed {missed}"),
                    }
                }
            };
            let late = async {
                smol::Timer::after(PATIENCE).await;
                panic!("too few results");
            };
            smol::future::or(collect, late).await;
            stop.throw();
            for room in rooms {
                room.await;
            }
            // Nothing is said twice, and nothing after the end.
            while let Some(Received::Item(envelope)) = heard.try_recv() {
                assert!(!is_result(&envelope.event), "{}", envelope.json());
            }
            results
        }))
    }

    fn close(self) {
        drop(self.deps);
        smol::block_on(self.opened.thread.close(Duration::from_secs(10))).unwrap();
    }
}

async fn unwrapped(room: impl Future<Output = printernizer::base::task::TaskResult>) {
    room.await.unwrap();
}

fn is_result(event: &Event) -> bool {
    matches!(
        event,
        Event::FileThumbnailsProcessed(_)
            | Event::ThumbnailProcessingFailed(_)
            | Event::FileMetadataExtracted(_)
            | Event::MetadataExtractionFailed(_)
    )
}

/// The kinds of the two failures of a file, thumbnails first; `None` where it went well.
fn kinds(results: &[Arc<Envelope>], id: FileId) -> (Option<String>, Option<String>) {
    let (mut pictures, mut figures) = (None, None);
    for result in results {
        match &result.event {
            Event::ThumbnailProcessingFailed(event) if event.file_id == id => {
                pictures = Some(event.kind.clone())
            }
            Event::MetadataExtractionFailed(event) if event.file_id == id => {
                figures = Some(event.kind.clone())
            }
            _ => {}
        }
    }
    (pictures, figures)
}

fn archive(plates: &[u32]) -> Vec<u8> {
    zip(&gcode_3mf(plates, plates, &files::moves(4_000)))
}

#[test]
fn each_plate_of_an_archive_has_its_own_pictures_and_figures() {
    let desk = Desk::new();
    let (id, seq) = desk.arrive("Box.gcode.3mf", &archive(&[1, 2]), &[Some(1), Some(2)], "print-j7");
    let results = desk.run(4);
    let mut figures = Vec::new();
    for result in &results {
        assert_eq!((result.cause, result.flow.as_ref().map(|flow| &*flow.0)), (Some(seq), Some("print-j7")));
        match &result.event {
            Event::FileMetadataExtracted(event) => {
                assert_eq!(event.file_id, id);
                figures.push((
                    event.plate,
                    event.metadata["filament_used_g"].as_f64(),
                    event.metadata["layer_count"].as_u64(),
                ));
            }
            Event::FileThumbnailsProcessed(event) => {
                let plate = event.plate.unwrap();
                let large = event.thumbnails.large.as_ref().unwrap();
                // The pictures of the two plates differ in their height.
                assert_eq!((large.width, large.height), (512, 512 - plate));
                assert!(
                    large
                        .url
                        .starts_with(&format!("/api/v1/files/{id}/thumbnail?size=large&plate={plate}&v="))
                );
                assert_eq!(event.thumbnails.small.as_ref().unwrap().width, 128);
            }
            other => panic!("{other:?}"),
        }
    }
    figures.sort_by_key(|found| found.0);
    assert_eq!(figures, [(Some(1), Some(1.5), Some(100)), (Some(2), Some(2.5), Some(200))]);
    for plate in [1, 2] {
        let content = desk.file(id).content.unwrap();
        for size in ThumbSize::ALL {
            let png = std::fs::read(desk.deps.blobs.thumbnail(content, Some(plate), size)).unwrap();
            assert!(png.starts_with(b"\x89PNG"));
        }
        assert!(matches!(desk.figures(id, Some(plate)).thumbnails, Outcome::Done(_)));
    }
    assert!(
        desk.file(id).work.iter().all(|work| (work.thumbnails, work.metadata) == (Work::Done, Work::Done))
    );
    assert_eq!(desk.pending(), []);
    desk.close();
}

#[test]
fn known_bytes_are_not_read_again_and_are_spoken_of_all_the_same() {
    let desk = Desk::new();
    let bytes = archive(&[1]);
    let (first, _) = desk.arrive("A.gcode.3mf", &bytes, &[None], "print-j1");
    let before = desk.run(2);
    let (second, seq) = desk.arrive("B.gcode.3mf", &bytes, &[None], "print-j2");
    // Whoever reads it now finds nothing.
    let content = desk.file(first).content.unwrap();
    std::fs::remove_file(desk.deps.blobs.content(content, "gcode.3mf")).unwrap();
    let after = desk.run(2);
    assert_eq!((kinds(&before, first), kinds(&after, second)), ((None, None), (None, None)));
    assert!(after.iter().all(|result| result.cause == Some(seq)));
    // A lost picture is no answer: then the file is read, and it is not there.
    std::fs::remove_file(desk.deps.blobs.thumbnail(content, None, ThumbSize::Small)).unwrap();
    let (third, _) = desk.arrive("C.gcode.3mf", &bytes, &[None], "print-j3");
    std::fs::remove_file(desk.deps.blobs.content(content, "gcode.3mf")).unwrap();
    assert_eq!(kinds(&desk.run(2), third), (Some("io".into()), None));
    // And a card that could not be read is no lasting answer either.
    let (fourth, _) = desk.arrive("D.gcode.3mf", &bytes, &[None], "print-j4");
    assert_eq!(kinds(&desk.run(2), fourth), (None, None));
    desk.close();
}

#[test]
fn files_that_mean_harm_cost_only_themselves() {
    let desk = Desk::new();
    let bomb = {
        let mut parts = gcode_3mf(&[1], &[1], "");
        for part in parts.iter_mut().filter(|part| part.name.ends_with(".png")) {
            part.lie_plain = Some(u64::MAX / 2);
        }
        zip(&parts)
    };
    let mut cut = archive(&[1]);
    cut.truncate(cut.len() / 2);
    let lying_png = {
        let mut png = files::png(64, 64);
        png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        zip(&[stored("Metadata/plate_1.png", png), stored("Metadata/plate_1.gcode", "G1 X1\n")])
    };
    let project = zip(&gcode_3mf(&[1], &[], ""));
    let (c, n) = (|kind: &str| Some(kind.to_owned()), None::<String>);
    let cases = [
        (
            "noise.3mf",
            files::moves(2_000).into_bytes().iter().map(|byte| byte ^ 0xa5).collect(),
            (c("corrupt"), c("corrupt")),
        ),
        ("empty.gcode", Vec::new(), (None, None)),
        ("cut.gcode.3mf", cut, (c("corrupt"), c("corrupt"))),
        ("bomb.gcode.3mf", bomb, (None, n.clone())),
        ("lying.gcode.3mf", lying_png, (None, None)),
        ("project.3mf", project, (n.clone(), c("not_sliced"))),
        ("plain.gcode", b"G28\nG1 X1\n".to_vec(), (c("none_embedded"), None)),
    ];
    let asked: Vec<_> =
        cases.iter().map(|(name, bytes, _)| desk.arrive(name, bytes, &[None], "print-j1").0).collect();
    let (fine, _) = desk.arrive("fine.gcode.3mf", &archive(&[3]), &[Some(3)], "print-j2");
    let results = desk.run(2 * cases.len() + 2);
    let known = ["corrupt", "unsupported", "too_large", "no_metadata", "not_sliced", "none_embedded", "io"];
    for ((name, _, expected), id) in cases.iter().zip(asked) {
        let found = kinds(&results, id);
        for (found, expected) in [(&found.0, &expected.0), (&found.1, &expected.1)] {
            assert!(found.as_deref().is_none_or(|kind| known.contains(&kind)), "{name}: {found:?}");
            assert!(expected.is_none() || expected == found, "{name}: {found:?} instead of {expected:?}");
        }
        let work = desk.file(id).work[0];
        assert!(work.thumbnails != Work::Pending && work.metadata != Work::Pending, "{name}");
    }
    assert_eq!(kinds(&results, fine), (None, None));
    assert_eq!(desk.pending(), []);
    desk.close();
}

#[test]
fn a_plate_that_is_not_there_is_never_another_one() {
    let desk = Desk::new();
    let (id, _) = desk.arrive("Box.gcode.3mf", &archive(&[1]), &[Some(4)], "print-j1");
    assert_eq!(kinds(&desk.run(2), id), (Some("none_embedded".into()), Some("no_metadata".into())));
    let (plain, _) = desk.arrive(
        "Boat.gcode",
        files::text::prusa_like("Slicer", "", "").as_bytes(),
        &[Some(1)],
        "print-j2",
    );
    // A file without plates is what it is, whatever the printer calls it.
    assert_eq!(kinds(&desk.run(2), plain).1, None);
    desk.close();
}

#[test]
fn an_event_is_followed_while_the_rooms_run() {
    let desk = Desk::new();
    let results = desk.run_with(2, |desk| {
        desk.arrive("Box.gcode.3mf", &archive(&[1]), &[None], "print-j1");
    });
    assert_eq!(results.len(), 2);
    desk.close();
}

#[test]
fn bytes_that_are_gone_are_asked_for_no_more() {
    let desk = Desk::new();
    let (gone, _) = desk.arrive("Gone.gcode.3mf", &archive(&[1]), &[None], "print-j1");
    desk.deps
        .store
        .write_blocking(move |txn| {
            let mut file = txn.get::<FileRecord>(gone)?.unwrap();
            file.status = FileStatus::Deleted;
            txn.put(&file)
        })
        .unwrap();
    let (fine, _) = desk.arrive("Fine.gcode.3mf", &archive(&[2]), &[None], "print-j2");
    let results = desk.run(2);
    assert_eq!(kinds(&results, fine), (None, None));
    assert_eq!(desk.pending(), []);
    assert_eq!(desk.file(gone).work[0].metadata, Work::None);
    desk.close();
}

/// A room whose job panics for the first file.
struct Clumsy(std::cell::Cell<u32>);

impl Reader for Clumsy {
    const NAME: &'static str = "clumsy";

    fn is_pending(work: &PlateWork) -> bool {
        work.metadata == Work::Pending
    }

    async fn read(&self, readers: &Readers, order: Order) -> Result<Went, Ended> {
        let first = self.0.replace(self.0.get() + 1) == 0;
        let lost = readers.work(move || assert!(!first, "a fault of the reader")).await?.is_err();
        assert_eq!(lost, first);
        let event = FileNeedsThumbnailProcessing { file_id: order.file, file_path: "done".into() };
        let note = |work: &mut PlateWork, _: &mut Figures| work.metadata = Work::Done;
        readers.end(order, note, Event::FileNeedsThumbnailProcessing(event)).await?;
        Ok(Went::Well)
    }
}

#[test]
fn a_reader_that_panics_takes_nothing_along() {
    let desk = Desk::new();
    for name in ["a.gcode", "b.gcode"] {
        desk.arrive(name, name.as_bytes(), &[None], "print-j1");
    }
    let mut heard = desk.deps.announcer.bus().subscribe_lossy("test").unwrap();
    let (stop, board) = (Stop::default(), Board::default());
    let context = TaskContext::new(
        desk.deps.clock.clone(),
        stop.clone(),
        board.enter("clumsy", desk.deps.clock.now().mono),
    );
    let room = arrivals::run(context, desk.deps.clone(), Clumsy(Default::default()));
    let done = async {
        let mut count = 0;
        while count < 2 {
            let Received::Item(envelope) = heard.recv().await else { panic!("missed") };
            count += usize::from(envelope.json().contains("\"done\""));
        }
        stop.throw();
    };
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("too few results");
    };
    let (room, ()) = smol::block_on(smol::future::or(smol::future::zip(room, done), late));
    room.unwrap();
    assert_eq!(desk.deps.pool.stats().panics, 1);
    desk.close();
}
