//! How a command ends when it does not end well: exit status, message, cause.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::listing::SourceLine;
use crate::style;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything ran.
    Done = 0,
    /// A program was rejected, trapped, or an input was refused.
    Failed = 1,
    /// The command line, or a file it names, cannot be used.
    Unusable = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure of a command: one message, what caused it, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    source: Option<String>,
    hint: Option<String>,
}

impl Failure {
    /// The command line, or a file it names, cannot be used.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unusable, message)
    }

    /// A program could not be run, or not to its end.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), cause: None, source: None, hint: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same with the line of C that it is about.
    #[must_use]
    pub fn at(mut self, line: Option<SourceLine<'_>>) -> Self {
        self.source = line.map(|line| format!("{}  {}", line.place(), line.text));
        self
    }

    /// The same, said of a part of the input.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        self.message = format!("{part}: {}", self.message);
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit status it asks for.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether nobody reads the output any more, as after `| head`.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        let cause = self.cause.as_ref();
        let error = cause.and_then(|e| e.downcast_ref::<std::io::Error>());
        error.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The texts of its causes, outermost first.
    fn causes(&self) -> impl Iterator<Item = String> + '_ {
        let first = self.cause.as_deref().map(|e| e as &dyn Error);
        std::iter::successors(first, |&e| e.source()).map(ToString::to_string)
    }

    /// As the value of `"error"` in JSON output.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("message".into(), self.message.clone().into());
        let causes: Vec<String> = self.causes().collect();
        if !causes.is_empty() {
            object.insert("causes".into(), causes.into());
        }
        if let Some(source) = &self.source {
            object.insert("source".into(), source.clone().into());
        }
        if let Some(hint) = &self.hint {
            object.insert("hint".into(), hint.clone().into());
        }
        serde_json::json!({ "error": object })
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (error, note) = (style::ERROR, style::NOTE);
        writeln!(out, "{error}error:{error:#} {}", self.message)?;
        for cause in self.causes() {
            writeln!(out, "  {note}cause:{note:#} {cause}")?;
        }
        if let Some(source) = &self.source {
            writeln!(out, "  {note}source:{note:#} {source}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "  {note}help:{note:#} {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The output, not an input: those are named where they are read.
impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::unusable("cannot write the output").because(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_the_message_in_both_forms() {
        let inner = std::io::Error::other("disk on fire");
        let failure = Failure::unusable("cannot read x.o").because(inner).hint("use water");
        assert_eq!(
            failure.to_json().to_string(),
            r#"{"error":{"message":"cannot read x.o","causes":["disk on fire"],"hint":"use water"}}"#
        );
        let mut text = anstream::StripStream::new(Vec::new());
        failure.print(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text.into_inner()).unwrap(),
            "error: cannot read x.o\n  cause: disk on fire\n  help: use water\n"
        );
    }
}
