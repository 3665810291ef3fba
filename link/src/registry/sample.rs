//! The smallest registry there is, for tests of this folder.
#![allow(clippy::unwrap_used)]

use sallyport_proto::registry::Registry;

/// Its text, with `extra` among the keys at the top.
pub(super) fn text(version: u64, extra: &str) -> String {
    let key = |kind, n| nkeys::KeyPair::new_from_raw(kind, [n; 32]).unwrap().public_key();
    let (user, service) = (nkeys::KeyPairType::User, nkeys::KeyPairType::Service);
    format!(
        "instance = 'zz-test'\nversion = {version}\nissued = '2026-11-21T00:00:00Z'\n{extra}\
         [operator]\nprovision_key = '{}'\nmonitor_key = '{}'\n\
         [[relay]]\nnode = 'a'\nsigning_key = '{}'\nconnect_key = '{}'\n",
        key(user.clone(), 1),
        key(user.clone(), 2),
        key(service, 3),
        key(user, 4),
    )
}

/// The registry.
pub(super) fn registry(version: u64, extra: &str) -> Registry {
    Registry::parse(&text(version, extra)).unwrap()
}
