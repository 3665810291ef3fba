//! The trace for people.

use std::fmt;

use comfy_table::{Table, presets};

use super::{Trace, describe};

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "event {} of {}", self.event, self.ori)?;
        if self.model_is_stale {
            writeln!(f, "UNKNOWN: the read model is not current; newer records may be missing below")?;
        }
        if let Some(head) = &self.head {
            writeln!(
                f,
                "{} {} ({}), revision {} of custody {}, {}{}",
                head.release_state,
                head.reason,
                head.certainty,
                head.revision,
                head.custody_key,
                head.traffic,
                if head.backfill { ", backfill" } else { "" }
            )?;
        }
        writeln!(f, "\n{}", self.times())?;
        if !self.notices.is_empty() {
            writeln!(f, "\n{}", self.standings())?;
        }
        writeln!(f, "\n{}", self.signatures())?;
        let word =
            if self.is_verified() { "every signature verifies" } else { "NOT EVERY SIGNATURE VERIFIES" };
        write!(f, "{word}")
    }
}

impl Trace {
    fn times(&self) -> Table {
        let mut table = table(&["time", "", "clock", "what", "record"]);
        for line in &self.timeline {
            let at = line.at.at.to_string();
            table.add_row([
                if line.expected { format!("({at})") } else { at },
                line.t.unwrap_or_default().to_owned(),
                describe(&line.at),
                line.what.clone(),
                line.record.clone(),
            ]);
        }
        table
    }

    fn standings(&self) -> Table {
        let mut table = table(&["notice to", "status", "stage", "ms", "uncertainty s", "skew ms"]);
        for notice in &self.notices {
            let (to, status) = (notice.notice.subscriber().to_string(), notice.status.to_string());
            for stage in &notice.stages {
                table.add_row([
                    to.clone(),
                    status.clone(),
                    stage.stage.as_str().to_owned(),
                    format!("{:.1}", stage.ms),
                    stage.uncertainty_s.to_string(),
                    stage.skew_ms.map_or(String::new(), |ms| format!("{ms:.1}")),
                ]);
            }
            for (name, lead_s) in
                [("t10-t6 (lead)", notice.lead_received_s), ("t10-t8 (lead)", notice.lead_answered_s)]
            {
                if let Some(lead_s) = lead_s {
                    let ms = format!("{:.1}", lead_s * 1_000.0);
                    table.add_row([to.as_str(), status.as_str(), name, ms.as_str(), "", ""]);
                }
            }
        }
        table
    }

    fn signatures(&self) -> Table {
        let mut table = table(&["record", "what", "signed by", "signature"]);
        for record in &self.records {
            let check = match &record.problem {
                None => "verifies".to_owned(),
                Some(problem) => format!("FAILS: {problem}"),
            };
            table.add_row([
                format!("{} {}", record.stream.name(), record.sequence),
                record.what.clone(),
                record.signed_by.clone(),
                check,
            ]);
        }
        table
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().copied());
    table
}
