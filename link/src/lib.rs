//! Habits that every Sallyport program shares at its edges: how it logs in to NATS, binds to a durable, publishes until
//! it is stored, settles, supervises its tasks, reads its configuration and ends. Nothing of the domain lives here, and
//! nothing here decides anything (ADR 0001).

pub mod clock;
pub mod config;
pub mod connect;
pub mod doctor;
pub mod exit;
pub mod fault;
pub mod guard;
pub mod lock;
pub mod private;
pub mod publish;
pub mod pull;
pub mod registry;
pub mod say;
pub mod seldom;
pub mod settle;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
