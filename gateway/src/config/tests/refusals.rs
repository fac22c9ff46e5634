//! One test a class of error: the message, what the caret points at, the advice.

use super::*;

#[test]
fn accepts_the_file_that_faults_are_put_into() {
    for text in [in_listener(""), in_upstream(TARGETS), in_route(FORWARD)] {
        assert_eq!(findings(&text), [], "{text}");
    }
    assert_eq!(findings(&in_plugin("component = \"lock\"")), []);
}

#[test]
fn refuses_unknown_keys_with_the_one_that_was_meant() {
    refuses(
        &in_listener("trusted_proxy = []"),
        "unknown key `trusted_proxy` in `[[listeners]]`",
        "trusted_proxy",
        "did you mean `trusted_proxies`?",
    );
    refuses(
        &in_listener("body_size = 5"),
        "unknown key `body_size` in `[[listeners]]`",
        "body_size",
        "`body_size` belongs in `limits`: `limits.body_size = ...`",
    );
    refuses(
        &in_upstream("targts = []"),
        "unknown key `targts` in `[upstreams.NAME]`",
        "targts",
        "did you mean `targets`?",
    );
    let found = check(&in_plugin("component = \"lock\"\nzzz = 1")).unwrap_err();
    let found = found.iter().next().unwrap();
    assert_eq!(found.help, [""; 0]);
    assert!(found.notes[0].starts_with("its keys are `component`, `config`"), "{:?}", found.notes);
}

#[test]
fn refuses_wrong_types_and_says_what_was_found() {
    refuses(
        "[gateway]\nworkers = \"4\"\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {}",
        "`workers` must be an integer, but this is a string",
        "\"4\"",
        "write `4` without quotes",
    );
    refuses(
        &in_upstream("targets = \"http://a\""),
        "`targets` must be an array, but this is a string",
        "\"http://a\"",
        "write `[\"http://a\"]`",
    );
    refuses(
        &in_listener("timeouts.idle = 30"),
        "`idle` must be a duration, but this is an integer",
        "30",
        "give it a unit: `\"30s\"` or `\"30ms\"`",
    );
    refuses(
        &in_listener("limits.body_size = true"),
        "`body_size` must be a size, but this is a boolean",
        "true",
        "write `body_size = \"16MiB\"`",
    );
    refuses(
        &in_listener("limits = []"),
        "`limits` of a listener must be a table, but this is an array",
        "[]",
        "",
    );
    refuses(
        &in_route("paths = [1.5]\nupstream = \"u\""),
        "a path must be a string, but this is a float",
        "1.5",
        "",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nplugins = [1979-05-27]")),
        "an element of `plugins` must be a name or a table, but this is a date or time",
        "1979-05-27",
        "",
    );
}

#[test]
fn refuses_tables_with_the_wrong_kind_of_header() {
    let found = findings(
        "[listeners]\nname = \"l\"\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {}",
    );
    assert_eq!(found[0].1, "`listeners` must be an array of tables, but this is a table");
    assert_eq!(found[0].3, "write `[[listeners]]` above each of them");
    let text = in_listener("").replace("[upstreams.u]", "[[upstreams]]");
    assert_eq!(findings(&text)[0].3, "write `[upstreams.NAME]` above each of them");
}

#[test]
fn refuses_keys_where_a_name_should_be() {
    let text = in_listener("").replace("[upstreams.u]", "[upstreams]");
    let found = findings(&text);
    assert_eq!(found[0].1, "`[upstreams.NAME]` must be a table, but this is an array");
    assert_eq!(found[0].3, "give it a name: write `[upstreams.NAME]` above it");
}

#[test]
fn refuses_values_out_of_range() {
    let range = |text: String, message, under| {
        refuses(&text, message, under, "");
        let label = check(&text).unwrap_err().iter().next().unwrap().label.clone();
        label.expect("a range")
    };
    assert_eq!(
        range(in_listener("limits.header_count = 0"), "`header_count` is out of range: 0", "0"),
        "from 1 to 1000"
    );
    assert_eq!(
        range(
            in_listener("limits.header_size = \"1KiB\""),
            "`header_size` is out of range: 1KiB",
            "\"1KiB\""
        ),
        "from 8KiB to 1MiB"
    );
    assert_eq!(
        range(
            in_listener("limits.header_size = 0x10"),
            "`header_size` is out of range: 0x10",
            "0x10"
        ),
        "from 8KiB to 1MiB"
    );
    assert_eq!(
        range(in_listener("timeouts.header = \"2d\""), "`header` is out of range: 2d", "\"2d\""),
        "from 1ms to 1d"
    );
    assert_eq!(
        range(
            in_listener("limits.header_count = -99999999999999999999"),
            "`header_count` is out of range: -99999999999999999999",
            "-99999999999999999999"
        ),
        "from 1 to 1000"
    );
}

#[test]
fn refuses_durations_and_sizes_that_are_none() {
    refuses(
        &in_listener("timeouts.idle = \"5\""),
        "`5` is not a duration: a number in it has no unit (ms, s, m, h or d)",
        "\"5\"",
        "write it like `20ms`, `5s`, `1m30s` or `2h`",
    );
    refuses(
        &in_listener("limits.body_size = \"5M\""),
        "`5M` is not a size: its unit could mean two things (MiB or MB, say)",
        "\"5M\"",
        "write it like `16MiB` or `64KB`",
    );
}

#[test]
fn refuses_choices_that_there_are_not() {
    refuses(
        &in_upstream(&format!("{TARGETS}\nprotocol = \"htp2\"")),
        "`htp2` is no value of `protocol`",
        "\"htp2\"",
        "did you mean `http2`?",
    );
    refuses(
        &in_plugin("component = \"lock\"\ngrants = [\"keyvalue\"]"),
        "`keyvalue` is no value of `grants`",
        "\"keyvalue\"",
        "did you mean `key-value`?",
    );
}

#[test]
fn refuses_what_is_missing_with_an_example() {
    refuses(
        "[[listeners]]\nname = \"l\"\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {}",
        "`[[listeners]]` has no `address`",
        "[[listeners]]",
        "add `address = \"127.0.0.1:8080\"`",
    );
    refuses(
        &in_route("upstream = \"u\""),
        "`[[routes]]` has no `paths`",
        "[[routes]]",
        "add `paths = [\"/{*rest}\"]`",
    );
    refuses(
        &in_route("paths = []\nupstream = \"u\""),
        "`paths` is empty",
        "[]",
        "write `paths = [\"/{*rest}\"]`",
    );
    let missing: Vec<_> = findings("[gateway]\n").into_iter().map(|found| found.1).collect();
    assert_eq!(
        missing,
        ["the configuration has no `listeners`", "the configuration has no `routes`"]
    );
}

#[test]
fn refuses_addresses_that_are_none_with_the_nearest_that_is() {
    for (address, help) in [
        ("localhost:80", "write `127.0.0.1:80`"),
        (":80", "write `0.0.0.0:80` for all IPv4 addresses"),
        ("80", "write `0.0.0.0:80` for all IPv4 addresses"),
        ("10.0.0.1", "add a port: `10.0.0.1:8080`"),
        ("::1", "put it in brackets and add a port: `[::1]:8080`"),
        ("example.com:80", "write it like `127.0.0.1:8080` or `[::1]:8080`"),
    ] {
        let text = in_listener("").replace("127.0.0.1:0", address);
        refuses(&text, &format!("`{address}` is not an IP address and a port"), address, help);
    }
    refuses(
        &in_listener("trusted_proxies = [\"10.0.0.0/33\"]"),
        "`10.0.0.0/33` is not an address or a CIDR range",
        "10.0.0.0/33",
        "write it like `10.0.0.0/8` or `fd00::/8`",
    );
}

#[test]
fn refuses_names_and_addresses_that_are_taken() {
    let again = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"";
    refuses(&file("", TARGETS, again, FORWARD), "two listeners are named `l`", "\"l\"", "");
    let routes = "[[routes]]\nname = \"r\"\npaths = [\"/x\"]\nrespond = {}";
    refuses(&file("", TARGETS, routes, FORWARD), "two routes are named `r`", "\"r\"", "");
    let two = in_listener("\n[[listeners]]\nname = \"m\"\naddress = \"127.0.0.1:0\"");
    refuses(
        &two.replace("127.0.0.1:0", "127.0.0.1:80"),
        "the listeners `l` and `m` have the same address",
        "\"127.0.0.1:80\"",
        "",
    );
}

#[test]
fn lets_listeners_share_port_zero() {
    let text = in_listener("\n[[listeners]]\nname = \"m\"\naddress = \"127.0.0.1:0\"");
    assert_eq!(findings(&text), []);
}

#[test]
fn refuses_names_that_nothing_has() {
    refuses(
        &in_route("paths = [\"/\"]\nupstream = \"orders\""),
        "there is no upstream `orders`",
        "\"orders\"",
        "add a `[upstreams.orders]` table with `targets`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nlisteners = [\"L\"]")),
        "there is no listener `L`",
        "\"L\"",
        "did you mean `l`?",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nplugins = [\"lock\"]")),
        "there is no plugin `lock`",
        "\"lock\"",
        "add a `[plugins.lock]` table with `component = \"lock\"`",
    );
}

#[test]
fn warns_of_what_no_route_uses() {
    let tables = "[upstreams.idle]\ntargets = [\"http://a\"]";
    warns(&file("", TARGETS, tables, FORWARD), "no route uses the upstream `idle`", "idle");
    let tables = "[plugins.idle]\ncomponent = \"lock\"";
    warns(&file("", TARGETS, tables, FORWARD), "no route uses the plugin `idle`", "idle");
}

#[test]
fn refuses_components_that_there_are_not() {
    refuses(
        &in_plugin("component = \"lokc\""),
        "there is no first-party component `lokc`",
        "\"lokc\"",
        "did you mean `lock`?",
    );
    refuses(
        &in_plugin("component = \"mine\""),
        "there is no first-party component `mine`",
        "\"mine\"",
        "a file is written with a slash: `./plugins/mine.wasm`",
    );
    refuses(
        &in_plugin("component = \"./no/such.wasm\""),
        "the component `./no/such.wasm` does not exist",
        "\"./no/such.wasm\"",
        "",
    );
}

#[test]
fn refuses_plugin_settings_that_json_does_not_have() {
    let config = |keys: &str| in_plugin(&format!("component = \"lock\"\nconfig = {{ {keys} }}"));
    refuses(&config("a = nan"), "`nan` has no form in JSON", "nan", "");
    refuses(
        &config("a = 99999999999999999999"),
        "`99999999999999999999` does not fit into 64 bits",
        "99999999999999999999",
        "",
    );
    refuses(
        &in_plugin("component = \"lock\"\nconfig = 1"),
        "`config` must be a table, but this is an integer",
        "1",
        "",
    );
}

#[test]
fn refuses_grpc_web_where_no_grpc_is_spoken() {
    let text = format!("{TARGETS}\nprotocol = \"http1\"\ngrpc_web = \"translate\"");
    refuses(
        &in_upstream(&text),
        "`grpc_web` needs targets that speak HTTP/2",
        "grpc_web",
        "write `protocol = \"http2\"`",
    );
}

#[test]
fn keys_of_the_table_beside_are_told_their_place() {
    refuses(
        &in_upstream(&format!("{TARGETS}\nretries = {{}}")),
        "unknown key `retries` in `[upstreams.NAME]`",
        "retries",
        "`retries` belongs in `[[routes]]`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\ncapacity = {{ requests = 1 }}")),
        "unknown key `capacity` in `[[routes]]`",
        "capacity",
        "`capacity` belongs in `[upstreams.NAME]`",
    );
}

#[test]
fn what_is_wrong_in_an_upstream_is_said_once() {
    let text = format!("{TARGETS}\nbalance = \"random\"\nhash_by = \"a\"\nslow_start = \"1s\"");
    let found = findings(&in_upstream(&text));
    let about = found.iter().filter(|it| it.1.contains("`random`")).count();
    assert_eq!(about, 1, "{found:?}");
    let twice =
        "targets = [\"http://127.0.0.1:9\", { url = \"http://127.0.0.1:9\", priority = 1 }]";
    let found = check(&in_upstream(twice)).unwrap();
    let warning = found.warnings.iter().next().unwrap();
    assert_eq!(warning.help, ["it takes over from itself: leave one of both out"]);
}
