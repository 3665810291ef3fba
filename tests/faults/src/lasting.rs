//! How long a fault lasts, and between two looks: the one place where time itself is waited for. Nothing here runs on a
//! runtime's worker, and no verdict hangs on it.

use std::time::Duration;

/// Lets this much time pass.
#[allow(
    clippy::disallowed_methods,
    reason = "the length of a fault is what is asked for, and no runtime is held up"
)]
pub fn lasting(time: Duration) {
    std::thread::sleep(time);
}
