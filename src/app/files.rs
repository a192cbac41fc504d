//! The tasks that bring files: downloads, the automatic ones, the check of the whole.

use super::supervisor::Supervisor;
use crate::base::latest::Latest;
use crate::monitor::watch;
use crate::store::Blobs;
use crate::{auto_download, downloads};

/// Spawns them.
pub fn spawn(
    supervisor: &Supervisor,
    deps: &watch::Deps,
    desk: downloads::Desk,
    blobs: Blobs,
    config: downloads::Config,
    automatic: Latest<bool>,
) {
    let fetching = downloads::Deps {
        clock: deps.clock.clone(),
        store: deps.store.clone(),
        blobs: blobs.clone(),
        announcer: deps.announcer.clone(),
        registry: deps.registry.clone(),
        resolver: deps.means.resolver.clone(),
        desk: desk.clone(),
        config,
    };
    supervisor.spawn("downloads", move |context| {
        let deps = fetching.clone();
        async move { downloads::run(context, deps).await }
    });
    let following = auto_download::Deps {
        clock: deps.clock.clone(),
        store: deps.store.clone(),
        announcer: deps.announcer.clone(),
        registry: deps.registry.clone(),
        desk: desk.clone(),
        enabled: automatic,
    };
    supervisor.spawn("auto-download", move |context| {
        let deps = following.clone();
        async move { auto_download::run(context, deps).await }
    });
    let checking = downloads::VerifyDeps { store: deps.store.clone(), blobs, desk };
    supervisor.spawn("verify", move |context| {
        let deps = checking.clone();
        async move { downloads::verify(context, deps).await }
    });
}
