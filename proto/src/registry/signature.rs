//! The registrar's signature, which lies beside the registry file (`registry.toml.sig`) as DSSE's JSON form without the
//! payload: the payload is the file, byte for byte.

use serde::{Deserialize, Serialize};

use crate::{
    envelope::{PayloadType, pae},
    key::{RegistrarKey, Signer},
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detached {
    payload_type: String,
    signatures: Vec<DetachedSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetachedSignature {
    keyid: String,
    sig: String,
}

/// Why a registry file is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature file.
    #[error("not a signature file: it holds one JSON object with payloadType and one signature")]
    Malformed,
    /// By another key than the pinned one.
    #[error("signed by {actual}, but the pinned registrar key is {pinned}")]
    OtherKey {
        /// The key that signed.
        actual: String,
        /// The key that was expected.
        pinned: String,
    },
    /// The file was changed after it was signed.
    #[error("the registry file is not the one that was signed")]
    Changed,
}

/// Signs the bytes of a registry file; gives the content of its `.sig` file.
pub fn sign(registrar: &Signer, file: &[u8]) -> String {
    let payload_type = PayloadType::Registry.as_str().to_owned();
    let sig = data_encoding::BASE64.encode(&registrar.sign(&pae(&payload_type, file)));
    let detached = Detached {
        payload_type,
        signatures: vec![DetachedSignature { keyid: registrar.keyid().to_owned(), sig }],
    };
    // Two strings and a list: serialising them cannot fail.
    serde_json::to_string_pretty(&detached).unwrap_or_default() + "\n"
}

/// Checks the content of a `.sig` file against the bytes of the registry file.
pub fn verify(pinned: &RegistrarKey, file: &[u8], signature: &str) -> Result<(), SignatureError> {
    let detached: Detached = serde_json::from_str(signature).map_err(|_| SignatureError::Malformed)?;
    let [signature] = &detached.signatures[..] else { return Err(SignatureError::Malformed) };
    if detached.payload_type != PayloadType::Registry.as_str() {
        return Err(SignatureError::Malformed);
    }
    if signature.keyid != pinned.as_str() {
        return Err(SignatureError::OtherKey {
            actual: signature.keyid.clone(),
            pinned: pinned.as_str().to_owned(),
        });
    }
    let sig =
        data_encoding::BASE64.decode(signature.sig.as_bytes()).map_err(|_| SignatureError::Malformed)?;
    if !pinned.verifies(&pae(&detached.payload_type, file), &sig) {
        return Err(SignatureError::Changed);
    }
    Ok(())
}
