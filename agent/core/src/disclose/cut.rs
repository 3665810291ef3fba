//! Cuts a part to a field list. What is not listed is not there: a field that a later version adds stays at home until
//! it is named.

use std::collections::BTreeMap;

use sallyport_proto::{
    disclosure::{Charge, Part},
    redact::Redacted,
};

/// The listed fields of `part`, and nothing else. A name that is no field of the part is looked up in its details.
pub fn cut(part: &Part, fields: &[String]) -> Part {
    let mut out = Part::default();
    let mut details = BTreeMap::new();
    for field in fields {
        match field.as_str() {
            "booking_number" => out.booking_number.clone_from(&part.booking_number),
            "person_name" => out.person_name.clone_from(&part.person_name),
            "birth_date" => out.birth_date.clone_from(&part.birth_date),
            "fbi_ucn" => out.fbi_ucn.clone_from(&part.fbi_ucn),
            "state_id" => out.state_id.clone_from(&part.state_id),
            "alien_number" => out.alien_number.clone_from(&part.alien_number),
            "disposition_texts" => out.disposition_texts.clone_from(&part.disposition_texts),
            "charges" => out.charges = charges(part, fields),
            "booked" => out.booked = part.booked,
            "housing" => out.housing.clone_from(&part.housing),
            "release_text" => out.release_text.clone_from(&part.release_text),
            "health" => out.health_reason = part.health_reason,
            name => {
                if let Some(value) = part.details.expose().get(name) {
                    details.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    out.details = Redacted::new(details);
    out
}

/// The charges. How each ended in the jail's words is a field of its own, `disposition_texts`.
fn charges(part: &Part, fields: &[String]) -> Redacted<Vec<Charge>> {
    let mut charges = part.charges.expose().clone();
    if !fields.iter().any(|field| field == "disposition_texts") {
        for charge in &mut charges {
            charge.disposition_text.clear();
        }
        charges.sort();
    }
    charges.into()
}
