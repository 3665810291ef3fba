//! The table of disposition texts.

use std::collections::BTreeMap;

use sallyport_proto::{
    problem::Problems,
    vocabulary::{Certainty, ReleaseReason},
};

use super::{super::Disposition, end_state, filled, form, word_or};

/// Checks the table; `has_column` says whether the export has texts at all.
pub(super) fn check(
    raw: &[form::Disposition],
    has_column: bool,
    p: &mut Problems<'_>,
) -> Option<BTreeMap<String, Disposition>> {
    if !has_column && !raw.is_empty() {
        p.add(
            "charge.disposition",
            None,
            "missing: there is a table of texts, and no column that holds them",
        );
    }
    let mut table = BTreeMap::new();
    let mut good = true;
    for (place, raw) in raw.iter().enumerate() {
        let Some(meaning) = meaning(place, raw, p) else {
            good = false;
            continue;
        };
        let key = format!("disposition[{place}].texts");
        if raw.texts.get_ref().is_empty() {
            p.add(&key, Some(raw.texts.span()), "must name at least one text");
        }
        for text in raw.texts.get_ref() {
            let Some(name) = filled(&key, text, p) else { continue };
            if let Some(before) = table.insert(name, meaning) {
                let problem =
                    format!("{:?} stands twice, first in disposition[{}]", text.get_ref(), before.place);
                p.add(&key, Some(text.span()), problem);
            }
        }
    }
    good.then_some(table)
}

fn meaning(place: usize, raw: &form::Disposition, p: &mut Problems<'_>) -> Option<Disposition> {
    let key = |name: &str| format!("disposition[{place}].{name}");
    let reason = p.parse(key("reason"), &raw.reason);
    let state = end_state(&key("state"), &raw.state, p);
    let certainty = word_or(&key("certainty"), raw.certainty.as_ref(), Certainty::Confirmed, p);
    if reason == Some(ReleaseReason::TransferHospital) && !raw.health {
        let text =
            "TRANSFER_HOSPITAL is a health fact: it needs health = true, so that it does not leave the jail";
        p.add(key("reason"), Some(raw.reason.span()), text);
    }
    Some(Disposition {
        rank: raw.rank,
        place,
        reason: reason?,
        state: state?,
        certainty: certainty?,
        health: raw.health,
    })
}
