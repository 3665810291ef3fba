//! An audit for people: the verdict first, then what was read, then what is missing.

use std::{collections::BTreeMap, fmt};

use sallyport_relay_core::audit::Arrow;

use super::Audit;

/// Findings shown of one arrow; `--json` has all.
const SHOWN_PER_ARROW: usize = 50;

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.map_or("everything the streams hold".into(), |since| format!("since {since}"));
        let verdict = if self.clean { "nothing is missing" } else { "SOMETHING IS MISSING" };
        writeln!(f, "{verdict}: instance {}, {since}, read at {}", self.instance, self.began)?;
        let counts = &self.counts;
        writeln!(
            f,
            "{} events ({} refused), {} routed, {} accepted, {} notices, {} receipts, {} of them passed on, {} heartbeats",
            counts.events,
            counts.refused,
            counts.routed,
            counts.accepted,
            counts.notices,
            counts.receipts,
            counts.progressed,
            counts.heartbeats
        )?;
        for read in &self.streams {
            writeln!(
                f,
                "  {:<10} {:>8} messages read, sequences {} to {}",
                read.stream.name(),
                read.messages,
                read.first,
                read.last
            )?;
        }
        let mut arrows: BTreeMap<Arrow, Vec<String>> = BTreeMap::new();
        for finding in &self.findings {
            arrows.entry(finding.arrow).or_default().push(finding.to_string());
        }
        for (arrow, lines) in arrows {
            writeln!(f, "{}: {}", arrow.word(), lines.len())?;
            for line in lines.iter().take(SHOWN_PER_ARROW) {
                writeln!(f, "  {line}")?;
            }
            if lines.len() > SHOWN_PER_ARROW {
                writeln!(f, "  and {} more (--json names all)", lines.len() - SHOWN_PER_ARROW)?;
            }
        }
        write!(f, "what is younger than {} s is on its way and was not missed", self.grace_s)
    }
}
