//! What guests built by the tools really wrote, and what is made of it.

use super::*;

/// Lines as a guest writes them: each piece at once.
fn held(pieces: &[&str]) -> OutputBuffer {
    let mut held = OutputBuffer::default();
    for piece in pieces {
        for (index, text) in piece.lines().enumerate() {
            held.push(OutputLine { text: text.to_owned(), begins: index == 0 });
        }
    }
    held
}

/// The account, and the lines that are none of it.
fn told(pieces: &[&str]) -> (String, Vec<String>) {
    let mut held = held(pieces);
    let account = held.take_failure_report().expect("it tells why").to_string();
    (account, std::iter::from_fn(|| held.pop()).map(|line| line.text).collect())
}

const JS_STACK: &str = "  /throw@orders.js:8:27\n  onRequest@orders.js:65:13\n  \
    export_hooks_0_1_0$onRequest@/tmp/7ec75516b96b/sources/initializer.js:713:15\n\n";
const JS_END: &str = "Redirecting call to abort() to mozalloc_abort\n\n";

#[test]
fn an_error_of_javascript_has_its_message_and_place_first() {
    let (account, before) = told(&["no tenant\n", "Stack:\n", JS_STACK, JS_END]);
    assert_eq!(
        account,
        "no tenant (orders.js:8:27)\n    at /throw (orders.js:8:27)\n    \
         at onRequest (orders.js:65:13)"
    );
    assert!(before.is_empty());
}

#[test]
fn what_javascript_wrote_before_the_error_is_no_part_of_it() {
    let (account, before) =
        told(&["earlier\n", "first line\nsecond line\n", "Stack:\n", JS_STACK, JS_END]);
    assert!(account.starts_with("first line second line (orders.js:8:27)\n"), "{account}");
    assert_eq!(before, ["earlier"]);
}

#[test]
fn a_thrown_value_of_javascript_is_the_message() {
    let (account, _) = told(&["({code:7, detail:\"an object\"})\n", JS_END]);
    assert_eq!(account, "({code:7, detail:\"an object\"})");
}

#[test]
fn a_value_that_does_not_fit_the_interface_is_named_as_such() {
    let stack = "  export_hooks_0_1_0$onRequest@/tmp/7ec75516b96b/sources/initializer.js:721:11\n";
    let why = "can't access property \"tag\", variant56 is undefined\n";
    let (account, _) = told(&[why, "Stack:\n", stack, "\n", JS_END]);
    assert!(account.starts_with("what the hook returned does not have the type"), "{account}");
    let panic = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1686:57:\n\
        called `Result::unwrap()` on an `Err` value: CastError { from: 'a string', classinfo: \
        <class 'bytes'> }\nnote: run with `RUST_BACKTRACE=1` environment variable to display a \
        backtrace\n";
    let (account, _) = told(&[panic]);
    assert_eq!(
        account,
        "what the hook returned does not have the type that `wit/` says: CastError { from: \
         'a string', classinfo: <class 'bytes'> }"
    );
}

#[test]
fn a_promise_that_nothing_settles_is_named() {
    let (account, _) = told(&[
        "earlier\n",
        "Error while (call) event loop error, but no exception is pending. Aborting, since that \
         doesn't seem recoverable at all.\n",
    ]);
    assert!(account.starts_with("the hook awaits a promise that nothing settles\n"), "{account}");
}

const PYTHON_END: &str = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1280:25:\n\
    Python function threw an unexpected exception\n\
    note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

#[test]
fn an_exception_of_python_has_its_message_and_place_first() {
    let traceback = "Traceback (most recent call last):\n  \
        File \"/0/orders.py\", line 82, in on_request\n  \
        File \"/0/orders.py\", line 23, in check\n  \
        File \"/python/json/__init__.py\", line 352, in loads\n\
        ValueError: no tenant\nof two lines\n";
    let (account, before) = told(&["earlier\n", traceback, PYTHON_END]);
    assert_eq!(
        account.lines().next(),
        Some("ValueError: no tenant of two lines (orders.py:23)"),
        "{account}"
    );
    assert!(account.contains("\n      File \"/python/json/__init__.py\", line 352, in loads"));
    assert!(!account.contains("panicked"), "{account}");
    assert_eq!(before, ["earlier"]);
}

#[test]
fn the_cause_of_an_exception_of_python_stands_behind_it() {
    let traceback = "Traceback (most recent call last):\n  \
        File \"/0/orders.py\", line 17, in cause\nKeyError: 'missing'\n\n\
        The above exception was the direct cause of the following exception:\n\n\
        Traceback (most recent call last):\n  File \"/0/orders.py\", line 82, in on_request\n  \
        File \"/0/shop/errors.py\", line 18, in cause\norders.AppError: wrapped\n";
    let (account, before) = told(&[traceback, PYTHON_END]);
    assert!(account.starts_with("orders.AppError: wrapped (shop/errors.py:18)\n"), "{account}");
    assert!(account.contains("KeyError: 'missing'"), "{account}");
    assert!(before.is_empty());
}

#[test]
fn a_group_of_exceptions_of_python_has_its_own_message_first() {
    let traceback = "  + Exception Group Traceback (most recent call last):\n  \
        |   File \"/0/orders.py\", line 82, in on_request\n  \
        |   File \"/0/orders.py\", line 22, in group\n  \
        | ExceptionGroup: many (2 sub-exceptions)\n  \
        +-+---------------- 1 ----------------\n    | ValueError: one\n    \
        +---------------- 2 ----------------\n    | TypeError: two\n    \
        +------------------------------------\n";
    let (account, _) = told(&[traceback, PYTHON_END]);
    assert!(
        account.starts_with("ExceptionGroup: many (2 sub-exceptions) (orders.py:22)\n"),
        "{account}"
    );
    assert!(account.contains("ValueError: one"), "{account}");
}

#[test]
fn a_panic_of_rust_has_its_message_and_place_first() {
    let panic = "\nthread 'main' (1) panicked at src/lib.rs:3:5:\nno tenant\n\
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
    let (account, before) = told(&["earlier\n", panic]);
    assert_eq!(account, "no tenant (src/lib.rs:3:5)");
    assert_eq!(before, ["earlier"]);
}

#[test]
fn of_other_languages_the_line_that_says_why_stands_first() {
    let go =
        "panic: runtime error: index out of range [3]\n\ngoroutine 1 [running]:\nmain.hook()\n";
    let (account, _) = told(&[go]);
    assert!(account.starts_with("panic: runtime error: index out of range [3]\n"), "{account}");
    let (account, _) = told(&["something broke\n", "\n"]);
    assert_eq!(account, "something broke");
    assert!(held(&["\n", "note: see the manual\n"]).take_failure_report().is_none());
}

#[test]
fn the_oldest_lines_give_way() {
    let mut held = OutputBuffer::default();
    let line = |text: &str| OutputLine { text: text.to_owned(), begins: true };
    held.push(line("first"));
    (1..MAX_HELD).for_each(|_| held.push(line("a")));
    assert_eq!(held.surplus(), None);
    held.push(line("last"));
    assert_eq!(held.surplus(), Some(line("first")));
    assert_eq!(held.surplus(), None);
    held.push(line(&"b".repeat(MAX_HELD_BYTES)));
    assert_eq!(std::iter::from_fn(|| held.surplus()).count(), MAX_HELD);
    assert_eq!(held.bytes, MAX_HELD_BYTES);
}

#[test]
fn advice_and_blank_lines_say_not_why() {
    for line in ["", "  ", "note: run with `RUST_BACKTRACE=1`", "  note: see the manual"] {
        assert!(!says_why(line), "{line:?}");
    }
    for line in ["ValueError: no name", "  at hook (plugin.js:3:7)", "notes: 3"] {
        assert!(says_why(line), "{line:?}");
    }
}
