//! A trace, as text and as JSON.
//!
//! Owns its two forms: one line for a request, and everything about one. What looks like a secret
//! is shown by its beginning only. Must not know where a trace comes from.

mod value;

use gateway::trace::{Change, Decision, MAX_BODY, Step, Trace};
use http::Version;
use serde_json::{Value, json};

use super::lines::Line;
use super::terminal::{Style, Terminal};
use value::{attribute, field, printable};

/// How traces are shown.
#[derive(Clone)]
pub(super) struct Show {
    pub(super) terminal: Terminal,
    /// Whether secrets are shown whole.
    pub(super) shows_secrets: bool,
    /// The folder from which files are named.
    pub(super) folder: String,
}

impl Show {
    /// One line: what was asked and answered, and what each plugin did.
    pub(super) fn brief(&self, trace: &Trace) -> String {
        let mut line = self.summary(trace);
        for step in trace.steps.iter().filter(|step| !step.was_noted) {
            let (what, took) = (self.decision(step), took(step, " "));
            line.push_str(&format!(" | {} {} {what}{took}", step.plugin, step.hook));
        }
        if let Some(failure) = &trace.failure {
            line.push_str(" | ");
            line.push_str(first_line(failure));
        }
        line.push('\n');
        line
    }

    /// Everything, on a line each.
    pub(super) fn full(&self, trace: &Trace, lines: &[Line]) -> String {
        let mut text = format!("{}\n", self.summary(trace));
        let about = format!(
            "  request {} from {} on listener {}",
            trace.request_id, trace.peer, trace.listener
        );
        text.push_str(&self.terminal.paint(Style::Faint, &about));
        text.push('\n');
        text.push_str(&match (&trace.route, &trace.upstream) {
            (None, _) => "  no route\n".to_owned(),
            (Some(route), Some(upstream)) => format!("  route {route}, upstream {upstream}\n"),
            (Some(route), None) => format!("  route {route}, no upstream was asked\n"),
        });
        // What a step says of a failure needs no other line.
        let is_told = |line: &&Line| line.is_verdict && trace.steps.iter().any(|it| says(it, line));
        let mut untold: Vec<&Line> = lines.iter().filter(|line| !is_told(line)).collect();
        for step in &trace.steps {
            self.step(step, &mut untold, &mut text);
        }
        if trace.omitted > 0 {
            text.push_str(&format!("  and {} steps more\n", trace.omitted));
        }
        for line in untold {
            text.push_str(&format!("  {}: {}\n", line.plugin, self.line(line)));
        }
        if let Some(failure) = trace.failure.as_deref().filter(|_| !has_failed_plugin(trace)) {
            let failure = format!("  failed: {failure}\n");
            text.push_str(&self.terminal.paint(Style::Bad, &failure));
        }
        text
    }

    fn summary(&self, trace: &Trace) -> String {
        let request = &trace.request;
        let target = request.uri.path_and_query().map_or("*", |target| target.as_str());
        let asked = format!("{} {}", request.method, printable(target.as_bytes()));
        let asked = self.terminal.paint(Style::Strong, &asked);
        let answered = match trace.status {
            None => self.terminal.paint(Style::Bad, "no answer"),
            Some(status) => {
                let style = match status.as_u16() {
                    0..400 => Style::Good,
                    400..500 => Style::Changed,
                    _ => Style::Bad,
                };
                self.terminal.paint(style, status.as_str())
            }
        };
        let left = if trace.left { ", and the client left" } else { "" };
        let duration = trace.duration.as_secs_f64() * 1e3;
        format!("{asked} -> {answered} in {duration:.1} ms{left}")
    }

    fn decision(&self, step: &Step) -> String {
        let (style, text) = match &step.decision {
            Decision::Next if step.changes.is_empty() => (Style::Good, "continued".to_owned()),
            Decision::Next => (Style::Changed, "changed".to_owned()),
            Decision::Answered(status) => (Style::Changed, format!("answered {}", status.as_str())),
            Decision::CutOff(_) => (Style::Bad, "cut the body off".to_owned()),
            Decision::Failed { .. } => (Style::Bad, "failed".to_owned()),
        };
        self.terminal.paint(style, &text)
    }

    fn step(&self, step: &Step, untold: &mut Vec<&Line>, text: &mut String) {
        let plugin = self.terminal.paint(Style::Strong, &step.plugin);
        if step.was_noted {
            let what = match step.hook {
                "every-request" => "in every request",
                "every-response" => "in every response",
                _ => "in the response as its request hooks asked",
            };
            text.push_str(&format!("  {plugin}, {what}\n"));
        } else {
            let (what, took) = (self.decision(step), took(step, ", "));
            text.push_str(&format!("  {plugin} {}: {what}{took}\n", step.hook));
        }
        match &step.decision {
            Decision::Failed { why, goes_on } => {
                let end = if *goes_on {
                    "the request went on without it, since on_error is open"
                } else {
                    "the request was refused, since on_error is closed"
                };
                let why = self.relative(why).replace('\n', "\n  ");
                let why = format!("    {why}\n    {end}\n");
                text.push_str(&self.terminal.paint(Style::Bad, &why));
            }
            Decision::CutOff(why) => text.push_str(&format!("    {}\n", printable(why.as_bytes()))),
            Decision::Next | Decision::Answered(_) => {}
        }
        for change in &step.changes {
            text.push_str(&format!("    {}\n", self.change(change)));
        }
        untold.retain(|line| {
            let is_of_it = line.plugin == *step.plugin
                && line.at >= step.began
                && line.at <= step.began + step.took;
            if is_of_it && !repeats(step, &line.text) {
                text.push_str(&format!("    {}\n", self.line(line)));
            }
            !is_of_it
        });
    }

    fn line(&self, line: &Line) -> String {
        let text = format!("{}: {}", line.level.as_str().to_lowercase(), self.relative(&line.text));
        self.terminal.paint(Style::Faint, &text)
    }

    fn change(&self, change: &Change) -> String {
        let show = |name: &http::HeaderName, content: &http::HeaderValue| {
            format!("{name}: {}", field(name, content, self.shows_secrets))
        };
        let (style, text) = match change {
            Change::Added(name, content) => (Style::Good, format!("+ {}", show(name, content))),
            Change::Removed(name, content) => (Style::Bad, format!("- {}", show(name, content))),
            Change::Method(from, to) => (Style::Changed, format!("method: {from} -> {to}")),
            Change::Target(from, to) => {
                let (from, to) = (printable(from.as_bytes()), printable(to.as_bytes()));
                (Style::Changed, format!("path: {from} -> {to}"))
            }
            Change::Status(from, to) => {
                let text = format!("status: {} -> {}", from.as_str(), to.as_str());
                (Style::Changed, text)
            }
            Change::Attribute(name, content) => {
                let content = attribute(name, content, self.shows_secrets);
                (Style::Changed, format!("attribute {} = {content}", printable(name.as_bytes())))
            }
            Change::Upstream(name) => {
                (Style::Changed, format!("upstream: {}", printable(name.as_bytes())))
            }
            Change::Body(from, to) => (Style::Changed, format!("body: {from} -> {to} bytes")),
        };
        self.terminal.paint(style, &text)
    }

    /// A text with its files named from the folder in which the command was typed.
    fn relative(&self, text: &str) -> String {
        text.replace(&format!("({}/", self.folder), "(")
    }

    /// Everything, for machines.
    pub(super) fn object(&self, trace: &Trace, lines: &[Line]) -> Value {
        let request = &trace.request;
        let steps: Vec<_> = trace.steps.iter().map(|step| self.step_object(step)).collect();
        let line = |line: &Line| {
            let level = line.level.as_str().to_lowercase();
            json!({ "plugin": line.plugin, "level": level, "message": line.text })
        };
        json!({
            "event": "exchange",
            "request_id": trace.request_id,
            "peer": trace.peer.to_string(),
            "listener": trace.listener,
            "method": request.method.as_str(),
            "target": request.uri.to_string(),
            "http2": request.version == Version::HTTP_2,
            "route": trace.route,
            "upstream": trace.upstream,
            "status": trace.status.map(|status| status.as_u16()),
            "client_left": trace.left,
            "failure": trace.failure,
            "duration_us": microseconds(trace.duration),
            "first_byte_us": trace.to_head.map(microseconds),
            "received": request.read,
            "sent": trace.sent,
            "steps": steps,
            "omitted_steps": trace.omitted,
            "log": lines.iter().map(line).collect::<Vec<_>>(),
        })
    }

    fn step_object(&self, step: &Step) -> Value {
        let (decision, detail) = match &step.decision {
            Decision::Next if step.changes.is_empty() => ("continued", Value::Null),
            Decision::Next => ("changed", Value::Null),
            Decision::Answered(status) => ("answered", json!(status.as_u16())),
            Decision::CutOff(why) => ("cut-off", json!(why)),
            Decision::Failed { why, goes_on } => {
                ("failed", json!({ "why": why, "goes_on": goes_on }))
            }
        };
        let changes: Vec<_> = step.changes.iter().map(|it| self.change(it)).collect();
        json!({
            "plugin": &*step.plugin,
            "hook": step.hook,
            "noted_by_request_hooks": step.was_noted && step.hook == "on-response",
            "decision": decision,
            "detail": detail,
            "changes": changes,
            "took_us": microseconds(step.took),
            "made_instance": step.is_first,
        })
    }

    /// What is to be known before a request is sent again.
    pub(super) fn of_replay(&self, trace: &Trace) -> String {
        let request = &trace.request;
        let target = request.uri.path_and_query().map_or("*", |target| target.as_str());
        let mut text = format!("again: {} {}", request.method, printable(target.as_bytes()));
        let (kept, read) = (request.body.len(), request.read);
        if read > kept as u64 {
            text.push_str(&format!(
                ", with the first {} MiB of its body of {read} bytes: more is not kept",
                MAX_BODY >> 20
            ));
        } else if !request.is_complete {
            text.push_str(&format!(
                ", with {kept} bytes of its body: the gateway answered before it had read the rest"
            ));
        }
        text
    }
}

/// Whether a plugin failed that the trace has shown.
fn has_failed_plugin(trace: &Trace) -> bool {
    trace.steps.iter().any(|step| matches!(step.decision, Decision::Failed { .. }))
}

/// Whether a step says what the gateway's own line says of it.
fn says(step: &Step, line: &Line) -> bool {
    match &step.decision {
        Decision::Failed { why, .. } | Decision::CutOff(why) => line.text.contains(why),
        Decision::Next | Decision::Answered(_) => false,
    }
}

/// Whether a line says what the failure of the hook says already.
fn repeats(step: &Step, line: &str) -> bool {
    matches!(&step.decision, Decision::Failed { why, .. } if why.contains(line))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How long a hook took. What a failed one did is mostly the telling of it.
fn took(step: &Step, before: &str) -> String {
    let first = if step.is_first { " with a new instance" } else { "" };
    match step.decision {
        Decision::Failed { .. } => String::new(),
        Decision::Next | Decision::Answered(_) | Decision::CutOff(_) => {
            format!("{before}{} µs{first}", microseconds(step.took))
        }
    }
}

fn microseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
