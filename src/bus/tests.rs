use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Debug, PartialEq, Eq)]
struct Item {
    seq: Option<u64>,
}

impl Sequenced for Item {
    fn seq(&self) -> Option<u64> {
        self.seq
    }
}

fn durable(seq: u64) -> Arc<Item> {
    Arc::new(Item { seq: Some(seq) })
}

fn state() -> Arc<Item> {
    Arc::new(Item { seq: None })
}

/// A journal in memory: `pruned` items are gone, the rest follow.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<FakeInner>>);

#[derive(Default)]
struct FakeInner {
    items: Vec<Arc<Item>>,
    pruned: u64,
    unreadable: Option<u64>,
    broken: bool,
    asked: u64,
}

impl Fake {
    /// Write first, then announce.
    fn append<const N: usize>(&self, bus: &Bus<Item, N>, seq: u64) {
        let item = durable(seq);
        self.0.lock().unwrap().items.push(Arc::clone(&item));
        bus.publish(item);
    }
}

impl Journal<Item> for Fake {
    async fn after(&self, seq: u64, limit: usize) -> Result<Batch<Item>, JournalError> {
        smol::future::yield_now().await;
        let mut inner = self.0.lock().unwrap();
        inner.asked += 1;
        if inner.broken {
            return Err(JournalError("the card is gone".into()));
        }
        let oldest = inner.pruned + 1;
        let found: Vec<_> = inner
            .items
            .iter()
            .filter(|item| item.seq > Some(seq.max(inner.pruned)))
            .take(limit)
            .cloned()
            .collect();
        let through = found.last().and_then(|item| item.seq).unwrap_or(seq);
        let end = found.len() < limit;
        let items = found.into_iter().filter(|item| item.seq != inner.unreadable).collect();
        Ok(Batch { items, through, oldest, end })
    }
}

fn next(must: &mut Must<Item, 2, Fake>) -> Result<u64, MustError> {
    smol::block_on(must.recv()).map(|item| item.seq.unwrap())
}

#[test]
fn nobody_holds_up_the_emitter() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    let mut lossy = bus.subscribe_lossy("page").unwrap();
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    for seq in 1..=1000 {
        journal.append(&bus, seq);
        bus.publish(state());
    }
    assert_eq!(lossy.try_recv(), Some(Received::Missed(1998)));
    assert_eq!(lossy.try_recv(), Some(Received::Item(durable(1000))));
    assert_eq!(lossy.try_recv(), Some(Received::Item(state())));
    assert_eq!(lossy.try_recv(), None);
    for seq in 1..=1000 {
        assert_eq!(next(&mut must), Ok(seq));
    }
    let stats = bus.stats();
    assert_eq!((stats.published, stats.newest_durable), (2000, 1000));
    let page = &stats.subscribers[0];
    assert_eq!(
        (page.name, page.lag, page.high_water, page.missed, page.delivered),
        ("page", 0, 2000, 1998, 2)
    );
    let jobs = &stats.subscribers[1];
    assert_eq!(
        (jobs.name, jobs.lag, jobs.high_water, jobs.missed, jobs.delivered),
        ("jobs", 0, 1000, 0, 1000)
    );
    assert!(jobs.from_journal >= 998);
}

#[test]
fn a_must_subscriber_lapped_again_and_again_misses_nothing() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
        let before = random.u64(0..5);
        for seq in 1..=before {
            journal.append(&bus, seq);
        }
        let start = random.u64(0..=before);
        let mut must = bus.subscribe_must("jobs", start, journal.clone()).unwrap();
        let (mut written, mut taken) = (before, start);
        for _ in 0..200 {
            match random.u8(0..4) {
                0 => bus.publish(state()),
                1 => {
                    written += 1;
                    journal.append(&bus, written);
                }
                2 if taken < written => {
                    taken += 1;
                    assert_eq!(next(&mut must), Ok(taken), "seed {seed}");
                }
                // Dropping the future in the middle loses nothing.
                3 => {
                    let got = smol::block_on(smol::future::poll_once(must.recv()));
                    if let Some(item) = got {
                        taken += 1;
                        assert_eq!(item.unwrap().seq, Some(taken), "seed {seed}");
                    }
                }
                _ => {}
            }
        }
        while taken < written {
            taken += 1;
            assert_eq!(next(&mut must), Ok(taken), "seed {seed}");
        }
        assert!(smol::block_on(smol::future::poll_once(must.recv())).is_none());
        assert_eq!(must.cursor(), written);
    }
}

#[test]
fn once_caught_up_the_ring_is_enough() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    journal.append(&bus, 1);
    assert_eq!(next(&mut must), Ok(1));
    journal.append(&bus, 2);
    assert_eq!(next(&mut must), Ok(2));
    let asked = journal.0.lock().unwrap().asked;
    for seq in 3..100 {
        journal.append(&bus, seq);
        assert_eq!(next(&mut must), Ok(seq));
    }
    assert_eq!(journal.0.lock().unwrap().asked, asked);
}

#[test]
fn what_is_committed_but_not_yet_announced_comes_once() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    let item = durable(1);
    journal.0.lock().unwrap().items.push(Arc::clone(&item));
    assert_eq!(next(&mut must), Ok(1));
    bus.publish(item);
    assert!(smol::block_on(smol::future::poll_once(must.recv())).is_none());
    journal.append(&bus, 2);
    assert_eq!(next(&mut must), Ok(2));
}

#[test]
fn what_is_lost_for_good_is_said_once() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    for seq in 1..=100 {
        journal.append(&bus, seq);
    }
    journal.0.lock().unwrap().pruned = 90;
    let mut must = bus.subscribe_must("jobs", 5, journal.clone()).unwrap();
    assert_eq!(next(&mut must), Err(MustError::Gap { after: 5, resumes_at: 91 }));
    for seq in 91..=100 {
        assert_eq!(next(&mut must), Ok(seq));
    }
    assert_eq!(bus.stats().subscribers[0].missed, 85);

    // Restored from a backup: an empty journal whose numbers begin later.
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    journal.0.lock().unwrap().pruned = 1_000_000;
    let mut must = bus.subscribe_must("jobs", 7, journal.clone()).unwrap();
    assert_eq!(next(&mut must), Err(MustError::Gap { after: 7, resumes_at: 1_000_001 }));
    journal.append(&bus, 1_000_001);
    assert_eq!(next(&mut must), Ok(1_000_001));
}

#[test]
fn an_announcement_that_the_journal_does_not_know_ends_in_a_gap_and_not_in_a_loop() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    for seq in 1..=5 {
        bus.publish(durable(seq));
    }
    assert_eq!(next(&mut must), Err(MustError::Gap { after: 0, resumes_at: 4 }));
    assert_eq!(next(&mut must), Ok(4));
    assert_eq!(next(&mut must), Ok(5));
}

#[test]
fn an_unreadable_item_costs_only_itself_and_a_broken_journal_is_asked_again() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    for seq in 1..=10 {
        journal.append(&bus, seq);
    }
    journal.0.lock().unwrap().unreadable = Some(3);
    journal.0.lock().unwrap().broken = true;
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    assert_eq!(next(&mut must), Err(MustError::Journal(JournalError("the card is gone".into()))));
    journal.0.lock().unwrap().broken = false;
    for seq in [1, 2, 4, 5, 6, 7, 8, 9, 10] {
        assert_eq!(next(&mut must), Ok(seq));
    }
    // The same where nothing readable follows: the cursor still moves on.
    let mut late = bus.subscribe_must("late", 9, journal.clone()).unwrap();
    journal.0.lock().unwrap().unreadable = Some(10);
    journal.0.lock().unwrap().items.push(durable(11));
    assert_eq!(next(&mut late), Ok(11));
}

#[test]
fn waiting_subscribers_are_woken() {
    let (bus, journal) = (Bus::<Item, 2>::new(), Fake::default());
    let mut lossy = bus.subscribe_lossy("page").unwrap();
    let mut must = bus.subscribe_must("jobs", 0, journal.clone()).unwrap();
    // Both wait on threads of their own; the items come while they do.
    let (ready, started) = smol::channel::bounded(2);
    let (first, second) = (ready.clone(), ready);
    let page = std::thread::spawn(move || {
        smol::block_on(smol::future::zip(lossy.recv(), async move { first.send(()).await.unwrap() })).0
    });
    let jobs = std::thread::spawn(move || {
        smol::block_on(smol::future::zip(must.recv(), async move { second.send(()).await.unwrap() })).0
    });
    started.recv_blocking().unwrap();
    started.recv_blocking().unwrap();
    journal.append(&bus, 1);
    assert_eq!(page.join().unwrap(), Received::Item(durable(1)));
    assert_eq!(jobs.join().unwrap().unwrap(), durable(1));
}

#[test]
fn several_threads() {
    const DURABLE: u64 = 5_000;
    let (bus, journal) = (Bus::<Item, 8>::new(), Fake::default());
    let done = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for name in ["jobs", "downloads", "thumbnails"] {
        let mut must = bus.subscribe_must(name, 0, journal.clone()).unwrap();
        threads.push(std::thread::spawn(move || {
            for seq in 1..=DURABLE {
                assert_eq!(smol::block_on(must.recv()).unwrap().seq, Some(seq));
            }
        }));
    }
    let mut lossy = bus.subscribe_lossy("page").unwrap();
    let page = std::thread::spawn(move || {
        let (mut items, mut missed, mut newest) = (0_u64, 0_u64, 0_u64);
        while newest < DURABLE {
            match smol::block_on(lossy.recv()) {
                Received::Item(item) => {
                    items += 1;
                    if let Some(seq) = item.seq {
                        assert!(seq > newest);
                        newest = seq;
                    }
                }
                Received::Missed(count) => missed += count,
            }
        }
        (items, missed)
    });
    let noise = {
        let (bus, done) = (bus.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut count = 0_u64;
            while !done.load(Ordering::Relaxed) {
                bus.publish(state());
                count += 1;
                std::thread::yield_now();
            }
            count
        })
    };
    for seq in 1..=DURABLE {
        journal.append(&bus, seq);
    }
    done.store(true, Ordering::Relaxed);
    let noise = noise.join().unwrap();
    assert_eq!(bus.stats().published, DURABLE + noise);
    // The last durable item may be overwritten before the page looks: one more that stays.
    bus.publish(durable(DURABLE + 1));
    let (items, missed) = page.join().unwrap();
    // Every item is either given or counted; the page stops at the last durable one or at the one before it.
    let published = DURABLE + noise + 1;
    assert!(items + missed <= published && items + missed >= DURABLE, "{items} {missed} {published}");
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn places_for_subscribers_are_bounded_and_freed() {
    let bus = Bus::<Item, 2>::new();
    let mut all: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| bus.subscribe_lossy("page").unwrap()).collect();
    assert_eq!(bus.subscribe_lossy("one more").err(), Some(BusFull));
    assert_eq!(bus.subscribe_must("one more", 0, Fake::default()).err(), Some(BusFull));
    all.remove(7);
    bus.publish(state());
    let mut late = bus.subscribe_lossy("late").unwrap();
    assert_eq!(late.try_recv(), None);
    assert_eq!(bus.stats().subscribers.len(), SUBSCRIBERS_MAX);
    assert!(bus.stats().subscribers.iter().filter(|one| one.lag == 1).count() == SUBSCRIBERS_MAX - 1);
}
