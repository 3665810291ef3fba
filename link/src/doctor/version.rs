//! Whether the program that is asked is too old for its registry (docs/adr/0008).

use sallyport_proto::registry::Registry;

use super::{Code, Finding};
use crate::registry::too_old;

/// Judges this program's own build.
pub fn judge(registry: &Registry, build: &str) -> Option<Finding> {
    let too_old = too_old(registry, build)?;
    Some(Finding::unsafe_(
        Code::BelowMinimumVersion,
        format!(
            "this is {}, and version {} of the registry asks for {} or newer: it does not start any more, and runs only until it is ended",
            too_old.build, too_old.registry, too_old.minimum
        ),
        format!(
            "install {} or newer; or, if the floor was raised too early, have the registrar lower `minimum_version` in the registry's next version",
            too_old.minimum
        ),
    ))
}
