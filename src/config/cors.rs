//! Reads a `cors` section. The policy compiler checks later whether the combination of its values is safe.

use super::document::Cors;
use super::problem::At;
use super::reader::Field;
use super::schema_keys::cors as key;

impl Cors {
    /// Reads the CORS policy of the document or of a route.
    pub(super) fn read(field: &Field<'_>) -> Option<Cors> {
        let fields = field.fields()?;
        let texts = |key| fields.get(key).map(|f| f.texts());
        let allow_origins = fields.require("allow_origins").map(|f| f.texts()).unwrap_or_default();
        let allow_methods = texts("allow_methods");
        let allow_headers = texts("allow_headers").unwrap_or_default();
        let expose_headers = texts("expose_headers").unwrap_or_default();
        let allow_credentials = fields.flag(&key::ALLOW_CREDENTIALS);
        let allow_private_network = fields.flag(&key::ALLOW_PRIVATE_NETWORK);
        let max_age =
            fields.get(key::MAX_AGE.name).and_then(|f| f.duration().map(|value| At { value, place: f.place.clone() }));
        let place = fields.place().clone();
        fields.finish();
        Some(Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            allow_credentials,
            max_age,
            allow_private_network,
            place,
        })
    }
}
