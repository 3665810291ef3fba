//! The end of a run: the audit's findings, the product's latencies, lead times, one summary, one exit code.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use sallyport_audit::{FacilityInput, Inputs, Report, audit};
use serde_json::{Value, json};

use super::{EXIT_STALLED, Options, figures::Leads, replay::Replay, say, stage::Stage};

/// What is said and how the run ends.
pub(super) struct Verdict {
    json: Value,
    findings: Vec<String>,
    stalled: bool,
    clean: bool,
}

/// The audit as things stand.
pub(super) fn judge(stage: &Stage, replay: &Replay) -> anyhow::Result<Report> {
    let instance = &stage.instance;
    let keys = instance.keys();
    let facilities = instance
        .facilities
        .iter()
        .map(|f| {
            let exports = replay.exports.iter().find(|(ori, _)| *ori == f.ori);
            Ok(FacilityInput {
                ori: f.ori.clone(),
                jurisdiction: sallyport_ground::JURISDICTION.into(),
                secret_hex: keys.secret(&f.ori)?,
                agent_config: instance.agent_config(&f.ori),
                mapping: instance.dir.join(format!("mapping-{}.toml", f.ori)),
                exports: exports.map(|(_, exports)| exports.clone()).unwrap_or_default(),
                backfill: replay.backfill,
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let logs: BTreeMap<_, _> =
        instance.subscribers.iter().map(|s| (s.id.clone(), instance.hand_over_log(&s.id))).collect();
    audit(&Inputs {
        facilities,
        registry: instance.registry_file(),
        hand_over_logs: logs,
        as_of: replay.as_of,
    })
    .context("the audit could not be made")
}

/// Judges the run.
pub(super) fn reach(
    stage: &Stage,
    replay: &Replay,
    options: &Options,
    stalled: bool,
) -> anyhow::Result<Verdict> {
    let report = judge(stage, replay)?;
    let lag = stage.lag()?;
    let logs: Vec<_> =
        stage.instance.subscribers.iter().map(|s| stage.instance.hand_over_log(&s.id)).collect();
    let leads = Leads::read(logs.iter().map(std::path::PathBuf::as_path), &replay.taken, replay.speed)?;
    let mut findings = report.findings();
    findings.extend(disagreements(&report, replay));
    let clean = report.is_clean() && findings.is_empty();
    let (p50, min, negative) =
        if replay.backfill { (None, None, 0) } else { (leads.p50(), leads.min(), leads.negative()) };
    let json = json!({
        "custodies": report.custodies,
        "withheld": report.withheld,
        "withheld_by_floor": report.withheld_by_floor,
        "events": report.events,
        "events_addressed": report.events_addressed,
        "notices": report.notices,
        "notices_by_subscriber": report.notices_by_subscriber,
        "allowed_not_subscribed": report.allowed_not_subscribed,
        "received": report.received,
        "lost": report.lost.len(),
        "duplicates": report.duplicates.len(),
        "unallowed": report.unallowed.len(),
        "unmapped_texts": report.unmapped_texts,
        "refused": report.refused,
        "disagreeing": report.disagreeing,
        "backfill": replay.backfill,
        "speed": replay.speed,
        "deliver_ms": spread_of(&lag["overall"]["delivered"]),
        "loop_ms": spread_of(&lag["overall"]["whole_loop"]),
        "lead_time_s": { "p50": p50, "min": min },
        "negative_lead": negative,
        "exercise": stage.instance.exercise_id,
        "mutant": options.mutant,
        "stalled": stalled,
    });
    Ok(Verdict { json, findings, stalled, clean: clean && !stalled })
}

/// What the agent counted and what the audit counted must be the same thing.
fn disagreements(report: &Report, replay: &Replay) -> Vec<String> {
    let Some(summary) = &replay.summary else { return Vec::new() };
    let counted = |key: &str| summary[key].as_u64().unwrap_or(u64::MAX);
    // Of somebody who is still in custody there is nothing to tell: the audit counts that as withheld.
    let nothing_to_tell = counted("withheld").saturating_add(counted("no_release"));
    let pairs = [
        ("custodies", counted("custodies"), report.custodies),
        ("withheld", nothing_to_tell, report.withheld),
        ("refused", counted("refused"), report.refused),
        ("events", counted("events"), report.events),
        ("disagreeing", counted("disagreeing"), report.disagreeing),
    ];
    pairs
        .into_iter()
        .filter(|(_, counted, audited)| counted != audited)
        .map(|(key, counted, audited)| format!("the agent counts {key} {counted}, the audit {audited}"))
        .collect()
}

impl Verdict {
    /// 0 clean, 1 not, 3 stalled.
    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.stalled, self.clean) {
            (true, _) => ExitCode::from(EXIT_STALLED),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::FAILURE,
        }
    }

    /// For people on standard error; as JSON the last line of standard output.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let v = &self.json;
        let n = |key: &str| v[key].to_string();
        say("");
        say(&format!(
            "{} custodies: {} withheld ({} by the floor), {} kept aside for bad rows, the others gave {} events.",
            n("custodies"),
            n("withheld"),
            n("withheld_by_floor"),
            n("refused"),
            n("events")
        ));
        say(&format!(
            "{} notices due, {} received; {} more were allowed and nobody had asked for them.",
            n("notices"),
            n("received"),
            n("allowed_not_subscribed")
        ));
        say(&format!(
            "Observed to subscriber: {}. Whole loop, back at the jail: {}.",
            spread(&v["deliver_ms"]),
            spread(&v["loop_ms"])
        ));
        if v["backfill"] == true {
            say("Past records: no lead time, no deadlines, no alarms.");
        } else {
            let seconds =
                |value: &Value| value.as_f64().map_or("none".into(), |s| format!("{:.0} min", s / 60.0));
            say(&format!(
                "Lead time (source times multiplied back by {}, latencies as they are): median {}, least {}; {} after the door.",
                n("speed"),
                seconds(&v["lead_time_s"]["p50"]),
                seconds(&v["lead_time_s"]["min"]),
                n("negative_lead")
            ));
        }
        say(&format!(
            "Independent audit: lost {}, twice {}, to somebody not allowed {}.",
            n("lost"),
            n("duplicates"),
            n("unallowed")
        ));
        for finding in &self.findings {
            say(&format!("  FINDING: {finding}"));
        }
        say(if self.stalled {
            "STALLED: no progress for 60 s."
        } else if self.clean {
            "All is as it should be."
        } else {
            "NOT as it should be: see the findings."
        });
        if json {
            anstream::println!("{}", serde_json::to_string(v).context("write the summary")?);
        }
        Ok(())
    }
}

/// Percentiles as the summary has them.
fn spread_of(latency: &Value) -> Value {
    json!({ "p50": latency["p50_ms"], "p99": latency["p99_ms"] })
}

fn spread(figures: &Value) -> String {
    match (figures["p50"].as_f64(), figures["p99"].as_f64()) {
        (Some(p50), Some(p99)) => format!("median {p50:.1} ms, p99 {p99:.1} ms"),
        _ => "not measured".into(),
    }
}
