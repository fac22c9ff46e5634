//! Requests of Gemini's `generateContent`. Members have two spellings, as the JSON form of
//! protobuf does.

use std::borrow::Cow;

use super::{members, number, sampling};
use crate::ids;
use crate::json::Raw;
use crate::translate::ir::{
    Call, Choice, Data, Effort, Format, Media, Part, Reasoning, Refused, Request, Role, Tool,
    arguments, decoded, literal, string, text_member,
};
use crate::translate::schema;

/// The members inside of messages and tools that are read.
pub(super) const INNER: &[&str] = &[
    "role",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "thought_signature",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "mimeType",
    "mime_type",
    "data",
    "fileUri",
    "file_uri",
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "id",
    "name",
    "functionDeclarations",
    "function_declarations",
    "description",
];

pub(super) fn read(root: Raw<'_>) -> Result<Request<'_>, Refused> {
    let mut request = Request { include_usage: true, ..Request::default() };
    let mut calls = Calls::default();
    for (name, value) in members(root) {
        match &*camel(&name) {
            "model" | "stream" => {}
            "contents" => {
                let one = value.is_object().then_some(value);
                for (at, content) in one.into_iter().chain(value.elements()).enumerate() {
                    read_content(&mut request, &mut calls, content, &format!("contents.{at}"))?;
                }
            }
            "systemInstruction" => {
                let parts = value.some("parts");
                let one = value.is_string().then_some(value);
                for part in parts.into_iter().flat_map(Raw::elements).chain(one) {
                    let text = if part.is_string() { Some(part) } else { part.some("text") };
                    let text = text.ok_or_else(|| Refused::unknown("systemInstruction.parts"))?;
                    request.system.push(Part::Text(string(text, "systemInstruction")?));
                }
            }
            "generationConfig" => read_config(&mut request, value)?,
            "tools" => {
                for (at, tool) in value.elements().enumerate() {
                    read_tool(&mut request, tool, &format!("tools.{at}"))?;
                }
            }
            "toolConfig" => request.choice = read_choice(value)?,
            "safetySettings" | "labels" | "serviceTier" => request.ignore(name),
            _ => return Err(Refused::unknown(name)),
        }
    }
    Ok(request)
}

/// The name as protobuf's JSON form writes it.
fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    let mut is_start = false;
    for letter in name.chars() {
        match letter {
            '_' => is_start = true,
            letter if std::mem::take(&mut is_start) => out.push(letter.to_ascii_uppercase()),
            letter => out.push(letter),
        }
    }
    Cow::Owned(out)
}

/// The member of either spelling.
fn get<'a>(object: Raw<'a>, name: &str) -> Option<Raw<'a>> {
    members(object).find(|(key, _)| camel(key) == name).map(|(_, value)| value)
}

/// Calls have no ids that a client must send: a result belongs to the first call of its name
/// that has none yet.
#[derive(Default)]
struct Calls {
    count: usize,
    open: Vec<(String, String)>,
}

impl Calls {
    fn call(&mut self, name: &str, id: Option<Cow<'_, str>>) -> String {
        self.count += 1;
        let id = id.map_or_else(|| format!("call_{}", self.count), Cow::into_owned);
        self.open.push((name.to_owned(), id.clone()));
        id
    }

    fn result(&mut self, name: &str, id: Option<Cow<'_, str>>) -> Option<String> {
        let same = |(of, known): &(String, String)| match &id {
            Some(id) => known == id,
            None => of == name,
        };
        let at = self.open.iter().position(same)?;
        Some(self.open.remove(at).1)
    }
}

fn read_content<'a>(
    request: &mut Request<'a>,
    calls: &mut Calls,
    content: Raw<'a>,
    member: &str,
) -> Result<(), Refused> {
    let role = match &*content.text_of("role").unwrap_or("user".into()) {
        "user" | "function" => Role::User,
        "model" => Role::Assistant,
        _ => return Err(Refused::unknown(format!("{member}.role"))),
    };
    let mut parts = Vec::new();
    let list = content.some("parts").into_iter();
    for (at, part) in list.flat_map(Raw::elements).enumerate() {
        let part = read_part(calls, part, &format!("{member}.parts.{at}"))?;
        // Thoughts come in pieces, the last with the signature of all.
        match (parts.last_mut(), part) {
            (
                Some(Part::Thinking { text, signature: old @ None }),
                Part::Thinking { text: more, signature },
            ) => {
                *text = format!("{}{}", &text[..text.len() - 1], &more[1..]).into();
                *old = signature;
            }
            (_, part) => parts.push(part),
        }
    }
    request.push(role, parts);
    Ok(())
}

fn read_part<'a>(calls: &mut Calls, part: Raw<'a>, member: &str) -> Result<Part<'a>, Refused> {
    let signature = get(part, "thoughtSignature");
    let signature = signature.map(|it| string(it, member)).transpose()?;
    // An empty text may have a signature, so that it says something.
    for (key, value) in part.members().filter(|(_, value)| !value.is_null()) {
        let name = key.str().unwrap_or_default();
        let missing = |name: &str| Refused::new(format!("{member}.{name}"), "is missing");
        return match &*camel(&name) {
            "thought" | "thoughtSignature" | "videoMetadata" => continue,
            "text" if part.get("thought").and_then(Raw::bool) == Some(true) => {
                let signature = signature.map(|it| decoded(&it).into_owned());
                let signature = signature.as_deref().and_then(ids::of_gemini_client);
                let (text, signature) = (string(value, member)?, signature.map(literal));
                Ok(Part::Thinking { text, signature })
            }
            "text" => Ok(Part::Text(string(value, member)?)),
            "inlineData" | "fileData" => {
                let kind = get(value, "mimeType").and_then(Raw::str).unwrap_or_default();
                let inline = get(value, "data").and_then(Raw::str).map(Data::Inline);
                let data = inline.or_else(|| get(value, "fileUri")?.str().map(Data::Url));
                let data = data.ok_or_else(|| missing("data"))?;
                let media = Media { kind, data };
                Ok(match media.kind.split('/').next() {
                    Some("image") => Part::Image(media),
                    Some("audio") => Part::Audio(media),
                    _ => Part::Document { media, name: None },
                })
            }
            "functionCall" => {
                let name = value.some("name").ok_or_else(|| missing("functionCall.name"))?;
                let args = value.some("args").map(|it| arguments(it, &format!("{member}.args")));
                Ok(Part::Call(Call {
                    id: calls.call(&name.str().unwrap_or_default(), value.text_of("id")),
                    name: string(name, member)?,
                    arguments: args.unwrap_or(Ok(Cow::Borrowed("{}")))?,
                    signature: signature.map(|text| decoded(&text).into_owned()),
                }))
            }
            "functionResponse" => {
                let name = value.text_of("name").ok_or_else(|| missing("functionResponse.name"))?;
                let id = calls.result(&name, value.text_of("id"));
                let id = id.ok_or_else(|| Refused::new(member, "is a result without its call"))?;
                let response = value.some("response").map_or("{}", Raw::text);
                let is_error = value.some("response").is_some_and(|it| it.some("error").is_some());
                let content = vec![Part::Text(literal(response))];
                Ok(Part::Result { id, content, is_error })
            }
            _ => Err(Refused::unknown(format!("{member}.{name}"))),
        };
    }
    Ok(Part::Text(literal("")))
}

fn read_config<'a>(request: &mut Request<'a>, config: Raw<'a>) -> Result<(), Refused> {
    let mut schema = None;
    for (name, value) in members(config) {
        match &*camel(&name) {
            "maxOutputTokens" => request.max_output = Some(number(value, "maxOutputTokens")?),
            "temperature" => sampling(request, "temperature", value)?,
            "topP" => sampling(request, "top_p", value)?,
            "topK" => sampling(request, "top_k", value)?,
            "seed" => sampling(request, "seed", value)?,
            "presencePenalty" => sampling(request, "presence_penalty", value)?,
            "frequencyPenalty" => sampling(request, "frequency_penalty", value)?,
            "stopSequences" => request.stop = value.elements().collect(),
            "candidateCount" if value.u64() == Some(1) => {}
            "responseModalities" if value.elements().all(|it| it.is("TEXT")) => {}
            "responseMimeType" if value.is("text/plain") => {}
            "responseMimeType" if value.is("application/json") => {
                request.format = request.format.take().or(Some(Format::Json));
            }
            "responseSchema" => schema = Some(Cow::Owned(schema::of_gemini(value))),
            "responseJsonSchema" => schema = Some(Cow::Borrowed(value.text())),
            "thinkingConfig" => {
                let budget = get(value, "thinkingBudget");
                let level = get(value, "thinkingLevel").and_then(Raw::str);
                let level = level.and_then(|it| Effort::of_name(&it.to_ascii_lowercase()));
                request.reasoning = match (budget.map(|it| (it.u64(), it.i64())), level) {
                    (Some((Some(0), _)), _) => Some(Reasoning::Off),
                    (Some((Some(budget), _)), _) => Some(Reasoning::Budget(budget)),
                    (Some((None, Some(_))), _) => Some(Reasoning::Adaptive),
                    (Some(_), _) => return Err(Refused::unknown("thinkingConfig.thinkingBudget")),
                    (None, Some(level)) => Some(Reasoning::Effort(level)),
                    (None, None) => None,
                };
            }
            _ => return Err(Refused::unknown(format!("generationConfig.{name}"))),
        }
    }
    if let Some(schema) = schema {
        request.format = Some(Format::Schema { name: None, schema, strict: None });
    }
    Ok(())
}

fn read_tool<'a>(request: &mut Request<'a>, tool: Raw<'a>, member: &str) -> Result<(), Refused> {
    for (name, value) in members(tool) {
        if camel(&name) != "functionDeclarations" {
            return Err(Refused::unknown(format!("{member}.{name}")));
        }
        for function in value.elements() {
            let name = function.some("name").ok_or_else(|| Refused::new(member, "has no name"))?;
            let plain = get(function, "parametersJsonSchema").map(|it| Cow::Borrowed(it.text()));
            let own = || Some(Cow::Owned(schema::of_gemini(function.some("parameters")?)));
            request.tools.push(Tool {
                name: string(name, member)?,
                description: text_member(function, "description", member)?,
                schema: plain.or_else(own),
                strict: None,
            });
        }
    }
    Ok(())
}

fn read_choice(value: Raw<'_>) -> Result<Option<Choice<'_>>, Refused> {
    let Some(config) = get(value, "functionCallingConfig") else { return Ok(None) };
    let allowed: Vec<_> =
        get(config, "allowedFunctionNames").into_iter().flat_map(Raw::elements).collect();
    match (&*config.text_of("mode").unwrap_or_default(), allowed.as_slice()) {
        ("" | "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED", []) => Ok(Some(Choice::Auto)),
        ("NONE", _) => Ok(Some(Choice::None)),
        ("ANY", []) => Ok(Some(Choice::Any)),
        ("ANY", [name]) => Ok(Some(Choice::Tool(string(*name, "toolConfig")?))),
        _ => Err(Refused::unknown("toolConfig.functionCallingConfig")),
    }
}
