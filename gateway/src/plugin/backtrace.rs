//! The backtrace of a trap, for the author of the plugin.
//!
//! Owns which frames are shown, and how: by the names that the component kept, with files and lines
//! where it has debug information and the engine reads that. Must not decide what a trap means.

use std::borrow::Cow;

use wasmtime::{FrameInfo, WasmBacktrace};

/// Functions shown, at most.
const MAX_FRAMES: usize = 16;
/// Bytes of a name that are shown: those of generic functions can be pages long.
const MAX_NAME: usize = 160;

/// A function of the backtrace, and the position in it.
struct Frame<'a> {
    name: Cow<'a, str>,
    place: Option<String>,
}

/// Adds the backtrace to the words for a trap, innermost first.
pub(super) fn append(text: &mut String, backtrace: &WasmBacktrace) {
    let frames: Vec<_> = backtrace.frames().iter().flat_map(frames).collect();
    let shown = of_the_author(before_the_interpreter(&frames));
    for Frame { name, place } in shown.iter().take(MAX_FRAMES) {
        text.push_str("\n    at ");
        text.push_str(cut(name));
        if cut(name).len() < name.len() {
            text.push('…');
        }
        if let Some(place) = place {
            text.push_str(" (");
            text.push_str(place);
            text.push(')');
        }
    }
    if shown.len() > MAX_FRAMES {
        text.push_str(&format!("\n    and {} more", shown.len() - MAX_FRAMES));
    }
}

/// The frames without those of CPython that run the author's code, whose names say nothing of it.
fn before_the_interpreter<'f, 'a>(frames: &'f [Frame<'a>]) -> &'f [Frame<'a>] {
    const CALLS: [&str; 4] =
        ["_PyEval_", "cfunction_vectorcall", "_PyObject_MakeTpCall", "PyObject_"];
    let is_call = |frame: &Frame<'_>| CALLS.iter().any(|name| frame.name.starts_with(name));
    if !frames.iter().any(|frame| frame.name.starts_with("_PyEval_")) {
        return frames;
    }
    frames.iter().position(is_call).map_or(frames, |first| &frames[..first])
}

/// The frames without what stands around the author's own functions: what the language does once it
/// panics, its library, and the way into the hook. All of them, if nothing else is there.
fn of_the_author<'f, 'a>(frames: &'f [Frame<'a>]) -> &'f [Frame<'a>] {
    let begin = frames.iter().rposition(|frame| is_machinery(&frame.name)).map_or(0, |it| it + 1);
    let shown = &frames[begin..];
    let first = shown.iter().position(|frame| !frame.is_library());
    let last = shown.iter().rposition(|frame| !frame.is_entry() && !frame.is_library());
    match (first, last) {
        (Some(first), Some(last)) if first <= last => &shown[first..=last],
        _ if shown.is_empty() => frames,
        _ => shown,
    }
}

impl Frame<'_> {
    /// Whether it is one of Rust's own libraries.
    fn is_library(&self) -> bool {
        match &self.place {
            Some(place) => place.starts_with("library/"),
            None => ["core::", "std::", "alloc::"]
                .iter()
                .any(|name| self.name.trim_start_matches('<').starts_with(name)),
        }
    }

    /// Whether it is between the gateway and the plugin's own type.
    fn is_entry(&self) -> bool {
        let is_sdk = |place: &String| place.contains("plugin-sdk/src/");
        self.place.as_ref().is_some_and(is_sdk)
            || self.name.trim_start_matches('<').starts_with("gateway_plugin_sdk::")
            || self.name.starts_with("gateway:plugin/")
            // Where the SDK's macro writes.
            || self.name.contains("::_::")
    }
}

/// The functions of one frame of the machine code: several where some were inlined. That it is
/// itself has its whole name in the name section; debug information knows only the last part.
fn frames(info: &FrameInfo) -> Vec<Frame<'_>> {
    let symbols = info.symbols();
    let mut frames: Vec<_> = symbols
        .iter()
        .map(|symbol| {
            let place = symbol.file().map(|file| match (symbol.line(), symbol.column()) {
                (Some(line), Some(column)) => format!("{}:{line}:{column}", short(file)),
                (Some(line), None) => format!("{}:{line}", short(file)),
                (None, _) => short(file).to_owned(),
            });
            Frame { name: symbol.name().map_or("?".into(), demangled), place }
        })
        .collect();
    match (info.func_name(), frames.last_mut()) {
        (Some(name), Some(outermost)) => outermost.name = demangled(name),
        (Some(name), None) => frames.push(Frame { name: demangled(name), place: None }),
        (None, _) => {}
    }
    frames
}

/// The readable form of a mangled Rust symbol, without its hash.
fn demangled(name: &str) -> Cow<'_, str> {
    match rustc_demangle::try_demangle(name) {
        Ok(readable) => Cow::Owned(format!("{readable:#}")),
        Err(_) => Cow::Borrowed(name),
    }
}

/// Whether a function is one of those that Rust runs between the panic and the trap.
fn is_machinery(name: &str) -> bool {
    const MODULES: [&str; 4] = ["core::panicking::", "std::panicking::", "std::rt::", "__rustc::"];
    const FUNCTIONS: [&str; 8] = [
        "abort",
        "core::option::expect_failed",
        "core::option::unwrap_failed",
        "core::result::unwrap_failed",
        "rust_begin_unwind",
        "rust_panic",
        "std::process::abort",
        "std::sys::backtrace::__rust_end_short_backtrace",
    ];
    let name = name.split('<').next().filter(|name| !name.is_empty()).unwrap_or(name);
    MODULES.iter().any(|module| name.starts_with(module)) || FUNCTIONS.contains(&name)
}

/// A file without the folders in which a toolchain and a registry keep what is not the author's.
fn short(file: &str) -> &str {
    for folder in ["/registry/src/", "/rustc/"] {
        if let Some((_, rest)) = file.split_once(folder) {
            // Behind it stands the registry's name, or the compiler's commit.
            return rest.split_once('/').map_or(rest, |(_, rest)| rest);
        }
    }
    file
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_without_their_hash() {
        let mangled = "_ZN5hello5greet17h0123456789abcdefE";
        assert_eq!(demangled(mangled), "hello::greet");
        assert_eq!(
            demangled("gateway:plugin/hooks@0.1.0#on-request"),
            "gateway:plugin/hooks@0.1.0#on-request"
        );
    }

    fn shown(frames: &[(&'static str, Option<&str>)]) -> String {
        let frame = |(name, place): &(&'static str, Option<&str>)| Frame {
            name: Cow::Borrowed(*name),
            place: place.map(str::to_owned),
        };
        let frames: Vec<_> = frames.iter().map(frame).collect();
        of_the_author(&frames).iter().map(|frame| &*frame.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn shows_the_authors_functions_without_what_stands_around_them() {
        let panic = [
            ("abort", None),
            ("core::panicking::panic_bounds_check", None),
            ("index", Some("library/core/src/slice/index.rs:272:10")),
            ("hello::boom", Some("/home/ada/hello/src/lib.rs:98:8")),
            ("map", Some("library/core/src/option.rs:1:1")),
            ("on_request", Some("/home/ada/hello/src/lib.rs:55:45")),
            ("on_request", Some("/home/ada/hello/gateway-plugin-sdk/src/dispatch.rs:47:27")),
            ("with", Some("library/std/src/thread/local.rs:477:20")),
            ("gateway:plugin/hooks@0.1.0#on-request", None),
        ];
        assert_eq!(shown(&panic), "hello::boom map on_request");
        let names = [
            ("core::panicking::panic", None),
            ("hello::boom", None),
            ("<hello::_::Exported as gateway_plugin_sdk::Guest>::on_request", None),
            ("gateway:plugin/hooks@0.1.0#on-request", None),
        ];
        assert_eq!(shown(&names), "hello::boom");
    }

    #[test]
    fn shows_everything_where_nothing_is_the_authors() {
        assert_eq!(
            shown(&[("gateway:plugin/hooks@0.1.0#on-request", None)]),
            "gateway:plugin/hooks@0.1.0#on-request"
        );
        assert_eq!(shown(&[("abort", None)]), "abort");
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn what_is_not_the_authors_stands_without_its_folder() {
        for (file, shown) in [
            (
                "/home/ada/.cargo/registry/src/index.crates.io-1949cf8c/serde-1.0.2/src/de.rs",
                "serde-1.0.2/src/de.rs",
            ),
            ("/rustc/0123abc/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/home/ada/hello/src/lib.rs", "/home/ada/hello/src/lib.rs"),
        ] {
            assert_eq!(short(file), shown);
        }
    }

    #[test]
    fn knows_the_machinery_of_panics_from_functions_that_sound_alike() {
        for name in ["core::panicking::panic_fmt", "__rustc::rust_begin_unwind", "abort"] {
            assert!(is_machinery(name), "{name}");
        }
        for name in ["core::option::Option<T>::unwrap", "aborted::now", "hello::abort"] {
            assert!(!is_machinery(name), "{name}");
        }
    }
}
