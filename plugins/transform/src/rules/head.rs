//! The checks of heads: method, host, path, query, fields, status.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use gateway_plugin_sdk::prelude::*;

use super::{Check, token};
use crate::config::{
    HeadersSpec, OneOrMany, QuerySpec, RequestSpec, ResponseSpec, ResponseSpecs, StatusSpec,
    WhenSpec,
};
use crate::encode;
use crate::fields::{FieldEdits, FieldWrite, WriteKind};
use crate::query::{QueryEdits, QueryWrite};
use crate::request::{Asks, RequestRules};
use crate::response::{ResponseRules, ResponseSets, StatusRule};
use crate::template::Template;

/// The fields that frame a message or belong to one connection: the gateway sets them itself.
const OF_THE_GATEWAY: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Check {
    pub(super) fn request(&mut self, spec: &RequestSpec) -> RequestRules {
        let is_method = |text: &str| text.bytes().all(encode::is_token);
        let method = spec.method.as_ref().and_then(|method| {
            if method.is_empty() {
                self.problem("/request/method", "the method is empty");
            }
            self.template_of("/request/method", method, is_method, "this is not a method")
        });
        let host = spec.host.as_ref().and_then(|host| {
            if host.is_empty() {
                self.problem("/request/host", "the host is empty");
            }
            let message = "a host is a name or an address, with or without a port";
            self.template_of("/request/host", host, encode::is_authority, message)
        });
        RequestRules {
            method,
            host,
            path: spec.path.as_ref().and_then(|path| self.path("/request/path", path)),
            query: self.query(&spec.query),
            fields: self.request_fields(&spec.headers),
            body: self.request_body(spec),
            asks: Asks::Nothing,
        }
    }

    /// One set of rules for each of the specification's, in order.
    pub(super) fn responses(&mut self, specs: &ResponseSpecs) -> ResponseSets {
        if specs.list().next().is_none() {
            self.problem("/response", "the list has no rules");
        }
        ResponseSets(specs.list().map(|(at, spec)| self.response(&at, spec)).collect())
    }

    fn response(&mut self, at: &str, spec: &ResponseSpec) -> ResponseRules {
        let status = spec.status.as_ref();
        let when = spec.when.as_ref();
        ResponseRules {
            when: when.map(|when| self.when(&format!("{at}/when"), when)).unwrap_or_default(),
            status: status.and_then(|status| self.status(&format!("{at}/status"), status)),
            fields: self.fields(&format!("{at}/headers"), &spec.headers),
            body: self.response_body(at, spec),
        }
    }

    fn when(&mut self, at: &str, spec: &WhenSpec) -> Vec<RangeInclusive<u16>> {
        if spec.status.is_empty() {
            self.problem(format!("{at}/status"), "the list is empty: these rules are for nothing");
        }
        let mut ranges = Vec::new();
        for (index, codes) in spec.status.iter().enumerate() {
            ranges.extend(self.accept(&format!("{at}/status/{index}"), codes.range()));
        }
        ranges
    }

    fn path(&mut self, pointer: &str, text: &str) -> Option<Template> {
        let template = self.template(pointer, text)?;
        let sample = template.sample_path();
        let problem = if !sample.starts_with('/') {
            "the path does not begin with `/`"
        } else if template.literals().any(|text| text.contains('?')) {
            "the path holds `?`: the query is changed by `query`"
        } else if encode::is_unsafe_path(&sample) {
            "the path holds empty segments, dot segments, or characters that must be \
             percent-encoded"
        } else {
            return Some(template);
        };
        self.problem(pointer, problem);
        None
    }

    fn query(&mut self, spec: &QuerySpec) -> QueryEdits {
        let rename = |(from, to): (&String, &String)| (from.clone(), to.clone());
        let mut edits = QueryEdits {
            remove: spec.remove.clone(),
            rename: spec.rename.iter().map(rename).collect(),
            write: Vec::new(),
        };
        self.distinct_targets("/request/query/rename", &edits.rename);
        for (kind, setting, map) in [
            (WriteKind::Set, "set", &spec.set),
            (WriteKind::Add, "add", &spec.add),
            (WriteKind::Default, "default", &spec.default),
        ] {
            for (name, values) in map {
                let pointer = format!("/request/query/{setting}/{}", token(name));
                let values = self.values(&pointer, values, |_| true, "");
                edits.write.push(QueryWrite { kind, name: name.clone(), values });
            }
        }
        edits
    }

    /// Those of a request, which has exactly one `host` after them: the gateway fails any other.
    fn request_fields(&mut self, spec: &HeadersSpec) -> FieldEdits {
        let at = "/request/headers";
        let edits = self.fields(at, spec);
        let is_host = |name: &HeaderName| name.as_str() == "host";
        let written: Vec<_> = edits.write.iter().filter(|write| is_host(&write.name)).collect();
        let taken = edits.remove.iter().chain(edits.rename.iter().map(|(from, _)| from));
        let is_taken = taken.into_iter().any(is_host);
        let is_given = !written.is_empty() || edits.rename.iter().any(|(_, to)| is_host(to));
        if written.iter().any(|write| write.kind == WriteKind::Add || write.values.len() > 1) {
            self.problem(at, "a request has one `host`: use `set`, with one value");
        } else if written
            .iter()
            .any(|write| write.values.iter().any(|it| it.constant() == Some("")))
        {
            self.problem(at, "the `host` is empty");
        } else if is_taken && !is_given {
            self.problem(at, "a request has a `host`: `set` another in place of it");
        }
        edits
    }

    fn fields(&mut self, pointer: &str, spec: &HeadersSpec) -> FieldEdits {
        let mut edits = FieldEdits::default();
        for (index, name) in spec.remove.iter().enumerate() {
            edits.remove.extend(self.field_name(&format!("{pointer}/remove/{index}"), name));
        }
        for (from, to) in &spec.rename {
            let pointer = format!("{pointer}/rename/{}", token(from));
            let names = (self.field_name(&pointer, from), self.field_name(&pointer, to));
            if let (Some(from), Some(to)) = names {
                edits.rename.push((from, to));
            }
        }
        self.distinct_targets(&format!("{pointer}/rename"), &edits.rename);
        for (kind, setting, map) in [
            (WriteKind::Set, "set", &spec.set),
            (WriteKind::Add, "add", &spec.add),
            (WriteKind::Default, "default", &spec.default),
        ] {
            self.field_writes(&format!("{pointer}/{setting}"), kind, map, &mut edits.write);
        }
        edits
    }

    fn field_writes(
        &mut self,
        pointer: &str,
        kind: WriteKind,
        map: &BTreeMap<String, OneOrMany>,
        writes: &mut Vec<FieldWrite>,
    ) {
        for (name, values) in map {
            let pointer = format!("{pointer}/{}", token(name));
            let values = if name.eq_ignore_ascii_case("host") {
                let message = "a host is a name or an address, with or without a port";
                self.values(&pointer, values, encode::is_authority, message)
            } else {
                let message = "a header value has no line breaks and no control characters";
                self.values(&pointer, values, encode::is_field_value, message)
            };
            let Some(name) = self.field_name(&pointer, name) else {
                continue;
            };
            if writes.iter().any(|write| write.kind == kind && write.name == name) {
                self.problem(&pointer, format!("`{name}` is here twice, in another case"));
            }
            writes.push(FieldWrite { kind, name, values });
        }
    }

    fn values(
        &mut self,
        pointer: &str,
        values: &OneOrMany,
        is_valid: fn(&str) -> bool,
        message: &str,
    ) -> Vec<Template> {
        let mut templates = Vec::new();
        for (index, value) in values.values() {
            let pointer = format!("{pointer}{index}");
            templates.extend(self.template_of(&pointer, value, is_valid, message));
        }
        if values.values().is_empty() {
            self.problem(pointer, "the list has no values; `remove` takes a name away");
        }
        templates
    }

    fn field_name(&mut self, pointer: &str, name: &str) -> Option<HeaderName> {
        let name = HeaderName::parse(name).map_err(|error| format!("`{name}`: {error}"));
        let name = self.accept(pointer, name)?;
        if OF_THE_GATEWAY.contains(&name.as_str()) {
            self.problem(pointer, format!("`{name}` is set by the gateway itself"));
            return None;
        }
        Some(name)
    }

    /// Two names renamed to one would leave open whose value counts.
    fn distinct_targets<N: PartialEq + AsRef<str>>(&mut self, pointer: &str, renames: &[(N, N)]) {
        for (index, (from, to)) in renames.iter().enumerate() {
            let earlier = &renames[..index];
            if let Some((other, _)) = earlier.iter().find(|(_, known)| known == to) {
                let (other, to) = (other.as_ref(), to.as_ref());
                let pointer = format!("{pointer}/{}", token(from.as_ref()));
                self.problem(pointer, format!("`{other}` is renamed to `{to}` too"));
            }
        }
    }

    fn status(&mut self, at: &str, spec: &StatusSpec) -> Option<StatusRule> {
        let map = match spec {
            StatusSpec::All(status) => {
                return self.status_code(at, *status).map(StatusRule::All);
            }
            StatusSpec::Some(map) => map,
        };
        let (mut codes, mut classes) = (Vec::new(), Vec::new());
        for (old, new) in map {
            let pointer = format!("{at}/{}", token(old));
            let Some(new) = self.status_code(&pointer, *new) else {
                continue;
            };
            match (old.as_bytes(), old.parse()) {
                ([digit @ b'2'..=b'5', b'x', b'x'], _) => {
                    classes.push((u16::from(digit - b'0'), new));
                }
                (_, Ok(code)) if (200..=599).contains(&code) && old.len() == 3 => {
                    codes.push((code, new));
                }
                _ => self.problem(
                    &pointer,
                    format!("`{old}` is neither a status code, 200 to 599, nor `2xx` to `5xx`"),
                ),
            }
        }
        Some(StatusRule::Some { codes, classes })
    }

    fn status_code(&mut self, pointer: &str, status: u16) -> Option<u16> {
        if (200..=599).contains(&status) {
            return Some(status);
        }
        self.problem(pointer, format!("{status} is not a status code from 200 to 599"));
        None
    }
}
