//! That the jail is alive, and how far it has numbered: once a minute and at every connect, as the agent states it.

use std::rc::Rc;

use sallyport_proto::{
    operations::{Heartbeat, RangeDigest},
    provenance::Provenance,
    subject,
    time::Moment,
    vocabulary::SourceClock,
};

use super::{EPOCH, Jail, Kept};
use crate::{
    exec::{S, Us},
    process::Life,
};

const EVERY: Us = 60 * S;

pub(super) async fn run(jail: Rc<Jail>, life: Life) {
    loop {
        let subject = subject::ingest_heartbeat(&jail.jurisdiction, &jail.ori);
        let bytes = heartbeat(&jail, &life).seal(&jail.signer);
        // One that is lost is followed by the next.
        let _unacked = life.publish(subject::HEARTBEATS, subject, bytes.into(), None).await.is_err();
        let connected = life.of.connected.notified();
        futures_util::pin_mut!(connected);
        futures_util::future::select(connected, life.world().exec.sleep(EVERY)).await;
    }
}

/// All of one state of the store. Every number up to `seq` was sent.
fn heartbeat(jail: &Jail, life: &Life) -> Heartbeat {
    let store = jail.store.borrow();
    // What was answered was sent, also when the agent died before it had noted that.
    let waits = |kept: &Kept| kept.row.poll_deadline().is_some() && kept.row.attempt == 0;
    let sent = store.rows.iter().position(waits).unwrap_or(store.rows.len());
    let open = || store.rows.iter().filter(|kept| kept.row.poll_deadline().is_some());
    let moment = |at| Moment::exact(at, SourceClock::Agent);
    let digests = store.rows[..sent].iter().map(|kept| kept.row.digest);
    Heartbeat {
        provenance: Provenance::of(&jail.registry.instance, &jail.context.build),
        ori: jail.ori.clone(),
        jurisdiction: jail.jurisdiction.clone(),
        outbox_depth: open().count() as u64,
        outbox_oldest: open().map(|kept| kept.stored).min().map(moment),
        last_intake: store.rows.last().map(|kept| moment(kept.stored)),
        clock_offset: None,
        epoch: EPOCH.to_owned(),
        seq: sent as u64,
        at: life.moment(SourceClock::Agent),
        traffic: jail.context.traffic.clone(),
        kept_from: (!store.rows.is_empty()).then_some(1),
        range: (sent > 0).then(|| RangeDigest::of(1, digests)),
    }
}
