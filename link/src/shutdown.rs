//! One token that says "stop": SIGINT and SIGTERM cancel it.

use tokio_util::sync::CancellationToken;

/// Completes when the process is asked to end.
pub async fn requested() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// A token that is cancelled when the process is asked to end, or by whoever holds a clone.
pub fn token() -> CancellationToken {
    CancellationToken::new()
}
