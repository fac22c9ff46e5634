//! The configuration as it is in the gateway's file.
//!
//! Owns the names and their documentation, which is the plugin's JSON Schema. What the texts mean
//! is checked where the rules are made of them, in `rules`.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::*;

mod sets;

pub(crate) use self::sets::{ResponseSpecs, StatusCodes};
use crate::json::value::ConfigValue;
use crate::size::Size;

/// What the plugin changes. Every text may hold `${...}`, see the plugin's manual.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Changes to requests, on their way to the upstream.
    #[serde(default)]
    pub(crate) request: RequestSpec,
    /// Changes to responses, on their way to the client; or a list of such sets, each for some
    /// status codes. All that are for a response apply, in order.
    #[serde(default)]
    pub(crate) response: ResponseSpecs,
}

/// Changes to requests. Whatever their order, every `${...}` sees the request as it came to this
/// plugin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestSpec {
    /// A new method.
    #[schemars(length(min = 1))]
    pub(crate) method: Option<String>,
    /// A new `Host`, not empty. The route's `rewrite.host` and the upstream's `host` may override it.
    #[schemars(length(min = 1))]
    pub(crate) host: Option<String>,
    /// A new path, beginning with `/`, such as `/v2/orders/${capture.id}`. Values are
    /// percent-encoded; a request whose values make a path with dot segments, empty segments or
    /// encoded slashes is refused with 400.
    #[schemars(regex(pattern = r"^(/|\$\{)"))]
    pub(crate) path: Option<String>,
    /// Changes to the query.
    pub(crate) query: QuerySpec,
    /// Changes to the header.
    pub(crate) headers: HeadersSpec,
    /// Changes to a JSON body, one after the other. The body is buffered.
    pub(crate) json: Vec<JsonSpec>,
    /// Another format for the body. `json` edits it in between, as JSON.
    pub(crate) convert: Option<ConvertSpec>,
    /// Texts to replace in the body, all at once, while it streams.
    pub(crate) text: Vec<TextSpec>,
    /// The media types of bodies that `json` changes: `type/subtype`, `type/*`, `+suffix` or
    /// `*/*`. Default `["application/json", "+json"]`, or the types of forms or of XML if they are converted.
    #[schemars(length(min = 1))]
    pub(crate) json_types: Option<Vec<String>>,
    /// The media types of bodies that `text` changes. Default `["text/*", "application/json",
    /// "+json", "application/xml", "+xml", "application/javascript"]`.
    #[schemars(length(min = 1))]
    pub(crate) text_types: Option<Vec<String>>,
    /// What `text` looks at in a body whose `content-type` names another charset than UTF-8. Default `"bytes"`.
    /// `"decode"`: its characters; such a body is buffered.
    pub(crate) text_charset: TextCharset,
    /// The largest body that is read whole, in bytes or as `"512KiB"`, decoded if it has a coding; a
    /// larger one is refused with 413. Default 1 MiB.
    pub(crate) body_limit: Size,
    /// What happens to a body that says it is JSON and is not. Default `"reject"`: 400.
    pub(crate) on_invalid_json: Policy,
    /// What happens to a body with a `content-encoding`. Default `"reject"`: 415. `"pass"` sends it
    /// on unchanged, past the rules. `"decode"` changes it and sends it without the coding,
    /// `"recode"` with the same coding again if that is `gzip` or `deflate`. Both read `br` and `zstd`, too.
    pub(crate) on_encoded_body: EncodedPolicy,
}

/// Changes to responses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResponseSpec {
    /// The responses that these changes are for. Default: all.
    pub(crate) when: Option<WhenSpec>,
    /// A new status code; or a table of old codes (`404`) and classes of them (`5xx`) with the
    /// new code of each.
    pub(crate) status: Option<StatusSpec>,
    /// Changes to the header.
    pub(crate) headers: HeadersSpec,
    /// Changes to a JSON body, one after the other. The body is buffered.
    pub(crate) json: Vec<JsonSpec>,
    /// Another format for the body. `json` edits it in between, as JSON.
    pub(crate) convert: Option<ConvertSpec>,
    /// Texts to replace in the body, all at once, while it streams.
    pub(crate) text: Vec<TextSpec>,
    /// The media types of bodies that `json` changes. Default as for requests.
    #[schemars(length(min = 1))]
    pub(crate) json_types: Option<Vec<String>>,
    /// The media types of bodies that `text` changes. Default as for requests.
    #[schemars(length(min = 1))]
    pub(crate) text_types: Option<Vec<String>>,
    /// What `text` looks at in a body whose `content-type` names another charset than UTF-8. Default `"bytes"`.
    /// `"decode"`: its characters; such a body is buffered.
    pub(crate) text_charset: TextCharset,
    /// The largest body that is read whole, in bytes or as `"512KiB"`, decoded if it has a coding; a
    /// larger one fails the exchange, or, decoded, is answered 502. Default 1 MiB.
    pub(crate) body_limit: Size,
    /// What happens to a body that says it is JSON and is not. Default `"reject"`: 502.
    pub(crate) on_invalid_json: Policy,
    /// What happens to a body with a `content-encoding`. Default `"reject"`: 502. `"pass"` sends it
    /// on unchanged, past the rules. `"decode"` changes it and sends it without the coding,
    /// `"recode"` with the same coding again if that is `gzip` or `deflate`. Both read `br` and `zstd`, too.
    pub(crate) on_encoded_body: EncodedPolicy,
    /// What the upstream is asked for as `accept-encoding`. Default `"identity"`: a body without
    /// coding. `"client"`: what the client takes, as far as it can be decoded.
    pub(crate) accept_encoding: AcceptEncoding,
    /// Changes to server-sent events, one by one, while they stream.
    pub(crate) events: Vec<EventSpec>,
    /// The media types of bodies that `events` changes. Default `["text/event-stream"]`.
    #[schemars(length(min = 1))]
    pub(crate) event_types: Option<Vec<String>>,
    /// The largest event, at most `"512KiB"`; a larger one breaks the body off. Default 256 KiB.
    pub(crate) event_limit: Option<Size>,
}

/// Which responses a set of changes is for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenSpec {
    /// Status codes as the response came: `404`, `"4xx"`, `"500-503"`.
    #[schemars(length(min = 1))]
    pub(crate) status: Vec<StatusCodes>,
}

/// From which format to which.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConvertSpec {
    /// The format of the body as it comes. Default `"json"`.
    pub(crate) from: FormatName,
    /// The format in which it goes on. Default `"json"`.
    pub(crate) to: TargetName,
    /// What becomes of a name that a form has more than once. Default `"list"`.
    pub(crate) repeated: Option<RepeatedName>,
    /// Names of XML elements, or of attributes with `@`, that are arrays even where there is one.
    pub(crate) lists: Vec<String>,
    /// Whether XML text that is a JSON number becomes a number. Default `false`: a string.
    pub(crate) numbers: bool,
    /// What becomes of the prefixes of XML names. Default `"keep"`.
    pub(crate) prefixes: PrefixesName,
}

/// A format of bodies that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatName {
    /// JSON.
    #[default]
    Json,
    /// A form, `application/x-www-form-urlencoded`.
    Form,
    /// XML 1.0, without document types.
    Xml,
}

/// A format of bodies that are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TargetName {
    /// JSON.
    #[default]
    Json,
    /// A form, `application/x-www-form-urlencoded`.
    Form,
}

/// What becomes of the prefixes of XML names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrefixesName {
    /// They stay as they are written.
    #[default]
    Keep,
    /// They go, and declarations of namespaces with them.
    Drop,
}

/// What becomes of a name that a form has more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RepeatedName {
    /// An array of its values.
    #[default]
    List,
    /// Its first value.
    First,
    /// Its last value.
    Last,
}

/// Changes to server-sent events that have data.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventSpec {
    /// The types of the events; one without `event` is a `message`. Default: all.
    #[schemars(length(min = 1))]
    pub(crate) types: Option<Vec<String>>,
    /// Whether the events are left out; their `id` and `retry` go on.
    pub(crate) drop: bool,
    /// A new type.
    #[schemars(length(min = 1))]
    pub(crate) rename: Option<String>,
    /// Changes to data that is JSON, one after the other. Other data is left alone.
    pub(crate) json: Vec<JsonSpec>,
    /// Texts to replace in the data.
    pub(crate) text: Vec<TextSpec>,
}

/// Changes to a header, in the order of these settings. Names are in any case.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HeadersSpec {
    /// Names whose lines go.
    pub(crate) remove: Vec<String>,
    /// Old names and their new ones. All lines move, and replace those of the new name.
    pub(crate) rename: BTreeMap<String, String>,
    /// Names and the values that replace theirs.
    pub(crate) set: BTreeMap<String, OneOrMany>,
    /// Names and values for one more line each.
    pub(crate) add: BTreeMap<String, OneOrMany>,
    /// Names and the values that they have where they are missing.
    pub(crate) default: BTreeMap<String, OneOrMany>,
}

/// Changes to a query, in the order of these settings. Names and values are plain text; they are
/// percent-encoded.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QuerySpec {
    /// Names whose parameters go.
    pub(crate) remove: Vec<String>,
    /// Old names and their new ones. Parameters keep their places, and replace those of the new
    /// name.
    pub(crate) rename: BTreeMap<String, String>,
    /// Names and the values that replace theirs.
    pub(crate) set: BTreeMap<String, OneOrMany>,
    /// Names and values for one more parameter each.
    pub(crate) add: BTreeMap<String, OneOrMany>,
    /// Names and the values that they have where they are missing.
    pub(crate) default: BTreeMap<String, OneOrMany>,
}

/// A value, or several under the same name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a string or a list of strings")]
pub(crate) enum OneOrMany {
    /// One value.
    One(String),
    /// Several values.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

impl OneOrMany {
    /// The values, each with the pointer from the setting to it.
    pub(crate) fn values(&self) -> Vec<(String, &str)> {
        match self {
            Self::One(value) => vec![(String::new(), value.as_str())],
            Self::Many(values) => values
                .iter()
                .enumerate()
                .map(|(index, value)| (format!("/{index}"), value.as_str()))
                .collect(),
        }
    }
}

/// A status code for all responses, or for some.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a status code or a table of status codes")]
pub(crate) enum StatusSpec {
    /// For all.
    All(#[schemars(range(min = 200, max = 599))] u16),
    /// For those with these codes or classes of codes.
    Some(#[schemars(with = "BTreeMap<String, StatusCode>")] BTreeMap<String, u16>),
}

/// A status code, 200 to 599.
// For the JSON Schema alone.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "its schema is used, its values are not")]
struct StatusCode(#[schemars(range(min = 200, max = 599))] u16);

/// A change to a JSON document. Places are JSON Pointers (RFC 6901).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum JsonSpec {
    /// Puts a value at a place. Missing objects on the way are made; `-` appends to an array.
    Set {
        /// The place.
        pointer: String,
        /// Any value. Strings inside may hold `${...}`.
        #[schemars(with = "serde_json::Value")]
        value: ConfigValue,
        /// What a string becomes when it is filled in. Default `"string"`.
        #[serde(default, rename = "as")]
        value_type: ValueType,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
    /// Puts a value at a place if there is none.
    Default {
        /// The place.
        pointer: String,
        /// Any value. Strings inside may hold `${...}`.
        #[schemars(with = "serde_json::Value")]
        value: ConfigValue,
        /// What a string becomes when it is filled in. Default `"string"`.
        #[serde(default, rename = "as")]
        value_type: ValueType,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
    /// Removes the value at a place, if there is one.
    Remove {
        /// The place.
        pointer: String,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
    /// Gives a member another name, or takes a value elsewhere.
    Rename {
        /// The place.
        pointer: String,
        /// A new name in the same object; or, beginning with `/` or empty, the new place.
        to: String,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
    /// Puts a value into an object, as its only member.
    Wrap {
        /// The place. Default: the whole document.
        #[serde(default)]
        pointer: String,
        /// The name of the member.
        key: String,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
    /// Replaces an object by one of its members.
    Unwrap {
        /// The place of the object. Default: the whole document.
        #[serde(default)]
        pointer: String,
        /// The name of the member.
        key: String,
        /// Where the values are whose inside is edited, one by one. Default: the document.
        each: Option<String>,
    },
}

/// What the filled-in text of a value becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueType {
    /// A string.
    #[default]
    String,
    /// A number; the edit is left out if the text is none.
    Number,
    /// `true` or `false`; the edit is left out if the text is neither.
    Boolean,
    /// Whatever JSON the text is; the edit is left out if it is none.
    Json,
}

/// A text to replace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextSpec {
    /// What to find, to the letter. Not empty, at most 1,024 bytes.
    #[schemars(length(min = 1, max = 1024))]
    pub(crate) find: String,
    /// What to put in its place. May hold `${...}`.
    pub(crate) replace: String,
}

/// What texts are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TextCharset {
    /// Bytes, whatever the charset is.
    #[default]
    Bytes,
    /// Characters, by the charset that the body says.
    Decode,
}

/// What happens to a message that cannot be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    /// It is refused.
    #[default]
    Reject,
    /// It continues as it is.
    Pass,
}

/// What happens to a message whose body is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodedPolicy {
    /// It is refused: a rule that a compressed body goes around holds for nobody.
    #[default]
    Reject,
    /// It continues as it is.
    Pass,
    /// It is decoded, changed, and sent without its codings.
    Decode,
    /// It is decoded, changed, and encoded again.
    Recode,
}

/// What an upstream is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AcceptEncoding {
    /// A body without coding.
    #[default]
    Identity,
    /// What the client takes, as far as it can be decoded here.
    Client,
}
