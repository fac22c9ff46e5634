//! The list of models, in the form of the API that asks for it.

use gateway_model_protocols::Protocol;
use gateway_model_protocols::catalog::{self, Model as Listed};
use gateway_plugin_sdk::prelude::Response;

use crate::catalog::{Catalog, Model};

/// The models that this consumer may use.
pub(crate) fn list(
    catalog: &Catalog,
    protocol: Protocol,
    may_use: impl Fn(&Model) -> bool,
) -> Response {
    let models = catalog.models.iter().filter(|model| may_use(model));
    let listed: Vec<Listed<'_>> = models.map(listed).collect();
    answer(catalog::list(protocol, &listed))
}

/// One model.
pub(crate) fn one(model: &Model, protocol: Protocol) -> Response {
    answer(catalog::model(protocol, &listed(model)))
}

/// When a model came to be is not known here.
fn listed(model: &Model) -> Listed<'_> {
    Listed { name: &model.name, owner: "gateway", created: 0 }
}

fn answer(document: String) -> Response {
    Response::new(200).header("content-type", "application/json").body(document)
}
