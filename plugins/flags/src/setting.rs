//! What a flag sets in a request.

use std::collections::BTreeMap;

use gateway_flags::Evaluation;
use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, Request};
use gateway_plugin_sdk::{attempts, attributes, log};
use serde_json::Value;

use crate::config::{SetSpec, Take};

/// The longest value of a field, in bytes.
const MOST_FIELD: usize = 8 << 10;

/// One flag, and where its text goes.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) flag: String,
    header: Option<HeaderName>,
    attribute: Option<String>,
    upstreams: BTreeMap<String, String>,
    take: Take,
    default: Option<String>,
}

/// Reads them.
pub(crate) fn all(specs: &[SetSpec], errors: &mut Vec<ConfigError>) -> Vec<Setting> {
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("/set/{index}");
        if spec.header.is_none() && spec.attribute.is_none() && spec.upstreams.is_empty() {
            let help = "add `header = \"x-flag\"`, `attribute = \"flag.NAME\"` or `upstreams = { VARIANT = \"NAME\" }`";
            errors.push(ConfigError::at(at.clone(), "nothing is set").help(help));
        }
        if let Some(name) = spec.header.as_ref().filter(|name| name.is_of_connection()) {
            let message = format!("the field `{name}` is the gateway's to write");
            let help = "choose a name of your own, such as `x-checkout`";
            errors.push(ConfigError::at(format!("{at}/header"), message).help(help));
        }
        if let Some(name) = &spec.attribute
            && (name.is_empty() || name.len() > 128 || attributes::is_reserved(name))
        {
            let message =
                "an attribute has from 1 to 128 bytes, and is not one that the gateway sets";
            let help = "choose a name of your own, such as `flag.checkout`";
            errors.push(ConfigError::at(format!("{at}/attribute"), message).help(help));
        }
        for (value, upstream) in &spec.upstreams {
            if !attempts::may_forward(upstream) {
                let message =
                    format!("the upstream is not in `forward_to` of the plugin: {upstream:?}");
                let key = value.replace('~', "~0").replace('/', "~1");
                let help = format!("add it beside `component`: `forward_to = [{upstream:?}]`");
                let error = ConfigError::at(format!("{at}/upstreams/{key}"), message);
                errors.push(error.help(help));
            }
        }
        if spec.default.as_ref().is_some_and(|text| !is_field(text)) {
            let help = "write it in one line, of 8 KiB at most, without control characters";
            let message = "this cannot be the value of a field";
            errors.push(ConfigError::at(format!("{at}/default"), message).help(help));
        }
    }
    let setting = |spec: &SetSpec| Setting {
        flag: spec.flag.clone(),
        header: spec.header.clone(),
        attribute: spec.attribute.clone(),
        upstreams: spec.upstreams.clone(),
        take: spec.take,
        default: spec.default.clone(),
    };
    specs.iter().map(setting).collect()
}

impl Setting {
    /// Sets what a flag is; `None` where there are no definitions.
    pub(crate) fn apply(&self, request: &mut Request, found: Option<&Evaluation<'_>>) {
        let text = found.and_then(|found| self.text(found)).or_else(|| self.default.clone());
        if let Some(header) = &self.header {
            match text.as_ref().filter(|text| is_field(text)) {
                Some(text) => request.set_header(header, text.as_str()),
                None => {
                    if text.is_some() {
                        log::warn!(
                            "what flag {:?} is cannot be the value of the field {header}",
                            self.flag
                        );
                    }
                    // What the client says of it does not count.
                    request.remove_header(header);
                }
            }
        }
        let Some(text) = text else { return };
        if let Some(upstream) = self.upstreams.get(&text) {
            request.set_upstream(upstream);
        }
        if let Some(attribute) = &self.attribute
            && request.set_attribute(attribute, &text).is_err()
        {
            log::warn!("what flag {:?} is has no room in the attribute {attribute}", self.flag);
        }
    }

    fn text(&self, found: &Evaluation<'_>) -> Option<String> {
        if let Some((code, why)) = &found.error {
            log::debug!("flag {:?} has no value ({}): {why}", self.flag, code.name());
        }
        match self.take {
            Take::Variant => found.variant.as_deref().map(str::to_owned),
            Take::Value => found.value.map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
        }
    }
}

fn is_field(text: &str) -> bool {
    text.len() <= MOST_FIELD && text.bytes().all(|byte| byte >= b' ' && byte != 0x7f)
}
