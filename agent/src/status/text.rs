//! Status for people: what a sergeant at the counter needs, in words.

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::{EventView, NOT_A_REASON, Overview, RecipientView};

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vitals = &self.vitals;
        writeln!(f, "facility {}", self.ori)?;
        match vitals.outbox_oldest_age_s {
            None => writeln!(f, "outbox empty: everything stored has been answered")?,
            Some(age) => {
                writeln!(f, "outbox {} events, the oldest for {}", vitals.outbox_depth, seconds(age))?
            }
        }
        writeln!(f, "last acceptance {}", when(vitals.last_acceptance))?;
        writeln!(f, "answers caught up with {}", when(vitals.last_catchup))?;
        writeln!(
            f,
            "numbering {} at {}, since {} ({})",
            self.epoch, self.seq, self.epoch_since, self.epoch_why
        )?;
        writeln!(f, "{} custodies that nobody may be told of", vitals.allowed_to_nobody)?;
        if self.stray_receipts > 0 {
            writeln!(f, "{} receipts that are nobody's here", self.stray_receipts)?;
        }
        if !self.last_events.is_empty() {
            let mut table = table(&[
                "event",
                "state",
                "status",
                "accepted in",
                "told",
                "received",
                "seen",
                "last receipt",
            ]);
            for line in &self.last_events {
                let state = match line.traffic.as_str() {
                    "ACTUAL" => line.release_state.clone(),
                    traffic => format!("{} [{traffic}]", line.release_state),
                };
                table.add_row([
                    line.event_id.clone(),
                    format!("{state} r{}", line.revision),
                    line.status.clone(),
                    line.acceptance_us.map(millis).unwrap_or_default(),
                    line.told.to_string(),
                    line.received.to_string(),
                    line.seen.to_string(),
                    line.last_receipt.map(|at| at.to_string()).unwrap_or_default(),
                ]);
            }
            writeln!(f, "\n{table}")?;
        }
        if vitals.refused_events > 0 {
            writeln!(f, "\nREFUSED by the relay, for a person to look at: {}", vitals.refused_events)?;
            for refused in &self.refused {
                writeln!(
                    f,
                    "  {} {}: {} ({})",
                    refused.event_id, refused.code, refused.text, refused.refused
                )?;
            }
        }
        if vitals.kept_aside > 0 {
            writeln!(f, "\nKEPT ASIDE at intake, for a person to look at: {}", vitals.kept_aside)?;
            for kept in &self.kept_aside_custodies {
                for problem in &kept.problems {
                    writeln!(f, "  {} since {}: {problem}", kept.id, kept.since)?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for EventView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.traffic != "ACTUAL" {
            writeln!(f, "*** {} ***", self.traffic)?;
        }
        writeln!(f, "event {}", self.event_id)?;
        writeln!(
            f,
            "custody {} revision {}: {} {}",
            self.custody_key, self.revision, self.release_state, self.reason
        )?;
        writeln!(f, "stored {}, sent {} times, PubAck {}", self.stored, self.attempts, when(self.pub_acked))?;
        match self.status.as_str() {
            "accepted" => {
                let node = self.relay_node.as_deref().unwrap_or("?");
                let took = self.acceptance_us.map(millis).unwrap_or_default();
                writeln!(f, "accepted by the relay (node {node}) {} after {took}", when(self.closed))?;
                if self.predecessor_missing == Some(true) {
                    writeln!(f, "  the relay had not seen the revision before it")?;
                }
            }
            "refused" => {
                let (code, text) = (self.refusal_code.as_deref(), self.refusal_text.as_deref());
                writeln!(f, "REFUSED: {} {}", code.unwrap_or_default(), text.unwrap_or_default())?;
            }
            _ => {
                writeln!(f, "not answered yet; sent again {}", when(self.next_due))?;
                if let Some(code) = &self.refusal_code {
                    writeln!(
                        f,
                        "  refused for now: {code} {}",
                        self.refusal_text.as_deref().unwrap_or_default()
                    )?;
                }
            }
        }
        for recipient in &self.recipients {
            write!(f, "\n{recipient}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RecipientView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ({}, rule {}, agreement {})",
            self.subscriber, self.purpose, self.rule_id, self.agreement
        )?;
        writeln!(
            f,
            "  may have: {}",
            if self.fields.is_empty() { "nothing but the fact".into() } else { self.fields.join(", ") }
        )?;
        if let Some(request) = &self.request_id {
            writeln!(f, "  answers request {request}")?;
        }
        match (self.received, self.routing) {
            (Some(at), _) => {
                let bound = self.round_trip_us.map(millis).unwrap_or_default();
                writeln!(
                    f,
                    "  RECEIVED by their machine {at} (their clock); proven within {bound} of sending"
                )?;
            }
            (None, "addressed") => writeln!(f, "  no receipt yet")?,
            (None, routing) => writeln!(f, "  {routing}")?,
        }
        if let Some(code) = &self.endpoint_refusal {
            writeln!(f, "  their endpoint could not take it: {code}")?;
        }
        if let Some(at) = self.seen {
            writeln!(f, "  SEEN {at} by {}", self.seen_by.as_deref().unwrap_or("a person"))?;
        }
        if let Some(response) = &self.response {
            writeln!(f, "  {response} (by {})", self.response_by.as_deref().unwrap_or("?"))?;
        }
        for (what, said) in [("call", &self.contact), ("they say", &self.text)] {
            if let Some(said) = said {
                writeln!(f, "  {what}: {said}")?;
            }
        }
        if let Some(at) = self.answer_by {
            writeln!(f, "  will answer by {at}")?;
        }
        if let Some(eta) = self.eta {
            writeln!(f, "  their ETA is {eta}. {NOT_A_REASON}")?;
        }
        Ok(())
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

fn when(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

fn millis(us: i64) -> String {
    format!("{}.{:03} ms", us / 1_000, (us % 1_000).abs())
}

fn seconds(s: f64) -> String {
    if s < 120.0 { format!("{s:.1} s") } else { format!("{:.0} min", s / 60.0) }
}
