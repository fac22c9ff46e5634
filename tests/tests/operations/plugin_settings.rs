//! Settings of first-party plugins that are wrong: `gateway check` tells all of it at once, with its place and what to do.

use std::process::Command;

use gateway_tests::binary;

const HEAD: &str = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
    [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"p\"]\nrespond = {}\n[plugins.p]\n";

/// What `gateway check` says of a plugin `p`.
fn check(plugin: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), format!("{HEAD}{plugin}\n")).unwrap();
    std::fs::write(folder.path().join("users"), "anna:nothing\n").unwrap();
    let command = Command::new(binary()).arg("check").current_dir(&folder).output();
    String::from_utf8(command.unwrap().stderr).unwrap()
}

/// The line with the caret, up to it: where it is.
#[track_caller]
fn points_at(told: &str, line: &str, caret: usize) {
    let mut lines = told.lines().skip_while(|it| !it.trim_end().ends_with(line));
    let shown = lines.next().unwrap_or_else(|| panic!("no line {line:?}:\n{told}"));
    let marks = lines.next().unwrap_or_default();
    let begin = shown.find(line).unwrap();
    let column = marks.find('^').unwrap_or_else(|| panic!("no caret:\n{told}"));
    assert_eq!(column.checked_sub(begin), Some(caret), "{told}");
}

#[test]
fn a_fault_within_a_text_has_the_caret_at_its_place() {
    let rule = "component = \"authorize\"\n[[plugins.p.config.rules]]\nname = \"n\"\n";
    let told = check(&format!("{rule}allow = 'request.method == nothing'"));
    points_at(&told, "allow = 'request.method == nothing'", 27);
    let told =
        check(&format!("{rule}allow = \"\"\"\nrequest.method == \"GET\"\n  && nothing\"\"\""));
    points_at(&told, "  && nothing\"\"\"", 5);
    let told = check("component = \"json-expression\"\nconfig.request.expression = '.a | foo(1)'");
    points_at(&told, "config.request.expression = '.a | foo(1)'", 34);
}

#[test]
fn a_line_of_a_list_of_users_is_shown_without_its_hash() {
    let told = check(
        "component = \"auth\"\n[plugins.p.config.basic]\nhtpasswd = \"\"\"\n\
         anna:$2y$10$abcdefghijklmnopqrstuuKK0jbWvFCzYTcuxgUTb8DlqJ9eBr5Pm\n\
         bert\n\"\"\"",
    );
    points_at(&told, "****", 0);
    assert!(!told.contains("KK0jb"), "{told}");
    let told = check("component = \"auth\"\nconfig.basic.htpasswd = \"${file:users}\"");
    assert!(told.contains("line 1") && told.contains("the text is that of `users`"), "{told}");
}

#[test]
fn a_value_that_is_near_one_of_a_list_or_said_in_words_has_advice() {
    let policy = |keys: &str| {
        check(&format!(
            "component = \"rate-limit\"\nconfig.policies = [{{ name = \"p\", limit = 1, {keys} }}]"
        ))
    };
    for (keys, words) in [
        ("window = \"1 month\"", vec!["neither a duration nor a name", "write `month`"]),
        ("window = \"10 seconds\"", vec!["write `10s`"]),
        ("window = \"1h\", algorithm = \"leaky\"", vec!["did you mean `bucket`?"]),
        ("window = \"1h\", algorithm = \"sliding-window\"", vec!["did you mean `sliding`?"]),
    ] {
        let told = policy(keys);
        words.iter().for_each(|word| assert!(told.contains(word), "{word}: {told}"));
        assert!(!told.contains("[0-9]"), "{told}");
    }
    let issuer = "component = \"auth\"\n[[plugins.p.config.jwt.issuers]]\nissuer = \"x\"\n\
                  audiences = [\"a\"]\nalgorithms = [\"RS255\"]\njwks = \"{}\"";
    let told = check(issuer);
    assert!(told.contains("did you mean `RS256`?"), "{told}");
    let told = check(
        "component = \"rate-limit\"\n[stores.x]\nredis = \"redis://h\"\non_store_error = \"closed\"",
    );
    assert!(
        told.contains("belongs in `plugins.NAME.limiter` or `plugins.NAME.key_value`"),
        "{told}"
    );
}

#[test]
fn a_message_names_its_subject_and_what_to_do() {
    let told = check(
        "component = \"http-signature\"\nsecrets = []\n[plugins.p.config]\nmax_age = \"99d\"\n\
         [[plugins.p.config.message.keys]]\nid = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = \"short\"\n\
         [[plugins.p.config.message.keys]]\nid = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = \"0123456789abcdef\"",
    );
    for words in [
        "`max_age` is longer than 1d, which is the most",
        "`message.keys[0].secret` has 5 bytes, and needs 16: make one with `openssl",
        "`message.keys[1].id` is the id of another key: give each key an id of its own",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
}

#[test]
fn no_fault_hides_another_one() {
    let told = check(
        "component = \"rate-limit\"\nconfig.policies = [\n\
         { name = \"p\", limit = 5, burst = 9, window = \"day\", time_zone = \"Europe/Berlni\", cost = 7 },\n]",
    );
    for words in ["there is no time zone `Europe/Berlni`", "only a bucket has a burst"] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let told = check(
        "component = \"http-signature\"\n[plugins.p.config]\n\
         message.keys = [{ id = \"k\", algorithm = \"hmac-sha256\", secret = \"short\" }]\n\
         hmac = { header = \"x-signature\", secrets = [\"short\"], consumer = \"c\" }",
    );
    for words in [
        "`hmac` stands beside `message`",
        "`message.keys[0].secret` has 5 bytes",
        "`hmac.secrets[0]` has 5 bytes",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
}
