//! Known differences, which expire: `expectations.toml` lists them with reasons, and one that no
//! longer shows fails the run, as a new one does.

use crate::differential::Finding;
use serde::Deserialize;

/// What is known to differ, and what is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Known differences.
    #[serde(default)]
    pub differs: Vec<Known>,
    /// Maps whose contents are readings of the machine's clock and the like.
    #[serde(default)]
    pub unobserved: Vec<Unobserved>,
}

/// A known difference.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// What differs: one of [`Aspect::name`](crate::differential::Aspect::name).
    pub aspect: String,
    /// The inputs it shows on, by parts of their names; every input where absent.
    pub input: Option<String>,
    /// Why, and what would have to be done.
    pub reason: String,
}

/// A map that is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unobserved {
    /// The object's name.
    pub object: String,
    /// The map's name.
    pub map: String,
    /// Why it cannot be compared.
    pub reason: String,
}

impl Known {
    fn covers(&self, finding: &Finding) -> bool {
        self.object == finding.object
            && self.program == finding.program
            && self.aspect == finding.difference.aspect.name()
            && self.input.as_ref().is_none_or(|part| finding.input.contains(part))
    }
}

impl Expectations {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Names of the maps of an object that are not compared.
    #[must_use]
    pub fn unobserved_maps(&self, object: &str) -> Vec<String> {
        let of_object = self.unobserved.iter().filter(|u| u.object == object);
        of_object.map(|u| u.map.clone()).collect()
    }

    /// The findings that nobody expects, and the expectations that nothing meets.
    #[must_use]
    pub fn judge<'a>(&'a self, findings: &'a [Finding]) -> (Vec<&'a Finding>, Vec<&'a Known>) {
        let unexpected = findings.iter().filter(|f| !self.differs.iter().any(|k| k.covers(f)));
        let expired = self.differs.iter().filter(|k| !findings.iter().any(|f| k.covers(f)));
        (unexpected.collect(), expired.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::{Aspect, Difference};

    fn finding(input: &str) -> Finding {
        Finding {
            object: String::from("o"),
            program: String::from("p"),
            input: input.to_owned(),
            difference: Difference { aspect: Aspect::Data, text: String::new() },
        }
    }

    #[test]
    fn new_differences_and_expired_expectations_are_told_apart() {
        let text = "
            [[differs]]
            object = 'o'
            program = 'p'
            aspect = 'data'
            input = 'vlan'
            reason = 'not modelled'
            [[differs]]
            object = 'o'
            program = 'q'
            aspect = 'data'
            reason = 'was fixed'
        ";
        let expectations = Expectations::parse(text).expect("well formed");
        let findings = [finding("vlan ipv6"), finding("udp")];
        let (unexpected, expired) = expectations.judge(&findings);
        assert_eq!(unexpected, [&findings[1]]);
        assert_eq!(expired.len(), 1);
        assert_eq!(expired[0].program, "q");
    }
}
