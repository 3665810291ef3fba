//! A small invented day of one jail: custodies, the exports that tell of them, and what the independent audit says of the
//! whole. Times are UTC and long past, so that every door is a fact.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use sallyport_audit::{Export, FacilityInput, Inputs, Report, audit};
use sallyport_ground::{COUNTY_COLUMNS, Instance, JURISDICTION, example};
use serde_json::Value;

use crate::{World, patience};

/// The day begins.
const MORNING: &str = "2026-03-17T06:00:00Z";
/// One export follows the other.
const STEP: SignedDuration = SignedDuration::from_mins(30);

/// One custody as one export tells of it: one charge row.
#[derive(Debug, Clone)]
pub struct Custody {
    /// Booking number.
    pub booking_number: String,
    /// Bail was posted then.
    pub bail: Option<Timestamp>,
    /// The door.
    pub door: Option<Timestamp>,
    /// Disposition text.
    pub text: String,
    /// The hold flag that stands for a request of the civil office.
    pub hold: bool,
}

/// What one jail exported so far, in order.
pub struct Day {
    ori: String,
    exports: Vec<Export>,
    bailed: Vec<Custody>,
}

impl Custody {
    /// The cells of its row, in the order of [`COUNTY_COLUMNS`].
    pub fn cells(&self) -> Vec<String> {
        let time = |at: Option<Timestamp>| {
            at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
        };
        let booked = self.bail.or(self.door).map(|at| at - SignedDuration::from_hours(30));
        vec![
            self.booking_number.clone(),
            time(booked),
            time(self.bail),
            time(self.door),
            "Drumming after hours".into(),
            time(self.door),
            "NGM".into(),
            self.text.clone(),
            "order".into(),
            "1.0".into(),
            "0".into(),
            "1".into(),
            u8::from(self.hold).to_string(),
            "0".into(),
            "0".into(),
        ]
    }
}

/// A file of these columns and rows. No cell of ours needs quotes.
pub fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = header.join(",") + "\n";
    for row in rows {
        text.push_str(&(row.join(",") + "\n"));
    }
    text
}

/// The shipped mapping, reading UTC.
pub fn mapping(dir: &Path) -> Result<PathBuf> {
    let shipped =
        std::fs::read_to_string(example("county-mapping.toml")).context("read the shipped mapping")?;
    let zone = shipped.lines().find(|line| line.starts_with("time_zone")).context("it names a zone")?;
    let file = dir.join("day-mapping.toml");
    std::fs::write(&file, shipped.replacen(zone, "time_zone = \"UTC\"", 1)).context("write the mapping")?;
    Ok(file)
}

impl Day {
    /// Nothing was exported yet.
    pub fn of(ori: &str) -> Self {
        Self { ori: ori.into(), exports: Vec::new(), bailed: Vec::new() }
    }

    /// The next export: `count` new custodies of every kind that the demonstration's agencies tell apart, and the doors
    /// of those that the export before told the bail of.
    pub fn next(&mut self, count: usize) -> Result<Vec<Custody>> {
        let step = self.exports.len();
        let now = self.export_time(step)?;
        let mut custodies = std::mem::take(&mut self.bailed);
        for custody in &mut custodies {
            custody.door = Some(now - SignedDuration::from_mins(5));
            custody.text = "Bail Bond".into();
        }
        for n in 0..count {
            let at = Some(now - SignedDuration::from_mins(10));
            let (bail, door, text) = match n % 4 {
                0 => (at, None, ""),
                1 => (None, at, "PR"),
                2 => (None, at, "WSI Chain"),
                _ => (None, at, "Time Served"),
            };
            let custody = Custody {
                booking_number: format!("NG-26-{step:03}{n:03}"),
                bail,
                door,
                text: text.into(),
                hold: n % 8 == 3,
            };
            if door.is_none() {
                self.bailed.push(custody.clone());
            }
            custodies.push(custody);
        }
        Ok(custodies)
    }

    /// Writes these custodies as the next export and gives the file with its time.
    pub fn write(&mut self, instance: &Instance, custodies: &[Custody]) -> Result<(PathBuf, Timestamp)> {
        let rows: Vec<_> = custodies.iter().map(Custody::cells).collect();
        self.write_text(instance, &csv(&COUNTY_COLUMNS, &rows))
    }

    /// Writes any text as the next export.
    pub fn write_text(&mut self, instance: &Instance, text: &str) -> Result<(PathBuf, Timestamp)> {
        let step = self.exports.len();
        let as_of = self.export_time(step)?;
        let folder = instance.dir.join("exports");
        std::fs::create_dir_all(&folder).context("make the folder of exports")?;
        let file = folder.join(format!("{}-{step:03}.csv", self.ori));
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        self.exports.push(Export { path: file.clone(), as_of: Some(as_of) });
        Ok((file, as_of))
    }

    /// Makes, writes and ingests the next export.
    pub fn export(&mut self, world: &World, count: usize) -> Result<Value> {
        let custodies = self.next(count)?;
        let (file, as_of) = self.write(&world.instance, &custodies)?;
        ingest(world, &self.ori, &file, as_of)
    }

    /// This jail and everything it exported so far, as the audit reads it.
    pub fn facility(&self, instance: &Instance) -> Result<FacilityInput> {
        Ok(FacilityInput {
            ori: self.ori.clone(),
            jurisdiction: JURISDICTION.into(),
            secret_hex: instance.keys().secret(&self.ori)?,
            agent_config: instance.agent_config(&self.ori),
            mapping: instance.dir.join(format!("mapping-{}.toml", self.ori)),
            exports: self.exports.clone(),
            backfill: false,
        })
    }

    /// What the audit says of everything exported so far and everything handed over so far.
    pub fn audit(&self, world: &World) -> Result<Report> {
        let instance = &world.instance;
        let facility = self.facility(instance)?;
        let logs: BTreeMap<_, _> =
            instance.subscribers.iter().map(|s| (s.id.clone(), instance.hand_over_log(&s.id))).collect();
        audit(&Inputs {
            facilities: vec![facility],
            registry: instance.registry_file(),
            hand_over_logs: logs,
            as_of: Timestamp::now(),
        })
    }

    /// Waits until everything that is due is handed over, answered and settled; gives the audit's report, which has no
    /// finding.
    pub async fn acknowledged(&self, world: &World, deadline: Duration) -> Result<Report> {
        let waited = self.handed_over(world, deadline).await;
        let report = self.audit(world)?;
        let findings = report.findings();
        ensure!(findings.is_empty(), "the audit says:\n{}\n{}", findings.join("\n"), world.logs());
        waited.with_context(|| world.logs())?;
        Ok(report)
    }

    /// Waits until nothing is missing and nothing is under way any more, whatever else the audit may find.
    pub async fn handed_over(&self, world: &World, deadline: Duration) -> Result<()> {
        patience::until_every(
            "everything due is handed over",
            deadline,
            patience::DEAR_LOOK_EVERY,
            || async { Ok(self.audit(world)?.lost.is_empty().then_some(())) },
        )
        .await?;
        self.quiet(world, deadline).await
    }

    /// Waits until nothing is under way any more: outbox empty, every durable settled.
    pub async fn quiet(&self, world: &World, deadline: Duration) -> Result<()> {
        let name = format!("agent-{}", self.ori);
        patience::until_every("the jail's outbox is empty", deadline, patience::DEAR_LOOK_EVERY, || async {
            Ok((world.ask(&name, &["status", "--json"])?["outbox_depth"] == 0).then_some(()))
        })
        .await?;
        let hub = world.hub().await?;
        for durable in ["INGEST", "RECEIPTS"] {
            hub.settled(durable, "relay", deadline).await?;
        }
        for subscriber in &world.instance.subscribers {
            hub.settled("DELIVER", &subscriber.id, deadline).await?;
        }
        // A receipt may be the last thing that came: its Progress is stored before it is settled.
        hub.settled("RECEIPTS", "relay", deadline).await
    }

    fn export_time(&self, step: usize) -> Result<Timestamp> {
        let morning: Timestamp = MORNING.parse().context("a time")?;
        Ok(morning + STEP * i32::try_from(step).context("a day has few exports")?)
    }
}

/// Ingests a file at a jail, as a person does; gives the summary.
pub fn ingest(world: &World, ori: &str, file: &Path, as_of: Timestamp) -> Result<Value> {
    let (file, as_of) = (file.display().to_string(), as_of.to_string());
    world.ask(&format!("agent-{ori}"), &["ingest", "--json", "--as-of", &as_of, &file])
}
