//! Finding printers on the network and being found: what the room needs of this machine, and its tasks.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use super::supervisor::Supervisor;
use crate::base::clock::Clock;
use crate::base::latest::Latest;
use crate::lan::{Config, Deps, Handle, Link, following, names, notices};
use crate::monitor::watch;
use crate::printers::registry::Registry;

/// The room before its tasks run.
pub struct Neighbours(Deps);

impl Neighbours {
    /// Of a device whose page is served on `listener` and that may be called by `names`, which may change.
    ///
    /// # Errors
    /// When the socket cannot say where it listens.
    pub fn new(
        config: Config,
        listener: &TcpListener,
        names: Latest<Vec<String>>,
        registry: &Registry,
        handle: &Handle,
        clock: &Clock,
    ) -> io::Result<Neighbours> {
        let page = listener.local_addr()?;
        Ok(Neighbours(Deps {
            clock: clock.clone(),
            registry: registry.clone(),
            handle: handle.clone(),
            config,
            links: Arc::new(links),
            names,
            page: (page.ip(), page.port()),
        }))
    }

    /// Starts the tasks that are wanted.
    pub fn spawn(self, supervisor: &Supervisor, deps: &watch::Deps) {
        let Neighbours(lan) = self;
        let finds = lan.config.find_printers;
        if finds || lan.config.announces(lan.page.0) {
            let lan = lan.clone();
            supervisor.spawn("lan-names", move |context| names::run(context, lan.clone()));
        }
        if finds {
            let heard = lan.clone();
            supervisor.spawn("lan-notices", move |context| notices::run(context, heard.clone()));
            let means = following::Means {
                store: deps.store.clone(),
                pool: deps.means.http.clone(),
                resolver: deps.means.resolver.clone(),
            };
            supervisor
                .spawn("lan-following", move |context| following::run(context, lan.clone(), means.clone()));
        }
    }
}

/// The networks of this machine now.
fn links() -> Vec<Link> {
    board::interfaces()
        .into_iter()
        .map(|one| Link { name: one.name, index: one.index, v4: one.v4, v6: one.v6 })
        .collect()
}
