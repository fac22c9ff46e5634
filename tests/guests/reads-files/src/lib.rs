//! Looks for what of the machine a plugin must not see, and answers each request with what it
//! found, as JSON: `file` (the content of the file named by `x-read`, default `/etc/passwd`),
//! `folder` (the entries of `/`), `written` (whether it could write `/tmp/reads-files`),
//! `environment` (names of variables) and `arguments`. Each is null, false or empty if the sandbox
//! holds; if the gateway rather refuses to load it, since it imports `wasi:filesystem`, the sandbox
//! holds too.

use std::{env, fs};

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::serde_json::json;

/// The plugin.
pub struct ReadsFiles;

impl Plugin for ReadsFiles {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-read")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let file = request.header("x-read").unwrap_or("/etc/passwd").to_owned();
        let folder = fs::read_dir("/").map(|entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        });
        let found = json!({
            "file": fs::read_to_string(file).ok(),
            "folder": folder.unwrap_or_default(),
            "written": fs::write("/tmp/reads-files", "here").is_ok(),
            "environment": env::vars().map(|(name, _)| name).collect::<Vec<_>>(),
            "arguments": env::args().collect::<Vec<_>>(),
        });
        let answer = Response::new(200).header("content-type", "application/json");
        Outcome::respond(answer.body(found.to_string()))
    }
}

register_plugin!(ReadsFiles);
