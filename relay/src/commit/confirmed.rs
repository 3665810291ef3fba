//! For how long "it is on DELIVER" may be answered: no longer than the connection that showed it, and for half a minute.
//! Answers can wait long for the broker, and what comes back then may be a DELIVER that was made anew.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// Streams change under a standing connection too, by a person or with another leader. Several elections (9 s), and half
/// of what is held in hand at most: what was not answered by then is looked at again.
const HOLDS: Duration = Duration::from_secs(30);

/// Since when, and over which connection, the verdicts of a batch were come by.
#[derive(Debug, Clone)]
pub(crate) struct Confirmed {
    since: Instant,
    connects: watch::Receiver<u64>,
}

impl Confirmed {
    /// Begins before anything is looked at.
    pub(crate) fn begin(connects: &watch::Receiver<u64>) -> Self {
        let mut connects = connects.clone();
        connects.mark_unchanged();
        Self { since: Instant::now(), connects }
    }

    /// Comes when it counts no more, which may have been before.
    pub(crate) async fn ends(&self) {
        // A sleep until a time that is past is not over at its first poll, and what it ends would begin.
        if self.since.elapsed() >= HOLDS {
            return;
        }
        let mut connects = self.connects.clone();
        let other_connection = async {
            if connects.changed().await.is_err() {
                // No connection will ever be made again: shutdown.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = other_connection => {}
            () = tokio::time::sleep_until(self.since + HOLDS) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_was_confirmed_counts_for_half_a_minute_and_not_over_another_connection() {
        let connects = watch::Sender::new(0_u64);
        let receiver = connects.subscribe();
        connects.send_modify(|times| *times += 1);
        let confirmed = Confirmed::begin(&receiver);
        assert_eq!(confirmed.ends().now_or_never(), None, "the connection in force is no other");
        let long_ago = Confirmed { since: Instant::now().checked_sub(HOLDS).unwrap(), ..confirmed.clone() };
        assert_eq!(long_ago.ends().now_or_never(), Some(()));
        connects.send_modify(|times| *times += 1);
        assert_eq!(confirmed.ends().now_or_never(), Some(()));
        assert_eq!(confirmed.ends().now_or_never(), Some(()), "and stays so");
        drop(connects);
        assert_eq!(
            Confirmed::begin(&receiver).ends().now_or_never(),
            None,
            "the end of the program is no loss"
        );
    }
}
