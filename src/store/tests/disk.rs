//! A disk in memory that remembers every operation, so that a test can ask what a crash at any moment would leave, and that
//! can be made to fail.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// What happened, in order.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
    /// A mark of the test.
    Mark(usize),
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    log: Vec<Operation>,
    recording: bool,
    /// Changing operations that still succeed; `None` is all of them.
    good: Option<u64>,
    /// Operations that fail after that; then the disk works again.
    bad: u64,
    changing: u64,
}

/// A handle to the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// A disk with this content that remembers what happens to it.
    pub(crate) fn new(bytes: Vec<u8>) -> Disk {
        Disk(Arc::new(Mutex::new(Inner { bytes, recording: true, ..Inner::default() })))
    }

    /// An empty disk on which `good` changing operations succeed, the next `bad` ones fail, and the rest succeed again.
    pub(crate) fn failing(good: u64, bad: u64) -> Disk {
        Disk(Arc::new(Mutex::new(Inner { good: Some(good), bad, ..Inner::default() })))
    }

    pub(crate) fn mark(&self, mark: usize) {
        self.0.lock().unwrap().log.push(Operation::Mark(mark));
    }

    pub(crate) fn log(&self) -> Vec<Operation> {
        self.0.lock().unwrap().log.clone()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    /// Changing operations so far, failed ones included.
    pub(crate) fn changing(&self) -> u64 {
        self.0.lock().unwrap().changing
    }

    fn change(&self, operation: Operation) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.changing += 1;
        if let Some(good) = inner.good
            && inner.changing > good
            && inner.changing - good <= inner.bad
        {
            return Err(io::Error::other("the card is gone"));
        }
        apply(&mut inner.bytes, &operation, usize::MAX);
        if inner.recording {
            inner.log.push(operation);
        }
        Ok(())
    }
}

/// Does `operation` to `bytes`; a write only with its first `keep` bytes.
fn apply(bytes: &mut Vec<u8>, operation: &Operation, keep: usize) {
    match operation {
        Operation::Write(offset, data) => {
            let data = &data[..data.len().min(keep)];
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Operation::SetLen(len) => bytes.resize(*len, 0),
        Operation::Sync | Operation::Mark(_) => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let inner = self.0.lock().unwrap();
        let found = inner.bytes.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Operation::SetLen(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Operation::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Operation::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

/// What a crash leaves of the operations since the last sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// None of them.
    Lost,
    /// All of them.
    Written,
    /// Some, a few of them torn at a sector.
    Mixed,
}

/// A moment of the log at which the power goes: just before a sync has ended.
pub(crate) struct Crash<'a> {
    /// Everything up to the sync before.
    pub(crate) synced: &'a [u8],
    /// The operations since then.
    pub(crate) unsynced: &'a [Operation],
    /// The last mark before.
    pub(crate) mark: Option<usize>,
    /// The number of the sync.
    pub(crate) number: usize,
}

impl Crash<'_> {
    /// The disk afterwards.
    pub(crate) fn image(&self, fate: Fate, random: &mut fastrand::Rng) -> Vec<u8> {
        const SECTOR: usize = 512;
        let mut bytes = self.synced.to_vec();
        for operation in self.unsynced {
            match fate {
                Fate::Lost => break,
                Fate::Written => apply(&mut bytes, operation, usize::MAX),
                Fate::Mixed => match random.u8(0..5) {
                    0 | 1 => apply(&mut bytes, operation, usize::MAX),
                    2 => apply(&mut bytes, operation, random.usize(0..8) * SECTOR),
                    _ => {}
                },
            }
        }
        bytes
    }
}

/// Calls `visit` for every sync of the log, and once for its end.
pub(crate) fn each_crash(log: &[Operation], mut visit: impl FnMut(&Crash<'_>)) {
    let mut synced = Vec::new();
    let mut begin = 0;
    let mut mark = None;
    let mut number = 0;
    for (index, operation) in log.iter().enumerate() {
        match operation {
            Operation::Mark(new) => mark = Some(*new),
            Operation::Write(..) | Operation::SetLen(_) => {}
            Operation::Sync => {
                visit(&Crash { synced: &synced, unsynced: &log[begin..index], mark, number });
                log[begin..index].iter().for_each(|earlier| apply(&mut synced, earlier, usize::MAX));
                begin = index;
                number += 1;
            }
        }
    }
    visit(&Crash { synced: &synced, unsynced: &log[begin..], mark, number });
}
