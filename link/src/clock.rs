//! The one place where the wall clock is read. Cores take `now` as an argument.

use jiff::Timestamp;
use sallyport_proto::{time::Moment, vocabulary::SourceClock};

/// Now, UTC.
pub fn now() -> Timestamp {
    Timestamp::now() + crate::fault::clock_offset()
}

/// Now, as stated by `clock`.
pub fn moment(clock: SourceClock) -> Moment {
    Moment::exact(now(), clock)
}

/// The broker's time of a stored message, as JetStream states it.
pub fn broker_moment(published: async_nats::jetstream::message::Info<'_>) -> Option<Moment> {
    let nanos = published.published.unix_timestamp_nanos();
    Some(Moment::exact(Timestamp::from_nanosecond(nanos).ok()?, SourceClock::Broker))
}
