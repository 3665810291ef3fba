//! What a run of the bench came to: ratios first, then figures with the machine they were taken on, then where the time
//! goes; for people as tables, for programs as one JSON object.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    burst::Burst,
    machine::Machine,
    paced::Paced,
    percentiles::Percentiles,
    route::{Routes, SUBSCRIPTIONS},
    signatures::{BARE, PerEvent, WAY, WAY_FROM_OUTBOX},
};

/// Everything measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// Of every stream.
    pub replicas: usize,
    /// Events of each burst.
    pub n: u64,
    /// Bursts with their floors.
    pub rounds: Vec<Round>,
    /// The bare floor at the pace of `paced`.
    pub floor_paced: FloorPaced,
    /// At 50 events a second.
    pub paced: Paced,
    /// To more and more subscribers.
    pub fan_out: Vec<FanOut>,
    /// Route decisions.
    pub routes: Routes,
}

/// One burst between its floors.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// The bare floor's, events a second; mean of before and after.
    pub bare_per_s: f64,
    /// The signed floor's.
    pub signed_per_s: f64,
    /// What the signed floor took of the processor, microseconds for one event.
    pub signed_cpu_us_per_event: FloorCpu,
    /// The product's.
    pub product: Burst,
}

/// Processor time of a floor, microseconds for one event. Its hops are tasks of the bench's own process.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FloorCpu {
    /// nats-server, all nodes together.
    pub server: f64,
    /// Publisher, hops and sink.
    pub programs: f64,
}

/// The bare floor, paced.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FloorPaced {
    /// Until the second hop has it.
    pub deliver_ms: Percentiles,
    /// Until the sink has it.
    pub loop_ms: Percentiles,
}

/// A burst to several subscribers.
#[derive(Debug, Clone, Serialize)]
pub struct FanOut {
    /// Told of each event.
    pub subscribers: usize,
    /// How it went.
    pub burst: Burst,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.product.loop_per_s / self.signed_per_s
    }
}

impl Report {
    /// The round whose ratio to the signed floor is the median: all burst figures are of this one.
    pub fn middle(&self) -> Option<&Round> {
        let mut rounds: Vec<&Round> = self.rounds.iter().collect();
        rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        rounds.get(rounds.len() / 2).copied()
    }

    /// Product to signed floor; above 1 the product is faster.
    pub fn burst_ratio(&self) -> f64 {
        self.middle().map_or(0.0, Round::ratio)
    }

    /// Product to bare floor.
    pub fn burst_ratio_bare(&self) -> f64 {
        self.middle().map_or(0.0, |round| round.product.loop_per_s / round.bare_per_s)
    }

    /// Product to bare floor, time to the subscriber; below 1 the product is faster.
    pub fn paced_deliver_ratio(&self) -> Percentiles {
        ratio(self.paced.deliver_ms, self.floor_paced.deliver_ms)
    }

    /// Product (five durable hops, to the jail) to bare floor (three, to the sink), whole loop.
    pub fn paced_loop_ratio(&self) -> Percentiles {
        ratio(self.paced.loop_ms, self.floor_paced.loop_ms)
    }

    /// The largest the agent was, after bursts and after the paced run.
    pub fn agent_rss_mib(&self) -> f64 {
        let bursts = self.rounds.iter().map(|round| round.product.agent_rss_mib);
        bursts.fold(self.paced.agent_rss_mib, f64::max)
    }

    /// What the product signed and verified for one event of the middle burst, by the batches it really made.
    pub fn signed_per_event(&self) -> Option<PerEvent> {
        let burst = &self.middle()?.product;
        let (answers, receipts) = (burst.answers as f64, burst.receipts as f64);
        let (events, each) = (burst.events as f64, WAY_FROM_OUTBOX.per_event(f64::INFINITY));
        Some(PerEvent {
            signed: each.signed + (answers + receipts) / events,
            // The relay opens a receipt, the agent an answer and the receipts in it.
            verified: each.verified + (answers + 2.0 * receipts) / events,
        })
    }

    /// All of it for programs, the contract's keys first.
    pub fn to_json(&self) -> Value {
        let paced = self.paced_deliver_ratio();
        let whole = self.paced_loop_ratio();
        let middle = self.middle();
        json!({
            "burst_ratio": round3(self.burst_ratio()),
            "burst_ratio_bare": round3(self.burst_ratio_bare()),
            "paced_deliver_p50_ratio": round3(paced.p50),
            "paced_deliver_p99_ratio": round3(paced.p99),
            "paced_loop_p50_ratio": round3(whole.p50),
            "paced_loop_p99_ratio": round3(whole.p99),
            "loop_per_s": middle.map(|m| m.product.loop_per_s.round()),
            "floor_loop_per_s": middle.map(|m| m.signed_per_s.round()),
            "bare_floor_loop_per_s": middle.map(|m| m.bare_per_s.round()),
            "agent_rss_mib": round3(self.agent_rss_mib()),
            "accept_p99_ms": self.paced.accept_ms.p99,
            "route_us": round3(self.routes.typical_us),
            "route_one_agency_us": round3(self.routes.one_agency_us),
            "replicas": self.replicas,
            "n": self.n,
            "fan_out": self.fan_out.iter().map(|fan_out| json!({
                "subscribers": fan_out.subscribers,
                "us_per_notice": round3(fan_out.burst.us_per_notice),
                "notices": fan_out.burst.notices,
            })).collect::<Vec<_>>(),
            "signatures": {
                "floor": { "way": WAY, "way_from_outbox": WAY_FROM_OUTBOX, "bare": BARE },
                "product_burst_per_event": self.signed_per_event(),
            },
            "paced": &self.paced,
            "floor_paced": self.floor_paced,
            "rounds": &self.rounds,
            "machine": &self.machine,
        })
    }
}

fn ratio(product: Percentiles, floor: Percentiles) -> Percentiles {
    Percentiles { p50: product.p50 / floor.p50, p99: product.p99 / floor.p99 }
}

fn round3(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ratios(f)?;
        self.figures(f)?;
        self.where_the_time_goes(f)
    }
}

impl Report {
    fn ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deliver, whole) = (self.paced_deliver_ratio(), self.paced_loop_ratio());
        writeln!(f, "Ratios (aim)")?;
        writeln!(f, "  burst, product / signed floor      {:>8.2}   (>= 0.9)", self.burst_ratio())?;
        if self.rounds.len() > 1 {
            let all: Vec<String> = self.rounds.iter().map(|round| format!("{:.2}", round.ratio())).collect();
            writeln!(f, "    each round                       {}", all.join("  "))?;
        }
        writeln!(f, "  burst, product / bare floor        {:>8.2}", self.burst_ratio_bare())?;
        writeln!(f, "  to the subscriber at 50/s, p50     {:>8.2}", deliver.p50)?;
        writeln!(f, "  to the subscriber at 50/s, p99     {:>8.2}   (<= 1.5)", deliver.p99)?;
        writeln!(f, "  whole loop at 50/s, p50 and p99    {:>8.2} {:>6.2}", whole.p50, whole.p99)
    }

    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "\nFigures: {} x {}, {:.0} syncs/s on its disk, load {:.1} at the start{}",
            machine.cores,
            machine.cpu,
            machine.syncs_per_s,
            machine.load_before,
            if machine.was_busy() { " (BUSY: only the ratios mean anything)" } else { "" }
        )?;
        writeln!(
            f,
            "  {} replica{}, sync always, bursts of {} events",
            self.replicas,
            if self.replicas == 1 { "" } else { "s" },
            self.n
        )?;
        if let Some(middle) = self.middle() {
            writeln!(
                f,
                "  whole loop, events/s               product {:>6.0}   signed floor {:>6.0}   bare floor {:>6.0}",
                middle.product.loop_per_s, middle.signed_per_s, middle.bare_per_s
            )?;
        }
        let line = |f: &mut fmt::Formatter<'_>, what: &str, product: Percentiles, floor: Percentiles| {
            writeln!(
                f,
                "  {what:<34} product {:>6.2} / {:>6.2}   bare floor {:>6.2} / {:>6.2}",
                product.p50, product.p99, floor.p50, floor.p99
            )
        };
        line(f, "to the subscriber, p50 / p99 ms", self.paced.deliver_ms, self.floor_paced.deliver_ms)?;
        line(f, "whole loop, p50 / p99 ms", self.paced.loop_ms, self.floor_paced.loop_ms)?;
        let accept = self.paced.accept_ms;
        writeln!(
            f,
            "  event stored, p50 / p99 ms         {:>6.2} / {:.2}   (p99 < 5)",
            accept.p50, accept.p99
        )?;
        writeln!(f, "  agent resident, MiB                {:>6.1}   (< 20)", self.agent_rss_mib())?;
        writeln!(
            f,
            "  route over {SUBSCRIPTIONS} subscriptions, us   {:>6.2}   (< 5); one agency with all of them {:.2}",
            self.routes.typical_us, self.routes.one_agency_us
        )?;
        writeln!(f, "\nFan-out, each subscriber a process of its own")?;
        for fan_out in &self.fan_out {
            writeln!(
                f,
                "  {:>3} subscribers                    {:>8.0} us a notice ({} notices)",
                fan_out.subscribers, fan_out.burst.us_per_notice, fan_out.burst.notices
            )?;
        }
        Ok(())
    }

    fn where_the_time_goes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(middle) = self.middle() {
            let burst = &middle.product;
            writeln!(f, "\nWhere the time goes in a burst of {:.2} s", burst.whole_s)?;
            for span in &burst.streams {
                writeln!(
                    f,
                    "  {:<10} {:>6} messages, first {:>6.2} s, last {:>6.2} s",
                    span.stream, span.messages, span.first_s, span.last_s
                )?;
            }
            let cpu = burst.cpu_us_per_event.iter().map(|(name, us)| format!("{name} {us:.0}"));
            writeln!(f, "  processor time, us an event: {}", cpu.collect::<Vec<_>>().join(", "))?;
            let floor = middle.signed_cpu_us_per_event;
            writeln!(
                f,
                "  the signed floor's: nats-server {:.0}, its own hops {:.0}",
                floor.server, floor.programs
            )?;
        }
        if let Some(signed) = self.signed_per_event() {
            writeln!(f, "  signatures an event: {:.2} made, {:.2} verified", signed.signed, signed.verified)?;
        }
        writeln!(f, "\nWhere the time goes at 50/s, p50 / p99 ms")?;
        for step in &self.paced.steps {
            writeln!(f, "  {:<64} {:>6.2} / {:>6.2}", step.step, step.ms.p50, step.ms.p99)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
