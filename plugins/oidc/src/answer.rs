//! What browsers and programs are answered when there is no session.
//!
//! Owns the form: a page for who asks for HTML, a problem document for who does not. Nothing that came from
//! outside is repeated, but paths of the gateway, escaped.

use gateway_plugin_sdk::prelude::*;

/// An answer about something that went wrong, with a link to a path.
pub(crate) fn page(
    request: &Request,
    status: u16,
    title: &str,
    detail: &str,
    link: (&str, &str),
) -> Response {
    if !wants_html(request) {
        return Response::problem(status, title, detail).header("cache-control", "no-store");
    }
    let (path, text) = (escaped(link.0), link.1);
    html(status, title, &format!("<p>{detail}</p>\n<p><a href=\"{path}\">{text}</a></p>"))
        .because(detail)
}

/// A page with a button that posts to a path.
pub(crate) fn button(status: u16, title: &str, path: &str, text: &str) -> Response {
    let path = escaped(path);
    let form = format!("<form method=\"post\" action=\"{path}\"><button>{text}</button></form>");
    html(status, title, &form)
}

/// Title and content are of the plugin, or escaped.
fn html(status: u16, title: &str, content: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n{content}\n</html>\n"
    );
    Response::new(status)
        .header("content-type", "text/html; charset=utf-8")
        .header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
        .body(page)
}

/// Sends a browser elsewhere.
pub(crate) fn redirect(address: &str, cookies: Vec<String>) -> Response {
    let answer = Response::new(303)
        .header("location", address)
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer");
    with_cookies(answer, cookies)
}

/// Adds cookies to an answer.
pub(crate) fn with_cookies(answer: Response, cookies: Vec<String>) -> Response {
    cookies.into_iter().fold(answer, |answer, cookie| answer.add_header("set-cookie", cookie))
}

/// Whether the answer is for eyes.
pub(crate) fn wants_html(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.contains("text/html"))
}

/// Whether a browser goes to a page, so that it can be sent elsewhere. What a script or an image asks for cannot.
pub(crate) fn is_navigation(request: &Request) -> bool {
    if request.method() != "GET" {
        return false;
    }
    match request.header("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => wants_html(request),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
