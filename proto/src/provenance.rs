//! Who wrote a message and with what, and whether it is real.

use serde::{Deserialize, Serialize};

use crate::{
    SCHEMA_VERSION,
    field::{self, FieldError, FieldProblem},
    ids::{AgreementName, InstanceId},
    vocabulary::TrafficKind,
    wire,
};

/// Stands in every signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The relay network the ids of the message belong to.
    pub instance: InstanceId,
    /// Schema the writer used.
    pub schema_version: u32,
    /// Program and version, `sallyport-agent/0.1.0`.
    pub build: String,
}

impl Provenance {
    /// What a program of this build writes.
    pub fn of(instance: &InstanceId, build: &str) -> Self {
        Self { instance: instance.clone(), schema_version: SCHEMA_VERSION, build: build.to_owned() }
    }

    pub(crate) fn checked(provenance: Option<wire::Provenance>) -> Result<Self, FieldError> {
        let wire = provenance.ok_or(FieldError::missing("provenance"))?;
        if wire.schema_version == 0 {
            return Err(FieldError::missing("provenance.schema_version"));
        }
        if wire.schema_version > SCHEMA_VERSION {
            return Err(FieldError {
                field: "provenance.schema_version",
                problem: FieldProblem::NewerSchema(wire.schema_version),
            });
        }
        Ok(Self {
            instance: field::parse_id("provenance.instance", &wire.instance)?,
            schema_version: wire.schema_version,
            build: field::required("provenance.build", wire.build)?,
        })
    }
}

impl From<Provenance> for wire::Provenance {
    fn from(p: Provenance) -> Self {
        Self { instance: p.instance.into(), schema_version: p.schema_version, build: p.build }
    }
}

/// Real or not; exercise traffic names its exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficClass {
    /// The real thing.
    Actual,
    /// An exercise, with its id.
    Exercise(String),
    /// A test of one link.
    Test,
    /// Runs the same code as the real thing and stops at the very last step.
    Ping,
}

impl TrafficClass {
    /// The bare kind.
    pub fn kind(&self) -> TrafficKind {
        match self {
            Self::Actual => TrafficKind::Actual,
            Self::Exercise(_) => TrafficKind::Exercise,
            Self::Test => TrafficKind::Test,
            Self::Ping => TrafficKind::Ping,
        }
    }

    pub(crate) fn checked(traffic: Option<wire::TrafficClass>) -> Result<Self, FieldError> {
        let wire = traffic.ok_or(FieldError::missing("traffic"))?;
        Ok(match TrafficKind::from_wire("traffic.kind", wire.kind)? {
            TrafficKind::Actual => Self::Actual,
            TrafficKind::Exercise => {
                Self::Exercise(field::required("traffic.exercise_id", wire.exercise_id)?)
            }
            TrafficKind::Test => Self::Test,
            TrafficKind::Ping => Self::Ping,
        })
    }
}

impl From<TrafficClass> for wire::TrafficClass {
    fn from(class: TrafficClass) -> Self {
        let kind = class.kind().into();
        let exercise_id = if let TrafficClass::Exercise(id) = class { id } else { String::new() };
        Self { kind, exercise_id }
    }
}

/// Id and version of one agreement of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgreementId {
    /// Its id.
    pub id: AgreementName,
    /// Its version.
    pub version: u32,
}

impl AgreementId {
    pub(crate) fn optional(
        field: &'static str,
        wire: Option<wire::AgreementId>,
    ) -> Result<Option<Self>, FieldError> {
        wire.map(|a| Ok(Self { id: field::parse_id(field, &a.id)?, version: a.version })).transpose()
    }

    pub(crate) fn required(field: &'static str, wire: Option<wire::AgreementId>) -> Result<Self, FieldError> {
        Self::optional(field, wire)?.ok_or(FieldError::missing(field))
    }
}

impl From<AgreementId> for wire::AgreementId {
    fn from(a: AgreementId) -> Self {
        Self { id: a.id.into(), version: a.version }
    }
}
