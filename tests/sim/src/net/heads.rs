//! The way of a head: stored if it is the next one of its subject, and handed on to whoever listens in any case, as the
//! broker does. At most once: a head that gets lost is made good by the next.

use std::rc::Rc;

use bytes::Bytes;
use sallyport_proto::subject;

use super::NotStored;
use crate::{
    broker::{Refused, Stored},
    process::Life,
    world::World,
};

impl World {
    /// Somebody states a head: it is stored if `last` is the last one, and handed on to whoever listens in any case.
    fn state(
        self: &Rc<Self>,
        stream: &'static str,
        subject: &str,
        payload: &Bytes,
        last: u64,
    ) -> Result<Stored, Refused> {
        let broken = self.law.borrow_mut().stated(payload);
        broken.into_iter().for_each(|what| self.found(what));
        self.head_to_live(subject, payload);
        let stored =
            self.broker.borrow_mut().publish_after(stream, subject, payload.clone(), last, self.now());
        if let Ok(Stored { sequence, .. }) = stored {
            self.was_stored(stream, sequence);
        }
        stored
    }

    fn head_to_live(self: &Rc<Self>, subject: &str, payload: &Bytes) {
        let about = subject::subscriber_of_head(subject);
        let Some(to) = about.and_then(|about| self.live_heads.borrow().get(&about).cloned()) else { return };
        if self.strikes("lost live head", |weather| weather.answer_lost) {
            return;
        }
        let payload = payload.clone();
        self.exec.after(self.delay(), move || drop(to.try_send(payload)));
    }
}

impl Life {
    /// Publishes once, if `last` is still the last of the subject.
    pub(crate) async fn publish_after(
        &self,
        stream: &'static str,
        subject: String,
        payload: Bytes,
        last: u64,
    ) -> Result<u64, NotStored> {
        let act = move |world: &Rc<World>| world.state(stream, &subject, &payload, last);
        match self.request(act).await {
            Some(Ok(stored)) => Ok(stored.sequence),
            Some(Err(why)) => Err(NotStored::Refused(why)),
            None => Err(NotStored::NoAnswer),
        }
    }
}
