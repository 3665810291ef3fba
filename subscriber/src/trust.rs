//! The registry in force, as the stages of a bridge see it. Which one comes into force: `sallyport_link::registry`.

use std::sync::Arc;

use sallyport_proto::{ids::SubscriberId, registry::Registry};
use tokio::sync::watch;

/// The registry in force; readers see a change at once.
pub type Current = watch::Receiver<Arc<Registry>>;

/// A registry without us would make every notice a stranger's: it is refused.
pub fn lists(me: SubscriberId) -> impl Fn(&Registry) -> Result<(), &'static str> {
    move |registry| match registry.subscribers.contains_key(&me) {
        true => Ok(()),
        false => Err("it does not list this subscriber"),
    }
}
