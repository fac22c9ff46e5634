//! What lines say.

use gateway_tests::client::{get, get2, request, request2};
use gateway_tests::{Http1, Http2, Raw, Setup, Upstream, until};
use serde_json::Value;
use tempfile::tempdir;

use super::support::{ask, ask_with, json, lines, setup, until_lines};

#[tokio::test]
async fn json_says_who_asked_for_what_and_what_came_of_it() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let gateway = setup("file = \"FOLDER/log\"", folder.path()).start();
    let fields =
        [("user-agent", "a \"quoted\" agent"), ("referer", "http://r.example/?token=SECRET")];
    let sent = request("POST", "/a/b?c=d&api_key=SECRET", &fields, "1234567");
    let answer = Http1::connect(gateway.address).await.send(sent).await;
    let line = json(&file).await;
    assert_eq!(line["request_id"], answer.id());
    assert_eq!(line["listener"], "public");
    assert_eq!(line["route"], "all");
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!((&line["method"], &line["protocol"]), (&"POST".into(), &"HTTP/1.1".into()));
    assert_eq!((&line["scheme"], &line["host"]), (&"http".into(), &"a.example".into()));
    assert_eq!((&line["path"], &line["query"]), (&"/a/b".into(), &"c=d&api_key=[redacted]".into()));
    assert_eq!((&line["status"], &line["downloaded"]), (&200.into(), &5.into()));
    assert_eq!(line["user_agent"], "a \"quoted\" agent");
    assert_eq!(line["referer"], "http://r.example/?token=[redacted]");
    assert!(line["duration_ms"].is_u64() && line["left"] == false, "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn what_failed_says_why_and_stands_in_the_log_of_the_process_too() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let text = format!(
        "access_log = \"x\"\n[access_logs.x]\nfile = {file:?}\n\
         [upstreams.gone]\ntargets = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"gone\"\n"
    );
    let gateway = Setup::toml(&text, &[]).start();
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!(answer.status(), 502);
    let line = json(&file).await;
    assert_eq!((&line["status"], &line["fault"]), (&502.into(), &"upstream".into()));
    assert_eq!(line["upstream"], "127.0.0.1:1");
    assert!(line["attempts"].as_str().unwrap().starts_with("127.0.0.1:1 refused"), "{line}");
    assert!(line["cause"].as_str().unwrap().contains("127.0.0.1:1"), "{line}");
    let of_process = gateway_tests::log::of_request(answer.id());
    assert_eq!(of_process.len(), 1);
    assert_eq!(of_process[0].message, "exchange failed");
}

#[tokio::test]
async fn fields_and_attributes_that_a_log_names_are_in_its_lines() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let upstream = Upstream::http1(|_| async {
        let answer = http::Response::builder().header("x-up", "1").header("x-up", "2");
        answer.body(gateway_tests::upstream::full("ok")).unwrap()
    })
    .await;
    let text = format!(
        "access_log = \"x\"\n[access_logs.x]\nfile = {file:?}\n\
         [access_logs.x.fields]\nwho = \"consumer\"\nsame = \"attribute.consumer.id\"\n\
         none = \"attribute.nobody\"\nsent = \"request.header.x-consumer\"\n\
         auth = \"request.header.authorization\"\nup = \"response.header.x-up\"\n\
         id = \"response.header.x-request-id\"\nname = \"upstream_name\"\nkind = \"status\"\n\
         [upstreams.service]\ntargets = [\"http://{}\"]\n\
         [plugins.uses]\ncomponent = \"./uses.wasm\"\ngrants = [\"usage\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"uses\"]\nupstream = \"service\"\n",
        upstream.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    ask_with(&gateway, "/", &[("x-consumer", "acme"), ("authorization", "Bearer SECRET")]).await;
    let line = json(&file).await;
    let id = line["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    let expected = serde_json::json!({
        "who": "acme", "same": "acme", "sent": "acme", "auth": "[redacted]", "up": "1, 2", "id": id,
        "name": "service", "kind": 200,
    });
    assert_eq!(line, expected);
}

#[tokio::test]
async fn a_line_is_one_line_over_both_versions_whatever_is_sent() {
    let folder = tempdir().unwrap();
    let text = format!(
        "access_log = \"json\"\n[access_logs.json]\nfile = \"{0}/json\"\n\
         [access_logs.combined]\nfile = \"{0}/combined\"\nformat = \"combined\"\n\
         [access_logs.own]\nfile = \"{0}/own\"\nformat = \"{{client}} {{request.header.user-agent}} {{path}}\"\n\
         [[routes]]\nname = \"a\"\npaths = [\"/{{*rest}}\"]\nrespond = {{ status = 204 }}\n\
         [[routes]]\nname = \"c\"\npaths = [\"/c/{{*rest}}\"]\naccess_log = \"combined\"\nrespond = {{ status = 204 }}\n\
         [[routes]]\nname = \"o\"\npaths = [\"/o/{{*rest}}\"]\naccess_log = \"own\"\nrespond = {{ status = 204 }}\n",
        folder.path().to_str().unwrap()
    );
    let gateway = Setup::toml(&text, &[]).start();
    let agents: [&[u8]; 5] = [
        b"\" 200 0 \"-\" \"x",
        b"x\",\"status\":999,\"y\":\"",
        b"tab\tand \\x0a \\n \\",
        "sep\u{2028}\u{2029}\u{85}\u{202e}".as_bytes(),
        b"\xff\xfe\x80 \xe2\x80",
    ];
    let mut sent = 0;
    for agent in agents {
        for path in ["/%22", "/c/%22", "/o/%20forged%20200"] {
            let mut head =
                format!("GET {path}?q=%0a HTTP/1.1\r\nhost: a\r\nuser-agent: ").into_bytes();
            head.extend_from_slice(agent);
            head.extend_from_slice(b"\r\n\r\n");
            assert_eq!(Raw::ask(gateway.address, head).await.status, 204);
            let mut over_two = get2(path);
            let value = http::HeaderValue::from_bytes(agent).unwrap();
            over_two.headers_mut().insert("user-agent", value);
            assert_eq!(Http2::connect(gateway.address).await.send(over_two).await.status(), 204);
            sent += 1;
        }
    }
    let per_log = sent / 3 * 2;
    for name in ["json", "combined", "own"] {
        let file = folder.path().join(name);
        let found = until_lines(&file, per_log).await;
        assert_eq!(found.len(), per_log, "{found:?}");
        for line in found {
            let is_wrong = |c: char| c.is_control() || "\u{2028}\u{2029}\u{85}\u{202e}".contains(c);
            assert!(!line.contains(is_wrong), "{line:?}");
            match name {
                "json" => assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["status"], 204),
                "combined" => assert_eq!(line.matches('"').count(), 6, "{line}"),
                _ => assert_eq!(line.split(' ').count(), 3, "{line}"),
            }
        }
    }
    let agents = until_lines(&folder.path().join("own"), per_log).await;
    assert!(
        agents[0].starts_with("127.0.0.1 \\x22\\x20200\\x200\\x20\\x22-\\x22"),
        "{}",
        agents[0]
    );
}

#[tokio::test]
async fn a_route_has_its_own_log_or_its_listeners_or_none() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let template = "format = \"{listener} {route} {path}\"";
    let mut setup = Setup::toml(
        &format!(
            "access_log = \"outer\"\n\
             [access_logs.outer]\nfile = \"{0}/outer\"\n{template}\n\
             [access_logs.inner]\nfile = \"{0}/inner\"\n{template}\n\
             [[listeners]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"own\"\npaths = [\"/own\"]\naccess_log = \"inner\"\nrespond = {{ body = \"a\" }}\n\
             [[routes]]\nname = \"off\"\npaths = [\"/off\"]\naccess_log = \"off\"\nrespond = {{ body = \"a\" }}\n\
             [[routes]]\nname = \"default\"\npaths = [\"/default\"]\nrespond = {{ body = \"a\" }}\n\
             [[routes]]\nname = \"process\"\npaths = [\"/process\"]\naccess_log = \"all\"\nrespond = {{ body = \"a\" }}\n",
            path.to_str().unwrap()
        ),
        &[],
    );
    let inner = gateway::config::AccessLog::Named(gateway::config::AccessLogId(1));
    setup.config.process.access_log = inner;
    let gateway = gateway::Gateway::bind(setup.config).unwrap();
    let addresses = gateway.local_addresses().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(gateway.run(async { drop(stopped.await) })).unwrap();
    });
    for path in ["/own", "/off", "/default", "/none"] {
        for listener in ["public", "second"] {
            Http1::get(addresses[listener], path).await;
        }
    }
    let id = Http1::get(addresses["public"], "/process").await.id().to_owned();
    until(|| !gateway_tests::log::of_request(&id).is_empty()).await;
    drop(stop);
    thread.join().unwrap();
    let outer = lines(&path.join("outer"));
    assert_eq!(outer, ["public default /default", "public - /none"]);
    let inner = lines(&path.join("inner"));
    let expected =
        ["public own /own", "second own /own", "second default /default", "second - /none"];
    assert_eq!(inner, expected);
}

#[tokio::test]
async fn a_sample_and_failures_alone() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let table = "file = \"FOLDER/log\"\nformat = \"{status}\"\nsample = 0.1";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 95).await;
    until_lines(&file, 10).await;
    drop(gateway);
    assert_eq!(lines(&file).len(), 10);
    let table = "file = \"FOLDER/failed\"\nformat = \"{status} {fault}\"\nwhen = \"failures\"\nsample = 0.1";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 5).await;
    // A head that cannot be read has a line, too.
    for _ in 0..3 {
        Raw::ask(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nbad field\r\n\r\n").await;
    }
    // The line comes when the connection is over, which may be after its answer.
    let failed = folder.path().join("failed");
    until_lines(&failed, 3).await;
    drop(gateway);
    assert_eq!(lines(&failed), ["400 client"; 3]);
}

#[tokio::test]
async fn no_secret_is_in_a_line_over_either_version() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let table = "file = \"FOLDER/log\"\nredact = [\"x-own\", \"account\"]\nformat = '\
                 {request} {uri} {query} {request.header.authorization} {request.header.cookie} \
                 {request.header.x-api-key} {request.header.x-own} {response.header.set-cookie} \
                 {request.header.referer}'";
    let gateway = setup(table, folder.path()).start();
    let fields = [
        ("authorization", "Bearer SECRET"),
        ("cookie", "a=SECRET"),
        ("x-api-key", "SECRET"),
        ("x-own", "SECRET"),
        ("referer", "https://a/?account=SECRET"),
    ];
    let path =
        "/p?access_token=SECRET&%61ccount=SECRET&client%5Fsecret=SECRET&Signature=SECRET&q=shown";
    Http1::connect(gateway.address).await.send(request("GET", path, &fields, "")).await;
    Http2::connect(gateway.address).await.send(request2("GET", path, &fields, "")).await;
    for line in until_lines(&file, 2).await {
        assert!(!line.contains("SECRET"), "{line}");
        assert_eq!(line.matches("q=shown").count(), 3, "{line}");
        assert_eq!(line.matches("[redacted]").count(), 3 * 4 + 6, "{line}");
    }
}

/// Once a response streams, the buffer that its request was read into is gone.
#[tokio::test]
async fn the_line_of_a_stream_says_what_was_asked_over_either_version() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        raw.send("2\r\nok\r\n0\r\n\r\n").await;
    })
    .await;
    let text = format!(
        "access_log = \"x\"\n[access_logs.x]\nfile = {file:?}\n\
         format = '{{uri}} {{request.header.referer}} {{attribute.consumer.id}}'\n\
         [upstreams.service]\ntargets = [\"http://{}\"]\n\
         [plugins.uses]\ncomponent = \"./uses.wasm\"\ngrants = [\"usage\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"uses\"]\nupstream = \"service\"\n",
        upstream.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    let (path, fields) = ("/a%20b?c=d", [("referer", "http://r.example/"), ("x-consumer", "me")]);
    let one = Http1::connect(gateway.address).await.send(request("GET", path, &fields, "")).await;
    let two = Http2::connect(gateway.address).await.send(request2("GET", path, &fields, "")).await;
    assert_eq!((one.text(), two.text()), ("ok", "ok"));
    for line in until_lines(&file, 2).await {
        assert_eq!(line, "/a%20b?c=d http://r.example/ me");
    }
}

#[tokio::test]
async fn a_configuration_of_before_logs_as_before() {
    let mut setup = Setup::toml(super::support::ROUTE, &[]);
    setup.config.process.access_log = gateway::config::AccessLog::All;
    let gateway = setup.start();
    let answer = Http1::connect(gateway.address).await.send(get("/a?b=c")).await;
    until(|| !gateway_tests::log::of_request(answer.id()).is_empty()).await;
    let lines = gateway_tests::log::of_request(answer.id());
    assert_eq!((lines[0].message.as_str(), lines[0].field("path")), ("exchange", "/a"));
    assert_eq!((lines[0].field("method"), lines[0].field("status")), ("GET", "200"));
}
