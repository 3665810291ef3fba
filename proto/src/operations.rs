//! What keeps the road honest: whether a desk can be reached, what the relay decided, that a jail is alive, how far a
//! subscriber's notices reach, and what was refused. One message per file; what follows from one is decided elsewhere.

mod availability;
mod control;
mod heartbeat;
mod parked;
mod subscriber_head;

pub use availability::Availability;
pub use control::{Control, DueLevel, ReceiptDue};
pub use heartbeat::{ClockOffset, Heartbeat, RangeDigest};
pub use parked::Parked;
pub use subscriber_head::SubscriberHead;
