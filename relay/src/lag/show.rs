//! Tables for people. The same figures as the JSON, rounded.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::{Deliveries, Kind, Lag, Latency, State};

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header(f)?;
        writeln!(f, "{}", deliveries(&self.deliveries))?;
        writeln!(f, "\nStages, milliseconds (negative: two clocks disagree)\n{}", stages(&self.deliveries))?;
        let counts = [
            self.unsubscribed
                .iter()
                .map(|u| line("allowed, no subscription matched", &u.subscriber, &u.ori, u.disclosures))
                .collect::<Vec<_>>(),
            self.refused.iter().map(|r| line("refused", r.code, &r.ori, r.messages)).collect(),
            self.parked
                .iter()
                .map(|p| {
                    let ori = p.ori.as_ref().map_or("-".to_owned(), ToString::to_string);
                    line("parked", &p.reason, ori, p.messages)
                })
                .collect(),
            self.not_passed_on
                .iter()
                .map(|n| line("receipts not passed on", &n.subscriber, "-", n.receipts))
                .collect(),
            self.facilities
                .iter()
                .filter(|pulse| pulse.silent)
                .map(|p| match p.heartbeat_age_s {
                    Some(age_s) => {
                        line("SILENT, seconds without a heartbeat", "-", &p.ori, age_s.unsigned_abs())
                    }
                    None => line("SILENT, never sent a heartbeat", "never", &p.ori, 0),
                })
                .collect(),
            self.facilities
                .iter()
                .flat_map(|pulse| pulse.missing.iter().map(move |gap| (pulse, gap)))
                .map(|(p, gap)| {
                    line("MISSING, numbered and not held", format!("seq {gap}"), &p.ori, gap.count())
                })
                .collect(),
            self.unreadable
                .iter()
                .map(|u| line("not readable, passed over", u.stream.name(), "-", u.records))
                .collect(),
        ];
        let counts: Vec<[String; 4]> = counts.into_iter().flatten().collect();
        if !counts.is_empty() {
            let mut table = table(&["what", "who or why", "facility", "count"], &[3]);
            table.add_rows(counts);
            writeln!(f, "\n{table}")?;
        }
        let Some(age_s) = self.unanswered.oldest_age_s else { return Ok(()) };
        writeln!(
            f,
            "\n{} messages of jails without an answer, the oldest for {}",
            self.unanswered.messages,
            seconds(age_s)
        )
    }
}

impl Lag {
    fn header(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  notices of the last {}", self.at, seconds(self.window_s))?;
        for position in self.positions.iter().filter(|position| position.stale) {
            let age = match position.age_s {
                Some(age_s) => format!("last known to be whole {} ago", seconds(age_s)),
                None => "never known to be whole".to_owned(),
            };
            writeln!(
                f,
                "UNKNOWN: {} is {age}; the figures below are old (does the relay run?)",
                position.stream.name()
            )?;
        }
        Ok(())
    }
}

fn deliveries(rows: &[Deliveries]) -> Table {
    let mut table = table(
        &[
            "subscriber",
            "facility",
            "traffic",
            "state",
            "notices",
            "received",
            "late",
            "refused",
            "pending",
            "oldest unreceived",
            "lead p50",
            "lead min",
            "after the door",
        ],
        &[4, 5, 6, 7, 8, 9, 10, 11, 12],
    );
    for row in rows {
        let lead = row.lead_received;
        table.add_row([
            row.subscriber.to_string(),
            row.ori.to_string(),
            kind(row.kind).to_owned(),
            state(row.state).to_owned(),
            row.notices.to_string(),
            row.received.to_string(),
            row.late.to_string(),
            row.refused.to_string(),
            row.pending.to_string(),
            row.oldest.as_ref().map_or(String::new(), |oldest| seconds(oldest.age_s)),
            lead.map_or(String::new(), |lead| seconds(lead.p50_s.round() as i64)),
            lead.map_or(String::new(), |lead| seconds(lead.min_s.round() as i64)),
            lead.map_or(String::new(), |lead| lead.negative.to_string()),
        ]);
    }
    table
}

fn stages(rows: &[Deliveries]) -> Table {
    let mut table = table(
        &["subscriber", "facility", "traffic", "stage", "n", "p50", "p95", "p99", "skewed", "largest skew"],
        &[4, 5, 6, 7, 8, 9],
    );
    for row in rows {
        let named = row.stages.iter().map(|figures| (figures.stage.as_str(), figures.latency));
        let back = row.way_back.map(|latency| ("receipt-answer", latency));
        for (name, latency) in named.chain(back) {
            let Latency { count, p50_ms, p95_ms, p99_ms, skewed, skew_max_ms } = latency;
            let name = match row.kind {
                Kind::Backfill if name == "t6-t0" => "t6-t2",
                _ => name,
            };
            table.add_row([
                row.subscriber.to_string(),
                row.ori.to_string(),
                kind(row.kind).to_owned(),
                name.to_owned(),
                count.to_string(),
                format!("{p50_ms:.1}"),
                format!("{p95_ms:.1}"),
                format!("{p99_ms:.1}"),
                skewed.to_string(),
                skew_max_ms.map_or(String::new(), |ms| format!("{ms:.1}")),
            ]);
        }
    }
    table
}

fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().copied());
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn line(what: &str, who: impl fmt::Display, ori: impl fmt::Display, count: u64) -> [String; 4] {
    [what.to_owned(), who.to_string(), ori.to_string(), count.to_string()]
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Live => "live",
        Kind::Backfill => "backfill",
        Kind::Ping => "ping",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::Breached => "BREACHED",
        State::Unknown => "UNKNOWN",
    }
}

/// `-1 h 02 min`, `3 min 05 s`, `12 s`.
fn seconds(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let (hours, minutes, rest) =
        (seconds.unsigned_abs() / 3_600, seconds.unsigned_abs() / 60 % 60, seconds.unsigned_abs() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest} s"),
        (0, _) => format!("{sign}{minutes} min {rest:02} s"),
        _ => format!("{sign}{hours} h {minutes:02} min"),
    }
}
