//! What the ratios are of, and which keys programs may rely on.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;

fn burst(loop_per_s: f64, agent_rss_mib: f64) -> Burst {
    Burst {
        events: 100,
        notices: 100,
        whole_s: 100.0 / loop_per_s,
        loop_per_s,
        us_per_notice: 1e6 / loop_per_s,
        answers: 20,
        receipts: 10,
        agent_rss_mib,
        streams: Vec::new(),
        cpu_us_per_event: BTreeMap::new(),
    }
}

fn percentiles(p50: f64, p99: f64) -> Percentiles {
    Percentiles { p50, p99 }
}

fn report() -> Report {
    let signed_cpu_us_per_event = FloorCpu { server: 200.0, programs: 100.0 };
    let round =
        |product, signed_per_s| Round { bare_per_s: 2_000.0, signed_per_s, signed_cpu_us_per_event, product };
    Report {
        machine: Machine { cpu: "a machine".into(), cores: 2, load_before: 0.1, syncs_per_s: 900.0, at: 0 },
        replicas: 1,
        n: 100,
        rounds: vec![
            round(burst(900.0, 12.0), 1_000.0),
            round(burst(500.0, 15.0), 1_000.0),
            round(burst(1_200.0, 11.0), 1_000.0),
        ],
        floor_paced: FloorPaced { deliver_ms: percentiles(1.0, 4.0), loop_ms: percentiles(2.0, 5.0) },
        paced: Paced {
            events: 10,
            accept_ms: percentiles(0.5, 3.5),
            deliver_ms: percentiles(2.0, 6.0),
            loop_ms: percentiles(3.0, 10.0),
            agent_rss_mib: 14.0,
            steps: Vec::new(),
        },
        fan_out: vec![FanOut { subscribers: 10, burst: burst(100.0, 11.0) }],
        routes: Routes { typical_us: 1.25, one_agency_us: 0.25, matched: 0.5 },
    }
}

#[test]
fn every_key_of_the_contract_is_there_and_means_its_ratio() {
    let json = report().to_json();
    for (key, value) in [
        ("burst_ratio", 0.9),
        ("burst_ratio_bare", 0.45),
        ("paced_deliver_p50_ratio", 2.0),
        ("paced_deliver_p99_ratio", 1.5),
        ("loop_per_s", 900.0),
        ("floor_loop_per_s", 1_000.0),
        ("agent_rss_mib", 15.0),
        ("accept_p99_ms", 3.5),
        ("route_us", 1.25),
        ("replicas", 1.0),
        ("n", 100.0),
    ] {
        assert_eq!(json[key].as_f64(), Some(value), "{key}");
    }
    assert_eq!(json["fan_out"][0]["us_per_notice"], 10_000.0);
}

#[test]
fn the_round_with_the_middle_ratio_speaks_for_all() {
    assert_eq!(report().middle().unwrap().product.loop_per_s, 900.0);
}

#[test]
fn counts_the_signatures_of_the_batches_that_were_really_made() {
    let signed = report().signed_per_event().unwrap();
    // Two each and 0.3 of answers and receipts; three each, the answers once and the receipts twice.
    assert!((signed.signed - 2.3).abs() < 1e-9 && (signed.verified - 3.4).abs() < 1e-9, "{signed:?}");
}

#[test]
fn people_read_ratios_before_figures() {
    let text = report().to_string();
    let at = |part| text.find(part).unwrap();
    assert!(at("product / signed floor") < at("events/s"));
}
