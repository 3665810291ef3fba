//! One finding: how bad, which kind, what it is in words, and how to mend it.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Notices can be lost, late without a word, or read by others.
    Unsafe,
    /// It works, and somebody should look at it.
    Warning,
    /// It could not be looked at: nobody knows.
    NotSeen,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of finding; its text is stable, for whoever reads `--json`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// A store in a folder that is emptied.
    StoreTemporary = "store-temporary",
    /// A store that ends with its container.
    StoreOverlay = "store-overlay",
    /// A store on another machine's disk.
    StoreNetwork = "store-network",
    /// Others on this machine may read or write a store.
    StoreOpen = "store-open",
    /// Others on this machine may put exports into the drop folder.
    DropFolderOpen = "drop-folder-open",
    /// A disk that has hardly room left.
    DiskFull = "disk-full",
    /// A disk that fills.
    DiskFilling = "disk-filling",
    /// Others on this machine may read a seed or secret.
    SeedOpen = "seed-open",
    /// Person data goes over a network in the clear.
    ConnectionPlain = "connection-plain",
    /// Only this machine was looked at, as asked.
    Offline = "offline",
    /// No server answered.
    ServerUnreachable = "server-unreachable",
    /// The server does not know this user.
    LoginRefused = "login-refused",
    /// The server refuses what the program needs.
    PermissionMissing = "permission-missing",
    /// One of the two spellings of ack subjects is refused.
    AckFormMissing = "ack-form-missing",
    /// A stream, durable or import that the program needs is not there.
    NotProvisioned = "not-provisioned",
    /// It was asked and did not answer in time.
    NoAnswer = "no-answer",
    /// No relay serves a jail's catch-up.
    CatchUpSilent = "catch-up-silent",
    /// Clocks disagree.
    ClockOffset = "clock-offset",
    /// The server's time could not be asked.
    ClockUnknown = "clock-unknown",
    /// A server would lose acknowledged messages in a power cut.
    SyncNotAlways = "sync-not-always",
    /// A server stores nothing.
    NoJetStream = "no-jetstream",
    /// A server's store is in a folder that is emptied.
    ServerStoreTemporary = "server-store-temporary",
    /// The disk of a server is on another machine: nobody looked at it.
    ServerDiskUnseen = "server-disk-unseen",
    /// Fewer copies than the cluster has nodes for.
    ReplicasFew = "replicas-few",
    /// More copies than there are nodes.
    ReplicasMany = "replicas-many",
    /// Several servers, and so several copies, on one machine.
    NodesOnOneMachine = "nodes-on-one-machine",
    /// Streams may hold more than the server, or the server more than the disk.
    DiskShare = "disk-share",
    /// A stream is nearly full.
    StreamFilling = "stream-filling",
    /// A setting of a stream under which messages are lost or changed.
    StreamUnsafe = "stream-unsafe",
    /// Messages go before the longest outage is over.
    RetentionShort = "retention-short",
    /// Not the window that the programs count on.
    DuplicateWindow = "duplicate-window",
    /// A setting of a durable under which messages are passed over.
    DurableUnsafe = "durable-unsafe",
    /// Messages come again while they are in work.
    AckWaitShort = "ack-wait-short",
    /// A dead program is relieved late.
    AckWaitLong = "ack-wait-long",
    /// A notice that was lost on the way comes again after its deadline.
    AckWaitOverDeadline = "ack-wait-over-deadline",
    /// Another difference from what `provision` would make.
    Drift = "drift",
    /// The registry asks for a newer program than this one.
    BelowMinimumVersion = "below-minimum-version",
    /// Others ran older programs than the registry asks for when they last spoke.
    OthersBelowMinimumVersion = "others-below-minimum-version",
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that a person should know, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which kind.
    pub code: Code,
    /// What it is.
    pub text: String,
    /// What to do.
    pub mend: String,
}

impl Finding {
    /// Under this, notices can be lost, late without a word, or read by others.
    pub fn unsafe_(code: Code, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::Unsafe, code, text: text.into(), mend: mend.into() }
    }

    /// Somebody should look at it.
    pub fn warning(code: Code, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, text: text.into(), mend: mend.into() }
    }

    /// Nobody knows.
    pub fn not_seen(code: Code, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::NotSeen, code, text: text.into(), mend: mend.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_operators_table() {
        let table = include_str!("../../../docs/operating.md");
        for code in Code::ALL {
            assert!(table.contains(&format!("| `{}` |", code.as_str())), "{} is missing", code.as_str());
        }
    }
}
