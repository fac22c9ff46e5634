//! What a guest wrote to standard error about its own failure, as its author reads it.
//!
//! Owns the forms in which languages report an uncaught exception or a panic: JavaScript by
//! componentize-js, Python by componentize-py, Rust and others by their runtimes. Brings the message
//! and its place to the front, and keeps the trace. Must not decide what a failure is, nor log.

use std::collections::VecDeque;
use std::fmt;

/// Lines that are held, and bytes of them: the trace of an endless recursion has some hundred.
const MAX_HELD: usize = 256;
const MAX_HELD_BYTES: usize = 64 << 10;

/// What the embedding of componentize-js writes when it gives up.
const ABORT: &str = "Redirecting call to abort() to mozalloc_abort";
/// What that of componentize-py panics with after it has shown an exception.
const PYTHON_GAVE_UP: &str = "Python function threw an unexpected exception";
/// What the event loop of componentize-js says when nothing is left to do and a hook still waits.
const NEVER_SETTLED: &str = "event loop error, but no exception is pending";

/// A line on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputLine {
    pub(crate) text: String,
    /// Whether the guest began to write with it: the lines of one message come in one piece.
    pub(crate) begins: bool,
}

/// The last lines on standard error, until something else happens: they may be about a failure.
#[derive(Debug, Default)]
pub(crate) struct OutputBuffer {
    lines: VecDeque<OutputLine>,
    bytes: usize,
}

impl OutputBuffer {
    /// Holds a line.
    pub(crate) fn push(&mut self, line: OutputLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
    }

    /// The oldest line, if there is no room for it. To be asked again until there is room.
    pub(crate) fn surplus(&mut self) -> Option<OutputLine> {
        let is_over = self.lines.len() > MAX_HELD || self.bytes > MAX_HELD_BYTES;
        is_over.then(|| self.pop()).flatten()
    }

    /// The oldest line.
    pub(crate) fn pop(&mut self) -> Option<OutputLine> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.text.len();
        Some(line)
    }

    /// The report of a failure.
    pub(crate) fn failure_report(&mut self) -> Option<FailureReport> {
        read(self.lines.make_contiguous()).map(|(_, failure_report)| failure_report)
    }

    /// Takes the report of a failure; the lines before it stay.
    pub(crate) fn take_failure_report(&mut self) -> Option<FailureReport> {
        let lines = self.lines.make_contiguous();
        let (start, failure_report) = read(lines)?;
        // Rust begins with a blank line.
        let start = lines[..start].iter().rposition(|line| !line.text.trim().is_empty());
        self.lines.truncate(start.map_or(0, |last| last + 1));
        self.bytes = self.lines.iter().map(|line| line.text.len()).sum();
        Some(failure_report)
    }
}

/// What a guest reported about its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailureReport {
    /// In the words of the guest.
    message: String,
    /// File and line, if the guest reported them.
    place: Option<String>,
    /// The rest of it, line by line.
    trace: Vec<String>,
    /// Whether an interpreter ran the author's code. The functions of the backtrace are its
    /// own then, and say nothing.
    pub(crate) is_interpreted: bool,
}

impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        self.trace.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// Where the account begins in the lines, and the account.
fn read(lines: &[OutputLine]) -> Option<(usize, FailureReport)> {
    let text = |index: usize| lines[index].text.as_str();
    let abort = (0..lines.len()).rev().find(|index| text(*index).starts_with(ABORT));
    if let Some(abort) = abort {
        return javascript(lines, abort);
    }
    let panic = (0..lines.len()).rev().find(|index| panicked_at(text(*index)).is_some());
    match panic {
        Some(panic) if lines[panic..].iter().any(|line| line.text.trim() == PYTHON_GAVE_UP) => {
            python(&lines[..panic]).or_else(|| rust(lines, panic))
        }
        Some(panic) => rust(lines, panic),
        None => python(lines).or_else(|| other(lines)),
    }
}

/// The value that was thrown or the message of the error, `Stack:`, its frames, and the abort.
fn javascript(lines: &[OutputLine], abort: usize) -> Option<(usize, FailureReport)> {
    let told = &lines[..abort];
    let stack = told.iter().rposition(|line| line.text.trim_end() == "Stack:");
    let end = stack.unwrap_or_else(|| end_of(told));
    let start = (0..end).rev().find(|index| told[*index].begins)?;
    let mut message = joined(&told[start..end]);
    let frames = stack.map_or(&[][..], |stack| &told[stack + 1..]);
    let frames: Vec<_> = frames.iter().filter_map(|line| frame(&line.text)).collect();
    let is_tool = |(_, place): &(&str, &str)| place.contains("/sources/initializer.js:");
    let of_the_author: Vec<_> = frames.iter().filter(|frame| !is_tool(frame)).collect();
    if !frames.is_empty() && of_the_author.is_empty() {
        // Where the tool turns what the hook returned into what the interface wants.
        message.insert_str(0, "what the hook returned does not have the type that `wit/` says: ");
    }
    let place = of_the_author.first().map(|(_, place)| (*place).to_owned());
    let at = |(name, place): &&(&str, &str)| format!("at {name} ({place})");
    let trace = of_the_author.iter().map(at).collect();
    Some((start, FailureReport { message, place, trace, is_interpreted: true }))
}

/// Function and place of a frame such as `  onRequest@orders.js:3:7`.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (name, place) = line.trim().rsplit_once('@')?;
    Some((if name.is_empty() { "the top of the file" } else { name }, place))
}

/// Tracebacks, of which the last is that of the exception which no one caught, and its message.
fn python(lines: &[OutputLine]) -> Option<(usize, FailureReport)> {
    const HEADER: &str = "Traceback (most recent call last):";
    let is_header =
        |line: &OutputLine| line.text.trim_start_matches(['+', ' ', '|']).contains(HEADER);
    let header = lines.iter().rposition(is_header)?;
    let mut start = header;
    while let Some(before) = cause_of(&lines[..start]) {
        start = lines[..before].iter().rposition(is_header)?;
    }
    let end = end_of(lines);
    let unframed = |line: &OutputLine| line.text.trim_start_matches(['+', ' ', '|']).to_owned();
    let is_group = lines[header].text.starts_with(' ');
    let inner = |line: &OutputLine| match is_group {
        true => line.text.strip_prefix("  | ").map(str::to_owned),
        false => Some(line.text.clone()),
    };
    let is_message = |line: &OutputLine| {
        inner(line).is_some_and(|text| !text.starts_with(' ') && !text.is_empty())
    };
    // A guest whose time was over has reported only a part.
    let message = (header + 1..end).find(|index| is_message(&lines[*index])).unwrap_or(end);
    let last = if is_group { end.min(message + 1) } else { end };
    let place = lines[header..message].iter().filter_map(|line| file_and_line(&unframed(line)));
    let places: Vec<_> = place.collect();
    let of_the_author = places.iter().rfind(|(_, is_library)| !is_library).or(places.last());
    let told: Vec<_> = lines[message..last].iter().filter_map(inner).collect();
    let failure_report = FailureReport {
        message: if told.is_empty() { "an exception".to_owned() } else { told.join(" ") },
        place: of_the_author.map(|(place, _)| place.clone()),
        trace: lines[start..end].iter().map(|line| line.text.clone()).collect(),
        is_interpreted: true,
    };
    Some((start, failure_report))
}

/// Where the lines end with the word that joins an exception with its cause.
fn cause_of(lines: &[OutputLine]) -> Option<usize> {
    let end = end_of(lines);
    let last = lines[..end].last()?.text.trim_start_matches([' ', '|']);
    let joins = last.starts_with("The above exception was the direct cause")
        || last.starts_with("During handling of the above exception");
    joins.then_some(end - 1)
}

/// The place in `  File "/0/orders.py", line 3, in hook`, and whether it is Python's own library.
fn file_and_line(line: &str) -> Option<(String, bool)> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let is_library = file.starts_with('<') || file.starts_with("/python/");
    // componentize-py numbers the folders that it takes modules from.
    let (folder, name) = file.trim_start_matches('/').split_once('/').unwrap_or(("", file));
    let is_numbered = !folder.is_empty() && folder.bytes().all(|byte| byte.is_ascii_digit());
    Some((format!("{}:{digits}", if is_numbered { name } else { file }), is_library))
}

/// `thread '...' panicked at FILE:LINE:COLUMN:`, the message, and advice.
fn rust(lines: &[OutputLine], panic: usize) -> Option<(usize, FailureReport)> {
    let place = panicked_at(&lines[panic].text)?;
    let end = end_of(lines);
    let mut message = joined(lines.get(panic + 1..end)?);
    let is_python = place.starts_with("runtime/src/lib.rs:");
    if is_python {
        // componentize-py's own: what the hook returned, or its type, is not what `wit/` says.
        let unwrapped = message.strip_prefix("called `Result::unwrap()` on an `Err` value: ");
        let why = unwrapped.unwrap_or(&message);
        message = format!("what the hook returned does not have the type that `wit/` says: {why}");
    }
    let place = (!is_python).then(|| place.to_owned());
    Some((panic, FailureReport { message, place, trace: Vec::new(), is_interpreted: is_python }))
}

fn panicked_at(line: &str) -> Option<&str> {
    let (_, place) =
        line.strip_prefix("thread '")?.split_once("' ")?.1.split_once("panicked at ")?;
    Some(place.trim_end_matches(':'))
}

/// Of a language that is not known here: the line that says what went wrong, or else the last, and
/// all of it behind.
fn other(lines: &[OutputLine]) -> Option<(usize, FailureReport)> {
    const WORDS: [&str; 3] = ["panic: ", "fatal error: ", "Fatal Python error: "];
    let names_it = |line: &&OutputLine| WORDS.iter().any(|word| line.text.starts_with(word));
    let end = end_of(lines);
    let found = lines[..end].iter().find(names_it).or(lines[..end].last())?;
    if found.text.contains(NEVER_SETTLED) {
        let message = "the hook awaits a promise that nothing settles".to_owned();
        let trace = vec![found.text.clone()];
        return Some((
            end - 1,
            FailureReport { message, place: None, trace, is_interpreted: true },
        ));
    }
    let trace: Vec<_> = lines[..end].iter().map(|line| line.text.clone()).collect();
    let trace = if trace.len() > 1 { trace } else { Vec::new() };
    let message = found.text.trim().to_owned();
    Some((0, FailureReport { message, place: None, trace, is_interpreted: false }))
}

/// Behind the last line that says something: languages end what they say of an uncaught exception
/// with blank lines and with advice.
fn end_of(lines: &[OutputLine]) -> usize {
    lines.iter().rposition(|line| says_why(&line.text)).map_or(0, |last| last + 1)
}

/// Whether the line may be the failure's cause.
pub(crate) fn says_why(text: &str) -> bool {
    let text = text.trim_start();
    !text.is_empty() && !text.starts_with("note:")
}

fn joined(lines: &[OutputLine]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.text.trim()).collect();
    lines.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests;
