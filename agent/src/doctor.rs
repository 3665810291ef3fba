//! What `check` of an agent looks at beyond its configuration: its own machine, what the server lets this jail do, and
//! whether a relay serves its catch-up. It changes nothing; streams are for the relay's `check`: a jail may not see them.

use std::path::Path;

use async_nats::Request;
use sallyport_link::doctor::{
    Code, Finding, Report, folder,
    line::{self, Line},
    need::{self, Need, Outcome, Try},
    seeds, version,
};
use sallyport_proto::{catchup::CatchupRequest, provenance::Provenance, subject};

use crate::{
    config::Config,
    intake::BUILD,
    run,
    store::{Position, Reader, database},
};

/// Looks at everything; with `offline` at this machine alone.
pub(crate) async fn look(file: &Path, config: &Config, offline: bool) -> Report {
    let mut report = Report::default();
    report.add(version::judge(&config.registry_at_start, BUILD));
    report.add(seeds::look(file));
    report.add(folder::look_and_judge("the store", &config.store_dir));
    report.add(config.intake.drop_dir.as_deref().and_then(folder::look_at_drop));
    if offline {
        report.add_offline("server, permissions, catch-up and clock");
        return report;
    }
    match line::connect(run::login(config)).await {
        Ok(line) => {
            report.add(line::judge_address(&config.nats_url, line.client.server_info().tls_required));
            report.add(line.judge_clock().await);
            report.add(line.try_all(&needs(config)).await);
            report.add(judge_catchup(&line, config).await);
            line.close().await;
        }
        Err(finding) => report.add([finding]),
    }
    report
}

/// What a running agent does at the server.
fn needs(config: &Config) -> Vec<Need> {
    let (st, ori) = (&config.facility.jurisdiction, &config.facility.ori);
    vec![
        Need::new(subject::notify_release(st, ori), Try::Store, "events"),
        Need::new(subject::notify_heartbeat(st, ori), Try::Store, "heartbeats"),
        Need::new(subject::notify_answers(st, ori), Try::Hear, "answers while they are fresh"),
    ]
}

/// Asks as the running agent does, from where it is; the answers are left to it.
async fn judge_catchup(line: &Line, config: &Config) -> Option<Finding> {
    let facility = &config.facility;
    let subject = subject::notify_catchup(&facility.jurisdiction, &facility.ori);
    // No store yet: nothing was answered yet either.
    let position = Reader::open(&database(&config.store_dir)).and_then(|reader| reader.position());
    let position = position.unwrap_or_else(|_| Position::default());
    let request = CatchupRequest {
        provenance: Provenance::of(&facility.instance, BUILD),
        after_sequence: position.sequence,
        stream_created: position.stream_created,
    };
    match line.ask(&subject, Request::new().payload(request.encode().into())).await {
        Ok(_) => None,
        Err(Outcome::Refused) => {
            need::judge(&Need::new(subject, Try::Api(""), "answers that were missed"), Outcome::Refused)
        }
        Err(_) => Some(Finding::warning(
            Code::CatchUpSilent,
            "no relay serves catch-up: events are stored here and there, and nobody accepts them yet",
            "ask the relay's operator whether a relay runs (`sallyport-relay check`)",
        )),
    }
}
