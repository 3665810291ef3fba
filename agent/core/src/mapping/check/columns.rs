//! Column names: none empty, and none both read and ignored.

use std::collections::BTreeSet;

use sallyport_proto::problem::Problems;

use super::{
    super::{ChargeColumns, form},
    Text,
};

/// Checks every column the mapping names, and gives those of `[charge]`.
pub(super) fn check(raw: &form::File, p: &mut Problems<'_>) -> Option<ChargeColumns> {
    let ignored: BTreeSet<&str> =
        raw.ignore.columns.iter().chain(&raw.ignore.health).map(|text| text.get_ref().trim()).collect();
    let mut good = true;
    for (key, text) in named(raw) {
        let column = text.get_ref().trim();
        let problem = if column.is_empty() {
            "must name a column".to_owned()
        } else if ignored.contains(column) {
            format!("column {column:?} is ignored as well")
        } else {
            continue;
        };
        p.add(key, Some(text.span()), problem);
        good = false;
    }
    let plain = |text: &Option<Text>| text.as_ref().map(|text| text.get_ref().trim().to_owned());
    good.then(|| ChargeColumns {
        description: plain(&raw.charge.description),
        code: plain(&raw.charge.code),
        court: plain(&raw.charge.court),
        offence_level: plain(&raw.charge.offence_level),
        ended: plain(&raw.charge.ended),
        disposition: plain(&raw.charge.disposition),
    })
}

/// Every column that is read, with the key that names it.
fn named(raw: &form::File) -> Vec<(String, &Text)> {
    let (custody, release, charge) = (raw.custody.get_ref(), raw.release.get_ref(), &raw.charge);
    let single = [
        ("input.as_of", &raw.input.as_of),
        ("custody.booking_number", &custody.booking_number),
        ("custody.booked", &custody.booked),
        ("release.door", &release.door),
        ("release.entered", &release.entered),
        ("release.scheduled", &release.scheduled),
        ("release.transferred_to", &release.transferred_to),
        ("charge.description", &charge.description),
        ("charge.code", &charge.code),
        ("charge.court", &charge.court),
        ("charge.offence_level", &charge.offence_level),
        ("charge.ended", &charge.ended),
        ("charge.disposition", &charge.disposition),
    ];
    let single = single.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.as_ref()?)));
    let triggers = raw.trigger.iter().map(|entry| &entry.column).enumerate();
    let floors = raw.floor.iter().map(|entry| &entry.column).enumerate();
    let flags = raw.flag.iter().map(|entry| &entry.column).enumerate();
    let fields = raw.field.iter().map(|entry| &entry.column).enumerate();
    single
        .chain(triggers.map(|(n, text)| (format!("trigger[{n}].column"), text)))
        .chain(floors.map(|(n, text)| (format!("floor[{n}].column"), text)))
        .chain(flags.map(|(n, text)| (format!("flag[{n}].column"), text)))
        .chain(fields.map(|(n, text)| (format!("field[{n}].column"), text)))
        .collect()
}
