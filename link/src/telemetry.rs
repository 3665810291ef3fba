//! Logs: JSON lines on standard error, levels by who is woken. Standard output belongs to the command's own result.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `SALLYPORT_LOG` filters (`info` by default); `SALLYPORT_LOG_FORMAT=text` is for reading by eye.
pub fn start() {
    let filter =
        EnvFilter::try_from_env("SALLYPORT_LOG").unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if std::env::var("SALLYPORT_LOG_FORMAT").is_ok_and(|format| format == "text") {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started already");
    }
}
