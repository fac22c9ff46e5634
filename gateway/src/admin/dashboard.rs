//! `GET /dashboard/`: the page for people, which asks the API as any other client does.
//!
//! Owns the files, which are a part of the binary, and the fields that keep the page to itself: it loads
//! nothing from elsewhere, runs nothing that is written into it, and stands in no frame. The files hold no
//! data, so they are given without a token. Must not know what the page shows.

use std::sync::LazyLock;

use http::header::{HeaderMap, IF_NONE_MATCH};

use super::Admin;
use super::call::{Answer, Call, Content, Refusal, Reply};
use super::in_force::sha256;

/// Where the page begins.
const PLACE: &str = "/dashboard/";

/// What the page may do.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
#[derive(Debug)]
pub(super) struct File {
    name: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($kind:ident $name:literal),* $(,)?) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("../../dashboard/", $name)) }),*]
    };
}

/// All of them; the first is the page itself.
static FILES: &[File] = files![
    HTML "index.html",
    CSS "style.css",
    CSS "pages.css",
    SVG "icon.svg",
    SCRIPT "main.js",
    SCRIPT "api.js",
    SCRIPT "live.js",
    SCRIPT "dom.js",
    SCRIPT "format.js",
    SCRIPT "charts.js",
    SCRIPT "table.js",
    SCRIPT "keyboard.js",
    SCRIPT "overview.js",
    SCRIPT "routes.js",
    SCRIPT "route.js",
    SCRIPT "requests.js",
    SCRIPT "request.js",
    SCRIPT "upstreams.js",
    SCRIPT "plugins.js",
    SCRIPT "models.js",
    SCRIPT "experiments.js",
    SCRIPT "usage.js",
    SCRIPT "configuration.js",
    CSS "uPlot.min.css",
    SCRIPT "uPlot.iife.min.js",
];

/// The entity tag of each file.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    FILES.iter().map(|file| format!("\"{}\"", &sha256(file.text)[..32])).collect()
});

pub(super) fn redirect(_: &Admin, call: &Call) -> Answer {
    call.known([])?;
    Ok(Reply::redirect(PLACE))
}

pub(super) fn page(_: &Admin, call: &Call) -> Answer {
    serve(0, call)
}

pub(super) fn file(_: &Admin, call: &Call) -> Answer {
    let name = call.path.first().map_or("", String::as_str);
    let index = FILES.iter().position(|file| file.name == name);
    serve(index.ok_or_else(|| Refusal::not_found("the dashboard has no such file"))?, call)
}

fn serve(index: usize, call: &Call) -> Answer {
    call.known([])?;
    let tag = TAGS[index].as_str();
    let is_known = is_known(&call.headers, tag);
    Ok(Reply::of(Content::File { file: &FILES[index], tag, is_known }))
}

/// Whether the client has the file already (RFC 9110 section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_or_is_about_the_others() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
        let about = ["README.md", "LICENSE-uPlot"].map(str::to_owned);
        let served = FILES.iter().map(|file| file.name.to_owned()).chain(about).collect();
        assert_eq!(names, served);
    }

    #[test]
    fn the_page_asks_for_what_there_is_and_has_nothing_inline() {
        let page = FILES[0].text;
        for part in page.split(['"']).filter(|part| part.ends_with(".js") || part.ends_with(".css"))
        {
            assert!(FILES.iter().any(|file| file.name == part), "{part}");
        }
        assert!(!page.contains("style=") && !page.contains("<style") && !page.contains(" onclick"));
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, page.matches("></script>").count(), "no script has a text");
        for file in
            FILES.iter().filter(|file| file.kind == SCRIPT && file.name != "uPlot.iife.min.js")
        {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!file.text.contains(forbidden), "{}: {forbidden}", file.name);
            }
        }
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let asked = |text: &'static str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(text))]);
            is_known(&headers, "\"a\"")
        };
        assert!(asked("\"a\"") && asked("\"b\", W/\"a\"") && asked("*"));
        assert!(!asked("\"b\"") && !asked("a") && !is_known(&HeaderMap::new(), "\"a\""));
    }
}
