//! Errors and warnings of routes: the message, what the caret points at, the advice.

use super::*;

#[test]
fn warns_of_settings_without_effect() {
    warns(
        &in_upstream(&format!("{TARGETS}\ntls = {{ server_name = \"a\" }}")),
        "`tls` has no effect: no target is an `https` URL",
        "tls",
    );
    warns(
        &in_upstream("targets = [\"http://a\", \"http://A:80\"]"),
        "this target is listed twice",
        "\"http://A:80\"",
    );
    warns(
        &in_route("paths = [\"/{a}\", \"/{b}\"]\nupstream = \"u\""),
        "this path is listed twice",
        "\"/{b}\"",
    );
    warns(
        &in_route("paths = [\"/:id\"]\nupstream = \"u\""),
        "`:id` matches only these characters themselves",
        "\"/:id\"",
    );
    warns(
        &in_route("paths = [\"/a\"]\nupstream = \"u\"\nrewrite.strip_prefix = \"/b\""),
        "`/b` is never in front of `/a`",
        "\"/b\"",
    );
    warns(
        &in_route(&format!("{FORWARD}\nmethods = [\"GET\", \"GET\"]")),
        "this is listed twice in `methods`",
        "\"GET\"",
    );
    warns(
        &in_listener("trusted_proxies = [\"10.0.0.1/8\"]"),
        "`10.0.0.1/8` has bits set behind its prefix",
        "\"10.0.0.1/8\"",
    );
}

#[test]
fn refuses_patterns_at_the_place_where_they_go_wrong() {
    refuses(
        &in_route("paths = [\"/a/{id\"]\nupstream = \"u\""),
        "the braces of `{id` are not balanced",
        "{",
        "a capture is written `{name}`; a literal brace `%7B` or `%7D`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nhosts = [\"a.com:80\"]")),
        "a host pattern has no port",
        ":80",
        "write `a.com`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nmethods = [\"get\"]")),
        "`get` is not a method",
        "get",
        "methods are case-sensitive: write `GET`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nheaders = {{ \"x y\" = \"1\" }}")),
        "`x y` is not a name of a header",
        "\"x y\"",
        "a name is made of letters, digits and `-`, such as `x-user`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nheaders = {{ host = \"a\" }}")),
        "`headers` does not match the host",
        "host",
        "write it into `hosts`",
    );
    refuses(
        &in_upstream("targets = [\"http://a/b\"]"),
        "a target's URL has no path",
        "/b",
        "write `rewrite = { add_prefix = \"/b\" }` in the route",
    );
}

#[test]
fn refuses_paths_that_no_request_has() {
    let path = |path: &str| in_route(&format!("paths = [\"{path}\"]\nupstream = \"u\""));
    let error = |pattern: &str, why: &str| format!("no request has the path `{pattern}`: {why}");
    let parameters = "write `path_parameters = \"keep\"` in the listener";
    let slashes = "write `encoded_slashes = \"keep\"` in the listener";
    for (pattern, why, help) in [
        ("/a%2Fb", "the path holds an encoded slash", slashes),
        ("/a;v=1", "the path holds a path parameter (';' or '%3B')", parameters),
        ("/x/{id}/a%3bb", "the path holds a path parameter (';' or '%3B')", parameters),
        ("/a%5Cb", "the path holds an encoded backslash", ""),
        ("/a%00", "the path holds an encoded control character", ""),
        ("/%C0%AF", "the path holds an overlong UTF-8 sequence", ""),
    ] {
        refuses(&path(pattern), &error(pattern, why), &format!("\"{pattern}\""), help);
    }
    for (pattern, what) in [("/a//b", "a path has no empty segments"), ("/a/../b", "no `..`")] {
        let text = path(pattern);
        assert!(check(&text).unwrap_err().render(false).contains(what), "{pattern}");
    }
    for (setting, pattern) in [
        ("encoded_slashes = \"keep\"", "/a%2fb"),
        ("path_parameters = \"keep\"", "/a;v=1"),
        ("path_parameters = \"keep\"", "/a%3Bv"),
    ] {
        let text = path(pattern).replacen("[[listeners]]", &format!("[[listeners]]\n{setting}"), 1);
        check(&text).expect(pattern);
    }
    let stripped =
        path("/a;v=1").replacen("[[listeners]]", "[[listeners]]\npath_parameters = \"strip\"", 1);
    let why = error("/a;v=1", "path parameters are stripped before it is matched");
    refuses(&stripped, &why, "\"/a;v=1\"", parameters);
}

#[test]
fn refuses_routes_with_no_action_or_with_several() {
    refuses(
        &in_route("paths = [\"/\"]"),
        "`[[routes]]` has none of `upstream`, `split`, `component`, `respond` and `redirect`",
        "[[routes]]",
        "add `upstream = \"NAME\"`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nrespond = {{}}")),
        "`[[routes]]` has `upstream` and `respond`",
        "[[routes]]",
        "",
    );
    refuses(
        &in_route("paths = [\"/\"]\nrespond = {}\nrewrite = {}"),
        "`rewrite` goes only with `upstream`, `split` or `component`",
        "rewrite",
        "",
    );
}

#[test]
fn refuses_components_that_are_not_there() {
    let component = |value: &str| in_route(&format!("paths = [\"/\"]\ncomponent = {value}"));
    refuses(
        &component("\"hello\""),
        "there is no component `hello`",
        "\"hello\"",
        "add a `[components.hello]` table with `file`, or write `./hello.wasm`",
    );
    refuses(
        &component("\"./none.wasm\""),
        "the component `./none.wasm` does not exist",
        "\"./none.wasm\"",
        "",
    );
    refuses(
        &component("5"),
        "`component` must be a name or a table, but this is an integer",
        "5",
        "",
    );
    refuses(
        &component("{ file = \"./Cargo.toml\", environment = { \"A=B\" = \"1\" } }"),
        "`A=B` is no name of a variable",
        "\"A=B\"",
        "",
    );
    refuses(
        &component("{ fiel = \"./Cargo.toml\" }"),
        "unknown key `fiel` in a component",
        "fiel",
        "did you mean `file`?",
    );
}

#[test]
fn refuses_answers_that_http_does_not_have() {
    let respond = |keys: &str| in_route(&format!("paths = [\"/\"]\nrespond = {{ {keys} }}"));
    refuses(&respond("status = 100"), "`status` is out of range: 100", "100", "");
    refuses(
        &respond("status = 204, body = \"x\""),
        "an answer with status 204 has no body",
        "\"x\"",
        "",
    );
    refuses(
        &respond("headers = { content-length = \"1\" }"),
        "the gateway sets `content-length` itself",
        "content-length",
        "",
    );
    refuses(
        &respond("headers = { a = \"x\\ny\" }"),
        "no header can have the value `x\\ny`",
        "\"x\\ny\"",
        "",
    );
}

#[test]
fn refuses_templates_that_have_no_value() {
    let redirect =
        |paths: &str, keys: &str| in_route(&format!("paths = [{paths}]\nredirect = {{ {keys} }}"));
    refuses(
        &redirect("\"/{id}\"", "to = \"/{idd}\""),
        "`{idd}` has no value",
        "{idd}",
        "did you mean `id`?",
    );
    refuses(
        &redirect("\"/{id}\", \"/\"", "to = \"/{id}\""),
        "`{id}` has no value",
        "{id}",
        "let each of `paths` have `{id}`, or leave it out here",
    );
    refuses(
        &redirect("\"/\"", "to = \"example.com\""),
        "a redirect goes to a URL or a path",
        "example.com",
        "begin it with `https://` or `/`",
    );
    refuses(
        &redirect("\"/\"", "to = \"/\", status = 304"),
        "304 is not the status of a redirect",
        "304",
        "",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nrewrite.path = \"/{{path}}\"")),
        "`{path}` has no value",
        "{path}",
        "there are `{rest}`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nrewrite = {{ path = \"/x\", add_prefix = \"/y\" }}")),
        "`path` goes neither with `strip_prefix` nor with `add_prefix`",
        "path",
        "",
    );
}

#[test]
fn refuses_two_routes_that_match_the_same() {
    let first = "[[routes]]\nname = \"first\"\nrespond = {}\n\
                 paths = [\"/b/{x}\", \"/%61\"]\nmethods = [\"PUT\", \"GET\"]\nhosts = [\"A.com\"]";
    let second = "respond = {}\nlisteners = [\"l\"]\n\
                  paths = [\"/a\", \"/b/{y}\"]\nmethods = [\"GET\", \"PUT\"]\nhosts = [\"a.com.\"]";
    let text = file("", TARGETS, first, second).replace("[upstreams.u]\ntargets", "#");
    refuses(
        &text,
        "the routes `first` and `r` match the same requests",
        "\"/a\"",
        "make one of them more specific, or serve it on another listener",
    );
    let found = check(&text).unwrap_err();
    let related = &found.iter().next().unwrap().related;
    assert_eq!(&found.source().text()[related[0].0.clone()], "\"/b/{x}\"");
    assert_eq!(findings(&text.replace("A.com", "b.com")), []);
    let apart = text.replace("name = \"first\"", "name = \"first\"\nlisteners = [\"m\"]");
    let apart = format!("[[listeners]]\nname = \"m\"\naddress = \"127.0.0.1:0\"\n{apart}");
    assert_eq!(findings(&apart), []);
}

#[test]
fn says_what_to_write_in_place_of_what_is_no_host() {
    let rewrite = |host: &str| in_route(&format!("{FORWARD}\nrewrite.host = \"{host}\""));
    refuses(
        &rewrite("http://inner:81/x"),
        "this is a URL, and a host is meant",
        "http://inner:81/x",
        "write `inner:81`",
    );
    refuses(
        &rewrite("in ner"),
        "` ` is not allowed in a host",
        " ",
        "a host is made of letters, digits, `-` and `.`",
    );
    refuses(
        &in_route("paths = [\"/\"]\nredirect.to = \"/{id}\""),
        "`{id}` has no value",
        "{id}",
        "there are `{host}`, `{authority}`, `{path}`, `{query}`",
    );
}

#[test]
fn a_cache_of_a_route_has_the_settings_of_the_plugin_alone() {
    refuses(
        &in_route(&format!("{FORWARD}\ncache = {{ cache = \"pages\" }}")),
        "`cache` is a key of the plugin, and these are its settings",
        "cache",
        "write the plugin in place of this: `plugins = [{ component = \"cache\", cache = \"pages\", config = { ... } }]`",
    );
}
