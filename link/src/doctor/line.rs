//! A connection for `check`: one try, no patience, and every refusal of the server kept, so that each can be laid to the
//! try it belongs to. It changes nothing at the server.
//!
//! How a running program logs in and stays: `connect`.

use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind,
    header::NATS_EXPECTED_STREAM,
};
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Code, Finding,
    clocks::{self, Stated},
    need::{self, Need, Outcome, Try},
};
use crate::{clock, connect::Login, publish::chain};

/// One try at all servers of the address.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A leader change takes up to 9 s (docs/nats.md 4).
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// What needs no answer is refused at once; this is for the way there and back.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);
/// No stream has this name: names are upper case.
const NO_STREAM: &str = "sallyport-check";
/// Tells a user who it is, and the time.
pub const USER_INFO: &str = "$SYS.REQ.USER.INFO";

/// A connection.
pub struct Line {
    /// For what is asked beyond the tries.
    pub client: Client,
    refusals: watch::Receiver<Vec<String>>,
}

/// Connects once, or says why that was not possible.
pub async fn connect(login: Login<'_>) -> Result<Line, Finding> {
    let (heard, refusals) = watch::channel(Vec::new());
    let options = ConnectOptions::with_nkey(login.seed.expose().to_owned())
        .name(format!("{} check", login.name))
        .custom_inbox_prefix(login.inbox_prefix)
        .request_timeout(Some(ANSWER_DEADLINE))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                heard.send_modify(|all: &mut Vec<String>| all.push(error.to_string().to_ascii_lowercase()));
            }
            std::future::ready(())
        });
    let servers: Vec<_> = login.url.split(',').map(str::trim).collect();
    match tokio::time::timeout(CONNECT_DEADLINE, options.connect(servers)).await {
        Ok(Ok(client)) => Ok(Line { client, refusals }),
        Ok(Err(error)) if error.kind() == ConnectErrorKind::AuthorizationViolation => Err(Finding::unsafe_(
            Code::LoginRefused,
            format!("{} does not let {} in", login.url, login.name),
            "render and reload the server's configuration: `sallyport-relay provision --server-config-only`, nats-server --signal reload",
        )),
        Ok(Err(error)) => Err(unreachable(login.url, &chain(&error))),
        Err(_) => Err(unreachable(login.url, "no answer")),
    }
}

fn unreachable(url: &str, why: &str) -> Finding {
    Finding::not_seen(
        Code::ServerUnreachable,
        format!("{url} cannot be reached ({why}): nothing at the server was looked at"),
        "start the server or mend the address, then check again; `--offline` looks at this machine alone",
    )
}

/// What goes over a network in the clear. `nats://` may still be encrypted, when the server asks for it.
pub fn judge_address(url: &str, encrypted: bool) -> Option<Finding> {
    let in_the_clear = |address: &str| {
        let Some(rest) = address.trim().strip_prefix("nats://") else { return false };
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).trim_matches(['[', ']']);
        let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !loopback && host != "localhost"
    };
    (!encrypted && url.split(',').any(in_the_clear)).then(|| {
        Finding::warning(
            Code::ConnectionPlain,
            format!("{url}: notices hold person data and cross a network unencrypted"),
            "give the server a certificate and use tls://, unless a tunnel encrypts the whole way",
        )
    })
}

impl Line {
    /// Tries every need at once.
    pub async fn try_all(&self, needs: &[Need]) -> Vec<Finding> {
        let tried =
            join_all(needs.iter().map(|need| async move { need::judge(need, self.try_one(need).await) }));
        tried.await.into_iter().flatten().collect()
    }

    async fn try_one(&self, need: &Need) -> Outcome {
        let subject = need.subject.as_str();
        match &need.by {
            Try::Hear => match self.client.subscribe(subject.to_owned()).await {
                Ok(heard) => {
                    let refused = self.is_refused_at_once(subject).await;
                    drop(heard);
                    if refused { Outcome::Refused } else { Outcome::Passed }
                }
                Err(_) => Outcome::Silent,
            },
            Try::Ack => self.publish(subject, need::NO_ACK).await,
            Try::Quiet(content) => self.publish(subject, content).await,
            Try::Store => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_STREAM, NO_STREAM);
                outcome(&self.ask(subject, Request::new().headers(headers).payload(Bytes::new())).await)
            }
            Try::Api(content) => outcome(&self.ask(subject, Request::new().payload((*content).into())).await),
        }
    }

    async fn publish(&self, subject: &str, content: &'static str) -> Outcome {
        match self.client.publish(subject.to_owned(), content.into()).await {
            Ok(()) if self.is_refused_at_once(subject).await => Outcome::Refused,
            Ok(()) => Outcome::Passed,
            Err(_) => Outcome::Silent,
        }
    }

    /// One request; a refusal of the server ends the wait for its answer.
    pub async fn ask(&self, subject: &str, request: Request) -> Result<Message, Outcome> {
        tokio::select! {
            biased;
            answer = self.client.send_request(subject.to_owned(), request) => {
                answer.map_err(|error| match error.kind() {
                    RequestErrorKind::NoResponders => Outcome::NobodyThere,
                    _ => Outcome::Silent,
                })
            }
            () = self.refused(subject) => Err(Outcome::Refused),
        }
    }

    /// Ready once the server has refused this subject; never otherwise.
    async fn refused(&self, subject: &str) {
        let quoted = format!("\"{}\"", subject.to_ascii_lowercase());
        let mut refusals = self.refusals.clone();
        let ours = |all: &Vec<String>| all.iter().any(|text| text.contains(&quoted));
        if refusals.wait_for(ours).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn is_refused_at_once(&self, subject: &str) -> bool {
        if self.client.flush().await.is_err() {
            return false;
        }
        tokio::time::timeout(REFUSAL_DEADLINE, self.refused(subject)).await.is_ok()
    }

    /// Compares this machine's clock with the server's.
    pub async fn judge_clock(&self) -> Option<Finding> {
        let sent = clock::now();
        let answer = self.ask(USER_INFO, Request::new().payload(Bytes::new())).await;
        let received = clock::now();
        let info: Option<Value> =
            answer.ok().and_then(|message| serde_json::from_slice(&message.payload).ok());
        let server = info.as_ref().map(|info| &info["server"]);
        let time = server.and_then(|server| server["time"].as_str()?.parse().ok());
        match (server, time) {
            (Some(server), Some(stated)) => {
                let whose = format!("server {}", server["name"].as_str().unwrap_or("(unnamed)"));
                clocks::judge(&whose, Stated { sent, stated, received })
            }
            _ => Some(Finding::not_seen(
                Code::ClockUnknown,
                "the server does not tell this user its time: whether the clocks agree is not known",
                "the server runs on a configuration of before: `sallyport-relay provision`, then reload it",
            )),
        }
    }

    /// Ends it.
    pub async fn close(&self) {
        crate::connect::abandon(&self.client).await;
    }
}

fn outcome(answer: &Result<Message, Outcome>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Passed,
        Err(outcome) => *outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unencrypted_way_to_another_machine_is_named() {
        let check = |url, encrypted, found: bool| {
            assert_eq!(judge_address(url, encrypted).is_some(), found, "{url}");
        };
        check("nats://127.0.0.1:4222,nats://localhost:4223,nats://[::1]:4222", false, false);
        check("nats://127.0.0.1:4222,nats://hub.example:4222", false, true);
        check("nats://hub.example:4222", true, false);
        check("tls://hub.example:4222", false, false);
    }
}
