//! What is made of the declared commands: completions, which a shell is asked for, and manual pages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use gateway_tests::binary;

/// What `gateway` prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands of its help.
fn commands() -> BTreeSet<String> {
    let help = printed(&["-h"]);
    let (_, commands) = help.split_once("\nCommands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// What bash offers for the last of these words.
fn offered(words: &str) -> BTreeSet<String> {
    // The function that the script registers is called as bash does it when Tab is pressed.
    let script = r#"
        source "$1"
        [[ $(complete -p gateway) =~ -F\ ([^ ]+) ]] || exit 1
        read -ra COMP_WORDS <<<"$2"
        [[ $2 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
        "${BASH_REMATCH[1]}" gateway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let completions = folder.path().join("gateway");
    std::fs::write(&completions, printed(&["completions", "bash"])).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", script, "bash"]).arg(&completions).arg(words);
    // Where files are offered.
    let output = bash.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output();
    let output = output.expect("bash is here");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    let all = offered("gateway ");
    assert!(all.is_superset(&commands()), "{all:?}");
    assert!(!all.contains("compile"), "an internal command is offered: {all:?}");
    assert_eq!(offered("gateway che"), set(&["check"]));
    assert_eq!(offered("gateway keys ro"), set(&["rotate"]));
    assert_eq!(offered("gateway check --b"), set(&["--bind"]));
    assert_eq!(offered("gateway check --c"), set(&["--connect"]));
    assert_eq!(offered("gateway --log-format "), set(&["json", "text"]));
    assert_eq!(offered("gateway run READ"), set(&[]), "files are left to bash, which knows them");
    assert_eq!(offered("gateway man --output examp"), set(&["examples"]));
}

#[test]
fn each_shell_gets_a_script_for_all_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        let missing: Vec<_> = commands().into_iter().filter(|it| !script.contains(it)).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    printed(&["man", "--output", folder.path().to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.path().join("gateway.1")).unwrap();
    assert_eq!(page, printed(&["man"]));
    for heading in ["NAME", "SYNOPSIS", "SIGNALS", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
        assert!(
            page.contains(&format!(".SH {heading}\n"))
                || page.contains(&format!(".SH \"{heading}\"\n")),
            "{heading}"
        );
    }
    for command in commands() {
        let page = folder.path().join(format!("gateway-{command}.1"));
        let page = std::fs::read_to_string(page).expect(&command);
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(folder.path().join("gateway-keys-rotate.1").is_file(), "commands below commands too");
}

/// As `man` shows them, which says what is wrong with one.
#[test]
#[ignore = "needs man: cargo test --workspace --test operations -- --ignored packages"]
fn packages_have_pages_that_man_shows_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    printed(&["man", "--output", folder.path().to_str().unwrap()]);
    let mut pages = 0;
    for page in std::fs::read_dir(&folder).unwrap() {
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file"]).arg(page.unwrap().path());
        let shown = man.env("MANWIDTH", "80").env("MANROFFSEQ", "").output().unwrap();
        assert!(shown.status.success() && shown.stderr.is_empty(), "{shown:?}");
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.contains("SYNOPSIS") && text.contains("gateway"), "{text}");
        pages += 1;
    }
    assert!(pages > commands().len(), "{pages}");
}

#[test]
fn a_file_and_a_running_gateway_are_not_asked_together() {
    for command in [
        &["experiments", "--config", "a.toml"][..],
        &["models", "list", "--config", "a.toml"],
        &["explain", "a.toml", "--url", "/"],
    ] {
        let mut gateway = Command::new(binary());
        let output = gateway.args(command).args(["--admin", "http://127.0.0.1:1"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("cannot be used with '--admin"), "{told}");
    }
}
