//! The downloads alone: a desk, the task that works requests off, a store and a directory of their own, and one printer in
//! the list whose files are on a server of the test's choice.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use printernizer::app::supervisor::Supervisor;
use printernizer::base::clock::{Clock, Timestamp};
use printernizer::base::secret::Secret;
use printernizer::base::task::{Board, Stop};
use printernizer::downloads::{self, Config, Deps, Desk};
use printernizer::events::{Announcer, EventBus};
use printernizer::model::status::{ConnectionState, PrinterState};
use printernizer::model::{
    ConnectionConfig, Content, Fetch, FetchId, FetchState, FileRecord, Printer, PrinterId, PrinterType,
};
use printernizer::net::resolve::Resolver;
use printernizer::printers::registry::Registry;
use printernizer::store::{Blobs, Read as _, Store, StoreError, StoreOptions, StoreThread};
use smol::LocalExecutor;
use tempfile::TempDir;

use crate::support::vsftpd::{CODE, USER, Vsftpd};

/// The printer of the list.
pub const ID: PrinterId = PrinterId(1);
/// An X1: a server like vsftpd, encrypted only.
pub const SERIAL: &str = "00M00A000000001";
/// How long a test waits for what takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The downloads at work for one printer whose files are on `server`.
pub struct Downloads {
    pub desk: Desk,
    pub store: Store,
    pub registry: Registry,
    pub directory: TempDir,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    store_thread: Option<StoreThread>,
}

impl Downloads {
    pub fn start(server: &Vsftpd, config: Config) -> Downloads {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let announcer = Announcer::new(EventBus::new(), 0, clock.clone());
        let publish = announcer.clone();
        let opened = Store::open(StoreOptions::new(
            directory.path().to_owned(),
            clock.clone(),
            Arc::new(move |envelope| publish.committed(envelope)),
        ))
        .unwrap();
        let store = opened.store.clone();
        let printer = Printer {
            id: ID,
            name: "A printer".into(),
            kind: PrinterType::BambuLab,
            connection: ConnectionConfig {
                host: Ipv4Addr::LOCALHOST.to_string(),
                serial: Some(SERIAL.to_owned()),
                access_code: Some(Secret::new(CODE)),
                username: Some(USER.to_owned()),
                ftps_port: server.address.port(),
                ..ConnectionConfig::default()
            },
            pin: None,
            location: None,
            description: None,
            enabled: true,
            created_at: Timestamp(0),
        };
        let stored = printer.clone();
        store.write_blocking(move |txn| txn.put_printer(&stored)).unwrap();
        let registry = Registry::default();
        let state = PrinterState { connection: ConnectionState::Monitoring, ..PrinterState::default() };
        registry.enter(Arc::new(printer), state).unwrap();
        let desk = Desk::new(store.clone(), registry.clone());
        let deps = Deps {
            clock: clock.clone(),
            store: store.clone(),
            blobs: Blobs::open(directory.path()).unwrap(),
            announcer,
            registry: registry.clone(),
            resolver: Resolver::new(clock.clone()),
            desk: desk.clone(),
            config,
        };
        let stop = Stop::default();
        let halt = stop.clone();
        let thread = std::thread::spawn(move || {
            let executor = Rc::new(LocalExecutor::new());
            let supervisor = Supervisor::new(Rc::clone(&executor), clock, Board::default(), halt.clone());
            supervisor.spawn("downloads", move |context| {
                let deps = deps.clone();
                async move { downloads::run(context, deps).await }
            });
            smol::block_on(executor.run(async {
                halt.wait().await;
                supervisor.stop_all(Duration::from_secs(5)).await;
            }));
        });
        let store_thread = Some(opened.thread);
        Downloads { desk, store, registry, directory, stop, thread: Some(thread), store_thread }
    }

    /// Waits until the request is as wanted.
    pub fn until(&self, id: FetchId, what: &str, fits: impl Fn(&Fetch) -> bool) -> Fetch {
        let end = Clock::system().now().mono.after(PATIENCE);
        loop {
            let fetch = self.desk.get(id).unwrap().unwrap();
            if fits(&fetch) {
                return fetch;
            }
            assert!(Clock::system().now().mono < end, "waited in vain: {what}; it is {fetch:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Fetches `path` and answers its bytes here.
    pub fn bytes_of(&self, path: &[u8]) -> (FileRecord, Vec<u8>) {
        let fetch = self.desk.request(ID, path).unwrap();
        let done = self.until(fetch.id, "it is here", |fetch| matches!(fetch.state, FetchState::Done(_)));
        let FetchState::Done(file) = done.state else { unreachable!() };
        let (file, content) = self
            .store
            .read_blocking(|view| {
                let file = view.get::<FileRecord>(file)?.unwrap();
                let content = view.get::<Content>(file.content.unwrap())?.unwrap();
                Ok::<_, StoreError>((file, content))
            })
            .unwrap();
        let place = Blobs::name(content.checksum, &content.extension);
        (file, std::fs::read(self.directory.path().join(place)).unwrap())
    }

    pub fn parts(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("files/part")).unwrap().count()
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        self.stop.throw();
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some(thread) = self.store_thread.take() {
            let _ = smol::block_on(thread.close(Duration::from_secs(5)));
        }
    }
}
