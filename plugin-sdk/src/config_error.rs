//! What is wrong with a configuration, and where.

use std::fmt;

/// One or more faults of a configuration.
///
/// ```
/// use gateway_plugin_sdk::ConfigError;
///
/// let error = ConfigError::at("/keys/0", "not a digest")
///     .join(ConfigError::at("/realm", "must not be empty"));
/// assert_eq!(error.to_string(), "/keys/0: not a digest; /realm: must not be empty");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    issues: Vec<ConfigIssue>,
}

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigIssue {
    /// Where: a JSON Pointer (RFC 6901) into the configuration, empty for the whole.
    pub pointer: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What can be done about it, shown as `help:`.
    pub help: Option<String>,
}

impl ConfigError {
    /// A fault of the configuration as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self::at("", message)
    }

    /// A fault at a place: a JSON Pointer (RFC 6901), such as `/keys/0/digest`.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        Self { issues: vec![ConfigIssue { pointer, message, help: None }] }
    }

    /// Says what can be done about it: about the last of these faults.
    ///
    /// ```
    /// use gateway_plugin_sdk::ConfigError;
    ///
    /// let error = ConfigError::at("/share", "a share is from 0 to 100 percent").help("write `share = 5` for 5 %");
    /// assert_eq!(error.issues()[0].help.as_deref(), Some("write `share = 5` for 5 %"));
    /// ```
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(issue) = self.issues.last_mut() {
            issue.help = Some(help.into());
        }
        self
    }

    /// These faults and those of another error.
    pub fn join(mut self, other: ConfigError) -> Self {
        self.issues.extend(other.issues);
        self
    }

    /// All faults of several errors: `Ok` if there are none.
    ///
    /// # Errors
    /// The errors, joined in order.
    pub fn collect(errors: impl IntoIterator<Item = ConfigError>) -> Result<(), Self> {
        errors.into_iter().reduce(Self::join).map_or(Ok(()), Err)
    }

    /// The faults, at least one, in the order in which they were found.
    pub fn issues(&self) -> &[ConfigIssue] {
        &self.issues
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if !issue.pointer.is_empty() {
                write!(f, "{}: ", issue.pointer)?;
            }
            f.write_str(&issue.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<String> for ConfigError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for ConfigError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}
