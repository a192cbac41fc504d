//! Steps about time, threads, tasks and the bus.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_io::Async;
use smol::LocalExecutor;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{STEP_WITHIN, Trouble, demand};
use crate::base::clock::{Clock, Timestamp, within};
use crate::bus::{Bus, Received, Sequenced};

/// Wall time in 64 bits, a date past 2038, and a monotonic clock that moves.
pub(super) fn clock(_: &Path) -> Result<(), Trouble> {
    let seconds = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    demand(size_of_val(&seconds) == 8, "the system's seconds have fewer than 64 bits")?;
    let late = Timestamp(2_208_988_800_000).to_string();
    demand(late == "2040-01-01T00:00:00.000Z", format_args!("1 January 2040 is shown as {late}"))?;
    let clock = Clock::system();
    let begin = clock.now();
    smol::block_on(clock.sleep(Duration::from_millis(5)));
    let end = clock.now();
    demand(end.mono.since(begin.mono) >= Duration::from_millis(4), "the monotonic clock stands still")?;
    demand(end.wall.0 > 0, "the wall clock stands at 1970")
}

/// Two threads add to one 64-bit number past the 32nd bit.
pub(super) fn atomics(_: &Path) -> Result<(), Trouble> {
    const EACH: u64 = 20_000;
    const STEP: u64 = 0x1_0000_0001;
    let number = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let number = Arc::clone(&number);
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    number.fetch_add(STEP, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| Trouble("a thread panicked".to_owned()))?;
    }
    let sum = number.load(Ordering::SeqCst);
    demand(sum == 2 * EACH * STEP, format_args!("{sum} instead of {}", 2 * EACH * STEP))
}

/// A panic in a task and one in a thread end there, and nothing else ends with them. They begin behind the panic hook, so
/// that a good run prints nothing frightening; what unwinds is the same.
pub(super) fn panics(_: &Path) -> Result<(), Trouble> {
    let executor = LocalExecutor::new();
    let bad = executor.spawn(smol::future::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async {
        smol::future::yield_now().await;
        std::panic::resume_unwind(Box::new("in a task"));
    })));
    let good = executor.spawn(async { 7 });
    let caught = smol::block_on(executor.run(bad)).is_err();
    demand(caught, "a task's panic was not caught")?;
    demand(smol::block_on(executor.run(good)) == 7, "the executor did not go on after a panic")?;
    let thread = std::thread::spawn(|| std::panic::resume_unwind(Box::new("in a thread")));
    demand(thread.join().is_err(), "a thread's panic was not seen at its join")
}

/// Bytes of the TCP pair: more than the kernel buffers of a small machine, so that both sides have to wait.
const PAIR_BYTES: usize = 512 * 1024;

/// Tasks of one executor talk over TCP while a timer runs.
pub(super) fn executor(_: &Path) -> Result<(), Trouble> {
    let executor = Rc::new(LocalExecutor::new());
    let clock = Clock::system();
    let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.get_ref().local_addr()?;
    let server = executor.spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        let mut received = Vec::with_capacity(PAIR_BYTES);
        (&mut socket).take(PAIR_BYTES as u64).read_to_end(&mut received).await?;
        socket.write_all(&received.len().to_be_bytes()).await?;
        Ok::<_, std::io::Error>(received)
    });
    let client = executor.spawn(async move {
        let mut socket = Async::<TcpStream>::connect(address).await?;
        let sent: Vec<u8> = (0_u8..=250).cycle().take(PAIR_BYTES).collect();
        socket.write_all(&sent).await?;
        let mut answer = [0; size_of::<usize>()];
        socket.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>((sent, usize::from_be_bytes(answer)))
    });
    let timer = clock.clone();
    let ticks = executor.spawn(async move {
        for _ in 0..3 {
            timer.sleep(Duration::from_millis(1)).await;
        }
    });
    let all = async {
        let (sent, told) = client.await?;
        let received = server.await?;
        ticks.await;
        Ok::<_, std::io::Error>(sent == received && told == PAIR_BYTES)
    };
    let same = smol::block_on(executor.run(within(&clock, STEP_WITHIN, all)));
    let same = same.ok_or_else(|| Trouble("it did not end in time".to_owned()))??;
    demand(same, "other bytes arrived than were sent")
}

struct Number(u64);

impl Sequenced for Number {
    fn seq(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// A ring of two places with a listener that is too slow.
pub(super) fn bus(_: &Path) -> Result<(), Trouble> {
    let bus = Bus::<Number, 2>::new();
    let mut listener = bus.subscribe_lossy("self-test")?;
    for seq in 1..=5 {
        bus.publish(Arc::new(Number(seq)));
    }
    let missed = matches!(listener.try_recv(), Some(Received::Missed(3)));
    let rest: Vec<u64> = std::iter::from_fn(|| match listener.try_recv() {
        Some(Received::Item(item)) => Some(item.0),
        Some(Received::Missed(_)) | None => None,
    })
    .collect();
    demand(missed && rest == [4, 5], format_args!("missed 3: {missed}, then {rest:?}"))
}
