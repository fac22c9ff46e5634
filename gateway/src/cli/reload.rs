//! `gateway reload`: has a gateway that runs read its file again, and reports what came of it.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::live::Remote;
use super::{Refused, print};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// Only check whether the file could be applied.
    #[arg(long)]
    dry_run: bool,
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Asks, and waits for the outcome.
pub(super) fn reload(question: &Question) -> Result<(), Refused> {
    let Some(admin) = &question.remote.admin else {
        tracing::error!("`--admin URL` is required: the admin API of the gateway");
        return Err(Refused);
    };
    let target = format!("/reload?dry_run={}", question.dry_run);
    let (answer, done) = match question.remote.ask(admin, Method::POST, &target) {
        Ok(answer) => (Some(answer), Ok(())),
        Err((why, answer)) => {
            if answer.is_none() || !question.json {
                tracing::error!("{why}");
            }
            (answer, Err(Refused))
        }
    };
    let Some(answer) = answer else { return done };
    if question.json {
        print(&format!("{answer:#}\n"));
        return done;
    }
    for finding in answer["findings"].as_array().into_iter().flatten() {
        print(&shown(finding));
    }
    match answer["result"].as_str() {
        Some("in_force") => {
            print(&format!("in force, as generation {}\n", answer["generation"]));
        }
        Some("valid") => print("it could be put in force\n"),
        _ => {}
    }
    done
}

/// A finding in two lines.
fn shown(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let place = match (&finding["line"], &finding["column"]) {
        (Value::Number(line), Value::Number(column)) => format!(":{line}:{column}"),
        _ => String::new(),
    };
    let mut shown =
        format!("{}: {}\n --> {}{place}\n", text("severity"), text("message"), text("file"));
    for help in finding["help"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        shown.push_str(&format!("  help: {help}\n"));
    }
    shown
}
